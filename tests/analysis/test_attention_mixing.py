"""Attention weights against those that transformers' own layer returns, on a small random AST."""

import pytest
import torch

from lung_srad_plugin import GaussianSmoothed, LungSRADError, gaussian_smooth, mean_mixing, scan_mixing

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def layer():
    torch.manual_seed(0)
    config = transformers.ASTConfig(
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=3,
        intermediate_size=16,
        max_length=64,
        num_mel_bins=32,
        attn_implementation="eager",
    )
    attention = transformers.ASTModel(config).eval().layers[0].attention
    with torch.no_grad():
        attention.q_proj.weight.mul_(30)
        attention.k_proj.weight.mul_(30)
    return attention


def test_weights_are_those_of_transformers_averaged_over_heads(layer):
    tokens = torch.randn(2, 11, 12, generator=torch.Generator().manual_seed(1))
    mixing = scan_mixing(layer, tokens)
    with torch.no_grad():
        _, weights = layer(tokens)
    assert weights.std() > 0.01  # far from the average of all positions
    torch.testing.assert_close(mixing, weights.mean(dim=1, keepdim=True))
    torch.testing.assert_close(mixing.sum(dim=-1), torch.ones(2, 1, 11))
    torch.testing.assert_close(mean_mixing(layer, tokens), mixing.squeeze(1))


def test_a_map_is_read_row_by_row_and_rows_are_parts(layer):
    u = torch.randn(1, 3, 4, 12, generator=torch.Generator().manual_seed(1))
    whole = scan_mixing(layer, u.flatten(1, 2))
    torch.testing.assert_close(scan_mixing(layer, u), whole)
    torch.testing.assert_close(scan_mixing(layer, u, rows=(5, 7)), whole[:, :, 5:7])


def test_smoothed_attention(layer):
    u = torch.randn(1, 3, 4, 12, generator=torch.Generator().manual_seed(1))
    smoothed = scan_mixing(GaussianSmoothed(layer, 3, 1.0), u)
    one_map = torch.randn(12, 1)
    mixed = (scan_mixing(layer, u)[0, 0] @ one_map).view(1, 1, 3, 4)
    torch.testing.assert_close((smoothed[0, 0] @ one_map).view(1, 1, 3, 4), gaussian_smooth(mixed, 3, 1.0))
    with pytest.raises(LungSRADError, match="smoothing needs a map"):
        scan_mixing(GaussianSmoothed(layer, 3, 1.0), u.flatten(1, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": [0]}, "attention has one matrix"),
        ({"traversal": 0}, "attention has one matrix"),
        ({"u": torch.zeros(1, 5, 7)}, r"\(1, 5, 7\); expected tokens \(batch, L, 12\)"),
        ({"rows": (0, 6)}, "within the 5 positions"),
        ({"max_bytes": 100}, r"weights of shape \(1, 3, 5, 5\) need 400 bytes"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(layer, arguments, message):
    with pytest.raises(LungSRADError, match=message):
        scan_mixing(**{"layer": layer, "u": torch.zeros(1, 5, 12), **arguments})
