"""Sound from a microphone, by sounddevice: blocks as they come, and what was lost."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import numpy as np

from lung_srad_plugin.errors import LungSRADError

BLOCK_SECONDS = 0.1
WAIT = 5.0  # seconds without a block before the device is called dead


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
    """Return a line for each device that has a microphone: its number, name, channels and rate."""
    return [
        f"{index}: {device['name']}, {device['max_input_channels']} channels, {device['default_samplerate']:g} Hz"
        for index, device in enumerate(import_sounddevice().query_devices())
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
        index: int | str | None = int(device) if device is not None and device.isdigit() else device
        try:
            found = self._library.query_devices(index, "input")
            self.name, self.rate = str(found["name"]), int(rate or found["default_samplerate"])
            self._stream = self._library.InputStream(
                samplerate=self.rate, device=index, channels=1, dtype="float32", callback=self._take,
                blocksize=round(BLOCK_SECONDS * self.rate),
            )  # fmt: skip
        except (ValueError, self._library.PortAudioError) as error:
            raise LungSRADError(
                f"microphone {device or 'of the system'}: {error}; lung-srad listen --list-devices"
            ) from (error)

    def _take(self, block, frames, times, status):
        del frames, times
        self.lost += bool(status.input_overflow)
        self._blocks.put(block.copy())

    @property
    def waiting(self) -> float:
        """Seconds of sound that were recorded and not taken yet."""
        return self._blocks.qsize() * BLOCK_SECONDS

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
        while True:
            try:
                yield self._blocks.get(timeout=WAIT)
            except queue.Empty:
                raise LungSRADError(f"microphone {self.name}: no sound came for {WAIT:g} s; is it unplugged?") from None
