"""The mean over channels against the matrices of all channels."""

import pytest
import torch
from test_scan_mixing import random_layer, relative_error

from lung_srad_plugin import LungSRADError, mean_mixing, scan_mixing


@pytest.mark.parametrize("d_state", [1, 3])
@pytest.mark.parametrize(
    ("batch", "height", "width", "dim"), [(1, 1, 1, 4), (2, 3, 5, 6), (1, 7, 1, 3), (1, 9, 32, 12)]
)
def test_it_is_the_mean_of_the_matrices_of_all_channels(batch, height, width, dim, d_state):
    layer = random_layer(dim, d_state)
    u = torch.randn(batch, height, width, dim, generator=torch.Generator().manual_seed(1))
    mean = mean_mixing(layer, u)
    assert mean.shape == (batch, height * width, height * width)
    assert relative_error(mean, scan_mixing(layer, u).mean(dim=1)) < 1e-5


def test_of_some_channels():
    layer, u = random_layer(dim=6), torch.randn(1, 4, 20, 6, generator=torch.Generator().manual_seed(1))
    expected = scan_mixing(layer, u, channels=[5, 2]).mean(dim=1)
    assert relative_error(mean_mixing(layer, u, channels=[5, 2]), expected) < 1e-5


@pytest.mark.parametrize("bias", [-20.0, 20.0, 200.0])
def test_vanishing_and_extreme_step_sizes(bias):
    layer = random_layer(d_state=2)
    with torch.no_grad():
        layer.dt_projs_bias.fill_(bias)
    u = torch.randn(1, 4, 30, 6, generator=torch.Generator().manual_seed(1))
    mean = mean_mixing(layer, u)
    assert mean.isfinite().all()
    assert relative_error(mean, scan_mixing(layer, u).mean(dim=1)) < 1e-4


def test_fp64_is_exact_to_fp64():
    layer = random_layer().double()
    u = torch.randn(1, 6, 20, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert relative_error(mean_mixing(layer, u), scan_mixing(layer, u).mean(dim=1)) < 1e-12


def test_too_much_memory_is_refused_with_the_size_needed():
    layer, u = random_layer(dim=4), torch.zeros(1, 128, 256, 4)
    with pytest.raises(LungSRADError, match=r"\(1, 32768, 32768\) needs 17,\d{3},\d{3},\d{3} bytes"):
        mean_mixing(layer, u)
    with pytest.raises(LungSRADError, match="max_bytes=10,000"):
        mean_mixing(layer, u[:, :8, :8], max_bytes=10_000)


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(LungSRADError, match=r"channels=\[6\]"):
        mean_mixing(random_layer(), torch.zeros(1, 2, 3, 6), channels=[6])
    with pytest.raises(LungSRADError, match="scan_mixing of Linear"):
        mean_mixing(torch.nn.Linear(6, 6), torch.zeros(1, 2, 3, 6))
