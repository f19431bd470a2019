"""Classifying many recordings, one after the other: each result is out before the next recording is begun."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lung_srad_plugin.annotations.files import find_annotation
from lung_srad_plugin.cli.exit_codes import FAILED, INTERRUPTED
from lung_srad_plugin.cli.input_files import find_recordings, result_names
from lung_srad_plugin.cli.reliability_notes import ReliabilityNotes
from lung_srad_plugin.cli.result_output import (
    ONE_RECORDING,
    picture_path,
    print_result,
    result_path,
    write_picture,
    write_result,
)
from lung_srad_plugin.datasets.synthetic.marker import TRAINED_ON_SYNTHETIC
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.files import refuse_foreign_files
from lung_srad_plugin.utils.progress import progress_bars
from lung_srad_plugin.utils.text import printable, printable_lines

if TYPE_CHECKING:
    from lung_srad_plugin.inference.classifier import LungSoundClassifier


@dataclass(frozen=True)
class ClassifyOptions:
    """How each recording is classified: see ``LungSoundClassifier.classify_file``.

    Arguments
    ---------
    annotations : bool
        Whether to classify the cycles of the annotation beside each recording.
    hop : float or None
    batch_size : int
    calibrated : bool
    sensitivity : float or None
    window : float or None
    merging : str or None
    explain : str or None
        The method of the map in the picture; None draws none.
    """

    annotations: bool = False
    hop: float | None = None
    batch_size: int = 2
    calibrated: bool = False
    sensitivity: float | None = None
    window: float | None = None
    merging: str | None = None
    explain: str | None = None


def classify_files(
    patterns: Sequence[str],
    model: str | None,
    run_opts: dict[str, Any],
    options: ClassifyOptions,
    format: str,
    output: Path | None = None,
    plot: Path | None = None,
    trust_code: bool = False,
) -> int:
    """Classify recordings and print or write the results; a recording that fails is listed, and the rest is done.

    Arguments
    ---------
    patterns : list of str
        Files, folders, patterns.
    model : str or None
        A model folder, a hub id, or ``starter``; None is the model that comes with the package, and standard error says
        what it is.
    run_opts : dict
        As for ``LungSoundClassifier.from_hparams``.
    options : ClassifyOptions
    format : str
        A key of ``ENDINGS``.
    output, plot : Path or None
        Folders for result files and for pictures.
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
    if options.explain is not None and plot is None:
        raise LungSRADError("--explain puts a map into the picture of each recording; add --plot FOLDER")
    recordings = find_recordings(patterns)
    names = result_names(recordings)
    if format in ONE_RECORDING and output is None and len(recordings) > 1:
        raise LungSRADError(
            f"annotations ({format}) belong to one recording, and these are {len(recordings)}; add --output FOLDER"
        )
    results = [None if output is None else result_path(output, name, format) for name in names]
    pictures = [None if plot is None else picture_path(plot, name) for name in names]
    refuse_foreign_files(path for path in (*results, *pictures) if path is not None)
    for folder in (output, plot):
        _make_folder(folder)

    classifier = load_classifier(model, run_opts, options, trust_code)
    failed = done = 0
    notes = ReliabilityNotes(classifier.uncertain_below)
    with progress_bars() as progress:
        files_task = progress.add_task("recordings", total=len(recordings))
        for recording, result_file, picture_file in zip(recordings, results, pictures, strict=True):
            part_task = progress.add_task(printable(recording.name), total=None)

            def advance(finished, total, task=part_task):
                progress.update(task, completed=finished, total=total)

            try:
                result = _classify(classifier, recording, options, advance)
                if picture_file is not None:
                    write_picture(result, recording, picture_file, _explain(classifier, recording, options))
                if result_file is None:
                    print_result(result, format, sys.stdout, first=done == 0)
                else:
                    write_result(result, format, result_file)
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


def load_classifier(
    model: str | None, run_opts: dict[str, Any], options: ClassifyOptions, trust_code: bool
) -> LungSoundClassifier:
    """Return the classifier, checked against the options, and say on standard error what a reader must know of it.

    Arguments
    ---------
    model, run_opts, options, trust_code
        As for ``classify_files``.
    """
    from lung_srad_plugin.export.novelty_file import describe_missing
    from lung_srad_plugin.inference.classifier import LungSoundClassifier
    from lung_srad_plugin.inference.starter_model import describe_starter

    classifier = LungSoundClassifier.from_hparams(source=model, run_opts=run_opts, trust_code=trust_code)
    _check_model(classifier, options)
    if model is None:
        print(f"note: {printable(describe_starter(classifier.config))}", file=sys.stderr, flush=True)
    if classifier.trained_on_synthetic:
        print(f"note: {TRAINED_ON_SYNTHETIC}", file=sys.stderr, flush=True)
    if classifier.novelty is None:
        missing = printable(describe_missing(classifier.config))
        print(f"note: {printable(classifier.model_id)} cannot tell sounds unlike its training sounds: {missing}",
              file=sys.stderr, flush=True)  # fmt: skip
    return classifier


def _classify(classifier, recording, options, progress):
    return classifier.classify_file(
        recording,
        find_annotation(recording) if options.annotations else None,
        options.hop,
        options.batch_size,
        progress=progress,
        calibrated=options.calibrated,
        sensitivity=options.sensitivity,
        window=options.window,
        merging=options.merging,
    )


def _explain(classifier, recording, options):
    if options.explain is None:
        return None
    from lung_srad_plugin.analysis.recording_map import explain_recording

    cycles = find_annotation(recording) if options.annotations else None
    return explain_recording(classifier, recording, cycles, options.window, options.hop, options.explain)


def _check_model(classifier, options):
    """Refuse what no recording can be classified with, once instead of for each recording."""
    classifier.select_rule(options.window, options.hop, options.merging)
    classifier.select_threshold(options.sensitivity, options.calibrated)
    if options.explain is not None:
        from lung_srad_plugin.analysis.explain import check_methods

        check_methods([options.explain], classifier.mods.embedding_model)


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
