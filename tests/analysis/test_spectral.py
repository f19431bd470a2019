"""The spectral response against the reference's arrays and against matrices whose answer is known."""

import math

import numpy as np
import pytest
import torch

from lung_srad_plugin.analysis.spectral import spectral_response
from lung_srad_plugin.errors import LungSRADError


@pytest.mark.parametrize(
    "mixing, response", [("mixing_toy", "response_toy"), ("mixing_dass_stage2_block2", "response_dass")]
)
def test_response_is_that_of_the_reference(golden, mixing, response):
    arrays = np.load(golden / "spectral_response.npz")
    expected = torch.from_numpy(arrays[response])
    ours = spectral_response(torch.from_numpy(arrays[mixing]), len(expected))
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-9)


def test_it_is_its_definition():
    mixing = torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    k = torch.arange(6, dtype=torch.float64)
    fourier = torch.exp(-2j * math.pi * torch.outer(k, k) / 6)
    response = (fourier @ mixing.to(fourier.dtype) @ torch.linalg.inv(fourier)).abs().mean(1)[:4]
    expected = (response - response.min()) / (response.max() - response.min())
    torch.testing.assert_close(spectral_response(mixing, 4), expected)


def test_circular_filter_shows_its_frequency_response():
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
def test_impossible_questions_are_refused(shape, frequencies):
    with pytest.raises(LungSRADError, match=r"mixing of shape|frequencies="):
        spectral_response(torch.zeros(shape), frequencies)
