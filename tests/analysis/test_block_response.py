"""The response of a whole block against its Jacobian written out, and of blocks whose response is known."""

import math

import pytest
import torch
from torch import nn

from lung_srad_plugin import GaussianSmoothed, LungSRADError
from lung_srad_plugin.analysis.block_response import axis_modes, block_response
from lung_srad_plugin.encoders.dass.block import Block

MODES = [(0, 0), (1, 0), (2, 0), (0, 1), (0, 3), (1, 2), (3, 1)]
SIZE = (4, 6)


def explicit(block, x, mode):
    """Gain and kept share of all channels, from the Jacobian as autograd's backward pass gives it."""
    jacobian = torch.autograd.functional.jacobian(block, x)[0, :, :, :, 0]  # out (C,H,W) by in (C,H,W)
    height, width = SIZE
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    wave = torch.exp(2j * math.pi * (mode[0] * rows / height + mode[1] * columns / width)).to(torch.complex128)
    out = torch.einsum("chwdyx,yx->dchw", jacobian.to(wave.dtype), wave)
    spectrum = torch.fft.fft2(out, norm="ortho")
    # The answer to a complex wave has the energy of those to its cosine and its sine.
    total = spectrum.abs().square().sum()
    own = {(mode[0] % height, mode[1] % width), (-mode[0] % height, -mode[1] % width)}
    kept = sum(spectrum[:, :, i, j].abs().square().sum() for i, j in own)
    return (total / (len(x[0]) * height * width)).sqrt(), kept / total


@pytest.fixture
def block():
    torch.manual_seed(0)
    block = Block(dim=3).double().eval()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return block


@pytest.mark.parametrize("smoothed", [False, True])
def test_a_tiny_block_against_its_explicit_jacobian(block, smoothed):
    if smoothed:
        block.op = GaussianSmoothed(block.op, 3, 1.0)
    x = torch.randn(1, 3, *SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ours = block_response(block, x, SIZE, MODES, probes=torch.eye(3), batch_size=5)
    for index, mode in enumerate(MODES):
        gain, kept = explicit(block, x, mode)
        torch.testing.assert_close(ours.gain[index], gain)
        torch.testing.assert_close(ours.kept[index], kept)
    assert [module.scan_backend for module in block.modules() if hasattr(module, "scan_backend")] == [None]


def test_an_identity_keeps_every_wave():
    response = block_response(nn.Identity().eval(), torch.zeros(1, 5, *SIZE), SIZE, MODES)
    torch.testing.assert_close(response.gain, torch.ones(7, dtype=torch.float64))
    torch.testing.assert_close(response.kept, torch.ones(7, dtype=torch.float64))


def test_a_filter_has_its_frequency_response():
    smooth = nn.Conv2d(2, 2, (1, 3), padding=(0, 1), padding_mode="circular", groups=2, bias=False).eval()
    with torch.no_grad():
        smooth.weight.copy_(torch.tensor([0.25, 0.5, 0.25]).expand(2, 1, 1, 3))
    along_frequency, along_time = axis_modes(SIZE)
    assert along_frequency == [(0, 0), (1, 0), (2, 0)]
    response = block_response(smooth, torch.zeros(1, 2, *SIZE), SIZE, along_time)
    expected = (1 + torch.cos(2 * math.pi * torch.arange(4) / 6)) / 2
    torch.testing.assert_close(response.gain, expected.double(), atol=1e-6, rtol=1e-6)
    unchanged = block_response(smooth, torch.zeros(1, 2, *SIZE), SIZE, along_frequency)
    torch.testing.assert_close(unchanged.gain, torch.ones(3, dtype=torch.float64))


def test_the_mean_over_positions_answers_to_the_constant_only():
    class Mean(nn.Module):
        def forward(self, x):
            return x.mean(dim=(2, 3), keepdim=True).expand_as(x)

    response = block_response(Mean().eval(), torch.zeros(1, 2, *SIZE), SIZE, MODES)
    torch.testing.assert_close(response.gain, torch.tensor([1.0] + [0.0] * 6).double(), atol=1e-6, rtol=0)


def test_tokens_of_attention_against_the_explicit_jacobian():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.ASTConfig(
        hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, max_length=64, num_mel_bins=32
    )
    layer = transformers.ASTModel(config).double().eval().layers[0]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    tokens = torch.randn(1, 2 + 24, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = tokens[:, 2:].mT.unflatten(2, SIZE)

    def of_map(x):
        whole = torch.cat([tokens[:, :2], x.flatten(2).mT], dim=1)
        return layer(whole)[:, 2:].mT.unflatten(2, SIZE)

    ours = block_response(layer, tokens, SIZE, MODES, probes=torch.eye(4))
    for index, mode in enumerate(MODES):
        gain, kept = explicit(of_map, x, mode)
        torch.testing.assert_close(ours.gain[index], gain)
        torch.testing.assert_close(ours.kept[index], kept)


def test_what_does_not_fit_is_refused(block):
    with pytest.raises(LungSRADError, match=r"\(1, 3, 4, 5\): expected \(1, channels, 4, 6\)"):
        block_response(block, torch.zeros(1, 3, 4, 5), SIZE, MODES)
    with pytest.raises(LungSRADError, match="at least 24 tokens"):
        block_response(block, torch.zeros(1, 23, 3), SIZE, MODES)
    with pytest.raises(LungSRADError, match="Block is in training mode"):
        block_response(block.train(), torch.zeros(1, 3, *SIZE), SIZE, MODES)
