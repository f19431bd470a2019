"""Decoding recordings in threads while the model computes: in order, and in bounded memory."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from lung_srad_plugin.inference.predict import Clip
from lung_srad_plugin.inference.recording import CutRecording
from lung_srad_plugin.utils.threads import compute_alone

Item = TypeVar("Item")
RECORDINGS_AHEAD = 8  # whose decoding may be finished before the model gets to them
CLIPS_AHEAD = 32  # of each, so that hours of one recording are never in memory
_PATIENCE = 0.1  # seconds after which a thread that waits looks whether it should stop


class CutClips(NamedTuple):
    """A recording whose header was read, and its clips, which are decoded when they are asked for."""

    recording: CutRecording
    clips: Iterator[Clip]


class Decoded(Generic[Item]):
    """A recording that a thread decodes.

    Arguments
    ---------
    item : object
        What the recording was opened from.

    Attributes
    ----------
    recording : CutRecording or None
        Read to its end once ``clips`` has ended without an error.
    seconds : float
        What decoding took so far, without waiting for the model.
    """

    def __init__(self, item: Item):
        self.item = item
        self.recording: CutRecording | None = None
        self.seconds = 0.0
        self._queue: queue.Queue = queue.Queue(CLIPS_AHEAD)

    def clips(self) -> Iterator[Clip]:
        """Yield the clips; raises what decoding raised, in its place."""
        while (clip := self._queue.get()) is not None:
            if isinstance(clip, Exception):
                raise clip
            yield clip

    def decode(self, open_recording: Callable[[Item], CutClips], stop: threading.Event) -> None:
        """Decode the recording; called in a thread."""
        try:
            begun = time.perf_counter()
            recording, clips = open_recording(self.item)
            for clip in clips:
                self.seconds += time.perf_counter() - begun
                if not put(self._queue, clip, stop):
                    return
                begun = time.perf_counter()
            self.seconds += time.perf_counter() - begun
            self.recording = recording
            put(self._queue, None, stop)
        except Exception as error:  # of any kind: it belongs to this recording, and the others go on
            put(self._queue, error, stop)


def decode_ahead(
    items: Iterable[Item], open_recording: Callable[[Item], CutClips], threads: int = 1
) -> Iterator[Decoded[Item]]:
    """Yield recordings in order while threads decode those that come next.

    Arguments
    ---------
    items : iterable
        Taken one by one, by one thread at a time.
    open_recording : callable
        Opens an item; called in a thread, like what its clips are read from.
    threads : int
        How many recordings are decoded at once.

    Yields
    ------
    Decoded
        All clips of one must be read before the next.
    """
    coming = iter(items)
    order: queue.Queue = queue.Queue(RECORDINGS_AHEAD)
    turn, stop = threading.Lock(), threading.Event()

    def work() -> None:
        compute_alone()
        while not stop.is_set():
            with turn:
                try:
                    decoded = Decoded(next(coming))
                except StopIteration:
                    break
                except Exception as error:  # of listing the recordings
                    put(order, error, stop)
                    break
                if not put(order, decoded, stop):
                    return
            decoded.decode(open_recording, stop)
        put(order, None, stop)

    workers = [threading.Thread(target=work, name=f"decoding-{index}", daemon=True) for index in range(threads)]
    for worker in workers:
        worker.start()
    try:
        working = threads
        while working:
            decoded = order.get()
            if isinstance(decoded, Exception):
                raise decoded
            if decoded is None:
                working -= 1
            else:
                yield decoded
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def put(line: queue.Queue, item: object, stop: threading.Event) -> bool:
    """Put something into a queue that may be full; return False where it should stop instead."""
    while not stop.is_set():
        try:
            line.put(item, timeout=_PATIENCE)
            return True
        except queue.Full:
            continue
    return False
