"""Each encoder's experiment: a few steps on real cycles, then its export in the stock class, evaluation and ONNX."""

import json
import shutil

import huggingface_hub
import numpy as np
import pytest
import soundfile
import torch
from beats_file import write_beats_weights
from conftest import shared_path
from onnx_exporter import need_onnx
from real_cycles import write_real_cycles
from speechbrain.inference.classifiers import EncoderClassifier
from toy import HPARAMS

from lung_srad_plugin import LungSoundClassifier, LungSRADError
from lung_srad_plugin.analysis.spectrum_command import SpectrumOptions, spectrum
from lung_srad_plugin.evaluation.command import evaluate
from lung_srad_plugin.evaluation.options import EvaluationOptions
from lung_srad_plugin.export.export import export_run
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.runs.experiment import experiment_settings, parse_value, read_experiment
from lung_srad_plugin.runs.settings import check_settings
from lung_srad_plugin.training.recipe import train

FAST = {"number_of_epochs": 1, "warmup_epochs": 0, "batch_size": 4, "optimizer_step_limit": 2}
AST = {
    **{"hidden_size": 16, "layers": 2, "heads": 2, "intermediate_size": 32, "grid": "[12, 20]", "duration": 2.0},
}
EXPERIMENTS = {
    "cnn": {"channels": "[4, 6, 8]", "gaussian_blocks": "[0]", "alpha_time": 1.0},
    "sprsound_cnn": {"channels": "[4, 6, 8]"},
    "ast": {**AST, "gaussian_blocks": "[1]"},
    "ast_patch_mix": AST,
    "beats": {
        **{"embed_dim": 8, "hidden_size": 16, "layers": 2, "heads": 2, "intermediate_size": 32, "position_groups": 2},
        **{"alpha_time": 1.0, "duration": 2.0},
    },
    "lung_srad_v3": {"depths": "[1, 1, 4, 1]", "dims": "[16, 32, 64, 128]", "frames": 64, "duration": 2.0},
}
CLASSES = {
    **{"cnn": "CNNEncoder", "sprsound_cnn": "CNNEncoder", "ast": "ASTEncoder", "ast_patch_mix": "ASTEncoder"},
    **{"beats": "BEATsEncoder", "lung_srad_v3": "DASSEncoder"},
}


