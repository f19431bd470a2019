"""Smoothing against numbers computed by hand; checkpoints are the same with the wrapper and without."""

import copy
import math
import pickle

import pytest
import torch

from lung_srad_plugin.encoders.dass.encoder import DASSEncoder
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.nn.gaussian import GaussianSmoothed, gaussian_smooth, smooth_blocks

# exp(-d**2 / 18) for d = 2, 1, 0, 1, 2 over their sum, 5.494...: K=5, sigma=3.
OUTER, NEAR, CENTRE = (math.exp(-(d**2) / 18) / (1 + 2 * math.exp(-1 / 18) + 2 * math.exp(-4 / 18)) for d in (2, 1, 0))
WEIGHTS = torch.tensor([OUTER, NEAR, CENTRE, NEAR, OUTER])


PADDINGS = pytest.mark.parametrize("padding", ["zeros", "replicate"])


def impulse(height, width, at):
    x = torch.zeros(1, 1, height, width)
    x[0, 0, at[0], at[1]] = 1
    return x


@pytest.fixture
def feats():
    return torch.randn(1, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return DASSEncoder([1, 1, 4], [8, 8, 16]).eval()


def test_impulse_becomes_the_gaussian():
    assert WEIGHTS.tolist() == pytest.approx([0.1782, 0.2105, 0.2225, 0.2105, 0.1782], abs=1e-4)
    out = gaussian_smooth(impulse(7, 9, at=(3, 4)))[0, 0]
    expected = torch.zeros(7, 9)
    expected[1:6, 2:7] = torch.outer(WEIGHTS, WEIGHTS)
    torch.testing.assert_close(out, expected)
    assert out.sum() == pytest.approx(1)


def test_border_counts_as_zero():
    out = gaussian_smooth(impulse(7, 9, at=(0, 4)))
    assert out.sum() == pytest.approx(CENTRE + NEAR + OUTER)
    constant = gaussian_smooth(torch.ones(1, 1, 6, 1))[0, 0, :, 0]
    kept = torch.tensor([CENTRE + NEAR + OUTER, 1 - OUTER, 1, 1, 1 - OUTER, CENTRE + NEAR + OUTER])
    torch.testing.assert_close(constant, kept * CENTRE)


def test_constant_map_keeps_its_inside():
    x = torch.full((2, 3, 9, 12), 2.5)
    torch.testing.assert_close(gaussian_smooth(x)[:, :, 2:-2, 2:-2], x[:, :, 2:-2, 2:-2])


def test_it_is_one_pass_over_frequency_then_one_over_time():
    x = torch.randn(2, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    rows = torch.nn.functional.pad(x, (0, 0, 2, 2)).unfold(2, 5, 1) @ WEIGHTS
    both = torch.nn.functional.pad(rows, (2, 2)).unfold(3, 5, 1) @ WEIGHTS
    torch.testing.assert_close(gaussian_smooth(x), both)


def test_zero_padding_dampens_the_borders_and_replication_does_not():
    constant = torch.ones(1, 1, 8, 64)
    damped = gaussian_smooth(constant)[0, 0]
    assert damped[0, 0].item() == pytest.approx(0.374, abs=1e-3) and damped.mean().item() == pytest.approx(
        0.84, abs=0.01
    )
    torch.testing.assert_close(gaussian_smooth(constant, padding="replicate"), constant)


@pytest.mark.parametrize(("height", "width", "kernel_size"), [(9, 12, 5), (2, 1, 5), (3, 4, 9), (4, 4, 1)])
def test_replication_continues_the_border(height, width, kernel_size):
    x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    margin = kernel_size // 2
    wide = torch.nn.functional.pad(x, (margin,) * 4, mode="replicate")
    expected = gaussian_smooth(wide, kernel_size)[:, :, margin : margin + height, margin : margin + width]
    torch.testing.assert_close(gaussian_smooth(x, kernel_size, padding="replicate"), expected)


def test_channels_and_clips_stay_apart():
    x = torch.zeros(2, 3, 5, 5)
    x[1, 2] = 1
    out = gaussian_smooth(x)
    assert out[1, 2].all()
    assert not out[0].any()
    assert not out[1, :2].any()


def test_size_one_changes_nothing():
    x = torch.randn(1, 2, 4, 4)
    torch.testing.assert_close(gaussian_smooth(x, kernel_size=1), x)


def test_wide_sigma_is_the_mean():
    out = gaussian_smooth(impulse(5, 5, at=(2, 2)), kernel_size=3, sigma=1e4)
    torch.testing.assert_close(out[0, 0, 1:4, 1:4], torch.full((3, 3), 1 / 9))


@PADDINGS
def test_gradient(padding):
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: gaussian_smooth(x, 5, 1.5, padding), x)


@PADDINGS
def test_layout_and_type_are_kept(padding):
    x = torch.randn(2, 8, 6, 10)
    last = x.to(memory_format=torch.channels_last)
    expected = gaussian_smooth(x, padding=padding)
    assert gaussian_smooth(last, padding=padding).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(gaussian_smooth(last, padding=padding), expected)
    rounded = gaussian_smooth(last.bfloat16(), padding=padding)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), expected, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("kernel_size, sigma", [(4, 3.0), (0, 3.0), (-3, 3.0), (5, 0.0), (5, -1.0), (5, float("nan"))])
