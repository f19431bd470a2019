"""Eight statistics of a sound's log-mel features: how its loudness and its bands move, whatever the device and level.

Lung sounds swell and fade with the breath and are noise in between. Steady noise does not swell, a tone does not
change at all, speech and music move faster and smoother. The colour of a stethoscope, the distance of a microphone and
the gain shift log-mel values and hardly move these statistics.
"""

import math

import torch

from lung_srad_plugin.audio.fbank import mel_frequencies
from lung_srad_plugin.audio.features import CycleFeatures

STATISTICS = (
    "level_50ms",
    "level_200ms",
    "together_50ms",
    "together_200ms",
    "energy_change",
    "energy_deviation",
    "band_change",
    "band_correlation",
)

# The band that recordings of lung sounds hold at the lowest sample rate that is accepted, without the heart's below it.
LOWEST_HZ, HIGHEST_HZ = 80.0, 1800.0
SHORT, LONG = 0.05, 0.2  # seconds that levels are averaged over
# Bands count that are at most about this much below the loudest one on average: 4 in log-mel is 17 dB. What lies far
# below is the noise of the device, or empty where a filter took it out.
LOUD = 4.0
SMALL = 0.02  # keeps logarithms and ratios of what does not move finite


def statistics_bands(features: CycleFeatures) -> slice:
    """Return which mel bands of a front end the statistics are of: all of them where none lies in the range.

    Example
    -------
    >>> statistics_bands(CycleFeatures(sample_rate=8000, n_mels=64))
    slice(2, 43, None)
    """
    fbank = features.fbank
    frequencies = mel_frequencies(fbank.n_mels, fbank.sample_rate, fbank.high_hz)
    inside = ((frequencies >= LOWEST_HZ) & (frequencies <= HIGHEST_HZ)).nonzero().flatten().tolist()
    return slice(inside[0], inside[-1] + 1) if len(inside) > 1 else slice(0, fbank.n_mels)


def frame_step(features: CycleFeatures) -> float:
    """Return the seconds from one frame of the features to the next, after resizing."""
    return features.duration / features.shape[0]


def sound_statistics(feats: torch.Tensor, bands: slice, step: float) -> torch.Tensor:
    """Return the statistics of clips, in the order of ``STATISTICS``.

    With x the log-mel value of a band less its mean over time, and the level the mean of x over the loud bands:
    ``level``: logarithm of the level's deviation over time, after averaging over 50 or 200 ms.
    ``together``: that deviation divided by the mean of the single bands' deviations: 1 where all bands move together.
    ``energy_change``, ``energy_deviation``: of the logarithm of the energy of all bands, the logarithm of the mean
    absolute change from frame to frame and of the deviation. ``band_change``: the logarithm of the bands' mean absolute
    change from frame to frame over their deviation. ``band_correlation``: of the bands' values with those one frame
    later.

    Arguments
    ---------
    feats : torch.Tensor
        (B, T, F), log-mel features before normalisation; T is at least 2.
    bands : slice
        Of the F bands, as of ``statistics_bands``.
    step : float
        Seconds from one frame to the next.

    Returns
    -------
    torch.Tensor
        (B, 8), float32, finite for finite features.

    Example
    -------
    >>> still = sound_statistics(torch.zeros(1, 100, 8), slice(0, 8), step=0.01)
    >>> still.shape, round(still[0, 0].item(), 2)  # log(0.02): nothing moves
    (torch.Size([1, 8]), -3.91)
    """
    values = feats[..., bands].float()
    mean = values.mean(dim=1)
    weights = torch.sigmoid(mean - mean.amax(dim=1, keepdim=True) + LOUD)
    weights = (weights / weights.sum(dim=1, keepdim=True)).unsqueeze(-1)
    moves = values - mean.unsqueeze(1)
    level = torch.bmm(moves, weights).squeeze(-1)
    energy = values.logsumexp(dim=2)

    def over_bands(of_bands):
        return torch.bmm(of_bands.unsqueeze(1), weights).flatten()

    levels, together = [], []
    for seconds in (SHORT, LONG):
        deviation = _average(level, seconds, step).std(dim=1, correction=0)
        levels.append(deviation)
        together.append(deviation / (over_bands(_average(moves, seconds, step).std(dim=1, correction=0)) + SMALL / 2))
    power = over_bands(moves.square().mean(dim=1))
    deviation = over_bands(moves.square().mean(dim=1).sqrt())
    change = over_bands(values.diff(dim=1).abs().mean(dim=1))
    neighbours = over_bands((moves[:, 1:] * moves[:, :-1]).mean(dim=1))
    columns = [
        *((value + SMALL).log() for value in levels),
        *together,
        (energy.diff(dim=1).abs().mean(dim=1) + SMALL).log(),
        (energy.std(dim=1, correction=0) + SMALL).log(),
        (change / (deviation + 0.05) + SMALL).log(),
        neighbours / (power + 1e-3),
    ]
    return torch.stack(columns, dim=1)


def _average(values: torch.Tensor, seconds: float, step: float) -> torch.Tensor:
    """Return the means (B, T / size, ...) over stretches of the second axis; what fills no stretch is left out."""
    frames = values.shape[1]
    size = max(1, min(math.floor(seconds / step + 0.5), frames // 2))
    count = frames // size
    return values[:, : count * size].unflatten(1, (count, size)).mean(dim=2)
