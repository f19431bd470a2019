"""The spectral response against the reference's arrays and against matrices whose response is known."""

import math

import numpy as np
import pytest
import torch

from lung_srad_plugin.analysis.spectral import spectral_response, spectral_response_2d, unscaled_response
from lung_srad_plugin.errors import LungSRADError


@pytest.mark.parametrize(
    "mixing, response", [("mixing_toy", "response_toy"), ("mixing_dass_stage2_block2", "response_dass")]
)
def test_response_equals_the_reference(golden, mixing, response):
    arrays = np.load(golden / "spectral_response.npz")
    expected = torch.from_numpy(arrays[response])
    ours = spectral_response(torch.from_numpy(arrays[mixing]), len(expected))
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-9)


def test_response_equals_its_definition():
    mixing = torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    k = torch.arange(6, dtype=torch.float64)
    fourier = torch.exp(-2j * math.pi * torch.outer(k, k) / 6)
    response = (fourier @ mixing.to(fourier.dtype) @ torch.linalg.inv(fourier)).abs().mean(1)[:4]
    expected = (response - response.min()) / (response.max() - response.min())
    torch.testing.assert_close(spectral_response(mixing, 4), expected)


def test_circular_filter_has_its_frequency_response():
    """Mixing with neighbours, circularly, is diagonal in the frequency domain: (1 + cos w) / 2."""
    eye = torch.eye(16, dtype=torch.float64)
    mixing = eye / 2 + (eye.roll(1, 0) + eye.roll(-1, 0)) / 4
    expected = (1 + torch.cos(2 * math.pi * torch.arange(9, dtype=torch.float64) / 16)) / 2
    torch.testing.assert_close(spectral_response(mixing, 9), expected)


def test_scale_of_the_matrix_does_not_matter():
    mixing = torch.randn(10, 10, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(spectral_response(1000 * mixing, 6), spectral_response(mixing, 6), rtol=1e-5, atol=1e-5)


def test_equal_frequencies_give_zero():
    assert torch.equal(spectral_response(torch.zeros(5, 5), 3), torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("shape, frequencies", [((4, 5), 2), ((4,), 2), ((4, 4), 0), ((4, 4), 5)])
def test_impossible_arguments_are_refused(shape, frequencies):
    with pytest.raises(LungSRADError, match=r"mixing of shape|frequencies="):
        spectral_response(torch.zeros(shape), frequencies)


# ---- over two axes ----


def filter_2d(over_frequency, over_time):
    """The matrix of a circular filter of a map: one along each axis."""
    return torch.kron(circulant(over_frequency), circulant(over_time))


def circulant(taps):
    """Row i holds the taps around i: (before, itself, after) of a circle of 8 positions."""
    eye = torch.eye(8, dtype=torch.float64)
    before, itself, after = taps
    return itself * eye + before * eye.roll(-1, 0) + after * eye.roll(1, 0)


COSINE = (1 + torch.cos(2 * math.pi * torch.arange(5, dtype=torch.float64) / 8)) / 2


def test_a_filter_along_one_axis_shows_on_that_axis_only():
    smooth, same = (0.25, 0.5, 0.25), (0.0, 1.0, 0.0)
    along_time = spectral_response_2d(filter_2d(same, smooth), (8, 8))
    torch.testing.assert_close(along_time, COSINE.expand(5, 5))
    torch.testing.assert_close(spectral_response_2d(filter_2d(smooth, same), (8, 8)), COSINE.expand(5, 5).T)
    both = spectral_response_2d(filter_2d(smooth, smooth), (8, 8))
    torch.testing.assert_close(both, torch.outer(COSINE, COSINE))
    torch.testing.assert_close(spectral_response_2d(filter_2d(smooth, smooth), (8, 8), (3, 2)), rescaled(both[:3, :2]))


def rescaled(response):
    return (response - response.min()) / (response.max() - response.min())


def test_two_axes_by_definition_with_both_directions_of_a_wave_averaged():
    height, width = 3, 4
    mixing = torch.randn(12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def fourier(size):
        k = torch.arange(size, dtype=torch.float64)
        return torch.exp(-2j * math.pi * torch.outer(k, k) / size)

    transform = torch.kron(fourier(height), fourier(width))
    response = (transform @ mixing.to(transform.dtype) @ torch.linalg.inv(transform)).abs().mean(1).view(3, 4)
    averaged = torch.stack([response[:2, 0], (response[:2, 1] + response[:2, 3]) / 2, response[:2, 2]], dim=1)
    torch.testing.assert_close(spectral_response_2d(mixing, (3, 4)), rescaled(averaged))


def test_a_map_of_one_row_has_the_response_of_its_sequence():
    mixing = torch.randn(9, 9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(spectral_response_2d(mixing, (1, 9))[0], spectral_response(mixing, 5))
    torch.testing.assert_close(spectral_response_2d(mixing, (9, 1))[:, 0], spectral_response(mixing, 5))


@pytest.mark.parametrize(
    ("size", "frequencies", "message"),
    [
        ((3, 5), None, r"size=\(3, 5\): .* 12 positions"),
        ((3, 4), (3, 1), "1 to 2 and 1 to 3"),
        ((3, 4), (1, 0), "1 to 3"),
    ],
)
def test_a_size_that_does_not_fit_is_refused(size, frequencies, message):
    with pytest.raises(LungSRADError, match=message):
        spectral_response_2d(torch.zeros(12, 12), size, frequencies)


# ---- without scaling ----


@pytest.mark.parametrize("size", [(12,), (3, 4), (4, 3), (2, 6)])
def test_unscaled_response_by_definition(size, monkeypatch):
    monkeypatch.setattr("lung_srad_plugin.analysis.spectral._BLOCK", 5)
    mixing = torch.randn(12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    transform = torch.ones(1, 1, dtype=torch.complex128)
    for length in size:
        k = torch.arange(length, dtype=torch.float64)
        transform = torch.kron(transform, torch.exp(-2j * math.pi * torch.outer(k, k) / length))
    response = (transform @ mixing.to(transform.dtype) @ torch.linalg.inv(transform)).abs().sum(1).view(size)
    if len(size) == 2:
        mirrored = response.roll(-1, 1).flip(1)
        response = ((response + mirrored) / 2)[: size[0] // 2 + 1]
    expected = response[..., : size[-1] // 2 + 1]
    torch.testing.assert_close(unscaled_response(mixing, size), expected)


def test_more_bins_than_half_are_the_mirror_image():
    mixing = torch.randn(7, 7, generator=torch.Generator().manual_seed(0))
    response = spectral_response(mixing, 7)
    torch.testing.assert_close(response[4:], response[1:4].flip(0))
