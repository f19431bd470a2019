"""Sound that is still being recorded, as the samples that ``RecordingStream`` would give of it."""

import math

import numpy as np
import torch

from lung_srad_plugin.audio.cycles import FADE_SECONDS
from lung_srad_plugin.audio.levels import INT16_GAIN, LevelMeter, check_level
from lung_srad_plugin.audio.quality import ChannelChecks, Flaw, InputChecks, find_flaws
from lung_srad_plugin.audio.reading import resampling_ratio
from lung_srad_plugin.audio.resampling import BlockResampler


class SoundSoFar:
    """One channel of growing sound at the wanted rate, with its fades and gain; what is no longer needed is dropped.

    The last 1/16 s waits until more sound or the end has come, because a recording is faded out at its end.

    Arguments
    ---------
    name : str
        What results and messages call it.
    native_rate, channels : int
        Of the sound that is added. Several channels are averaged.
    sample_rate : int
        Wanted, in Hz.
    level : str
        As for ``CycleFeatures``. For ``"rms"`` the level of the sound so far takes the place of that of the recording.
    gain : float, optional
        What samples are multiplied by; what the level asks for where left out.

    Attributes
    ----------
    samples : int
        That are ready, at the wanted rate.
    checks : InputChecks
        Of the sound so far.

    Raises
    ------
    LungSRADError
        Where the rate is too low or too odd.

    Example
    -------
    >>> sound = SoundSoFar("bed 3", native_rate=4000, channels=1)
    >>> sound.add(np.random.default_rng(0).normal(0, 0.1, (12000, 1)).astype("float32"))
    >>> ready = sound.samples
    >>> sound.finish()
    >>> ready < sound.samples, sound.samples, len(sound.part(16000, 32000))
    (True, 48000, 16000)
    """

    def __init__(
        self,
        name: str,
        native_rate: int,
        channels: int,
        sample_rate: int = 16000,
        level: str = "recorded",
        gain: float | None = None,
    ):
        check_level(level)
        self.name, self.native_rate, self.channels, self.sample_rate = name, native_rate, channels, sample_rate
        self.checks = InputChecks(name, native_rate)
        self._channel_checks = ChannelChecks(channels)
        cure = "record at a usual rate, such as --rate 16000 or 44100"
        self._old, self._new = resampling_ratio(native_rate, sample_rate, name, cure)
        self._resampler = None
        if native_rate != sample_rate:
            self._resampler = BlockResampler(native_rate, sample_rate, self._old, self._new)
        self._gain = {"recorded": 1.0, "int16": INT16_GAIN}.get(level) if gain is None else gain
        self._meter = LevelMeter(sample_rate)
        self._ramp = int(FADE_SECONDS * sample_rate)
        self._frames = 0
        self._ready = torch.zeros(0)  # from the sample `_first` on
        self._first = 0
        self._waiting = torch.zeros(0)
        self.samples = 0

    @property
    def duration(self) -> float:
        """Seconds of sound that were added."""
        return self._frames / self.native_rate

    @property
    def gain(self) -> float:
        """What samples are multiplied by now."""
        return self._meter.gain() if self._gain is None else self._gain

    def add(self, block: np.ndarray) -> None:
        """Take the next samples (N, channels), float32 with full scale at 1.

        Raises
        ------
        LungSRADError
            Where a sample is NaN or infinite.
        """
        if len(block) == 0:
            return
        self._frames += len(block)
        self._channel_checks.add(block)
        mono = torch.from_numpy(np.ascontiguousarray(block)).mean(dim=1)
        self.checks.add(mono.numpy())
        self._wait(mono if self._resampler is None else self._resampler.add(mono))
        self._release(len(self._waiting) - self._ramp)

    def finish(self) -> None:
        """Take the end of the sound: it is faded out, and all of it is ready."""
        if self._resampler is not None:
            self._wait(self._resampler.finish())
        rest = math.ceil(self._frames * self._new / self._old) - self.samples
        self._waiting = self._waiting[:rest]
        ramp = min(self._ramp, rest)
        self._waiting[rest - ramp :] *= (1 - torch.linspace(0, 1, self._ramp))[self._ramp - ramp :]
        self._release(rest)

    def _wait(self, part):
        begin = self.samples + len(self._waiting)
        if begin < self._ramp:
            part = part.clone()
            rise = torch.linspace(0, 1, self._ramp)[begin : begin + len(part)]
            part[: len(rise)] *= rise
        self._waiting = torch.cat([self._waiting, part])

    def _release(self, count):
        if count > 0:
            part, self._waiting = self._waiting[:count], self._waiting[count:]
            self._meter.add(part)
            self._ready = torch.cat([self._ready, part])
            self.samples += count

    def part(self, begin: int, end: int) -> torch.Tensor:
        """Return the samples from ``begin`` to ``end``, with the gain of now; they must be ready and not dropped."""
        return self._ready[begin - self._first : end - self._first] * self.gain

    def drop(self, before: int) -> None:
        """Forget the samples before one, which no window needs any more."""
        count = min(before - self._first, len(self._ready))
        if count > 0:
            self._ready, self._first = self._ready[count:], self._first + count

    @property
    def silent_seconds(self) -> float:
        """How long the sound has been silent or constant by now; 0 where that is too short to be told."""
        runs = self.checks.still_runs()
        return (runs[-1][1] - runs[-1][0]) / self.native_rate if runs and runs[-1][1] == self._frames else 0.0

    def flaws(self) -> tuple[Flaw, ...]:
        """Return what the input checks found so far; raises as ``InputChecks.flaws``."""
        return find_flaws(self.checks, self._channel_checks)
