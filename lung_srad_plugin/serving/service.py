"""A classifier that many clients use at once, within limits."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch

from lung_srad_plugin.serving.deadline import Deadline
from lung_srad_plugin.serving.limits import ServingLimits
from lung_srad_plugin.serving.recording_limits import check_recording
from lung_srad_plugin.serving.refusals import ServiceFull, Stopped
from lung_srad_plugin.serving.settings import ClientSettings

if TYPE_CHECKING:
    from lung_srad_plugin.inference.classifier import LungSoundClassifier
    from lung_srad_plugin.inference.result import Classification

Result = TypeVar("Result")
WARM_UP_SECONDS = 2.0


@dataclass(frozen=True)
class Job(Generic[Result]):
    """Something that a worker does or is going to do.

    Arguments
    ---------
    future : Future
        Of its result.
    """

    future: Future[Result]
    _stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """End it: at once where it still waits, after the batch at hand where it is at work."""
        self._stopped.set()
        self.future.cancel()


class ClassificationService:
    """One classifier behind a fixed number of workers, and a bounded number of recordings that wait for them.

    Safe to be used by many threads. What a client sends is read from a file that the server wrote; its name is a label
    for messages and results.

    Arguments
    ---------
    classifier : LungSoundClassifier
    limits : ServingLimits

    Example
    -------
    >>> service = ClassificationService(LungSoundClassifier.from_hparams(), ServingLimits())  # doctest: +SKIP
    >>> service.run(lambda: service.submit_recording("upload", "breath.wav")).summary.label  # doctest: +SKIP
    'normal'
    """

    def __init__(self, classifier: LungSoundClassifier, limits: ServingLimits | None = None):
        self.classifier = classifier
        self.limits = ServingLimits() if limits is None else limits
        # A thread that computes keeps threads of OpenMP of its own: these few threads do all the work.
        threads = max(1, torch.get_num_threads() // self.limits.at_work)
        self._workers = ThreadPoolExecutor(
            self.limits.at_work, "lung-srad-worker", initializer=torch.set_num_threads, initargs=(threads,)
        )
        self._lock = threading.Lock()
        self._places = self._at_work = 0
        self._closed = threading.Event()

    @property
    def at_work(self) -> int:
        """How many recordings are at work."""
        return self._at_work

    @property
    def waiting(self) -> int:
        """How many recordings wait for a worker, or are being uploaded."""
        return max(0, self._places - self._at_work)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place among the recordings at work and waiting.

        Raises
        ------
        ServiceFull
            Where there is none.
        """
        with self._lock:
            if self._places >= self.limits.at_work + self.limits.waiting:
                raise ServiceFull(
                    f"the service is busy: {self.limits.at_work} recordings at work and {self.limits.waiting} waiting "
                    "are its limit; try again in some seconds"
                )
            self._places += 1
        try:
            yield
        finally:
            with self._lock:
                self._places -= 1

    def submit(self, work: Callable[[Callable[..., None]], Result]) -> Job[Result]:
        """Give work to the workers, for a caller that holds a ``place``.

        Arguments
        ---------
        work : callable
            Called as ``work(check)`` by a worker; it calls ``check(done, total)`` after each part of the work, or
            ``check()`` now and then. Either raises ``Stopped`` or ``OutOfTime`` where the work shall end.

        Returns
        -------
        Job
        """
        stopped = threading.Event()

        def timed() -> Result:
            deadline = Deadline(self.limits.work_seconds)

            def check(done: int = 0, total: int = 0) -> None:
                if stopped.is_set() or self._closed.is_set():
                    raise Stopped("the classification was stopped; the service may be ending")
                deadline.check(done, total)

            with self._counted():
                check()
                return work(check)

        try:
            return Job(self._workers.submit(timed), stopped)
        except RuntimeError:  # of workers that have ended
            raise Stopped("the service ends") from None

    def submit_recording(
        self,
        path: str | os.PathLike,
        name: str,
        settings: ClientSettings | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> Job[Classification]:
        """Give a recording to the workers, for a caller that holds a ``place``.

        Arguments
        ---------
        path : str or Path
            The file that the server wrote.
        name : str
            What the client calls it.
        settings : ClientSettings, optional
        progress : callable, optional
            Called as ``progress(done, total)`` by the worker after each batch.

        Returns
        -------
        Job
            Its result equals what ``LungSoundClassifier.classify_file`` returns; else it raises a ``Refusal`` where a
            limit is exceeded, and ``LungSRADError`` where the recording cannot be classified.
        """
        settings = ClientSettings() if settings is None else settings

        def work(check: Callable[..., None]) -> Classification:
            check_recording(path, name, self.limits)

            def advance(done: int, total: int) -> None:
                check(done, total)
                if progress is not None:
                    progress(done, total)

            options: dict[str, Any] = settings.keywords()
            return self.classifier.classify_file(Path(path), name=name, progress=advance, **options)

        return self.submit(work)

    def run(self, submit: Callable[[], Job[Result]]) -> Result:
        """Return the result of a job that is submitted once there is a place for it."""
        with self.place():
            job = submit()
            try:
                return job.future.result()
            except BaseException:
                job.stop()
                raise

    def check_settings(self, settings: ClientSettings) -> None:
        """Refuse settings that the model cannot follow, before a recording is uploaded.

        Raises
        ------
        LungSRADError
            Where a window, hop, merging, temperature or threshold is not there.
        """
        settings.resolve(self.classifier)

    def warm_up(self) -> None:
        """Classify some noise, so that the first client does not wait for what happens once."""
        rate = self.classifier.sample_rate
        noise = torch.randn(int(WARM_UP_SECONDS * rate), generator=torch.Generator().manual_seed(0)) / 10
        self.run(lambda: self.submit(lambda _: self.classifier.classify_file(noise, sample_rate=rate)))

    def close(self) -> None:
        """End the workers: what waits is dropped, and what is at work ends after its batch."""
        self._closed.set()
        self._workers.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1