def write_ast(folder):
    """Write a folder as the hub has it, of the size of ``AST``."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ASTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_length=206
    )
    transformers.ASTForAudioClassification(config).save_pretrained(folder / "weights")
    return folder / "weights"


def write_dass(folder):
    """Write a folder with the file that DASS v3 has on the hub, of a small size."""
    golden = shared_path("golden", "hub_layout_11.safetensors")
    (folder / "weights").mkdir()
    shutil.copyfile(golden, folder / "weights" / "model.safetensors")
    return folder / "weights"


def write_beats(folder):
    """Write a file as the release has it, of a small size."""
    return write_beats_weights(folder / "beats.pt")


WEIGHTS = {"ast": write_ast, "ast_patch_mix": write_ast, "beats": write_beats, "lung_srad_v3": write_dass}


def arguments(name, data, manifests, output, **changes):
    """Return the arguments of a run of a few steps of ``name``.yaml, with an encoder of small random weights."""
    settings = {
        **{"data_folder": data, "output_folder": output, "feature_folder": "null", "skip_prep": True},
        **{f"{part}_csv": manifests / f"{part}.csv" for part in ("train", "valid", "test")},
        **{**FAST, **EXPERIMENTS[name], **changes},
    }
    pairs = [argument for key, value in settings.items() for argument in (f"--{key}", str(value))]
    return [str(HPARAMS / f"{name}.yaml"), *pairs]


@pytest.fixture(scope="module")
def data(icbhi_folder, tmp_path_factory):
    """The folder of recordings, and that of the manifests."""
    manifests = tmp_path_factory.mktemp("manifests")
    return write_real_cycles(icbhi_folder, manifests), manifests


@pytest.fixture(scope="module", params=EXPERIMENTS)
def run(request, data, tmp_path_factory):
    """The name of an experiment and the output folder of its run of two steps, from weights of a file or a folder."""
    folder = tmp_path_factory.mktemp(request.param)
    changes = {}
    if request.param in WEIGHTS:
        changes["pretrained"] = WEIGHTS[request.param](folder)
    train(arguments(request.param, *data, folder / "output", **changes))
    return request.param, folder / "output"


def test_two_steps_were_taken_and_the_export_names_the_encoder(run):
    name, output = run
    results = json.loads((output / "results.json").read_text(encoding="utf-8"))
    assert results["experiment"] == name
    assert results["selected"]["last"]["cycles"] == 4
    assert results["history"][-1]["train"]["loss"] > 0
    assert f"!new:lung_srad_plugin.{CLASSES[name]}\n" in (output / "export" / "hyperparams.yaml").read_text()


def test_the_stock_class_gives_the_same_probabilities(run):
    _, output = run
    clips = 0.1 * torch.randn(2, 40000, generator=torch.Generator().manual_seed(0))
    stock = EncoderClassifier.from_hparams(source=str(output / "export"), run_opts={"device": "cpu"})
    ours = LungSoundClassifier.from_hparams(source=output / "export", run_opts={"device": "cpu"})
    torch.testing.assert_close(stock.classify_batch(clips)[0], ours.classify_batch(clips)[0], atol=1e-5, rtol=0)


def test_a_recording_is_classified_and_the_model_evaluated(run, data, tmp_path):
    _, output = run
    samples = np.random.default_rng(0).uniform(-0.2, 0.2, 60000)
    soundfile.write(tmp_path / "bed.wav", samples, 8000)
    classifier = LungSoundClassifier.from_hparams(source=output / "export", run_opts={"device": "cpu"})
    assert sum(classifier.classify_file(tmp_path / "bed.wav", hop=1.0).summary.probabilities.values()) == pytest.approx(
        1
    )
    recordings, manifests = data
    options = EvaluationOptions(
        manifest=manifests / "test.csv", data_root=recordings, bootstrap=Bootstrap(resamples=20)
    )
    report = evaluate(output / "export", tmp_path / "report", options)
    assert report["evaluation"]["cycles"] == 4


def test_it_is_written_as_onnx(run, tmp_path):
    if run[0] not in ("cnn", "ast", "beats"):
        pytest.skip("another experiment has this encoder, or DASS's own tests export it")
    need_onnx()
    # Which compares it with torch in onnxruntime.
    assert (export_run(run[1], tmp_path / "model", onnx=True) / "model.onnx").stat().st_size > 10_000


def test_spectra_are_those_of_attention_or_refused(run, data, tmp_path):
    name, output = run
    recordings, manifests = data
    options = SpectrumOptions(data_root=recordings, cycles=1)
    if name == "ast":
        spectra = spectrum(output / "export", manifests / "test.csv", tmp_path / "spectra", options)
        assert [(block.stage, block.block) for block in spectra[0].blocks] == [(0, 0), (0, 1)]
        assert (tmp_path / "spectra" / "stages.png").is_file()
    elif name in ("cnn", "beats"):
        with pytest.raises(LungSRADError, match="none of its blocks has an SS2D or attention layer"):
            spectrum(output / "export", manifests / "test.csv", tmp_path / "spectra", options)
    else:
        pytest.skip("another experiment has this encoder")


def test_weights_that_are_absent_are_told_before_features_are_computed(data, tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    given = arguments("ast", *data, tmp_path / "output", feature_folder=tmp_path / "features")
    with pytest.raises(
        LungSRADError, match=r"download config\.json and model\.safetensors of https://huggingface.co/MIT"
    ):
        train(given)
    assert not (tmp_path / "features").exists()


@pytest.mark.parametrize(("name", "value"), [("heads", "three"), ("layers", 0), ("grid", "[12]")])
def test_sizes_of_an_encoder_are_refused_by_key(tmp_path, name, value):
    path = HPARAMS / "ast.yaml"
    settings = experiment_settings(*read_experiment(path, {"data_folder": "x", name: parse_value(str(value), name)}))
    with pytest.raises(LungSRADError, match=rf"1 setting is wrong:\n  {name}: "):
        check_settings(settings, path)


def test_settings_of_the_replaced_encoder_are_refused(tmp_path):
    with pytest.raises(LungSRADError, match="command line: depths, dims would change nothing"):
        read_experiment(HPARAMS / "cnn.yaml", {"depths": [1], "dims": [8]})


def test_a_key_that_a_file_adds_without_a_reference_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text(f"base: {HPARAMS / 'cnn.yaml'}\nchanels: [8, 8]\n", encoding="utf-8")
    with pytest.raises(LungSRADError, match=r"mine\.yaml: .*no key chanels \(did you mean channels\?\)"):
        read_experiment(tmp_path / "mine.yaml")