def test_impossible_gaussians_are_refused(kernel_size, sigma):
    with pytest.raises(LungSRADError, match=r"kernel_size|sigma"):
        gaussian_smooth(torch.zeros(1, 1, 4, 4), kernel_size, sigma)
    with pytest.raises(LungSRADError, match=r"kernel_size|sigma"):
        GaussianSmoothed(torch.nn.Identity(), kernel_size, sigma)


def test_a_map_of_another_rank_is_refused():
    with pytest.raises(LungSRADError, match=r"\(4, 4\)"):
        gaussian_smooth(torch.zeros(4, 4))


@PADDINGS
def test_wrapper_smooths_in_training_and_evaluation(padding):
    x = torch.randn(1, 2, 6, 7)
    wrapped = GaussianSmoothed(torch.nn.Identity(), 3, 1.0, padding=padding)
    expected = gaussian_smooth(x, 3, 1.0, padding)
    for mode in (wrapped.train(), wrapped.eval()):
        assert torch.equal(mode(x), expected)
    last = GaussianSmoothed(torch.nn.Identity(), 3, 1.0, channels_last=True, padding=padding)(x.permute(0, 2, 3, 1))
    torch.testing.assert_close(last, expected.permute(0, 2, 3, 1))


def test_an_unknown_padding_is_refused():
    with pytest.raises(LungSRADError, match="padding='mirror': expected one of zeros, replicate"):
        gaussian_smooth(torch.zeros(1, 1, 4, 4), padding="mirror")


@pytest.mark.parametrize("target", ["ss2d", "block"])
def test_checkpoints_are_the_same_with_and_without(encoder, feats, target):
    plain = DASSEncoder([1, 1, 4], [8, 8, 16]).eval()
    smoothed = smooth_blocks(DASSEncoder([1, 1, 4], [8, 8, 16]), target=target).eval()
    assert list(smoothed.state_dict()) == list(plain.state_dict())

    smoothed.load_state_dict(encoder.state_dict())
    assert not torch.allclose(smoothed(feats), encoder(feats))
    plain.load_state_dict(smoothed.state_dict())
    assert torch.equal(plain(feats), encoder(feats))
    again = smooth_blocks(encoder, target=target)
    assert torch.equal(again(feats), smoothed(feats))


def test_wrapper_alone_saves_and_loads():
    linear = torch.nn.Conv2d(2, 2, 1)
    wrapped = GaussianSmoothed(torch.nn.Conv2d(2, 2, 1))
    wrapped.load_state_dict(linear.state_dict())
    assert torch.equal(wrapped.module.weight, linear.weight)
    twice = GaussianSmoothed(GaussianSmoothed(torch.nn.Conv2d(2, 2, 1)))
    twice.load_state_dict(wrapped.state_dict())
    assert torch.equal(twice.module.module.bias, linear.bias)


def test_loading_names_what_does_not_fit():
    wrapped = GaussianSmoothed(torch.nn.Conv2d(2, 2, 1))
    with pytest.raises(RuntimeError, match="bias"):
        wrapped.load_state_dict({"weight": wrapped.module.weight})
    with pytest.raises(RuntimeError, match="extra"):
        wrapped.load_state_dict(wrapped.state_dict() | {"extra": torch.zeros(1)})


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_save_and_load(encoder, feats, copied):
    smooth_blocks(encoder)
    other = copied(encoder)
    assert torch.equal(other(feats), encoder(feats))
    other.load_state_dict(encoder.state_dict())
    assert torch.equal(other(feats), encoder(feats))


@PADDINGS
@pytest.mark.parametrize("target", ["ss2d", "block"])
def test_exactly_the_asked_maps_are_smoothed(encoder, target, padding):
    plain = copy.deepcopy(encoder)
    smooth_blocks(encoder, stage=2, blocks=[1, 3], kernel_size=3, sigma=2.0, target=target, padding=padding)
    x = torch.randn(1, 16, 4, 6)
    for j in range(4):
        block, reference = encoder.layers[2].blocks[j], plain.layers[2].blocks[j]
        if j in (0, 2):
            expected = reference(x)
        elif target == "block":
            expected = gaussian_smooth(reference(x), 3, 2.0, padding)
        else:
            y = x + gaussian_smooth(reference.op(reference.norm(x)), 3, 2.0, padding)
            expected = y + reference.mlp(reference.norm2(y))
        torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize(
    "choice, message",
    [
        ({"stage": 3}, "stage=3: the encoder has stages 0 to 2"),
        ({"stage": -1}, "stage=-1"),
        ({"blocks": [4]}, "block 4: stage 2 of the encoder has blocks 0 to 3"),
        ({"blocks": [0, -1]}, "block -1"),
        ({"target": "mlp"}, "target='mlp': expected one of ss2d, block"),
        ({"blocks": [1, 1]}, "smoothed once"),
        ({"kernel_size": 4}, "kernel_size=4"),
        ({"padding": "mirror"}, "padding='mirror'"),
    ],
)
def test_what_does_not_exist_is_refused_and_nothing_changed(encoder, choice, message):
    with pytest.raises(LungSRADError, match=message):
        smooth_blocks(encoder, **choice)
    assert not any(isinstance(module, GaussianSmoothed) for module in encoder.modules())


@pytest.mark.parametrize("first, second", [("ss2d", "ss2d"), ("ss2d", "block"), ("block", "ss2d"), ("block", "block")])
def test_smoothing_twice_is_refused(encoder, first, second):
    smooth_blocks(encoder, blocks=[2], target=first)
    with pytest.raises(LungSRADError, match="already"):
        smooth_blocks(encoder, blocks=[1, 2], target=second)
