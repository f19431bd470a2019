"""``lung-srad classify --output all.csv``: one table of all recordings, with what is printed about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lung_srad_plugin.archive.listing import RecordingList
from lung_srad_plugin.archive.patients import patient_finder
from lung_srad_plugin.archive.settings import ArchiveSettings, ModelIdentity, read_settings
from lung_srad_plugin.archive.table import ENDINGS
from lung_srad_plugin.audio.endings import AUDIO_ENDINGS
from lung_srad_plugin.cli.classify_files import describe_error, load_classifier
from lung_srad_plugin.cli.exit_codes import FAILED, INTERRUPTED
from lung_srad_plugin.cli.input_files import split_annotation
from lung_srad_plugin.cli.result_output import check_format
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.progress import progress_bars
from lung_srad_plugin.utils.text import printable, rich_text

if TYPE_CHECKING:
    from lung_srad_plugin.archive.run import ArchiveReport

PATIENTS = ("patients", "patient_pattern")
SHOWN = 50  # failed recordings; the run manifest has them all
FORMATS = {".csv": ("table", "csv"), ".jsonl": ("table", "json"), ".parquet": ("table",)}


def is_table(output: Path | None) -> bool:
    """Return whether ``--output`` means one table of all recordings: by its ending, unless it is a folder.

    Example
    -------
    >>> is_table(Path("all.csv")), is_table(Path("results"))
    (True, False)
    """
    return output is not None and output.suffix.lower() in ENDINGS and not output.is_dir()


def merge_settings(
    path: Path | None, given: Mapping[str, Any], named: set[str]
) -> tuple[ArchiveSettings, ModelIdentity | None]:
    """Return the settings in use: options that stand on the command line, then the settings of a run, then defaults.

    Arguments
    ---------
    path : Path or None
        A run manifest.
    given : dict
        Every option by its name in ``ArchiveSettings``.
    named : set of str
        Those that stand on the command line.

    Returns
    -------
    ArchiveSettings
    ModelIdentity or None
        Of the model that the manifest means; None where there is none, or the command line names a model.
    """
    given = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    for name in ("model", "patients"):  # the manifest may be read from another folder
        if given[name] is not None and os.path.exists(given[name]):  # noqa: PTH110 - False for a name that is too long
            given[name] = str(Path(given[name]).resolve())
    if path is None:
        return ArchiveSettings(**given), None
    earlier = read_settings(path)
    if named & set(PATIENTS):  # one way to know patients takes the place of the other
        named = named | set(PATIENTS)
    settings = earlier.settings.model_copy(update={name: given[name] for name in named})
    return settings, None if "model" in named else earlier.model


def refuse_patients(settings: ArchiveSettings) -> None:
    """Refuse patients where results are of single recordings."""
    if settings.patients is not None or settings.patient_pattern is not None:
        raise LungSRADError("rows for each patient belong to a table of all recordings; add --output all.csv")


def classify_to_table(
    patterns: Sequence[str],
    output: Path,
    settings: ArchiveSettings,
    expected: ModelIdentity | None,
    format: str | None,
    trust_code: bool,
) -> int:
    """Classify recordings into one table, and say what came out.

    Arguments
    ---------
    patterns : list of str
        Files, folders, patterns.
    output : Path
        The table.
    settings : ArchiveSettings
    expected : ModelIdentity or None
        Which model it must be.
    format : str or None
        Of ``--format``; the ending of the table says it already.
    trust_code : bool
        As for ``LungSoundClassifier.from_hparams``.

    Returns
    -------
    int
        The exit code: 0, 1 where some recordings have no result, 130 where it was interrupted.

    Raises
    ------
    LungSRADError
        Where options do not fit each other, or the table cannot be written or continued.
    """
    check_format(output, format, FORMATS)
    patient_finder(settings.patients, settings.patient_pattern)
    if settings.annotations and split_annotation(patterns)[1] is not None:
        raise LungSRADError(
            f"{output}: the annotations of a table lie beside the recordings; name the recordings alone"
        )
    recordings = RecordingList(patterns, AUDIO_ENDINGS)
    classifier = load_classifier(settings, trust_code)
    found = ModelIdentity.of(classifier.config)
    if expected is not None and found != expected:
        raise LungSRADError(
            f"{settings.model or 'the model that comes with lung-srad'}: is {found.id}, checksum {found.checksum[:12]} "
            f"and not {expected.id}, checksum {expected.checksum[:12]}, of the settings; name the model by --model"
        )
    from lung_srad_plugin.archive.run import classify_archive

    with progress_bars(rate=True) as progress:
        task = progress.add_task("recordings", total=len(recordings))

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        report = classify_archive(classifier, recordings, patterns, output, settings, describe_error, advance)
    _print_report(report, output)
    if report.state == "interrupted":
        return INTERRUPTED
    return FAILED if report.failures else 0


def _print_report(report: ArchiveReport, output: Path) -> None:
    if report.failures:
        _print_failures(report)
    notes = []
    if report.dropped:
        notes.append(f"{report.dropped} bytes of a recording at which the run had been stopped were removed")
    if report.continued:
        notes.append(f"{report.continued} of {report.recordings} recordings were done before")
    if report.others:
        notes.append(f"the table has {report.others} more recordings from before, which are not among these")
    if report.unlike_training:
        notes.append(f"{report.unlike_training} of {report.done} recordings are unlike the training sounds, so that "
                     "their classes mean nothing; the column unlike_training marks them")  # fmt: skip
    if report.uncertain:
        notes.append(f"{report.uncertain} of {report.done} recordings are uncertain; the column uncertain marks them")
    if report.without_patient:
        notes.append(f"{report.without_patient} recordings are of no known patient")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    left = report.recordings - report.continued - report.done - len(report.failures)
    if report.state == "interrupted":
        print(f"interrupted: {max(left, 0)} of {report.recordings} recordings were not classified; the same command "
              "goes on with them", file=sys.stderr)  # fmt: skip
    else:
        print(f"{printable(output)}: {report.done + report.continued} recordings", file=sys.stderr)


def _print_failures(report):
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{len(report.failures)} of {report.recordings} recordings were not classified", title_justify="left"
    )
    table.add_column("recording", overflow="fold")
    table.add_column("reason", overflow="fold")
    for failure in report.failures[:SHOWN]:
        table.add_row(rich_text(failure.file), rich_text(failure.reason))
    if len(report.failures) > SHOWN:
        table.add_row(f"and {len(report.failures) - SHOWN} more", "in the .run.json")
    console = Console(stderr=True)
    (console if console.is_terminal else Console(stderr=True, width=200)).print(table)
