"""The level of a recording: one gain that brings its breath sounds to a stated loudness.

Recordings of some devices are so quiet that most of their log-mel values lie at the floor of the filterbank, which is
the smallest step of float32 and does not depend on the recording. A gain lifts the sound above it.
"""

import torch

from lung_srad_plugin.audio.cycles import FADE_SECONDS
from lung_srad_plugin.errors import LungSRADError

LEVELS = ("recorded", "rms", "int16")

# What "int16" multiplies by: samples then are 16-bit whole numbers, as BEATs takes them.
INT16_GAIN = 2.0**15

# What "rms" brings a recording to, full scale being 1. The recordings of ICBHI 2017 have this level in the median.
TARGET_RMS = 0.1
# The shortest waveform that can be faded holds one block.
BLOCK_SECONDS = FADE_SECONDS
# Of the blocks with sound: up to three quarters may be pauses, and up to a quarter knocks or clipped.
QUANTILE = 0.75
# A third of the smallest step of 16 bits: what does not exceed it is digital silence or a stuck sensor.
SILENT_RMS = 1e-5


def check_level(level: str) -> None:
    """Refuse a level that does not exist.

    Example
    -------
    >>> check_level("peak")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: level='peak': expected one of recorded, rms, int16
    """
    if level not in LEVELS:
        raise LungSRADError(f"level={level!r}: expected one of {', '.join(LEVELS)}")


def block_rms(waveforms: torch.Tensor, sample_rate: int = 16000) -> torch.Tensor:
    """Return the RMS of each block of 1/16 s about the block's mean.

    Arguments
    ---------
    waveforms : torch.Tensor
        (..., samples), at least one block. The samples at the end that fill no block are left out.
    sample_rate : int
        In Hz.

    Returns
    -------
    torch.Tensor
        (..., blocks), float64.

    Example
    -------
    >>> block_rms(torch.tensor([[0.5, -0.5, 3.0, 3.0, 9.0]]), sample_rate=32)
    tensor([[0.5000, 0.0000]], dtype=torch.float64)
    """
    size = int(BLOCK_SECONDS * sample_rate)
    count = waveforms.shape[-1] // size
    blocks = waveforms[..., : count * size].double().unflatten(-1, (count, size))
    return (blocks - blocks.mean(dim=-1, keepdim=True)).square().mean(dim=-1).sqrt()


def gain_of_blocks(rms: torch.Tensor) -> torch.Tensor:
    """Return the gain of a recording from the RMS of its blocks.

    The recording's level is the RMS that three quarters of its blocks do not exceed, where blocks without sound do not
    count; the gain brings it to ``TARGET_RMS``. Silence, a constant, a few knocks and clipped peaks hardly move it.

    Arguments
    ---------
    rms : torch.Tensor
        (..., blocks), of ``block_rms``.

    Returns
    -------
    torch.Tensor
        (..., 1). Where no block has sound it is 1.

    Example
    -------
    >>> gain_of_blocks(torch.tensor([[0.0, 0.0, 0.01, 0.03, 0.05], [0.0, 0.0, 0.0, 0.0, 0.0]]))
    tensor([[2.5000],
            [1.0000]])
    """
    loudest_first = rms.sort(dim=-1, descending=True).values
    count = (rms > SILENT_RMS).sum(dim=-1, keepdim=True)
    position = (1 - QUANTILE) * (count - 1).clamp(min=0).to(rms.dtype)
    before, after = (loudest_first.gather(-1, index.long()) for index in (position.floor(), position.ceil()))
    level = before + (after - before) * (position - position.floor())
    return torch.where(count > 0, TARGET_RMS / level.clamp(min=SILENT_RMS), torch.ones_like(level))


def level_gain(waveforms: torch.Tensor, sample_rate: int = 16000) -> torch.Tensor:
    """Return the gain that brings each recording to ``TARGET_RMS``.

    Arguments
    ---------
    waveforms : torch.Tensor
        (..., samples), whole recordings of at least 1/16 s.
    sample_rate : int
        In Hz.

    Returns
    -------
    torch.Tensor
        (..., 1), float64.

    Example
    -------
    >>> tone = 0.01 * torch.sin(torch.arange(16000.0))
    >>> round((tone * level_gain(tone)).square().mean().sqrt().item(), 3)
    0.1
    """
    return gain_of_blocks(block_rms(waveforms, sample_rate))


def recording_gain(waveforms: torch.Tensor, level: str, sample_rate: int = 16000) -> torch.Tensor | float:
    """Return what recordings are multiplied by at a level of ``LEVELS``.

    Arguments
    ---------
    waveforms : torch.Tensor
        (..., samples), whole recordings of at least 1/16 s.
    level : str
    sample_rate : int
        In Hz.

    Returns
    -------
    torch.Tensor or float
        (..., 1) with ``"rms"``, else a number.

    Example
    -------
    >>> recording_gain(torch.zeros(16000), "recorded"), recording_gain(torch.zeros(16000), "int16")
    (1.0, 32768.0)
    """
    if level == "rms":
        return level_gain(waveforms, sample_rate).float()
    return INT16_GAIN if level == "int16" else 1.0


class LevelMeter:
    """The gain of a recording that is read in parts: the same as ``level_gain`` of the whole.

    Arguments
    ---------
    sample_rate : int
        In Hz.

    Example
    -------
    >>> meter, noise = LevelMeter(16000), 0.01 * torch.randn(40000)
    >>> for part in noise.split(7777):
    ...     meter.add(part)
    >>> meter.gain() == level_gain(noise).item()
    True
    """

    def __init__(self, sample_rate: int = 16000):
        self.sample_rate = sample_rate
        self._size = int(BLOCK_SECONDS * sample_rate)
        self._rest = torch.zeros(0)
        self._rms: list[torch.Tensor] = []

    def add(self, samples: torch.Tensor) -> None:
        """Take the next samples (N,)."""
        samples = torch.cat([self._rest, samples])
        whole = len(samples) // self._size * self._size
        self._rms.append(block_rms(samples[:whole], self.sample_rate))
        self._rest = samples[whole:]

    def gain(self) -> float:
        """Return the gain of what was taken so far, a float."""
        self._rms = [torch.cat(self._rms)]  # hours of live sound would be as many pieces as blocks
        return gain_of_blocks(self._rms[0]).item()
