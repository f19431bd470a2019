"""DASS against the public reference implementation, and its shapes, memory layout and precision."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch

from lung_srad_plugin.encoders.dass import block
from lung_srad_plugin.encoders.dass.block import MLP, Block, ChannelNorm, DropPath
from lung_srad_plugin.encoders.dass.encoder import DASSEncoder
from lung_srad_plugin.encoders.dass.ss2d import SS2D
from lung_srad_plugin.errors import LungSRADError


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return DASSEncoder(depths=[1, 2], dims=[16, 32]).eval()


@pytest.fixture
def feats():
    return torch.randn(2, 48, 32, generator=torch.Generator().manual_seed(1))


def is_channels_last(x):
    return x.is_contiguous(memory_format=torch.channels_last)


def assert_close(ours, theirs, relative):
    error = (ours - torch.as_tensor(theirs)).abs().max() / np.abs(theirs).max()
    assert error < relative


@pytest.fixture(scope="module", params=["dass_tiny.npz", "dass_tiny_odd.npz"])
def reference(request, golden):
    """Return the arrays of the reference, and ours under the same names, computed with the same weights."""
    theirs = np.load(golden / request.param)
    meta = json.loads(str(theirs["meta"]))
    encoder = DASSEncoder(meta["depths"], meta["dims"]).eval()
    head = torch.nn.Linear(encoder.embedding_dim, meta["num_classes"])
    weights = {name.removeprefix("w/"): torch.from_numpy(theirs[name]) for name in theirs if name.startswith("w/")}
    head.load_state_dict({name: weights.pop(f"classifier.head.{name}") for name in ("weight", "bias")})
    encoder.load_state_dict({name.removeprefix("classifier."): value for name, value in weights.items()})

    ours = {}
    for j, layer in enumerate(encoder.layers[2].blocks):
        layer.register_forward_hook(lambda *call, j=j: ours.__setitem__(f"stage2_block{j}", call[-1]))
    feats = torch.from_numpy(theirs["input"])[:, 0].mT.requires_grad_()
    ours |= {f"stage{i}": x for i, x in enumerate(encoder.stages(feats))}
    ours["pooled"] = encoder(feats)[:, 0]
    ours["logits"] = head(ours["pooled"])
    (ours["logits"].square().sum() + ours["logits"].sum()).backward()
    ours["grad_input"] = feats.grad.mT[:, None]
    ours |= {f"grad.{name}": parameter.grad for name, parameter in encoder.named_parameters()}
    return {name.removeprefix("out/"): theirs[name] for name in theirs if name.startswith("out/")}, ours


def test_outputs_equal_the_reference(reference):
    theirs, ours = reference
    outputs = [name for name in theirs if not name.startswith("grad")]
    assert len(outputs) == 10
    for name in outputs:
        assert ours[name].shape == theirs[name].shape
        assert_close(ours[name].detach(), theirs[name], relative=1e-4)


def test_gradients_equal_the_reference(reference):
    theirs, ours = reference
    gradients = [name for name in theirs if name.startswith("grad")]
    assert len(gradients) == 7
    for name in gradients:
        assert_close(ours[name], theirs[name], relative=1e-3)


@pytest.mark.parametrize("size, millions", [("small", 30), ("medium", 48)])
def test_names_and_shapes_are_the_released_ones(golden, size, millions):
    released = json.loads((golden / "released_checkpoint_keys.json").read_text())[size]
    with torch.device("meta"):
        encoder = getattr(DASSEncoder, size)()
    ours = {
        f"module.v.classifier.{name}" if name.startswith("norm.") else f"module.v.{name}": list(value.shape)
        for name, value in encoder.state_dict().items()
    }
    ours |= {"module.v.classifier.head.weight": [527, 768], "module.v.classifier.head.bias": [527]}
    assert ours == released
    assert round(sum(parameter.numel() for parameter in encoder.parameters()) / 1e6) in (millions - 1, millions)


def test_shapes(encoder):
    feats = torch.randn(3, 50, 37)
    assert encoder.embed(feats).shape == (3, 16, 10, 13)
    assert [tuple(x.shape) for x in encoder.stages(feats)] == [(3, 32, 5, 7), (3, 32, 5, 7)]
    assert encoder.encode(encoder.embed(feats)).shape == (3, 32)
    assert encoder(feats, torch.ones(3)).shape == (3, 1, encoder.embedding_dim)


def test_axes_are_frequency_then_time(encoder):
    """Late frames are in the right columns of the map, high mels in the lower rows."""
    feats = torch.zeros(1, 64, 32)
    late, high = feats.clone(), feats.clone()
    late[:, 40:] = 1
    high[:, :, 20:] = 1
    silence = encoder.embed(feats)
    assert torch.equal(encoder.embed(late)[..., :9], silence[..., :9])
    assert not torch.allclose(encoder.embed(late)[..., 11:], silence[..., 11:])
    assert torch.equal(encoder.embed(high)[:, :, :4], silence[:, :, :4])
    assert not torch.allclose(encoder.embed(high)[:, :, 6:], silence[:, :, 6:])


def test_pooling_is_the_mean_over_all_positions(encoder, feats):
    last = encoder.stages(feats)[-1]
    normed = torch.nn.functional.layer_norm(last.permute(0, 2, 3, 1), (32,))
    torch.testing.assert_close(encoder(feats)[:, 0], normed.mean((1, 2)), rtol=1e-5, atol=1e-6)


def test_clips_are_independent(encoder, feats):
    torch.testing.assert_close(encoder(feats)[1:], encoder(feats[1:]), rtol=1e-5, atol=1e-6)


def test_maps_stay_channels_last(encoder, feats):
    maps = []
    for module in encoder.modules():
        if isinstance(module, SS2D | Block | ChannelNorm | torch.nn.Conv2d):
            module.register_forward_hook(lambda module, inputs, output: maps.extend([inputs[0], output]))
    encoder(feats)
    assert len(maps) == 2 * (4 + 3 * 5 + 2 + 1)  # patch embedding, three blocks, downsampling, norm
    assert all(is_channels_last(x) for x in maps)


def test_any_memory_layout_is_accepted(encoder, feats):
    x = encoder.embed(feats)
    torch.testing.assert_close(encoder.encode(x.contiguous()), encoder.encode(x), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(encoder(feats.mT.contiguous().mT), encoder(feats))


@pytest.mark.parametrize("hidden_bytes", [1, 5 * 64 * 4, 2**30])
def test_mlp_in_parts_equals_the_whole(monkeypatch, hidden_bytes):
    monkeypatch.setattr(block, "_HIDDEN_BYTES", hidden_bytes)
    torch.manual_seed(0)
    mlp, x = MLP(16, hidden=64), torch.randn(2, 16, 3, 7).to(memory_format=torch.channels_last)
    whole = mlp(x)
    with torch.no_grad():
        parts = mlp(x)
    assert is_channels_last(parts)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("d_state", [1, 3])
def test_ss2d_equals_its_definition(d_state):
    """The layer against steps written one position and one direction at a time."""
    torch.manual_seed(0)
    layer = SS2D(16, d_state=d_state)
    x = torch.randn(1, 16, 3, 4)
    u = torch.nn.functional.silu(layer.conv2d(layer.in_proj(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)))[0]
    rows = [(i, j) for i in range(3) for j in range(4)]
    columns = [(i, j) for j in range(4) for i in range(3)]
    merged = torch.zeros(3, 4, 16)
    for k, order in enumerate([rows, columns, rows[::-1], columns[::-1]]):
        A = -layer.A_logs.view(4, 16, d_state)[k].exp()
        h = torch.zeros(16, d_state)
        for i, j in order:
            dt, B, C = (layer.x_proj_weight[k] @ u[:, i, j]).split([1, d_state, d_state])
            delta = torch.nn.functional.softplus(layer.dt_projs_weight[k] @ dt + layer.dt_projs_bias[k])
            h = torch.exp(delta[:, None] * A) * h + (delta * u[:, i, j])[:, None] * B
            merged[i, j] += h @ C + layer.Ds.view(4, 16)[k] * u[:, i, j]
    expected = layer.out_proj(layer.out_norm(merged)).permute(2, 0, 1)[None]
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-6)


def test_scan_starts_as_in_mamba():
    torch.manual_seed(0)
    layer = SS2D(64, d_state=2)
    step = torch.nn.functional.softplus(layer.dt_projs_bias)
    assert 1e-3 * 0.999 <= step.min() < 2e-3
    assert 5e-2 < step.max() <= 1e-1 * 1.001
    assert abs(step.log().mean() - np.log(1e-2)) < 0.3  # log-uniform: centred on the geometric mean
    torch.testing.assert_close(-layer.A_logs.exp(), torch.tensor([[-1.0, -2.0]]).expand(256, 2))
    assert torch.equal(layer.Ds, torch.ones(256))


def test_linear_layers_start_at_a_scale_that_follows_their_width():
    torch.manual_seed(0)
    encoder = DASSEncoder([1], [64])
    for module in encoder.modules():
        if isinstance(module, torch.nn.Linear):
            assert module.weight.detach().std() == pytest.approx((2 / sum(module.weight.shape)) ** 0.5, rel=0.05)
            assert module.bias is None or not module.bias.any()


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    out = DropPath(0.3)(torch.ones(20000, 2, 1, 2))
    per_sample = out.flatten(1)
    assert torch.equal(per_sample, per_sample[:, :1].expand(-1, 4))
    assert set(per_sample[:, 0].tolist()) == {0.0, np.float32(1 / 0.7)}
    assert abs((per_sample[:, 0] == 0).float().mean() - 0.3) < 0.01
    assert abs(out.mean() - 1) < 0.02


def test_drop_path_is_off_in_evaluation(encoder, feats):
    dropping = DASSEncoder([1, 2], [16, 32], drop_path_rate=0.9)
    dropping.load_state_dict(encoder.state_dict())
    assert torch.equal(dropping.eval()(feats), encoder(feats))
    torch.manual_seed(0)
    assert not torch.allclose(dropping.train()(feats), encoder(feats))


def test_drop_path_rises_linearly():
    with torch.device("meta"):
        medium = DASSEncoder.medium()
        small = DASSEncoder.small()
    rates = [one.drop_path.rate for layer in medium.layers for one in layer.blocks]
    np.testing.assert_allclose(rates, np.arange(26) / 25 * 0.3, rtol=1e-5)
    assert small.layers[-1].blocks[-1].drop_path.rate == pytest.approx(0.2)


def test_every_parameter_gets_a_gradient(encoder, feats):
    encoder(feats).square().sum().backward()
    without = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_gradient_checkpointing_changes_nothing(feats):
    plain = DASSEncoder([1, 2], [16, 32], drop_path_rate=0.3)
    recomputed = DASSEncoder([1, 2], [16, 32], drop_path_rate=0.3, gradient_checkpointing=True)
    recomputed.load_state_dict(plain.state_dict())
    outputs = []
    for encoder in (plain, recomputed):
        torch.manual_seed(3)
        outputs.append(encoder(feats))
        outputs[-1].square().sum().backward()
    assert torch.equal(*outputs)
    for ours, theirs in zip(recomputed.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)


def test_bf16_autocast_is_close(encoder, feats):
    exact = encoder(feats)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = encoder(feats)
    rounded.float().sum().backward()
    assert (rounded - exact).abs().max() < 0.03 * exact.abs().max()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in encoder.parameters())


def test_bf16_weights_are_close(encoder, feats):
    exact = encoder(feats)
    rounded = copy.deepcopy(encoder).bfloat16()(feats.bfloat16())
    assert rounded.dtype == torch.bfloat16
    assert (rounded - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_compute_the_same(encoder, feats, copied):
    assert torch.equal(copied(encoder)(feats), encoder(feats))


def test_backends_agree(encoder, feats):
    reference = DASSEncoder([1, 2], [16, 32], scan_backend="reference").eval()
    reference.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(encoder(feats), reference(feats), rtol=1e-4, atol=1e-5)


def test_unknown_backend_is_refused(feats):
    with pytest.raises(LungSRADError, match="fastest"):
        DASSEncoder([1], [16], scan_backend="fastest")(feats)


@pytest.mark.parametrize(
    "sizes, message",
    [
        ({"depths": [1, 1], "dims": [16]}, "one depth and one width for each stage"),
        ({"depths": [], "dims": []}, "one depth and one width for each stage"),
        ({"depths": [0], "dims": [16]}, "at least 1"),
        ({"depths": [1], "dims": [15]}, "even"),
        ({"depths": [1], "dims": [16], "drop_path_rate": 1.0}, "drop_path_rate=1.0"),
        ({"depths": [1], "dims": [16], "drop_path_rate": -0.1}, "drop_path_rate=-0.1"),
    ],
)
def test_impossible_sizes_are_refused(sizes, message):
    with pytest.raises(LungSRADError, match=message):
        DASSEncoder(**sizes)


@pytest.mark.parametrize("shape", [(16, 16), (1, 1, 16, 16), (1, 3, 16), (1, 16, 3)])
def test_features_of_another_shape_are_refused(encoder, shape):
    with pytest.raises(LungSRADError, match="expected \\(batch, frames, mels\\)"):
        encoder(torch.zeros(shape))


def test_smallest_features(encoder):
    assert encoder(torch.randn(1, 4, 4)).isfinite().all()


def test_batch_norm_replaces_every_norm_between_layers():
    encoder = DASSEncoder([1, 1], [8, 16], norm="batch").eval()
    kinds = [type(module) for module in encoder.modules()]
    assert kinds.count(torch.nn.BatchNorm2d) == 2 + 2 * 2 + 1 + 1  # patch embedding, blocks, downsampling, last
    feats = torch.randn(3, 64, 32)
    torch.testing.assert_close(encoder(feats)[:1], encoder(feats[:1]))
    encoder.train()
    before = encoder.norm.running_mean.clone()
    encoder(feats).sum().backward()
    assert not torch.equal(encoder.norm.running_mean, before)
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_batch_norm_with_gradient_checkpointing_is_refused():
    with pytest.raises(LungSRADError, match="norm='batch' with gradient_checkpointing"):
        DASSEncoder([1], [8], norm="batch", gradient_checkpointing=True)


def test_unknown_norm_is_refused():
    with pytest.raises(LungSRADError, match="norm='group': expected one of layer, batch"):
        DASSEncoder([1], [8], norm="group")
