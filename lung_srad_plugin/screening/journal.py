"""Which recording each worker is at, so that one that ends its worker again and again is found and passed over."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

MOST_DEATHS = 2  # of workers at one recording


class Journal:
    """Notes what each worker is at; kept outside of them, by Ray, so that it outlives them.

    It holds a name for each worker and for each recording that a worker died at, however many there are.

    Example
    -------
    >>> journal = Journal()
    >>> journal.start("worker 1")
    >>> journal.begin("worker 1", "a.wav")
    0
    >>> journal.start("worker 1")  # after it died
    >>> journal.begin("worker 1", "a.wav")
    1
    """

    def __init__(self) -> None:
        self._at: dict[str, str] = {}
        self._deaths: Counter[str] = Counter()

    def start(self, worker: str) -> None:
        """Note that a worker starts: if it was at a recording, it died there."""
        recording = self._at.pop(worker, None)
        if recording is not None:
            self._deaths[recording] += 1

    def begin(self, worker: str, recording: str) -> int:
        """Note that a worker begins a recording, and return how many workers have died at it."""
        self._at[worker] = recording
        return self._deaths.get(recording, 0)


class JournalEntry:
    """One worker's access to the journal.

    Arguments
    ---------
    journal : handle of a Journal that is an actor of Ray
    """

    def __init__(self, journal: Any):
        import ray

        self._journal = journal
        self._worker = ray.get_runtime_context().get_actor_id()
        self._call("start")

    def begin(self, recording: str) -> int:
        """As ``Journal.begin``; 0 where the journal was lost with its machine."""
        return self._call("begin", recording) or 0

    def _call(self, name, *arguments):
        import ray
        import ray.exceptions

        with contextlib.suppress(ray.exceptions.RayActorError):
            return ray.get(getattr(self._journal, name).remote(self._worker, *arguments))
        return None


def start_journal() -> Any:
    """Start a journal on the cluster, and return its handle."""
    import ray

    return ray.remote(num_cpus=0, max_restarts=-1)(Journal).remote()
