"""The axes of features against sounds whose time and frequency are known."""

import math

import pytest
import torch

from lung_srad_plugin.audio.fbank import mel_frequencies
from lung_srad_plugin.audio.feature_axes import feature_axes, mel_scale
from lung_srad_plugin.audio.features import CycleFeatures


@pytest.mark.parametrize("settings", [{}, {"frames": None, "n_mels": 64, "shift_ms": 12.5}, {"sample_rate": 8000}])
@pytest.mark.parametrize(("second", "hertz"), [(0.5, 400.0), (3.2, 1500.0), (6.9, 3000.0)])
def test_a_beep_lies_where_the_axes_say(settings, second, hertz):
    features = CycleFeatures(**settings)
    time = torch.arange(int(8 * features.sample_rate)) / features.sample_rate
    beep = torch.sin(2 * math.pi * hertz * time) * torch.exp(-(((time - second) / 0.03) ** 2))
    feats = features.fbank(beep)[0]
    frame, mel = divmod(feats.argmax().item(), feats.shape[1])
    axes = feature_axes(features)
    frames, mels = features.shape
    width, height = (axes.stop - axes.start) / frames, (axes.top - axes.bottom) / mels
    tolerance = 1.01 * max(width, features.fbank.shift_ms / 1000)
    assert axes.start + (frame + 0.5) * width == pytest.approx(second, abs=tolerance)
    assert axes.bottom + (mel + 0.5) * height == pytest.approx(mel_scale(hertz), abs=1.01 * height)


def test_bins_are_at_the_centres_of_the_bands():
    axes = feature_axes(CycleFeatures(n_mels=10, high_hz=3000))
    height = (axes.top - axes.bottom) / 10
    expected = [mel_scale(hertz) for hertz in mel_frequencies(10, high_hz=3000).tolist()]
    assert [axes.bottom + (bin + 0.5) * height for bin in range(10)] == pytest.approx(expected)
    ticks = [mel_scale(hertz) for hertz in (200, 500, 1000, 2000)]
    assert axes.ticks() == (ticks, ["200", "500", "1,000", "2,000"])
