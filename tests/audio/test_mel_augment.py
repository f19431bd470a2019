"""Random changes of log-mel features: each by hand, drawn as stated, and none in evaluation."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.audio.mel_augment import MelAugment, MelAugmentPlan, apply_mel_augment, draw_mel_augment

SILENT = torch.full((1, 2, 2), -math.inf)


def plan(shift=0, gains=(0.0, 0.0), noise=SILENT):
    return MelAugmentPlan(torch.tensor([shift]), torch.tensor([gains]), noise)


def test_shift_moves_frames_around():
    feats = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    assert torch.equal(apply_mel_augment(feats, plan(shift=1)), feats.flip(1))


def test_noise_adds_to_the_energies():
    feats = torch.tensor([[[0.0, 2.0], [4.0, 2.0]]])  # mean 2
    noise = torch.zeros(1, 2, 2)
    expected = (feats.exp() + math.exp(2)).log()
    torch.testing.assert_close(apply_mel_augment(feats, plan(noise=noise)), expected)


def test_noise_follows_the_gains_of_the_recording():
    feats = torch.zeros(1, 2, 2)
    out = apply_mel_augment(feats, plan(gains=(1.0, 3.0), noise=torch.zeros(1, 2, 2)))  # mean 2
    torch.testing.assert_close(out[0, 0].exp(), torch.tensor([1.0, 3.0]).exp() + math.exp(2))


@given(batch=st.integers(1, 4), frames=st.integers(1, 30), mels=st.integers(2, 20), seed=st.integers(0, 99))
def test_nothing_asked_is_nothing_changed(batch, frames, mels, seed):
    generator = torch.Generator().manual_seed(seed)
    feats = torch.randn(batch, frames, mels, generator=generator)
    assert torch.equal(apply_mel_augment(feats, draw_mel_augment(batch, (frames, mels), generator=generator)), feats)


def test_draws_are_those_stated():
    generator = torch.Generator().manual_seed(0)
    drawn = draw_mel_augment(4000, (5, 40), True, 0.3, 0.25, 0.4, generator)
    assert drawn.shift.unique().tolist() == [0, 1, 2, 3, 4]
    assert (~drawn.noise.isinf()).any(dim=(1, 2)).float().mean() == pytest.approx(0.4, abs=0.03)
    steep = drawn.gains[:, -1] - drawn.gains[:, 20] < -3
    assert 0.05 < steep.float().mean() < 0.3
    flat = draw_mel_augment(4000, (5, 40), equalizer=0.3, generator=generator).gains
    middle = flat[:, :1]  # slope -0.5 and four cosines of 1: deviation 0.3 * sqrt(0.25 + 4)
    assert middle.std().item() == pytest.approx(0.3 * math.sqrt(4.25), rel=0.05)
    assert abs(middle.mean().item()) < 0.03


def test_seed_decides():
    module = MelAugment(shift=True, equalizer=0.4, low_pass=0.2, noise=0.2)
    feats = torch.randn(3, 20, 8)
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(module(feats))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    assert torch.equal(module.eval()(feats), feats)


@pytest.mark.parametrize("setting", [{"noise": 1.1}, {"low_pass": -0.1}, {"equalizer": -1}, {"equalizer": math.nan}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(LungSRADError, match=next(iter(setting))):
        MelAugment(**setting)


def test_plan_of_another_size_is_refused():
    with pytest.raises(LungSRADError, match=r"\(1, 2, 2\)"):
        apply_mel_augment(torch.zeros(1, 3, 2), plan())
