"""Mixing matrices against hand-computed ones and against the scan of the layer itself."""

import math

import pytest
import torch

from lung_srad_plugin import GaussianSmoothed, LungSRADError, gaussian_smooth, scan_mixing
from lung_srad_plugin.encoders.dass.ss2d import SS2D
from lung_srad_plugin.scan.reference import traversals


def random_layer(dim=6, d_state=1, seed=0):
    """A layer whose parameters, D and A too, differ between channels and traversals."""
    torch.manual_seed(seed)
    layer = SS2D(dim, d_state=d_state).eval()
    with torch.no_grad():
        layer.x_proj_weight.mul_(3)
        layer.A_logs.add_(torch.randn_like(layer.A_logs))
        layer.Ds.copy_(torch.randn_like(layer.Ds))
        layer.dt_projs_bias.add_(torch.randn_like(layer.dt_projs_bias))
    return layer


def constant_layer(step, decay, D):
    """A layer of one channel for the input 1: B and C are 1, and each traversal has its step size, decay and D."""
    layer = SS2D(1)
    with torch.no_grad():
        layer.x_proj_weight.copy_(torch.tensor([0.0, 1.0, 1.0]).view(3, 1).expand(4, 3, 1))
        layer.dt_projs_weight.zero_()
        layer.dt_projs_bias.copy_(torch.tensor(step).expm1().log().view(4, 1))
        layer.A_logs.copy_((-torch.tensor(decay).log() / torch.tensor(step)).log().view(4, 1))
        layer.Ds.copy_(torch.tensor(D))
    return layer


def apply(mixing, u):
    """Multiply (B,channels,L,L) with the map (B,H,W,channels)."""
    return (mixing @ u.flatten(1, 2).mT.unsqueeze(-1)).squeeze(-1).mT.view(u.shape)


def relative_error(ours, expected):
    return ((ours - expected).norm() / expected.norm()).item()


STEP, DECAY, D = [1.0, 2.0, 0.5, 0.25], [0.5, 0.25, 0.8, 0.1], [0.0, 1.0, 0.0, 3.0]
# Positions a b / c d; each row is what arrives at a, b, c, d. The first traversal visits a b c d with decay 1/2.
BY_HAND = {
    0: [[1, 0, 0, 0], [0.5, 1, 0, 0], [0.25, 0.5, 1, 0], [0.125, 0.25, 0.5, 1]],
    # a c b d with decay 1/4 and step 2, and D = 1 on the diagonal.
    1: [[3, 0, 0, 0], [0.125, 3, 0.5, 0], [0.5, 0, 3, 0], [0.03125, 0.5, 0.125, 3]],
    # d c b a with decay 0.8 and step 0.5.
    2: [[0.5, 0.4, 0.32, 0.256], [0, 0.5, 0.4, 0.32], [0, 0, 0.5, 0.4], [0, 0, 0, 0.5]],
    # d b c a with decay 0.1 and step 0.25, and D = 3.
    3: [[3.25, 0.0025, 0.025, 0.00025], [0, 3.25, 0, 0.025], [0, 0.025, 3.25, 0.0025], [0, 0, 0, 3.25]],
}


@pytest.mark.parametrize("traversal", range(4))
def test_one_traversal_of_a_map_of_2_by_2_computed_by_hand(traversal):
    mixing = scan_mixing(constant_layer(STEP, DECAY, D), torch.ones(1, 2, 2, 1), traversal=traversal)
    torch.testing.assert_close(mixing[0, 0], torch.tensor(BY_HAND[traversal]), rtol=1e-5, atol=1e-6)


