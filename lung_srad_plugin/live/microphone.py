"""Sound from a microphone, by sounddevice: blocks as they come, and what was lost."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.live.pipe import BLOCK_SECONDS

WAIT = 5.0  # seconds without a block before the device is called dead
POLL = 0.5  # seconds after which a device that gives no block is asked whether it still runs
# Clocks of sound cards are off by less than a thousandth; blocks may come together, a second late.
CLOCK_ERROR = 1e-3
LATE = 1.0  # seconds


def import_sounddevice() -> Any:
    """Return the module sounddevice.

    Raises
    ------
    LungSRADError
        Where it, or the library PortAudio that it needs, is not installed.
    """
    try:
        import sounddevice
    except ImportError:
        raise LungSRADError(
            'a microphone needs sounddevice, which is not installed; pip install "lung-srad[listen]", or pipe the '
            "sound of a recording program into: lung-srad listen -"
        ) from None
    except OSError as error:
        raise LungSRADError(
            f"sounddevice cannot be used ({error}); install PortAudio, for example: apt install libportaudio2"
        ) from None
    return sounddevice


def list_devices() -> list[str]:
    """Return a line for each device that has a microphone: number, name, channels, rate, and which is the system's."""
    library = import_sounddevice()
    try:
        own = library.query_devices(None, "input")["index"]
    except (ValueError, library.PortAudioError):  # the system has none of its own
        own = None
    return [
        f"{index}: {device['name']}, {device['max_input_channels']} channels, {device['default_samplerate']:g} Hz"
        + (", the system's own" if index == own else "")
        for index, device in enumerate(library.query_devices())
        if device["max_input_channels"] > 0
    ]


class Microphone:
    """A microphone that records while it is a context.

    Arguments
    ---------
    device : str or None
        Number or part of the name, as ``list_devices`` has them; the system's own where left out.
    rate : int or None
        In Hz; that of the device where left out.

    Attributes
    ----------
    rate : int
    lost : int
        How often the sound card reported that sound was lost.

    Raises
    ------
    LungSRADError
        Where there is no such device, or it does not record at this rate.
    """

    def __init__(self, device: str | None = None, rate: int | None = None):
        self._library = import_sounddevice()
        self._blocks: queue.Queue[np.ndarray] = queue.Queue()
        self.lost = 0
        self._recorded = 0  # samples
        self._began = self._latest = 0.0  # when the first block began, and when the latest came
        index: int | str | None = int(device) if device is not None and device.isdigit() else device
        try:
            found = self._library.query_devices(index, "input")
            self.name, self.rate = str(found["name"]), int(rate or found["default_samplerate"])
            self._stream = self._library.InputStream(
                samplerate=self.rate, device=index, channels=1, dtype="float32", callback=self._take,
                blocksize=round(BLOCK_SECONDS * self.rate),
            )  # fmt: skip
        except (ValueError, self._library.PortAudioError) as error:
            if not list_devices():
                raise LungSRADError(
                    "no microphone was found; plug one in, or pipe the sound of a recording program into: "
                    "lung-srad listen -"
                ) from None
            raise LungSRADError(
                f"microphone {device or 'of the system'}: {error}; lung-srad listen --list-devices shows them"
            ) from error

    def _take(self, block, frames, times, status):
        del times
        self.lost += bool(status.input_overflow)
        self._latest = time.monotonic()
        if not self._recorded:
            self._began = self._latest - frames / self.rate
        self._recorded += frames
        self._blocks.put(block.copy())

    @property
    def waiting(self) -> float:
        """Seconds of sound that were recorded and not taken yet."""
        return self._blocks.qsize() * BLOCK_SECONDS

    @property
    def missing(self) -> float:
        """Seconds by which the recorded sound is shorter than the time it took: lost, or held back by the system.

        A machine that is too busy loses sound without a word of the sound card. 0 where it is no more than clocks
        differ and blocks are late.
        """
        elapsed = self._latest - self._began
        missing = elapsed - self._recorded / self.rate
        return missing if missing > LATE + CLOCK_ERROR * elapsed else 0.0

    def __enter__(self) -> Microphone:
        self._stream.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.stop()
        self._stream.close()

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield blocks (samples, 1) as they come.

        Raises
        ------
        LungSRADError
            Where none comes any more.
        """
        waited = 0.0
        while True:
            try:
                yield self._blocks.get(timeout=POLL)
                waited = 0.0
            except queue.Empty:
                waited += POLL
                if waited >= WAIT or not self._stream.active:
                    raise LungSRADError(f"microphone {self.name}: no sound comes any more; is it unplugged?") from None
