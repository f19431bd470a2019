"""The fused calls of the encoder against the same layers in fp64, one call after another."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from lung_srad_plugin.encoders.dass import fused_ops
from lung_srad_plugin.encoders.dass.block import MLP, Block
from lung_srad_plugin.encoders.dass.fused_ops import conv_silu, linear, linear_gelu

DEFINITIONS = {
    linear: lambda layer, x: layer(x),
    linear_gelu: lambda layer, x: F.gelu(layer(x)),
    conv_silu: lambda layer, x: F.silu(layer(x)),
}


def cases(dtype=torch.float32):
    """(product, layer, input) of each kind."""
    torch.manual_seed(0)
    x = torch.randn(2, 5, 7, 24, dtype=dtype)
    options = {"bias": False, "padding": 1, "groups": 24, "dtype": dtype}
    return [
        pytest.param(linear, torch.nn.Linear(24, 40, dtype=dtype), x, id="linear"),
        pytest.param(linear, torch.nn.Linear(24, 40, bias=False, dtype=dtype), x, id="no_bias"),
        pytest.param(linear_gelu, torch.nn.Linear(24, 40, dtype=dtype), x, id="gelu"),
        pytest.param(conv_silu, torch.nn.Conv2d(24, 24, 3, **options), x.permute(0, 3, 1, 2), id="conv"),
    ]


def in_fp64(product, layer, x):
    return DEFINITIONS[product](deepcopy(layer).double(), x.double())


@pytest.mark.parametrize(("product", "layer", "x"), cases())
@torch.no_grad()
def test_equal_to_the_definition_in_fp64(product, layer, x):
    torch.testing.assert_close(product(layer, x).double(), in_fp64(product, layer, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("product", "layer", "x"), cases())
@torch.no_grad()
def test_under_autocast_the_answer_is_bf16(product, layer, x):
    with torch.autocast("cpu", torch.bfloat16):
        ours = product(layer, x)
    exact = in_fp64(product, layer, x)
    assert ours.dtype == torch.bfloat16
    assert (ours.double() - exact).abs().max() < 0.02 * exact.abs().max()


@pytest.mark.parametrize(("product", "layer", "x"), cases())
@torch.no_grad()
def test_autocast_switched_off_inside_is_obeyed(product, layer, x):
    with torch.autocast("cpu", torch.bfloat16), torch.autocast("cpu", enabled=False):
        assert product(layer, x).dtype == torch.float32


@pytest.mark.parametrize(("product", "layer", "x"), cases())
def test_gradients_are_torchs(product, layer, x):
    ours = torch.autograd.grad(product(layer, x).sum(), list(layer.parameters()))
    theirs = torch.autograd.grad(DEFINITIONS[product](layer, x).sum(), list(layer.parameters()))
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("product", "layer", "x"), cases(torch.float64))
@torch.no_grad()
def test_fp64_takes_the_plain_calls(product, layer, x):
    assert torch.equal(product(layer, x), in_fp64(product, layer, x))


@pytest.mark.parametrize(("product", "layer", "x"), cases())
@torch.no_grad()
def test_torch_without_onednn_takes_the_plain_calls(product, layer, x, monkeypatch):
    monkeypatch.setattr(fused_ops, "_fused_types", tuple)
    assert torch.equal(product(layer, x), DEFINITIONS[product](layer, x))


def test_a_processor_without_bf16_gets_fp32_only(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert fused_ops._fused_types.__wrapped__() == (torch.float32,)


@torch.no_grad()
def test_a_map_stays_channels_last():
    image, layer = torch.randn(2, 5, 7, 24).permute(0, 3, 1, 2), torch.nn.Conv2d(24, 24, 3, padding=1, bias=False)
    assert conv_silu(layer, image).stride() == image.stride()


def test_a_block_computes_the_same_with_and_without_gradients():
    torch.manual_seed(0)
    block, x = Block(16).eval(), torch.randn(2, 16, 4, 6).to(memory_format=torch.channels_last)
    with torch.no_grad():
        fused = block(x)
    torch.testing.assert_close(fused, block(x), rtol=1e-5, atol=1e-5)


def test_an_mlp_in_parts_is_the_mlp(monkeypatch):
    mlp, x = MLP(16, 64), torch.randn(3, 16, 5, 7)
    whole = mlp(x)
    monkeypatch.setattr("lung_srad_plugin.encoders.dass.block._HIDDEN_BYTES", 64 * 4 * 10)
    with torch.no_grad():
        torch.testing.assert_close(mlp(x), whole, rtol=1e-5, atol=1e-5)
