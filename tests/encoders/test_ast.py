"""AST: equal to transformers' own, in weights, outputs and attention; its axes; what it refuses."""

import json
import sys

import pytest
import torch

from lung_srad_plugin import ASTEncoder, FeatureNormalization, LungSRADError, smooth_blocks
from lung_srad_plugin.analysis.attention import attention_mixing
from lung_srad_plugin.analysis.mixing_layers import mixing_layers, run_clip
from lung_srad_plugin.encoders.pretrained import load_pretrained
from lung_srad_plugin.nn.gaussian import gaussian_smooth

transformers = pytest.importorskip("transformers")

SIZES = {"hidden_size": 32, "layers": 2, "heads": 4, "intermediate_size": 48, "grid": (5, 9)}
FRAMES, MELS = 96, 64


@pytest.fixture(scope="module")
def published():
    """transformers' classifier of a small size, with random weights in every layer."""
    torch.manual_seed(0)
    config = transformers.ASTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        num_mel_bins=MELS,
        max_length=FRAMES,
    )
    model = transformers.ASTForAudioClassification(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


@pytest.fixture(scope="module")
def folder(published, tmp_path_factory):
    """Its weights in the layout of the hub."""
    folder = tmp_path_factory.mktemp("ast")
    published.save_pretrained(folder)
    return folder


@pytest.fixture
def encoder(folder):
    encoder = ASTEncoder(**SIZES).eval()
    load_pretrained(encoder, folder, folder)
    return encoder


@pytest.fixture
def feats():
    return torch.randn(2, FRAMES, MELS, generator=torch.Generator().manual_seed(1))


def test_outputs_are_those_of_transformers(encoder, published, feats):
    with torch.no_grad():
        theirs = published.audio_spectrogram_transformer(feats)
        torch.testing.assert_close(encoder(feats).squeeze(1), theirs.pooler_output, rtol=1e-5, atol=1e-6)
        last = theirs.last_hidden_state
        last_map = encoder.model.layernorm(encoder.stages(feats)[0].flatten(2).transpose(1, 2))
        torch.testing.assert_close(last_map, last[:, 2:], rtol=1e-5, atol=1e-6)


def test_gradients_are_those_of_transformers(encoder, published, feats):
    encoder(feats).square().sum().backward()
    theirs = published.audio_spectrogram_transformer
    theirs.zero_grad()
    theirs(feats).pooler_output.square().sum().backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in encoder.model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-4, atol=1e-5)


def test_attention_weights_are_those_of_transformers(encoder, published, feats):
    before = encoder.model.config._attn_implementation
    found = encoder.attention_weights(feats)
    assert encoder.model.config._attn_implementation == before
    theirs = published.audio_spectrogram_transformer
    theirs.set_attn_implementation("eager")
    expected = theirs(feats, output_attentions=True).attentions
    for ours, one in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, one, rtol=1e-5, atol=1e-6)


def test_the_analysis_finds_its_attention(encoder, feats):
    smooth_blocks(encoder, stage=0, blocks=[1], kernel_size=3, sigma=1.0, target="block")
    layers = mixing_layers(encoder)
    assert [layer.name for layer in layers] == ["0.0", "0.1"]
    assert [layer.smoothing is None for layer in layers] == [True, False]
    weights = encoder.attention_weights(feats[:1])
    for layer, passed, expected in zip(layers, run_clip(encoder, feats[:1], layers), weights, strict=True):
        assert passed.size == (5, 9)
        assert passed.block_output.shape == (1, 2 + 45, 32)
        mixing = attention_mixing(layer.module, passed.u, rows=(0, 47), max_bytes=10**9)
        torch.testing.assert_close(mixing[:, 0], expected.mean(dim=1), rtol=1e-5, atol=1e-6)


def test_the_normalisation_is_that_of_its_feature_extractor():
    extractor = transformers.ASTFeatureExtractor()
    feats = torch.randn(3, 5)
    expected = (feats - extractor.mean) / (2 * extractor.std)
    torch.testing.assert_close(FeatureNormalization("audioset")(feats), expected)


def test_rows_are_frequencies_and_columns_times(encoder):
    feats = torch.zeros(1, FRAMES, MELS)
    plain = encoder.embed(feats)
    feats[0, :16] = 1.0  # the first patch of time, at all frequencies
    assert (encoder.embed(feats) != plain).any(dim=1)[0].nonzero()[:, 1].unique().tolist() == [0, 1]
    feats = torch.zeros(1, FRAMES, MELS)
    feats[0, :, 50:56] = 1.0  # mel bins that the highest patch alone has, at all times
    assert (encoder.embed(feats) != plain).any(dim=1)[0].nonzero()[:, 0].unique().tolist() == [4]


