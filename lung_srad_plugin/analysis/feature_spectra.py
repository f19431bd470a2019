"""The spatial frequencies of features: how much of a map's energy is above chosen ones, along each axis."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from lung_srad_plugin.errors import LungSRADError

CUTOFF = 0.25
"""Cycles per position: half of the highest frequency that a map holds, 0.5."""


class EnergyAbove(NamedTuple):
    """Shares of energy above each cutoff, (...) + (cutoffs,), along the frequency and along the time axis."""

    frequency: torch.Tensor
    time: torch.Tensor


def energy_above(map: torch.Tensor, cutoffs: Sequence[float] = (CUTOFF,)) -> EnergyAbove:
    """Return which share of a map's energy lies above chosen spatial frequencies.

    The energy is the squared magnitude of the two-dimensional Fourier transform, summed over channels, without that of
    each channel's mean over positions, which is no variation. Along an axis, a wave counts by its frequency along that
    axis, whatever it is along the other.

    Arguments
    ---------
    map : torch.Tensor
        (..., C, H, W): H positions along frequency, W along time.
    cutoffs : sequence of float
        In cycles per position, from 0 to 0.5; a wave of just this frequency is not above it.

    Returns
    -------
    EnergyAbove
        Between 0 and 1; NaN for a map that is the same at all positions.

    Raises
    ------
    LungSRADError
        Where the map has fewer than three axes, or a cutoff is out of range.

    Example
    -------
    >>> alternating = torch.tensor([1.0, -1.0, 1.0, -1.0]).expand(1, 2, 4)  # the highest frequency, along time
    >>> energy_above(alternating, cutoffs=(0.25, 0.5))
    EnergyAbove(frequency=tensor([0., 0.], dtype=torch.float64), time=tensor([1., 0.], dtype=torch.float64))
    """
    if map.dim() < 3:
        raise LungSRADError(f"map of shape {tuple(map.shape)}: expected (..., channels, frequency, time)")
    if not all(0 <= cutoff <= 0.5 for cutoff in cutoffs):
        raise LungSRADError(f"cutoffs={list(cutoffs)}: expected cycles per position, from 0 to 0.5")
    varying = map.double()
    varying = varying - varying.mean(dim=(-2, -1), keepdim=True)
    energy = torch.fft.fft2(varying).abs().square().sum(dim=-3)
    total = energy.sum(dim=(-2, -1))
    # The transform of a constant leaves rounding; relative to the map itself it is nothing.
    total = total.where(total > 1e-20 * map.double().square().sum(dim=(-3, -2, -1)), torch.nan)
    shares = []
    for axis, other in ((-2, -1), (-1, -2)):
        frequencies = torch.fft.fftfreq(map.shape[axis], device=map.device, dtype=torch.float64).abs()
        along = energy.sum(dim=other)
        shares.append(torch.stack([along[..., frequencies > cutoff].sum(dim=-1) / total for cutoff in cutoffs], dim=-1))
    return EnergyAbove(*shares)
