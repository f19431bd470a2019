"""Patch-Mix plans and their application against the definition, and the distribution of what is drawn."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.nn.patch_mix import AXES, PatchMixPlan, apply_patch_mix, draw_patch_mix


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def mixed_by_hand(maps, plan):
    """The definition, one position at a time."""
    height, width = plan.size
    mixed = maps.clone()
    for i, partner in enumerate(plan.index.tolist()):
        for row in range(height):
            for column in range(width):
                replaced = {
                    "time": lambda column=column: plan.start <= column < plan.start + plan.length,
                    "frequency": lambda row=row: plan.start <= row < plan.start + plan.length,
                    "patch": lambda row=row, column=column: plan.patches[row, column],
                }[plan.axis]
                if replaced():
                    mixed[i, :, row, column] = maps[partner, :, row, column]
    return mixed


@pytest.mark.parametrize("axis", AXES)
@given(batch=st.integers(1, 5), height=st.integers(1, 6), width=st.integers(1, 7), seed=st.integers(0, 2**31))
def test_plan_fits_and_apply_is_the_definition(axis, batch, height, width, seed):
    plan = draw_patch_mix(batch, (height, width), axis, generator=seeded(seed))
    extent = {"time": width, "frequency": height, "patch": height * width}[axis]
    assert sorted(plan.index.tolist()) == list(range(batch))
    assert plan.lam == 1 - plan.length / extent
    assert 0 <= plan.length <= extent
    if axis == "patch":
        assert plan.start is None
        assert plan.patches.shape == (height, width)
        assert int(plan.patches.sum()) == plan.length
    else:
        assert plan.patches is None
        assert 0 <= plan.start <= extent - plan.length
    maps = torch.arange(float(batch * 2 * height * width)).view(batch, 2, height, width)
    before = maps.clone()
    assert torch.equal(apply_patch_mix(maps, plan), mixed_by_hand(maps, plan))
    assert torch.equal(maps, before)


@pytest.mark.parametrize("axis", AXES)
def test_lam_is_the_share_of_own_gradient(axis):
    plan = draw_patch_mix(3, (8, 12), axis, generator=seeded(1))
    plan = dataclasses.replace(plan, index=torch.tensor([1, 2, 0]))
    assert 0 < plan.lam < 1
    maps = torch.randn(3, 2, 8, 12, requires_grad=True)
    apply_patch_mix(maps, plan)[0].sum().backward()
    assert maps.grad[0].mean().item() == pytest.approx(plan.lam)
    assert maps.grad[1].mean().item() == pytest.approx(1 - plan.lam)
    assert maps.grad[2].abs().sum() == 0


@pytest.mark.parametrize("axis", AXES)
def test_gradcheck(axis):
    plan = draw_patch_mix(3, (3, 4), axis, generator=seeded(3))
    maps = torch.randn(3, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: apply_patch_mix(x, plan), maps)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_memory_format_is_kept(axis, memory_format):
    maps = torch.randn(4, 6, 8, 10).to(memory_format=memory_format)
    plan = draw_patch_mix(4, (8, 10), axis, generator=seeded(5))
    mixed = apply_patch_mix(maps, plan)
    assert plan.length > 0
    assert mixed.is_contiguous(memory_format=memory_format)
    assert mixed.data_ptr() != maps.data_ptr()


@pytest.mark.parametrize("length", [0, 4])
def test_nothing_and_everything(length):
    maps = torch.randn(2, 3, 2, 4)
    plan = PatchMixPlan("time", (2, 4), torch.tensor([1, 0]), length, start=0)
    assert plan.lam == 1 - length / 4
    assert torch.equal(apply_patch_mix(maps, plan), maps.flip(0) if length else maps)


def test_generator_decides_everything():
    draws = [draw_patch_mix(16, (32, 256), axis, generator=seeded(7)) for axis in AXES for _ in range(2)]
    for first, second in zip(draws[::2], draws[1::2], strict=True):
        assert (first.lam, first.start) == (second.lam, second.start)
        assert torch.equal(first.index, second.index)
    other = draw_patch_mix(16, (32, 256), "time", generator=seeded(8))
    assert not torch.equal(other.index, draws[0].index)
    torch.manual_seed(3)
    first = draw_patch_mix(16, (32, 256), "time")
    torch.manual_seed(3)
    assert draw_patch_mix(16, (32, 256), "time").lam == first.lam


@pytest.mark.parametrize("beta", [0.3, 1.0, 4.0])
def test_lam_follows_the_beta_distribution(beta):
    generator = seeded(11)
    lams = [draw_patch_mix(1, (1, 10**6), "time", beta, generator).lam for _ in range(2000)]
    assert stats.kstest(lams, stats.beta(beta, beta).cdf).pvalue > 0.01


def test_start_is_uniform_over_what_fits():
    generator = seeded(13)
    plans = [draw_patch_mix(1, (1, 8), "time", generator=generator) for _ in range(6000)]
    starts = torch.tensor([plan.start for plan in plans if plan.length == 5])
    assert stats.chisquare(torch.bincount(starts, minlength=4).numpy()).pvalue > 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axis": "row"}, "axis 'row' is unknown"),
        ({"beta": 0.0}, "beta=0.0"),
        ({"beta": float("nan")}, "beta=nan"),
        ({"batch": 0}, "batch=0"),
        ({"size": (0, 4)}, "positive integers"),
        ({"size": (4,)}, "positive integers"),
    ],
)
def test_bad_draws_are_refused(change, message):
    with pytest.raises(LungSRADError, match=message):
        draw_patch_mix(**{"batch": 2, "size": (4, 4), "axis": "time", **change})


@pytest.mark.parametrize("shape", [(3, 1, 4, 8), (2, 1, 8, 4), (2, 4, 8)])
def test_a_plan_for_other_maps_is_refused(shape):
    with pytest.raises(LungSRADError, match="cannot be applied"):
        apply_patch_mix(torch.zeros(shape), draw_patch_mix(2, (4, 8), "time", generator=seeded(0)))