@pytest.mark.parametrize("axis", [0, 1])
def test_positions_are_interpolated_along_their_own_axis(encoder, axis):
    """Positions that change along one axis alone change along that one alone at another size, from end to end."""
    ramp = torch.linspace(-1, 1, SIZES["grid"][axis])
    grid = ramp[:, None].expand(5, 9) if axis == 0 else ramp[None].expand(5, 9)
    with torch.no_grad():
        encoder.model.embeddings.position_embeddings[0, 2:] = grid.reshape(-1, 1)
    found = encoder._positions((7, 4)).detach()[0, 2:].reshape(7, 4, 32)[..., 0].movedim(axis, 0)
    torch.testing.assert_close(found, found[:, :1].expand_as(found))
    assert (found.diff(dim=0) > 0).all() and found[0, 0] == pytest.approx(-float(found[-1, 0]), abs=1e-6)


def test_positions_of_their_own_size_stay_as_they_are(encoder):
    assert encoder._positions((5, 9)) is encoder.model.embeddings.position_embeddings


@pytest.mark.parametrize(("frames", "mels"), [(16, 16), (60, 64), (798, 128), (1024, 128)])
def test_map_size_is_that_of_the_map(encoder, frames, mels):
    assert encoder.map_size(frames, mels) == tuple(encoder.embed(torch.zeros(1, frames, mels)).shape[2:])


def test_the_map_of_the_last_layer_is_smoothed(encoder, feats):
    plain = encoder.stages(feats)[0]
    smooth_blocks(encoder, stage=0, blocks=[1], kernel_size=3, sigma=1.0, target="block")
    torch.testing.assert_close(encoder.stages(feats)[0], gaussian_smooth(plain, 3, 1.0))


def test_smoothing_an_early_layer_changes_what_the_special_tokens_see(encoder, feats):
    plain = encoder(feats)
    smooth_blocks(encoder, stage=0, blocks=[0], kernel_size=3, sigma=1.0, target="block")
    assert not torch.allclose(encoder(feats), plain, atol=1e-3)


# ---- what is refused ----


@pytest.mark.parametrize(
    "sizes",
    [{"layers": 0}, {"heads": 5}, {"grid": (5,)}, {"grid": (0, 9)}, {"stride": 0}],
    ids=lambda sizes: str(sizes),
)
def test_sizes_that_make_no_encoder(sizes):
    with pytest.raises(LungSRADError, match=next(iter(sizes))):
        ASTEncoder(**{**SIZES, **sizes})


def test_without_transformers_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(LungSRADError, match=r'pip install "lung-srad\[transformers\]"'):
        ASTEncoder(**SIZES)


def changed_folder(folder, tmp_path, change):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    return tmp_path


CLS = "audio_spectrogram_transformer.embeddings.cls_token"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop(CLS), "missing: embeddings.cls_token"),
        (lambda weights: weights.update({CLS: torch.zeros(1, 1, 8)}), "of another shape: embeddings.cls_token"),
        (lambda weights: weights.update({"extra": torch.zeros(1)}), "unexpected: extra"),
    ],
)
def test_incomplete_weights_are_refused_by_name_and_nothing_is_changed(folder, tmp_path, change, message):
    encoder = ASTEncoder(**SIZES)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with pytest.raises(LungSRADError, match=message):
        load_pretrained(encoder, changed_folder(folder, tmp_path, change), tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_other_sizes_are_refused_by_key(folder):
    with pytest.raises(LungSRADError, match=r"layers is 2, here 1; grid is \[5, 9\], here \[5, 8\]"):
        load_pretrained(ASTEncoder(**{**SIZES, "layers": 1, "grid": (5, 8)}), folder, folder)


def test_a_damaged_file_is_refused(folder, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(LungSRADError, match=r"model\.safetensors: not readable as weights of AST"):
        load_pretrained(ASTEncoder(**SIZES), tmp_path, tmp_path)


def test_a_folder_without_the_configuration_is_refused(folder, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(LungSRADError, match=r"has no config\.json; expected a folder with config\.json and model"):
        load_pretrained(ASTEncoder(**SIZES), tmp_path, tmp_path)


def test_a_linear_head_is_refused(folder):
    with pytest.raises(LungSRADError, match="LayerNorm"):
        ASTEncoder(**SIZES).load_published_weights(folder / "model.safetensors", head=torch.nn.Linear(32, 2))


def test_the_published_sizes_are_the_default():
    assert ASTEncoder.__init__.__defaults__ == (768, 12, 12, 3072, 16, 10, (12, 101))
    defaults = json.loads(transformers.ASTConfig().to_json_string(use_diff=False))
    assert (defaults["max_length"] - 16) // 10 + 1 == 101
    assert (defaults["num_mel_bins"] - 16) // 10 + 1 == 12