def test_the_sum_over_traversals_computed_by_hand():
    mixing = scan_mixing(constant_layer(STEP, DECAY, D), torch.ones(1, 2, 2, 1))
    expected = sum(torch.tensor(BY_HAND[traversal], dtype=torch.float32) for traversal in range(4))
    torch.testing.assert_close(mixing[0, 0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("d_state", [1, 2, 5])
@pytest.mark.parametrize(
    ("batch", "height", "width", "dim"), [(1, 1, 1, 4), (2, 3, 5, 6), (1, 7, 1, 3), (1, 4, 16, 33)]
)
def test_mixing_times_input_is_the_scan(batch, height, width, dim, d_state):
    layer = random_layer(dim, d_state)
    u = torch.randn(batch, height, width, dim, generator=torch.Generator().manual_seed(1))
    mixing = scan_mixing(layer, u)
    assert mixing.shape == (batch, dim, height * width, height * width)
    assert mixing.dtype == torch.float32
    assert relative_error(apply(mixing, u), layer.scan(u).detach()) < 1e-4


@pytest.mark.parametrize("bias", [-20.0, 20.0, 200.0])
def test_vanishing_and_extreme_step_sizes(bias):
    layer = random_layer(d_state=2)
    with torch.no_grad():
        layer.dt_projs_bias.fill_(bias)
    u = torch.randn(1, 4, 8, 6, generator=torch.Generator().manual_seed(1))
    mixing = scan_mixing(layer, u)
    assert mixing.isfinite().all()
    assert relative_error(apply(mixing, u), layer.scan(u).detach()) < 1e-4


def test_long_sequences_keep_their_precision():
    layer = random_layer(dim=2)
    u = torch.randn(1, 16, 128, 2, generator=torch.Generator().manual_seed(1))
    assert relative_error(apply(scan_mixing(layer, u), u), layer.scan(u).detach()) < 1e-4


def test_fp64_is_exact_to_fp64():
    layer = random_layer(d_state=2).double()
    u = torch.randn(1, 3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mixing = scan_mixing(layer, u)
    assert mixing.dtype == torch.float64
    assert relative_error(apply(mixing, u), layer.scan(u).detach()) < 1e-12


def test_traversals_add_up():
    layer, u = random_layer(), torch.randn(1, 3, 4, 6)
    parts = [scan_mixing(layer, u, traversal=traversal) for traversal in range(4)]
    torch.testing.assert_close(sum(parts), scan_mixing(layer, u), rtol=1e-5, atol=1e-6)


def test_a_traversal_carries_nothing_backwards():
    layer, u = random_layer(), torch.randn(1, 3, 4, 6)
    for traversal, order in enumerate(traversals(3, 4)):
        in_order = scan_mixing(layer, u, traversal=traversal)[..., order, :][..., order]
        assert torch.equal(in_order, in_order.tril())


def test_channels_and_rows_are_parts_of_the_whole():
    layer, u = random_layer(dim=8), torch.randn(2, 3, 5, 8)
    whole = scan_mixing(layer, u)
    torch.testing.assert_close(scan_mixing(layer, u, channels=[5, 0]), whole[:, [5, 0]])
    blocks = [scan_mixing(layer, u, rows=(first, min(first + 4, 15))) for first in range(0, 15, 4)]
    torch.testing.assert_close(torch.cat(blocks, dim=2), whole)
    one = scan_mixing(layer, u, channels=[3], traversal=1, rows=(14, 15))
    torch.testing.assert_close(one, scan_mixing(layer, u, traversal=1)[:, 3:4, 14:15])


@pytest.mark.parametrize("padding", ["zeros", "replicate"])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_a_smoothed_layer_has_the_matrices_of_the_smoothed_scan(padding, kernel_size):
    layer, u = random_layer(d_state=2), torch.randn(2, 6, 5, 6, generator=torch.Generator().manual_seed(1))
    smoothed = GaussianSmoothed(layer, kernel_size, sigma=1.5, padding=padding)
    mixing = scan_mixing(smoothed, u)
    scanned = layer.scan(u).detach().permute(0, 3, 1, 2)
    expected = gaussian_smooth(scanned, kernel_size, 1.5, padding).permute(0, 2, 3, 1)
    assert relative_error(apply(mixing, u), expected) < 1e-4
    blocks = [scan_mixing(smoothed, u, rows=(first, min(first + 7, 30))) for first in range(0, 30, 7)]
    torch.testing.assert_close(torch.cat(blocks, dim=2), mixing, rtol=1e-4, atol=1e-6)


def test_the_size_of_the_buffer_changes_nothing(monkeypatch):
    layer, u = random_layer(d_state=2), torch.randn(1, 3, 5, 6)
    whole = scan_mixing(layer, u)
    monkeypatch.setattr("lung_srad_plugin.analysis.scan_mixing._BUFFER_BYTES", 1)
    torch.testing.assert_close(scan_mixing(layer, u), whole)


def test_gradients_of_the_layer_are_left_alone():
    layer, u = random_layer(), torch.randn(1, 2, 3, 6, requires_grad=True)
    assert not scan_mixing(layer, u).requires_grad


def test_too_much_memory_is_refused_with_the_size_needed():
    layer, u = random_layer(dim=32), torch.zeros(1, 64, 128, 32)
    needed = 32 * 8192**2 * 4
    with pytest.raises(LungSRADError, match=r"\(1, 32, 8192, 8192\)") as refused:
        scan_mixing(layer, u)
    assert math.isclose(int(str(refused.value).split(" bytes")[0].split()[-1].replace(",", "")), needed, rel_tol=0.01)
    with pytest.raises(LungSRADError, match="max_bytes=10,000,000"):
        scan_mixing(layer, u[:, :8], max_bytes=10_000_000)


def test_8192_positions_in_blocks_of_rows():
    layer, u = random_layer(dim=2), torch.randn(1, 64, 128, 2, generator=torch.Generator().manual_seed(1))
    block = scan_mixing(layer, u, channels=[1], rows=(4000, 4032), max_bytes=8_000_000)
    expected = layer.scan(u).detach().flatten(1, 2)[0, 4000:4032, 1]
    assert relative_error(block[0, 0] @ u.flatten(1, 2)[0, :, 1], expected) < 1e-4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": torch.nn.Linear(6, 6)}, "scan_mixing of Linear: expected an SS2D layer"),
        ({"u": torch.zeros(1, 2, 3, 5)}, r"\(1, 2, 3, 5\); expected \(batch, H, W, 6\)"),
        ({"u": torch.zeros(2, 3, 6)}, r"\(2, 3, 6\)"),
        ({"channels": [6]}, r"channels=\[6\]: expected some of 0 to 5"),
        ({"channels": []}, r"channels=\[\]"),
        ({"traversal": 4}, "traversal=4: expected 0 to 3"),
        ({"rows": (3, 3)}, r"rows=\(3, 3\)"),
        ({"rows": (0, 7)}, "within the 6 positions"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(LungSRADError, match=message):
        scan_mixing(**{"layer": random_layer(), "u": torch.zeros(1, 2, 3, 6), **arguments})
