"""The statistics that tell lung sounds from others: by hand on simple features, and what they must not depend on."""

import math

import pytest
import torch

from lung_srad_plugin import CycleFeatures
from lung_srad_plugin.audio.fbank import mel_frequencies
from lung_srad_plugin.audio.sound_statistics import STATISTICS, frame_step, sound_statistics, statistics_bands


def statistics(feats, step=0.05):
    found = sound_statistics(feats, slice(0, feats.shape[2]), step)
    assert found.shape == (len(feats), len(STATISTICS)) and torch.isfinite(found).all()
    return [dict(zip(STATISTICS, row.tolist(), strict=True)) for row in found]


def test_bands_that_move_together_by_hand():
    # Two equal bands alternate between -1 and 1 every frame of 50 ms: the level's deviation is 1, after 200 ms it is 0.
    feats = torch.tensor([1.0, -1.0]).repeat(40)[None, :, None].expand(1, 80, 2)
    found = statistics(feats)[0]
    assert found["level_50ms"] == pytest.approx(math.log(1.02), abs=1e-5)
    assert found["level_200ms"] == pytest.approx(math.log(0.02), abs=1e-4)
    assert found["together_50ms"] == pytest.approx(1 / 1.01, abs=1e-5)
    # The energy is 2 exp(+-1): its logarithm changes by 2 from frame to frame and deviates by 1.
    assert found["energy_change"] == pytest.approx(math.log(2.02), abs=1e-5)
    assert found["energy_deviation"] == pytest.approx(math.log(1.02), abs=1e-5)
    assert found["band_change"] == pytest.approx(math.log(2 / 1.05 + 0.02), abs=1e-5)
    assert found["band_correlation"] == pytest.approx(-1 / 1.001, abs=1e-5)


def test_bands_that_move_against_each_other_have_no_common_level():
    wave = torch.tensor([1.0, -1.0]).repeat(40)
    found = statistics(torch.stack([wave, -wave], dim=1)[None])[0]
    assert found["together_50ms"] == pytest.approx(0, abs=1e-5)
    assert found["level_50ms"] == pytest.approx(math.log(0.02), abs=1e-4)


def test_neither_gain_nor_a_band_that_is_far_below_matters():
    torch.manual_seed(0)
    feats = torch.randn(1, 200, 6)
    feats[..., 5] -= 20  # what a filter took out: noise of the device
    changed = feats.clone() + 3.0
    changed[..., 5] = -17
    # The band's share of the weight is about 1e-7.
    for name, value in statistics(feats)[0].items():
        assert statistics(changed)[0][name] == pytest.approx(value, abs=1e-4), name


def test_what_never_moves_is_finite():
    statistics(torch.full((2, 3, 4), -15.94))


def test_bands_and_step_of_a_front_end():
    features = CycleFeatures(duration=8.0, sample_rate=16000, frames=1024, n_mels=128)
    inside = mel_frequencies(128, 16000)[statistics_bands(features)]
    assert 80 <= inside.min() < 110 and 1750 < inside.max() <= 1800
    assert frame_step(features) == 8 / 1024
    assert statistics_bands(CycleFeatures(n_mels=1)) == slice(0, 1)
