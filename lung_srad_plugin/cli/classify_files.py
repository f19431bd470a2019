"""Classifying many recordings, one after the other: each result is out before the next recording is begun."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lung_srad_plugin.annotations.files import find_annotation
from lung_srad_plugin.archive.settings import ArchiveSettings
from lung_srad_plugin.cli.exit_codes import FAILED, INTERRUPTED
from lung_srad_plugin.cli.input_files import find_recordings, result_names, split_annotation
from lung_srad_plugin.cli.model_notes import print_model_notes
from lung_srad_plugin.cli.reliability_notes import ReliabilityNotes
from lung_srad_plugin.cli.result_output import (
    ONE_RECORDING,
    describe_agreement,
    names_one_result,
    picture_path,
    print_result,
    result_format,
    result_path,
    write_picture,
    write_result,
)
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.cycle_agreement import CycleAgreement, read_agreement
from lung_srad_plugin.utils.files import refuse_foreign_files
from lung_srad_plugin.utils.progress import progress_bars
from lung_srad_plugin.utils.text import printable, printable_lines

if TYPE_CHECKING:
    from lung_srad_plugin.inference.classifier import LungSoundClassifier


def classify_files(
    patterns: Sequence[str],
    settings: ArchiveSettings,
    format: str | None,
    output: Path | None = None,
    plot: Path | None = None,
    explain: str | None = None,
    trust_code: bool = False,
) -> int:
    """Classify recordings and print or write the results; a recording that fails is listed, and the rest is done.

    Arguments
    ---------
    patterns : list of str
        Files, folders, patterns; and with annotations, the annotation of the one recording that is named.
    settings : ArchiveSettings
        Those of them that are of tables say nothing here.
    format : str or None
        A key of ``ENDINGS``; where left out, what ``output`` ends in, else a table.
    output : Path or None
        A folder for result files, or the file of one recording, see ``names_one_result``.
    plot : Path or None
        A folder for pictures.
    explain : str or None
        The method of the map in the picture; None draws none.
    trust_code : bool
        As for ``LungSoundClassifier.from_hparams``.

    Returns
    -------
    int
        The exit code: 0, 1 where some recordings failed, 130 where it was interrupted.

    Raises
    ------
    LungSRADError
        Where the command makes no sense or would overwrite what lung-srad did not write, before anything is classified.
    """
    if explain is not None and plot is None:
        raise LungSRADError("--explain puts a map into the picture of each recording; add --plot FOLDER")
    annotation = None
    if settings.annotations:
        patterns, annotation = split_annotation(patterns)
    recordings = find_recordings(patterns)
    outputs = _plan_outputs(recordings, format, output, plot)
    classifier = load_classifier(settings, trust_code)
    if explain is not None:
        _check_method(classifier, explain)
    failed = done = 0
    notes = ReliabilityNotes(classifier.uncertain_below)
    with progress_bars() as progress:
        files_task = progress.add_task("recordings", total=len(recordings))
        for recording, result_file, picture_file in zip(recordings, outputs.results, outputs.pictures, strict=True):
            part_task = progress.add_task(printable(recording.name), total=None)

            def advance(finished, total, task=part_task):
                progress.update(task, completed=finished, total=total)

            try:
                cycles = (annotation or find_annotation(recording)) if settings.annotations else None
                result = classifier.classify_file(
                    recording, cycles, batch_size=settings.batch_size, progress=advance, **settings.keywords()
                )
                agreement = None if cycles is None else read_agreement(result, cycles)
                if picture_file is not None:
                    map_ = None if explain is None else _explain(classifier, recording, cycles, settings, explain)
                    write_picture(result, recording, picture_file, map_)
                if result_file is None:
                    print_result(result, outputs.format, sys.stdout, done == 0, agreement)
                else:
                    write_result(result, outputs.format, result_file, agreement)
                if annotation and agreement and (result_file is not None or outputs.format != "table"):
                    _print_agreement(annotation, agreement)
                notes.add(result)
                done += 1
            except KeyboardInterrupt:
                left = len(recordings) - done - failed
                print(f"interrupted: {left} of {len(recordings)} recordings were not classified", file=sys.stderr)
                return INTERRUPTED
            except BrokenPipeError:  # whoever reads standard output has enough
                raise
            except Exception as error:
                failed += 1
                print(f"error: {printable_lines(describe_error(error, recording))}", file=sys.stderr, flush=True)
            finally:
                progress.remove_task(part_task)
            progress.advance(files_task)
    for line in notes.lines():
        print(f"note: {line}", file=sys.stderr)
    if failed:
        print(f"{failed} of {len(recordings)} recordings failed; the reasons are above", file=sys.stderr)
    return FAILED if failed else 0


class _Outputs(NamedTuple):
    """The format of results, and of each recording the files of result and picture, None where there is none."""

    format: str
    results: list[Path | None]
    pictures: list[Path | None]


def _plan_outputs(recordings: list[Path], format: str | None, output: Path | None, plot: Path | None) -> _Outputs:
    """Refuse outputs that make no sense or that would overwrite something, and make the folders of the others."""
    count, names = len(recordings), result_names(recordings)
    results: list[Path | None]
    if output is not None and names_one_result(output):
        if count > 1:
            raise LungSRADError(
                f"{output}: is the result of one recording, and these are {count}; name a folder, or a table of all "
                "recordings: all.csv, all.jsonl, all.parquet"
            )
        format = result_format(output, format)
        results = [output]
    else:
        format = format or "table"
        if format in ONE_RECORDING and output is None and count > 1:
            raise LungSRADError(
                f"annotations ({format}) belong to one recording, and these are {count}; add --output FOLDER"
            )
        results = [None if output is None else result_path(output, name, format) for name in names]
        _make_folder(output)
    pictures = [None if plot is None else picture_path(plot, name) for name in names]
    refuse_foreign_files(path for path in (*results, *pictures) if path is not None)
    _make_folder(plot)
    return _Outputs(format, results, pictures)


def _print_agreement(annotation: Path, agreement: CycleAgreement) -> None:
    for line in describe_agreement(agreement):
        print(f"note: {printable(annotation)}: {line}", file=sys.stderr)


def load_classifier(settings: ArchiveSettings, trust_code: bool) -> LungSoundClassifier:
    """Return the classifier, checked against the settings, and say on standard error what a reader must know of it.

    Arguments
    ---------
    settings : ArchiveSettings
    trust_code : bool
        As for ``LungSoundClassifier.from_hparams``.
    """
    from lung_srad_plugin.inference.classifier import LungSoundClassifier

    run_opts: dict[str, Any] = {"precision": settings.precision}
    if settings.device is not None:
        run_opts["device"] = settings.device
    classifier = LungSoundClassifier.from_hparams(source=settings.model, run_opts=run_opts, trust_code=trust_code)
    settings.resolve(classifier)
    print_model_notes(classifier, "--model names another" if settings.model is None else None)
    return classifier


def _explain(classifier, recording, cycles, settings, method):
    from lung_srad_plugin.analysis.recording_map import explain_recording

    return explain_recording(classifier, recording, cycles, settings.window, settings.hop, method)


def _check_method(classifier, method):
    from lung_srad_plugin.analysis.explain import check_methods

    check_methods([method], classifier.mods.embedding_model)


def describe_error(error: Exception, recording: Path) -> str:
    """Return what standard error says of a recording that failed."""
    if isinstance(error, LungSRADError):
        return str(error)
    if isinstance(error, OSError):
        return f"{recording}: {error.strerror or error}"
    return f"{recording}: {type(error).__name__}: {error} (unexpected; please report it with the recording)"


def _make_folder(folder):
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LungSRADError(f"{folder}: cannot be made ({error.strerror}); choose a folder you may write to") from error
