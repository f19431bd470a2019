"""Frequency retention: one figure for how far a layer keeps high spatial frequencies."""

from typing import NamedTuple

import torch

from lung_srad_plugin.analysis.feature_spectra import CUTOFF
from lung_srad_plugin.analysis.spectral import multiplicity
from lung_srad_plugin.errors import LungSRADError


class Retention(NamedTuple):
    """Frequency retention over both axes, and along the frequency and the time axis apart; NaN where undefined."""

    both: float
    frequency: float
    time: float


def frequency_retention(response: torch.Tensor, size: tuple[int, int], cutoff: float = CUTOFF) -> Retention:
    """Return how strongly a layer passes on high spatial frequencies, relative to low ones.

    Retention is the mean of the unscaled response over the frequencies above the cutoff, divided by its mean over the
    others. 1: high frequencies pass as low ones do, as with an identity; 0: none passes, as with an average over all
    positions; above 1: the layer raises them. A factor on the whole matrix changes nothing.

    - ``both``: above the cutoff are waves that are so along at least one axis.
    - ``frequency``: the response is first averaged over the frequencies along time, so only the axis of frequency
      decides.
    - ``time``: the same with the axes exchanged.

    Means are over all waves of the Fourier transform, so a bin that stands for several counts as many times.

    Arguments
    ---------
    response : torch.Tensor
        (H // 2 + 1, W // 2 + 1), as of ``unscaled_response(mixing, size)``.
    size : (int, int)
        (H, W).
    cutoff : float
        In cycles per position, at least 0 and below 0.5; by default half of the highest frequency.

    Returns
    -------
    Retention
        NaN along an axis with nothing above the cutoff, and where the response to low frequencies is 0.

    Raises
    ------
    LungSRADError
        Where the response is not of this size, or the cutoff is out of range.

    Example
    -------
    >>> from lung_srad_plugin.analysis.spectral import unscaled_response
    >>> frequency_retention(unscaled_response(torch.eye(32), (4, 8)), (4, 8))
    Retention(both=1.0, frequency=1.0, time=1.0)
    """
    height, width = size
    if tuple(response.shape) != (height // 2 + 1, width // 2 + 1):
        raise LungSRADError(f"response of shape {tuple(response.shape)}: not that of a map of size {tuple(size)}")
    if not 0 <= cutoff < 0.5:
        raise LungSRADError(f"cutoff={cutoff}: expected cycles per position, from 0 to below 0.5")
    weights = torch.outer(multiplicity(height), multiplicity(width))
    along_frequency = torch.arange(height // 2 + 1) / height > cutoff
    along_time = torch.arange(width // 2 + 1) / width > cutoff
    weighted = response.double().cpu() * weights
    return Retention(
        _ratio(weighted, weights, along_frequency[:, None] | along_time[None, :]),
        _ratio(weighted, weights, along_frequency[:, None].expand_as(weights)),
        _ratio(weighted, weights, along_time[None, :].expand_as(weights)),
    )


def _ratio(weighted, weights, above):
    high, low = (weighted[part].sum() / weights[part].sum() for part in (above, ~above))
    return float(high / low) if low > 0 else float("nan")
