"""The mixing map against matrices computed by hand, against scan_mixing, and against what a held encoder adds up to."""

import pytest
import torch
from area_model import AREA, FRAMES, MELS, AreaEncoder, SlopeHead, scan_with
from conv_encoder import ConvEncoder

from lung_srad_plugin import DASSEncoder, LogClassifier, LungSRADError, scan_mixing, smooth_blocks
from lung_srad_plugin.analysis.decision import Decision, baseline
from lung_srad_plugin.analysis.mixing_map import block_mixing_map, mixing_map, ss2d_layers
from lung_srad_plugin.encoders.base import ActivationMap

SLOPE = 2.0
# The four traversals of a map a b / c d whose input is 1, with B and C 1, step sizes 1, 2, 1/2, 1/4, decays 1/2, 1/4,
# 4/5, 1/10 and D 0, 1, 0, 3, summed; row: what arrives at a, b, c, d.
MATRIX = torch.tensor(
    [
        [7.75, 0.4025, 0.345, 0.25625],
        [0.625, 7.75, 0.9, 0.345],
        [0.75, 0.525, 7.75, 0.4025],
        [0.15625, 0.75, 0.625, 7.75],
    ]
)


def two_by_two(slope=SLOPE):
    layer = scan_with([1.0, 2.0, 0.5, 0.25], [0.5, 0.25, 0.8, 0.1], [0.0, 1.0, 0.0, 3.0])
    encoder = AreaEncoder(layer, area=(slice(None), slice(None)), frames=2, mels=2)
    return Decision(encoder.eval(), SlopeHead(slope), classes=[1])


def random_dass(seed=0, norm="layer", bias=True):
    """An encoder with every kind of layer, whose gates and norms matter."""
    torch.manual_seed(seed)
    encoder = smooth_blocks(DASSEncoder([1, 2], [8, 16], norm=norm), stage=1, blocks=[0], kernel_size=3, sigma=1.0)
    head = LogClassifier(16, classes=4)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        for module in (*encoder.modules(), *head.modules()):
            if not bias and getattr(module, "bias", None) is not None:
                module.bias.zero_()
    return Decision(encoder.eval(), head.eval(), classes=[2])


def test_a_block_of_2_by_2_computed_by_hand():
    found = block_mixing_map(two_by_two(), torch.ones(1, 2, 2), ActivationMap(0, 0, "ss2d"))
    # The pooled output weighs each row by a quarter, so a position gets a quarter of its column, times the slope.
    expected = SLOPE * MATRIX.mean(dim=0)
    torch.testing.assert_close(found.flatten(), expected, rtol=1e-5, atol=1e-6)


def test_the_whole_way_of_2_by_2_computed_by_hand():
    # Features are (frames, mels), the image (mels, frames): a b / c d is a c / b d of them. With 1 at a, b, c and
    # 1 + 4e at d the mixing matrices are those of ones but for e, and the mean is 1 + e.
    e = 1e-4
    feats = torch.ones(1, 2, 2, dtype=torch.float64)
    feats[0, 1, 1] += 4 * e
    decision = two_by_two()
    decision.encoder.double()
    column = SLOPE * MATRIX.mean(dim=0).double()
    expected = torch.stack([-column[0], -column[2], -column[1], 3 * column[3]]).view(2, 2)
    torch.testing.assert_close(mixing_map(decision, feats)[0] / e, expected, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("activation_map", list(ss2d_layers(DASSEncoder([1, 2], [8, 16]))))
def test_a_block_is_its_gradient_times_its_mixing_matrices(activation_map):
    decision, feats = random_dass(), torch.randn(2, 24, 16)
    layer, seen = ss2d_layers(decision.encoder)[activation_map], {}
    hooks = [
        layer.conv2d.register_forward_hook(lambda module, inputs, output: seen.update(u=output)),
        layer.out_norm.register_forward_pre_hook(lambda module, inputs: seen.update(y=inputs[0])),
    ]
    log_odds = decision(feats.clone().requires_grad_()).sum()
    for hook in hooks:
        hook.remove()
    (g,) = torch.autograd.grad(log_odds, seen["y"])
    u = torch.nn.functional.silu(seen["u"]).permute(0, 2, 3, 1).detach()
    rows = torch.einsum("bpc,bcpq->bqc", g.flatten(1, 2), scan_mixing(layer, u))
    found = block_mixing_map(decision, feats, activation_map)
    torch.testing.assert_close(found.flatten(1), (rows * u.flatten(1, 2)).sum(-1), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found.sum(dim=(1, 2)), (g * seen["y"]).sum(dim=(1, 2, 3)), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_without_constants_in_its_layers_the_map_adds_up_to_the_log_odds(shift):
    """Held at a clip, an encoder without biases is linear: row times clip is the logit, less the other classes'."""
    decision, feats = random_dass(bias=False), torch.randn(3, 24, 16) + shift
    logits = decision.head.linear(decision.encoder(feats)).squeeze(1)
    others = logits[:, [0, 1, 3]]
    margin = logits[:, 2] - (others.softmax(dim=1) * others).sum(dim=1)
    # The map is relative to the mean; the row itself follows from the map of a clip with another mean.
    found = mixing_map(decision, feats) / (feats - baseline(feats))
    torch.testing.assert_close((found * feats).sum(dim=(1, 2)), margin, rtol=1e-3, atol=1e-4)


def test_the_encoder_is_as_before_after_a_map():
    decision, feats = random_dass(norm="batch"), torch.randn(1, 24, 16)
    before = decision(feats)
    with pytest.raises(RuntimeError):
        mixing_map(decision, torch.randn(1, 24, 16, dtype=torch.float64))
    mixing_map(decision, feats)
    block_mixing_map(decision, feats, ActivationMap(1, 1, "ss2d"))
    assert torch.equal(decision(feats), before)
    assert not any("scan" in vars(layer) for layer in ss2d_layers(decision.encoder).values())


def test_a_frozen_encoder_under_no_grad_has_a_map_too():
    decision, feats = random_dass(), torch.randn(1, 24, 16)
    expected = mixing_map(decision, feats)
    decision.encoder.requires_grad_(False)
    with torch.no_grad():
        found = mixing_map(decision, feats)
    assert not found.requires_grad
    torch.testing.assert_close(found, expected)


def test_it_finds_the_area_that_a_model_looks_at():
    decision = Decision(AreaEncoder(scan_with([1.0] * 4, [0.5] * 4, [1.0] * 4)), SlopeHead(), classes=[1])
    feats = torch.randn(1, FRAMES, MELS).abs()
    found = mixing_map(decision, feats)[0]
    outside = torch.ones(FRAMES, MELS, dtype=torch.bool)
    outside[AREA] = False
    assert (found[outside] == 0).all() and (found[AREA] != 0).all()


def test_an_encoder_without_scans_is_refused():
    decision = Decision(ConvEncoder().eval(), LogClassifier(8, classes=4), classes=[0])
    with pytest.raises(LungSRADError, match=r"ConvEncoder has no SS2D layer.*gradients and occlusion"):
        mixing_map(decision, torch.randn(1, 16, 16))


@pytest.mark.parametrize("wrong", [ActivationMap(0, 0, "block"), ActivationMap(7, 0, "ss2d")])
def test_a_map_that_is_no_scan_is_refused(wrong):
    with pytest.raises(LungSRADError, match=r"not the map of an SS2D layer"):
        block_mixing_map(random_dass(), torch.randn(1, 24, 16), wrong)
