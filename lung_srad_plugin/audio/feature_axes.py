"""Where the frames and mel bins of features lie: seconds of the clip, and the mel scale of frequencies in Hz."""

import math
from typing import NamedTuple

from lung_srad_plugin.audio.fbank import LOW_HZ
from lung_srad_plugin.audio.features import CycleFeatures

TICKS_HZ = (200, 500, 1000, 2000, 4000, 8000)


class FeatureAxes(NamedTuple):
    """The edges of the picture of a clip's features.

    Arguments
    ---------
    start, stop : float
        Seconds of the clip at which the first frame begins and the last one ends: each frame reaches half a shift to
        both sides of the middle of its window.
    bottom, top : float
        On the mel scale, the same of the first and the last bin.
    """

    start: float
    stop: float
    bottom: float
    top: float

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """What ``imshow`` takes."""
        return self.start, self.stop, self.bottom, self.top

    def ticks(self) -> tuple[list[float], list[str]]:
        """Return the positions on the mel scale, and the names in Hz, of frequencies that lie on the axis."""
        hertz = [tick for tick in TICKS_HZ if self.bottom <= mel_scale(tick) <= self.top]
        return [mel_scale(tick) for tick in hertz], [f"{tick:,}" for tick in hertz]


def mel_scale(hertz: float) -> float:
    """Return a frequency on Kaldi's mel scale.

    Example
    -------
    >>> round(mel_scale(700), 3)
    781.177
    """
    return 1127 * math.log1p(hertz / 700)


def feature_axes(features: CycleFeatures) -> FeatureAxes:
    """Return the axes of the features that a front end makes of one clip.

    Example
    -------
    >>> axes = feature_axes(CycleFeatures(duration=4.0, sample_rate=8000, frames=None, n_mels=64))
    >>> round(axes.start, 4), round(axes.stop, 4)
    (0.0075, 3.9875)
    >>> axes.ticks()[1]
    ['200', '500', '1,000', '2,000']
    """
    fbank = features.fbank
    window, shift = fbank.window
    # Frames that were resized lie between the same edges.
    frames = 1 + (round(features.duration * features.sample_rate) - window) // shift
    begin = (window - shift) / 2
    low, high = mel_scale(LOW_HZ), mel_scale(fbank.high_hz or features.sample_rate / 2)
    half_band = (high - low) / (fbank.n_mels + 1) / 2
    start, stop = begin / features.sample_rate, (begin + frames * shift) / features.sample_rate
    return FeatureAxes(start, stop, low + half_band, high - half_band)
