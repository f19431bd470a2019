"""Resampling sound that comes in blocks, to the very samples that resampling the whole gives."""

import math

import torch


class BlockResampler:
    """Resamples one channel block by block, by ``torchaudio.transforms.Resample``.

    Arguments
    ---------
    native_rate, sample_rate : int
        Before and after, in Hz.
    old, new : int
        Their ratio in lowest terms, see ``resampling_ratio``.

    Example
    -------
    >>> resampler = BlockResampler(4000, 16000, old=1, new=4)
    >>> parts = [resampler.add(torch.randn(100)), resampler.add(torch.randn(100)), resampler.finish()]
    >>> sum(map(len, parts))
    800
    """

    def __init__(self, native_rate: int, sample_rate: int, old: int, new: int):
        # Imported here as in load_recording, whose filter this is.
        from torchaudio.transforms import Resample

        self._resample = Resample(native_rate, sample_rate)
        # The filter reaches `width` samples to both sides. Each block is resampled with that much of its neighbours,
        # or zeros outside the recording, in whole steps of `old` samples, which give `new` samples each.
        self._old, self._new = old, new
        self._reach = math.ceil(self._resample.width / old) * old
        self._extra = self._reach // old * new
        self._held = torch.zeros(self._reach)

    def add(self, block: torch.Tensor) -> torch.Tensor:
        """Return what the next samples (N,) let be computed, (M,); it may be nothing."""
        self._held = torch.cat([self._held, block])
        steps = (len(self._held) - 2 * self._reach) // self._old
        if steps <= 0:
            return torch.zeros(0)
        chunk = self._held[: 2 * self._reach + steps * self._old]
        self._held = self._held[steps * self._old :]
        return self._resample(chunk)[self._extra : self._extra + steps * self._new]

    def finish(self) -> torch.Tensor:
        """Return the rest, with silence behind the sound; it may have a few samples more than the sound is long."""
        steps = math.ceil((len(self._held) - self._reach) / self._old)
        held = torch.nn.functional.pad(self._held, (0, 2 * self._reach + steps * self._old - len(self._held)))
        return self._resample(held)[self._extra : self._extra + steps * self._new]
