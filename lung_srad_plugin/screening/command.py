"""Screening from beginning to end: recordings found, those that are done left out, the others streamed and written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.screening.engine import (
    EngineOptions,
    name_recordings,
    ray_session,
    read_recordings,
    stream_answers,
)
from lung_srad_plugin.screening.journal import start_journal
from lung_srad_plugin.screening.model_copy import ModelCopy, copy_model
from lung_srad_plugin.screening.output import PartWriter, ScreenOutput
from lung_srad_plugin.screening.run_file import check_same_run, describe_run
from lung_srad_plugin.screening.sources import Recordings, find_source, is_list, read_list, search_folder
from lung_srad_plugin.screening.storage import locate
from lung_srad_plugin.screening.tables import Tables, bad_answer
from lung_srad_plugin.screening.worker import RecordingWorker, ScreenSettings
from lung_srad_plugin.version import __version__

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

    from lung_srad_plugin.inference.classifier import LungSoundClassifier

FOR_A_WORKER = 8  # recordings that are tried one by one, for which it is worth to start another worker
ONE_BY_ONE = 500  # recordings for which a pool of workers is started
MANY = 20  # recordings of which not one can be classified: then something else is at fault
NOT_UTF8 = "its name is no UTF-8, which Arrow and Parquet need; rename it"
LOST = "its worker ended each time that it was tried, perhaps for want of memory; classify it by itself to see why"


@dataclass(frozen=True)
class ScreenOptions:
    """How a screening is done; see ``lung-srad screen``.

    Arguments
    ---------
    settings : ScreenSettings
    batch_size : int
        Windows that go through the model at once.
    path_column : str or None
    retry_bad : bool
        Whether recordings that failed before are tried again.
    part_seconds : float
        From one part of the output to the next.
    trust_code : bool
    engine : EngineOptions
    """

    settings: ScreenSettings = field(default_factory=ScreenSettings)
    batch_size: int = 2
    path_column: str | None = None
    retry_bad: bool = False
    part_seconds: float = 60.0
    trust_code: bool = False
    engine: EngineOptions = field(default_factory=EngineOptions)


@dataclass(frozen=True)
class Screening:
    """What a screening did.

    Arguments
    ---------
    found : int
        Recordings of the source.
    done_before : int
        Of them, those that were in the output already.
    counts : collections.Counter
        As of ``PartWriter``, of this run.
    interrupted : bool
    """

    found: int
    done_before: int
    counts: Counter[str]
    interrupted: bool = False

    def lines(self, destination: str) -> Iterator[str]:
        """Yield what a user is told at the end."""
        counts = self.counts
        if self.done_before:
            yield f"{self.done_before:,} of {self.found:,} recordings were in {destination} already"
        classified = f"{counts['recordings']:,} recordings classified, {counts['segments']:,} segments"
        yield f"{classified}; {counts['bad']:,} without a result: {destination}"
        if counts["unlike_training"]:
            yield (
                f"note: {counts['unlike_training']:,} recordings are unlike the sounds that the model was trained on, "
                "so that their classes mean nothing"
            )
        if counts["uncertain"]:
            yield f"note: {counts['uncertain']:,} recordings are uncertain"
        if self.interrupted:
            left = self.found - self.done_before - counts["recordings"] - counts["bad"]
            yield f"interrupted: {left:,} recordings were not classified; the same command resumes"


def screen(
    source: str,
    destination: str,
    model: str | None,
    options: ScreenOptions,
    on_model: Callable[[LungSoundClassifier], object],
    progress: Callable[[int, int], object],
) -> Screening:
    """Classify the recordings of a source on the workers of a Ray cluster, and write the results as Parquet.

    Arguments
    ---------
    source : str
        As for ``lung-srad screen``.
    destination : str
        A folder, or an address in an object store.
    model : str or None
        As for ``LungSoundClassifier.from_hparams``.
    options : ScreenOptions
    on_model : callable
        Called with the classifier before the work begins.
    progress : callable
        Called with the number of recordings that are done, and of all.

    Raises
    ------
    LungSRADError
        Where something is wrong with source, destination, model, settings or cluster, before anything is classified;
        where the destination holds another run; and where no worker works.
    """
    place = find_source(source, options.path_column)
    groups = None if is_list(place) else search_folder(place)
    copy = copy_model(model, options.trust_code)
    classifier = copy.load("cpu", "fp32")
    settings = options.settings.resolve(classifier)
    on_model(classifier)
    output = ScreenOutput(locate(destination))
    run = describe_run(source, classifier.model_id, copy, settings)
    check_same_run(output.open(), run, destination)
    try:
        done = output.begin(options.retry_bad)
        output.write_run(run)
        if groups is not None and not any(group.left(done) or group.not_utf8_left(done) for group in groups):
            found = sum(map(len, groups))
            return Screening(found, found, Counter())
        with ray_session(options.engine) as workers:
            job = _Job(copy, settings, Tables.of_model(classifier.labels), options, workers)
            return job.run(groups or read_list(place, options.path_column), output, done, progress)
    finally:
        output.close()


@dataclass(frozen=True)
class _Job:
    """What all recordings of a screening share."""

    model: ModelCopy
    settings: ScreenSettings
    tables: Tables
    options: ScreenOptions
    workers: int

    def run(self, groups: list[Recordings], output: ScreenOutput, done: set[str], progress: Callable) -> Screening:
        """Classify what is not done, and write it."""
        found = sum(map(len, groups))
        not_utf8 = [name for group in groups for name in group.not_utf8_left(done)]
        before = found - len(not_utf8) - sum(len(group.left(done)) for group in groups)
        writer = PartWriter(output, self.tables, self.options.part_seconds)
        progress(before, found)
        if not_utf8:
            writer.add(self.tables.join([bad_answer(name, NOT_UTF8) for name in not_utf8]))
        try:
            for group in groups:
                for answers in self._answers(group, done):
                    writer.add(answers)
                    progress(before + writer.counts["recordings"] + writer.counts["bad"], found)
        except KeyboardInterrupt:
            writer.write()
            return Screening(found, before, writer.counts, interrupted=True)
        except LungSRADError:
            writer.write()
            raise
        writer.write()
        return Screening(found, before, writer.counts)

    def _answers(self, group: Recordings, done: set[str]) -> Iterator[pa.Table]:
        """Yield the answers for what is not done, each recording once, and add their names to what is done.

        What the readers cannot read takes its block along: the recordings of such blocks are tried again one by one,
        so that the others have their results, and it has a reason.
        """
        began_with = len(done)
        arguments = {
            "model": self.model,
            "settings": self.settings,
            "batch_size": self.options.batch_size,
            "device": "cuda" if self.options.engine.gpus_per_actor else "cpu",
            "tables": self.tables,
            "filesystem": group.filesystem,
            "scheme": group.scheme,
            "journal": start_journal(),
            "version": __version__,
        }

        def fresh(answers: pa.Table) -> pa.Table:
            import pyarrow as pa

            files = answers["file"].to_pylist()
            is_new = [file not in done for file in files]
            done.update(files)
            return answers.filter(pa.array(is_new, pa.bool_()))

        def stream(data: Dataset | None, most_workers: int) -> Iterator[pa.Table]:
            if data is not None:
                count, gpus = min(self.workers, most_workers), self.options.engine.gpus_per_actor
                for answers in stream_answers(data, RecordingWorker, arguments, count, gpus):
                    yield fresh(answers)

        paths = group.left(done)
        yield from stream(read_recordings(paths, group.filesystem, self.workers), len(paths))
        paths = group.left(done)
        for start in range(0, len(paths), ONE_BY_ONE):
            some = Recordings(group.filesystem, group.scheme, paths[start : start + ONE_BY_ONE])
            yield from stream(name_recordings(some.paths), 1 + len(some.paths) // FOR_A_WORKER)
            lost = [f"{group.scheme}{path}" for path in some.left(done)]
            if len(lost) >= MANY and len(done) == began_with:
                raise LungSRADError(f"{lost[0]} and {len(lost) - 1} more: {LOST}; no recording was classified")
            yield fresh(self.tables.join([bad_answer(file, LOST) for file in lost]))
