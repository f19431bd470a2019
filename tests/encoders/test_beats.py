"""BEATs: equal to SpeechBrain's lobe, which reads the same file; its constants; what it refuses."""

import pytest
import torch
from beats_file import SIZES, write_beats_weights
from speechbrain.lobes.models.beats import BEATs

from lung_srad_plugin import BEATsEncoder, CycleFeatures, FeatureNormalization, LungSRADError, smooth_blocks
from lung_srad_plugin.encoders.pretrained import load_pretrained


@pytest.fixture
def path(tmp_path):
    return write_beats_weights(tmp_path / "beats.pt")


def test_outputs_are_those_of_the_lobe(path):
    lobe, encoder = BEATs(str(path)), BEATsEncoder(**SIZES).eval()
    load_pretrained(encoder, path, path.parent)
    clips = 0.1 * torch.randn(2, 16000)
    expected = lobe(clips, torch.ones(2))[0]
    with torch.no_grad():
        feats = lobe.preprocess(clips)
        torch.testing.assert_close(encoder(feats).squeeze(1), expected.mean(dim=1), rtol=1e-5, atol=1e-6)
        tokens = encoder.stages(feats)[0].permute(0, 3, 2, 1).flatten(1, 2)
        torch.testing.assert_close(tokens, expected, rtol=1e-5, atol=1e-6)


def test_gradients_are_those_of_the_lobe(path):
    lobe, encoder = BEATs(str(path), freeze=False), BEATsEncoder(**SIZES)
    lobe.encoder.layerdrop = 0.0
    load_pretrained(encoder, path, path.parent)
    clips = 0.1 * torch.randn(2, 16000)
    lobe(clips, torch.ones(2))[0].mean(dim=1).square().sum().backward()
    encoder(lobe.preprocess(clips)).square().sum().backward()
    expected = dict(lobe.named_parameters())
    for name, parameter in encoder.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-4, atol=1e-6)


def test_the_constants_are_those_of_the_lobe_but_for_the_window():
    clips = 0.1 * torch.randn(2, 16000, generator=torch.Generator().manual_seed(0))
    expected = BEATs.preprocess(None, clips)
    features = CycleFeatures(level="int16", frames=None)
    found = FeatureNormalization("beats")(features.fbank(clips * 2**15))
    assert found.shape == expected.shape
    # Log-mel values differ by 0.09 on average, which is 0.007 after division by twice 6.55582.
    assert (found - expected).abs().mean() < 0.01
    recording = features.prepare(torch.ones(16000))
    assert recording.max() == 2**15


def test_rows_are_frequencies_and_columns_times():
    encoder = BEATsEncoder(**SIZES)
    feats = torch.zeros(1, 80, 48)
    plain = encoder.embed(feats)
    feats[0, 16:32] = 1.0
    assert (encoder.embed(feats) != plain).any(dim=1)[0].nonzero()[:, 1].unique().tolist() == [1]
    assert plain.shape[2:] == encoder.map_size(80, 48) == (3, 5)


def test_there_is_nothing_to_smooth():
    encoder = BEATsEncoder(**SIZES)
    assert smooth_blocks(encoder, blocks=[]) is encoder
    with pytest.raises(LungSRADError, match="no maps to smooth"):
        smooth_blocks(encoder, stage=0, blocks=[0], target="block")


def test_a_fine_tuned_file_fills_the_head_too(tmp_path):
    def add_head(weights):
        weights.update({"predictor.weight": torch.randn(3, 16), "predictor.bias": torch.randn(3)})

    path, head = write_beats_weights(tmp_path / "beats.pt", add_head, finetuned_model=True), torch.nn.Linear(16, 3)
    BEATsEncoder(**SIZES).load_published_weights(path)
    BEATsEncoder(**SIZES).load_published_weights(path, head)
    assert torch.equal(head.bias, torch.load(path)["model"]["predictor.bias"])


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        (None, {"encoder_layers": 3}, "encoder_layers is 3, here 2"),
        (None, {"deep_norm": False}, "deep_norm is False, here True"),
        (lambda weights: weights.pop("layer_norm.bias"), {}, "missing: layer_norm.bias"),
        (lambda weights: weights.update(extra=torch.zeros(1)), {}, "unexpected: extra"),
        (lambda weights: weights.update({"layer_norm.bias": torch.zeros(1)}), {}, "of another shape: layer_norm.bias"),
    ],
)
def test_weights_that_do_not_fit(tmp_path, change, config, message):
    with pytest.raises(LungSRADError, match=message):
        load_pretrained(BEATsEncoder(**SIZES), write_beats_weights(tmp_path / "beats.pt", change, **config), tmp_path)


def test_files_that_are_none(tmp_path):
    with pytest.raises(LungSRADError, match=r"get BEATs_iter3_plus_AS2M\.pt from https"):
        load_pretrained(BEATsEncoder(**SIZES), tmp_path / "beats.pt", tmp_path)
    (tmp_path / "beats.pt").write_bytes(b"nothing")
    with pytest.raises(LungSRADError, match="no torch file with cfg and model"):
        load_pretrained(BEATsEncoder(**SIZES), tmp_path / "beats.pt", tmp_path)


@pytest.mark.parametrize("sizes", [{"heads": 3}, {"position_groups": 5}, {"layers": 0}, {"gradient_decay": 0.0}])
def test_sizes_that_make_no_encoder(sizes):
    with pytest.raises(LungSRADError, match="expected"):
        BEATsEncoder(**{**SIZES, **sizes})


def test_gradients_are_scaled_in_training_only():
    encoder, feats = BEATsEncoder(**SIZES), torch.randn(1, 48, 32)
    norms = []
    for mode in (True, False, True):
        x = feats.clone().requires_grad_()
        encoder.train(mode)(x).sum().backward()
        norms.append(x.grad.norm().item())
    layers, decay = SIZES["layers"], encoder.gradient_decay
    assert norms[0] == norms[2] == pytest.approx(norms[1] * decay**layers, rel=1e-4)
