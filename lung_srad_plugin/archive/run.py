"""Classifying an archive: each recording once, its rows appended to one table, and what was done noted beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from lung_srad_plugin.annotations.files import find_annotation
from lung_srad_plugin.archive.journal import Entry
from lung_srad_plugin.archive.listing import RecordingList
from lung_srad_plugin.archive.manifest import Failure, RunManifest, Session, State, begin_session, now
from lung_srad_plugin.archive.patients import patient_finder
from lung_srad_plugin.archive.settings import ArchiveSettings, ModelIdentity
from lung_srad_plugin.archive.summaries import latest_entries, summarize_recording, write_summaries, write_table
from lung_srad_plugin.archive.table import OutputPaths, RowTable, absolute, stamp
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.many import Outcome, classify_many
from lung_srad_plugin.inference.rows import row_columns, segment_rows
from lung_srad_plugin.utils.files import refuse_foreign_files

if TYPE_CHECKING:
    from lung_srad_plugin.inference.classifier import LungSoundClassifier


@dataclass
class ArchiveReport:
    """What came out.

    Arguments
    ---------
    state : str
        As in ``RunManifest``.
    recordings : int
        How many there are.
    continued, dropped : int
        How many were done before, and how many bytes of an unfinished one were removed.
    others : int
        How many more the table has from before, that are not among these.
    done : int
        How many were classified now.
    failures : list of Failure
        Which of them have no result, or one of what they were before they were changed.
    unlike_training, uncertain : int
        How many of those of now are so as a whole.
    without_patient : int
        How many of the table are of no known patient, where something says whose recordings are.
    """

    state: State = "running"
    recordings: int = 0
    continued: int = 0
    dropped: int = 0
    others: int = 0
    done: int = 0
    failures: list[Failure] = field(default_factory=list)
    unlike_training: int = 0
    uncertain: int = 0
    without_patient: int = 0


def classify_archive(
    classifier: LungSoundClassifier,
    recordings: RecordingList,
    sources: Sequence[str],
    output: Path,
    settings: ArchiveSettings,
    describe_error: Callable[[Exception, Path], str],
    progress: Callable[[int, int], object] | None = None,
) -> ArchiveReport:
    """Classify recordings into one table; where it exists with the same settings, only what is not in it yet.

    Arguments
    ---------
    classifier : LungSoundClassifier
    recordings : RecordingList
    sources : list of str
        What it was made from.
    output : Path
        The table, .csv, .jsonl or .parquet; the files beside it are those of ``OutputPaths``.
    settings : ArchiveSettings
    describe_error : callable
        Gives the message of an exception that a recording raised.
    progress : callable, optional
        Called as ``progress(done, total)`` after each recording, without those that were done before.

    Returns
    -------
    ArchiveReport

    Raises
    ------
    LungSRADError
        Where the table cannot be continued or written, with the reason and the cure.
    """
    paths = OutputPaths(output)
    find_patient = patient_finder(settings.patients, settings.patient_pattern)
    foreign = [paths.run, paths.recordings, *([paths.patients] if find_patient else [])]
    refuse_foreign_files([*foreign, *([paths.output] if paths.is_parquet else [])])
    model = ModelIdentity.of(classifier.config)
    deciding = {**settings.deciding(), "model": model.id, "model checksum": model.checksum}
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(output.with_name(f".{output.name}.lock"), timeout=0)
        lock.acquire()
    except Timeout:
        raise LungSRADError(f"{output}: another process is writing it; wait until it ends") from None
    except OSError as error:
        raise LungSRADError(f"{output}: cannot be written ({error.strerror}); choose another --output") from error
    with lock, RowTable(paths, classifier.labels, deciding) as table:
        session = begin_session(settings, classifier.device, table.continued)
        manifest = RunManifest(
            settings=settings,
            model=model,
            windows=asdict(
                classifier.select_rule(settings.window, settings.hop, settings.merging, settings.calibrated)
            ),
            sources=list(sources),
            recordings=len(recordings),
            outputs={"rows": paths.output.name, "recordings": paths.recordings.name, "journal": paths.journal.name}
            | ({"patients": paths.patients.name} if find_patient else {}),
            sessions=[*RunManifest.sessions_of(paths.run), session],
        )
        manifest.save(paths.run)
        report = ArchiveReport(recordings=len(recordings), dropped=table.dropped)
        changed: list[Failure] = []
        report.state = "stopped"
        try:
            _classify(classifier, recordings, settings, table, session, report, changed, describe_error, progress)
            report.state = "finished"
            report.others = table.continued - report.continued - len(changed)
        except KeyboardInterrupt:
            report.state = "interrupted"
        finally:
            session.end = now()
            report.failures += changed
            manifest.state, manifest.failed = report.state, changed + _failures(paths.journal)
            manifest.save(paths.run)
        if report.state == "finished":
            unknown = write_summaries(paths.journal, classifier.labels, paths.recordings, paths.patients, find_patient)
            report.without_patient = unknown if find_patient else 0
            if paths.is_parquet:
                write_table(paths.output, row_columns(classifier.labels), _read_rows(paths.rows))
    return report


def _classify(classifier, recordings, settings, table, session: Session, report, changed, describe_error, progress):
    """Run the recordings that are not done, and append what comes out."""
    stamps: dict[Path, tuple[int, int]] = {}
    begun = time.perf_counter()

    def to_do() -> Iterator[Path]:
        for path in recordings:
            try:
                if table.is_done(path):
                    report.continued += 1
                    continue
            except LungSRADError as error:
                changed.append(Failure(file=str(path), reason=str(error)))
                continue
            stamps[path] = stamp(path)
            yield path

    find_cycles = find_annotation if settings.annotations else None
    outcomes = classify_many(classifier, to_do(), settings, settings.batch_size, settings.decoding_threads, find_cycles)
    for outcome in outcomes:
        session.seconds.decoding += outcome.decoding_seconds
        session.seconds.model += outcome.model_seconds
        session.seconds.total = time.perf_counter() - begun
        entry, rows = _entry_and_rows(outcome, stamps.pop(outcome.path), describe_error)
        table.add(entry, rows)
        if outcome.result is None:
            session.failed += 1
            report.failures.append(Failure(file=entry.file, reason=str(entry.error)))
        else:
            session.done += 1
            report.done += 1
            report.unlike_training += bool(outcome.result.summary.unlike_training)
            report.uncertain += bool(outcome.result.summary.uncertain)
        if progress is not None:
            progress(session.done + session.failed, len(recordings) - report.continued - len(changed))


def _entry_and_rows(outcome: Outcome, stamped, describe_error):
    size, mtime_ns = stamped
    entry = Entry(
        file=absolute(outcome.path),
        size=size,
        mtime_ns=mtime_ns,
        decoding_seconds=round(outcome.decoding_seconds, 6),
        model_seconds=round(outcome.model_seconds, 6),
        summary={} if outcome.result is None else summarize_recording(outcome.result),
        error=None if outcome.result is not None else describe_error(outcome.error, outcome.path),
    )
    return entry, [] if outcome.result is None else segment_rows(outcome.result)


def _failures(journal: Path) -> list[Failure]:
    return [
        Failure(file=entry.file, reason=entry.error) for entry in latest_entries(journal) if entry.error is not None
    ]


def _read_rows(path: Path) -> Iterator[dict]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)
