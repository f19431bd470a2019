"""SpecAugment: what is masked, with what, how often, and that nothing else changes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lung_srad_plugin.audio.spec_augment import SpecAugment, SpecAugmentPlan, apply_spec_augment, draw_spec_augment
from lung_srad_plugin.errors import LungSRADError


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def mask_by_definition(feats, plan):
    """One example, one mask at a time."""
    masked = feats.clone()
    for example in range(len(feats)):
        mean = feats[example].mean()
        for start, width in zip(plan.freq_start[example].tolist(), plan.freq_width[example].tolist(), strict=True):
            masked[example, :, start : start + width] = mean
        for start, width in zip(plan.time_start[example].tolist(), plan.time_width[example].tolist(), strict=True):
            masked[example, start : start + width, :] = mean
    return masked


@settings(max_examples=50, deadline=None)
@given(
    batch=st.integers(1, 4),
    frames=st.integers(1, 60),
    mels=st.integers(1, 20),
    freq_masks=st.integers(0, 3),
    freq_share=st.floats(0, 1, exclude_min=True),
    time_masks=st.integers(0, 3),
    time_share=st.floats(0, 1, exclude_min=True),
    probability=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 1000),
)
def test_any_setting(batch, frames, mels, freq_masks, freq_share, time_masks, time_share, probability, seed):
    plan = draw_spec_augment(
        batch, (frames, mels), freq_masks, freq_share, time_masks, time_share, probability, generator=seeded(seed)
    )
    assert plan.freq_start.shape == plan.freq_width.shape == (batch, freq_masks)
    assert plan.time_start.shape == plan.time_width.shape == (batch, time_masks)
    for start, width, limit, length in (
        (plan.freq_start, plan.freq_width, max(round(freq_share * mels), 1), mels),
        (plan.time_start, plan.time_width, max(round(time_share * frames), 1), frames),
    ):
        assert (start >= 0).all() and (width >= 0).all()
        assert (width < limit).all() and (width < length).all() and (start + width <= length).all()
    feats = torch.randn(batch, frames, mels, generator=seeded(seed))
    before = feats.clone()
    masked = apply_spec_augment(feats, plan)
    torch.testing.assert_close(masked, mask_by_definition(feats, plan))
    assert torch.equal(feats, before)
    if probability == 0:
        assert torch.equal(masked, feats)


@pytest.mark.parametrize(("frames", "narrower_than"), [(798, 160), (1024, 205), (256, 51)])
def test_widths_and_starts_are_uniform(frames, narrower_than):
    plan = draw_spec_augment(20000, (frames, 128), generator=seeded(0))
    for start, width, limit, length in (
        (plan.freq_start, plan.freq_width, 48, 128),
        (plan.time_start, plan.time_width, narrower_than, frames),
    ):
        assert width.min() == 0 and width.max() == limit - 1
        assert width.double().mean().item() == pytest.approx((limit - 1) / 2, rel=0.02)
        assert start.min() == 0 and (start + width).max() == length
        assert (start / (length - width)).mean().item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("frames", [256, 798, 1024])
def test_masks_cover_the_same_share_of_the_time_whatever_the_frames(frames):
    plan = draw_spec_augment(20000, (frames, 128), generator=seeded(0))
    # One mask is 79.5 of 798 frames wide on average.
    assert (plan.time_width / frames).mean().item() == pytest.approx(79.5 / 798, abs=0.003)


@pytest.mark.parametrize(("width", "limit"), [(160, 160), (300, 200)])
def test_widths_in_frames_and_bins_are_those_of_earlier_runs(width, limit):
    feats = torch.randn(3, 200, 128)
    module = SpecAugment(freq_width=48, time_width=width).train()
    torch.manual_seed(3)
    masked = module(feats)
    torch.manual_seed(3)
    chosen = torch.rand(3, 1) < 1
    widths, starts = {}, {}
    for axis, length, below in (("freq", 128, 48), ("time", 200, limit)):
        widths[axis] = torch.randint(below, (3, 2)) * chosen
        starts[axis] = (torch.rand(3, 2) * (length - widths[axis] + 1)).long()
    plan = SpecAugmentPlan(starts["freq"], widths["freq"], starts["time"], widths["time"])
    assert torch.equal(masked, mask_by_definition(feats, plan))


def test_examples_get_masks_of_their_own():
    plan = draw_spec_augment(8, (1024, 128), generator=seeded(0))
    assert len({tuple(row) for row in plan.time_start.tolist()}) == 8


def test_the_share_of_masked_examples_is_the_probability():
    plan = draw_spec_augment(10000, (1024, 128), probability=0.84, generator=seeded(0))
    widths = torch.cat([plan.freq_width, plan.time_width], dim=1)
    # An example is masked on both axes or on neither.
    assert (widths.sum(dim=1) > 0).double().mean().item() == pytest.approx(0.84, abs=0.01)


def test_a_generator_makes_it_repeatable():
    plans = [draw_spec_augment(5, (100, 30), probability=0.5, generator=seeded(7)) for _ in range(2)]
    for name in ("freq_start", "freq_width", "time_start", "time_width"):
        assert torch.equal(getattr(plans[0], name), getattr(plans[1], name))


def test_the_fill_is_each_examples_own_mean():
    feats = torch.stack([torch.full((4, 4), 1.0), torch.arange(16.0).reshape(4, 4)])
    none = torch.zeros(2, 1, dtype=torch.int64)
    plan = SpecAugmentPlan(none, none, time_start=none + 1, time_width=none + 2)
    masked = apply_spec_augment(feats, plan)
    assert torch.equal(masked[0], feats[0])
    assert torch.equal(masked[1, [0, 3]], feats[1, [0, 3]])
    assert masked[1, 1:3].eq(7.5).all()


def test_gradients_of_masked_values_flow_through_the_mean_only():
    feats = torch.randn(1, 4, 4, requires_grad=True)
    none = torch.zeros(1, 1, dtype=torch.int64)
    apply_spec_augment(feats, SpecAugmentPlan(none, none, none, none + 2)).sum().backward()
    # 8 masked values, each the mean of 16: 8/16 for every input, and 1 more for those that stay.
    assert feats.grad[0, :2].eq(0.5).all() and feats.grad[0, 2:].eq(1.5).all()


def test_the_module_masks_only_while_training():
    feats = torch.randn(3, 200, 128)
    module = SpecAugment()
    torch.manual_seed(3)
    masked = module.train()(feats)
    torch.manual_seed(3)
    assert torch.equal(masked, apply_spec_augment(feats, draw_spec_augment(3, (200, 128))))
    assert not torch.equal(masked, feats)
    assert module.eval()(feats) is feats


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_dtype_stays(dtype):
    assert SpecAugment()(torch.randn(2, 50, 20, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize(
    "setting",
    [
        {"probability": 1.5},
        {"probability": -0.1},
        {"freq_masks": -1},
        {"freq_share": 0.0},
        {"time_share": 1.1},
        {"time_share": 160},
    ],
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(LungSRADError, match=f"{next(iter(setting))}="):
        draw_spec_augment(2, (100, 20), **setting)
