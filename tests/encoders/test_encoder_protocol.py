"""What the rest of the package may ask of an encoder, asked of DASS and of a convolutional one."""

import inspect

import pytest
import torch
from conv_encoder import ConvEncoder
from onnx_exporter import need_onnx

from lung_srad_plugin import (
    ASTEncoder,
    BEATsEncoder,
    CNNEncoder,
    CycleFeatures,
    DASSEncoder,
    LungSoundModel,
    LungSRADError,
    apply_patch_mix,
    draw_patch_mix,
)
from lung_srad_plugin.audio.normalization import AudioSetNormalization
from lung_srad_plugin.encoders.base import ActivationMap, Encoder
from lung_srad_plugin.encoders.dass.ss2d import SS2D
from lung_srad_plugin.encoders.pretrained import load_pretrained
from lung_srad_plugin.export.onnx import write_onnx
from lung_srad_plugin.nn.gaussian import GaussianSmoothed, gaussian_smooth, smooth_blocks
from lung_srad_plugin.nn.heads import LogClassifier

METHODS = [name for name, value in vars(Encoder).items() if inspect.isfunction(value) and not name.startswith("_")]


def dass():
    return DASSEncoder([1, 2], [8, 16], drop_path_rate=0.1)


def cnn():
    return CNNEncoder([4, 6, 8])


def ast():
    pytest.importorskip("transformers")
    return ASTEncoder(hidden_size=16, layers=2, heads=2, intermediate_size=16, grid=(2, 3))


def beats():
    return BEATsEncoder(8, hidden_size=16, layers=2, heads=2, intermediate_size=16, position_groups=2)


@pytest.fixture(params=[dass, ConvEncoder, cnn, ast, beats])
def encoder(request):
    torch.manual_seed(0)
    return request.param().eval()


@pytest.fixture
def feats():
    return torch.randn(2, 48, 32, generator=torch.Generator().manual_seed(1))


def test_the_protocol_asks_for_these_methods():
    maps = {"embed", "encode", "forward", "map_size", "stages", "activation_maps", "map_module", "wrap_map"}
    assert set(METHODS) == maps | {"configuration", "load_published_weights", "onnx_export"}


def test_encoders_have_the_methods_of_the_protocol(encoder):
    assert isinstance(encoder, Encoder)
    for name in METHODS:
        theirs = list(inspect.signature(getattr(type(encoder), name)).parameters)
        assert theirs == list(inspect.signature(getattr(Encoder, name)).parameters), name


@pytest.mark.parametrize("missing", METHODS)
def test_an_encoder_that_lacks_a_method_is_none(missing):
    methods = {name: None for name in METHODS if name != missing}
    lacking = type("Lacking", (), {"embedding_dim": 8, "published_weights": "", **methods})
    assert not isinstance(lacking(), Encoder)


def test_outputs_have_the_shapes_of_the_protocol(encoder, feats):
    embedding_map = encoder.embed(feats)
    assert embedding_map.dim() == 4
    assert encoder.encode(embedding_map).shape == (2, encoder.embedding_dim)
    assert encoder(feats, torch.ones(2)).shape == (2, 1, encoder.embedding_dim)
    assert all(x.dim() == 4 and len(x) == 2 for x in encoder.stages(feats))


@pytest.mark.parametrize(("frames", "mels"), [(4, 4), (5, 7), (64, 32), (798, 128), (1024, 128), (1025, 130), (11, 6)])
def test_map_size_of_dass_is_that_of_its_map(frames, mels):
    encoder = DASSEncoder([1], [8])
    assert encoder.map_size(frames, mels) == tuple(encoder.embed(torch.zeros(1, frames, mels)).shape[-2:])


def test_map_size_needs_no_computation():
    with torch.device("meta"):
        assert DASSEncoder.medium().map_size(frames=1024, mels=128) == (32, 256)


def test_maps_of_dass_are_two_for_each_block():
    assert dass().activation_maps() == [
        (0, 0, "ss2d"), (0, 0, "block"),
        (1, 0, "ss2d"), (1, 0, "block"), (1, 1, "ss2d"), (1, 1, "block"),
    ]  # fmt: skip


def test_every_map_can_be_smoothed(encoder, feats):
    for activation_map in encoder.activation_maps():
        shapes = []
        encoder.wrap_map(activation_map, lambda module: GaussianSmoothed(module, 3, 1.0))
        module = encoder.map_module(activation_map)
        assert isinstance(module, GaussianSmoothed)
        module.register_forward_hook(lambda *call, shapes=shapes: shapes.append(call[-1].shape))
        encoder(feats)
        assert [len(shape) for shape in shapes] == [4], activation_map


def test_a_block_of_dass_is_found_below_its_wrapper():
    encoder = dass()
    scan = encoder.map_module(ActivationMap(1, 1, "ss2d"))
    encoder.wrap_map(ActivationMap(1, 1, "block"), GaussianSmoothed)
    encoder.wrap_map(ActivationMap(1, 1, "block"), GaussianSmoothed)
    assert encoder.map_module(ActivationMap(1, 1, "ss2d")) is scan
    encoder.wrap_map(ActivationMap(1, 1, "ss2d"), GaussianSmoothed)
    assert encoder.map_module(ActivationMap(1, 1, "ss2d")).module is scan


