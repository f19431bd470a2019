"""Shares of energy and retention, against values computed by hand."""

import math

import pytest
import torch

from lung_srad_plugin import LungSRADError, energy_above, frequency_retention, gaussian_smooth, unscaled_response


def test_a_map_of_2_by_2_by_hand():
    map = torch.tensor([[[3.0, 1.0], [1.0, -1.0]]])
    # Transform: constant 4; along time alone (3 - 1 + 1 + 1) = 4; along frequency alone (3 + 1 - 1 + 1) = 4; both 0.
    shares = energy_above(map, cutoffs=(0.25,))
    torch.testing.assert_close(shares.frequency, torch.tensor([0.5], dtype=torch.float64))
    torch.testing.assert_close(shares.time, torch.tensor([0.5], dtype=torch.float64))
    # With -2 in place of -1 the wave along both axes has 3 - 1 - 1 - 2 = -1, those along one axis 5 and 5.
    shares = energy_above(torch.tensor([[[3.0, 1.0], [1.0, -2.0]]]))
    torch.testing.assert_close(shares.time, torch.tensor([26 / 51], dtype=torch.float64))


def test_a_wave_counts_along_its_own_axis():
    time = torch.arange(16) / 16
    slow, fast = torch.cos(2 * math.pi * 2 * time), 2 * torch.cos(2 * math.pi * 6 * time)
    map = (5 + slow + fast).expand(3, 4, 16)
    shares = energy_above(map, cutoffs=(0.0, 2 / 16, 0.25, 0.4))
    torch.testing.assert_close(shares.time, torch.tensor([1.0, 0.8, 0.8, 0.0]).double(), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(shares.frequency, torch.zeros(4, dtype=torch.float64))
    turned = energy_above(map.mT, cutoffs=(0.25,))
    torch.testing.assert_close(turned.frequency, torch.tensor([0.8]).double(), atol=1e-6, rtol=1e-6)


def test_batches_and_constant_maps():
    maps = torch.randn(2, 3, 4, 8, generator=torch.Generator().manual_seed(0))
    whole = energy_above(maps, (0.1, 0.3))
    assert whole.time.shape == (2, 2)
    torch.testing.assert_close(whole.time[1], energy_above(maps[1], (0.1, 0.3)).time)
    assert energy_above(torch.full((3, 4, 5), 0.7)).time.isnan().all()


@pytest.mark.parametrize("map, cutoffs", [(torch.zeros(3, 4), (0.25,)), (torch.zeros(1, 3, 4), (0.6,))])
def test_impossible_arguments_are_refused(map, cutoffs):
    with pytest.raises(LungSRADError, match=r"map of shape|cutoffs="):
        energy_above(map, cutoffs)


# ---- retention ----


def test_identity_average_and_a_factor():
    assert frequency_retention(unscaled_response(torch.eye(24), (4, 6)), (4, 6)) == (1.0, 1.0, 1.0)
    average = unscaled_response(torch.full((24, 24), 1 / 24), (4, 6))
    assert max(frequency_retention(average, (4, 6))) < 1e-12
    mixing = torch.rand(24, 24, generator=torch.Generator().manual_seed(0))
    one = frequency_retention(unscaled_response(mixing, (4, 6)), (4, 6))
    assert one == pytest.approx(frequency_retention(unscaled_response(7 * mixing, (4, 6)), (4, 6)))


def test_by_hand_with_each_wave_counted():
    """H = 2, W = 4: waves along time 0, 1, 2, 3, of which only 2 is above a quarter; along frequency 0 and 1."""
    response = torch.tensor([[8.0, 4.0, 2.0], [4.0, 2.0, 1.0]])
    both, frequency, time = frequency_retention(response, (2, 4))
    low = (8 + 2 * 4) / 3
    assert both == pytest.approx((2 + 4 + 2 * 2 + 1) / 5 / low)
    assert frequency == pytest.approx((4 + 2 * 2 + 1) / (8 + 2 * 4 + 2))
    assert time == pytest.approx((2 + 1) / 2 / ((8 + 2 * 4 + 4 + 2 * 2) / 6))


def test_smoothing_lowers_it_along_both_axes():
    identity = torch.eye(64).view(1, 64, 8, 8)
    smoothed = gaussian_smooth(identity, 3, 1.0).flatten(2)[0].T
    values = frequency_retention(unscaled_response(smoothed, (8, 8)), (8, 8))
    assert max(values) < 0.5


def test_an_axis_of_one_position_has_no_retention():
    both, frequency, time = frequency_retention(unscaled_response(torch.eye(6), (1, 6)), (1, 6))
    assert math.isnan(frequency)
    assert (both, time) == (1.0, 1.0)


def test_a_response_of_another_size_or_cutoff_is_refused():
    with pytest.raises(LungSRADError, match=r"\(2, 3\): not that of a map of size \(4, 4\)"):
        frequency_retention(torch.ones(2, 3), (4, 4))
    with pytest.raises(LungSRADError, match=r"cutoff=0\.5"):
        frequency_retention(torch.ones(3, 3), (4, 4), cutoff=0.5)