@pytest.mark.parametrize("absent", [(2, 0, "block"), (0, 5, "block"), (-1, 0, "block"), (0, 0, "mlp")])
def test_a_map_that_is_not_there_is_refused(encoder, absent):
    with pytest.raises(LungSRADError, match=absent[2]):
        encoder.map_module(ActivationMap(*absent))
    with pytest.raises(LungSRADError, match=absent[2]):
        encoder.wrap_map(ActivationMap(*absent), GaussianSmoothed)


def test_another_encoder_is_smoothed_by_the_same_call(feats):
    torch.manual_seed(0)
    encoder = ConvEncoder().eval()
    x = encoder.embed(feats)
    expected = gaussian_smooth(encoder.blocks[1](encoder.blocks[0](x).relu()), 3, 1.0).relu().mean(dim=(2, 3))
    smooth_blocks(encoder, stage=0, blocks=[1], kernel_size=3, sigma=1.0, target="block")
    torch.testing.assert_close(encoder.encode(x), expected)
    for choice in ({"target": "ss2d"}, {"stage": 1, "target": "block"}, {"blocks": [2], "stage": 0, "target": "block"}):
        with pytest.raises(LungSRADError, match=r"expected one of block|stages 0 to 0|blocks 0 to 1"):
            smooth_blocks(encoder, **choice)


def test_configuration_makes_the_same_encoder(encoder, feats):
    again = type(encoder)(**encoder.configuration()).eval()
    again.load_state_dict(encoder.state_dict())
    assert again.configuration() == encoder.configuration()
    assert torch.equal(again(feats), encoder(feats))


def test_configuration_is_a_copy_without_what_one_machine_needs():
    encoder = DASSEncoder([1, 2], [8, 16], 0.1, scan_backend="reference", gradient_checkpointing=True)
    encoder.configuration()["depths"].append(5)
    assert encoder.configuration() == {"depths": [1, 2], "dims": [8, 16], "drop_path_rate": 0.1, "norm": "layer"}


def test_starting_weights_are_loaded_by_the_encoder(tmp_path, feats):
    source, encoder = ConvEncoder(), ConvEncoder()
    with pytest.raises(LungSRADError, match=r"get conv\.pth, which this test wrote"):
        load_pretrained(encoder, tmp_path / "conv.pth", tmp_path)
    torch.save(source.state_dict(), tmp_path / "conv.pth")
    load_pretrained(encoder, tmp_path / "conv.pth", tmp_path)
    assert torch.equal(encoder(feats), source(feats))


def test_any_encoder_is_mixed_between_embed_and_encode(encoder, feats):
    size = encoder.map_size(*feats.shape[1:])
    plan = draw_patch_mix(len(feats), size, "time", generator=torch.Generator().manual_seed(0))
    assert encoder.encode(apply_patch_mix(encoder.embed(feats), plan)).shape == (2, encoder.embedding_dim)
    assert LungSoundModel(encoder, LogClassifier(encoder.embedding_dim, 4))(feats).log_probs.shape == (2, 4)


def test_the_scan_of_dass_is_named_through_the_encoder(feats):
    torch.manual_seed(0)
    encoder = dass().eval()
    expected = encoder(feats)
    encoder.scan_backend = "reference"
    layers = [module for module in encoder.modules() if isinstance(module, SS2D)]
    assert [layer.scan_backend for layer in layers] == ["reference"] * 3
    assert encoder.scan_backend == "reference"
    torch.testing.assert_close(encoder(feats), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", [None, "reference"])
def test_export_of_dass_names_another_scan_and_returns_to_the_first(feats, backend):
    torch.manual_seed(0)
    encoder = smooth_blocks(DASSEncoder([1, 2], [8, 16], scan_backend=backend), stage=1, blocks=[1]).eval()
    expected = encoder(feats)
    with pytest.raises(KeyError), encoder.onnx_export():
        assert encoder.scan_backend == "onnx"
        torch.testing.assert_close(encoder(feats), expected, rtol=1e-4, atol=1e-5)
        raise KeyError
    assert encoder.scan_backend == backend


def test_another_encoder_is_exported_by_the_same_call(tmp_path):
    onnxruntime = need_onnx()
    torch.manual_seed(0)
    encoder = smooth_blocks(ConvEncoder(), stage=0, blocks=[0], kernel_size=3, sigma=1.0, target="block").eval()
    features, normalize, head = CycleFeatures(duration=1.0, frames=64), AudioSetNormalization(), LogClassifier(8, 4)
    modules = {
        "compute_features": features, "mean_var_norm": normalize, "embedding_model": encoder, "classifier": head,
    }  # fmt: skip
    write_onnx(modules, tmp_path / "conv.onnx")
    clips = 0.1 * torch.randn(3, 20000)
    expected = head(encoder(normalize(features(clips)))).squeeze(1)
    session = onnxruntime.InferenceSession(tmp_path / "conv.onnx", providers=["CPUExecutionProvider"])
    found = torch.from_numpy(session.run(None, {"waveforms": clips.numpy()})[0])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
