"""Runs whose settings version 0.1 saved: trained further, evaluated, and exported with the front end they had."""

from pathlib import Path

import pytest
import torch
from speechbrain.inference.classifiers import EncoderClassifier
from toy import write_toy_data

from lung_srad_plugin import CycleFeatures, KaldiFbank, read_cycle
from lung_srad_plugin.runs.experiment import load_experiment, read_experiment
from lung_srad_plugin.training.recipe import train

SAVED = Path(__file__).with_name("run_of_version_0_1.yaml")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of these settings after the first of its two epochs, as a kill leaves it."""
    data, folder = write_toy_data(tmp_path_factory.mktemp("data")), tmp_path_factory.mktemp("run")
    text = SAVED.read_text(encoding="utf-8").replace("DATA", str(data)).replace("OUTPUT", str(folder))
    first = text.replace("number_of_epochs: 2", "number_of_epochs: 1").replace("limit: 2", "limit: 1")
    (folder / "hyperparams.yaml").write_text(first, encoding="utf-8")
    train([str(folder / "hyperparams.yaml")])
    (folder / "hyperparams.yaml").write_text(text, encoding="utf-8")
    return folder, data


def test_a_run_is_resumed_by_its_saved_settings(run):
    folder, _ = run
    results = train([str(folder / "hyperparams.yaml")])
    assert results["selected"]["last"]["epoch"] == 2
    exported = EncoderClassifier.from_hparams(source=str(folder / "export"), run_opts={"device": "cpu"})
    assert repr(exported.mods.compute_features) == repr(CycleFeatures(frames=64))
    assert exported.mods.mean_var_norm.kind == "audioset"


def test_its_features_and_masks_are_those_of_version_0_1(run):
    folder, data = run
    hparams = load_experiment(*read_experiment(folder / "hyperparams.yaml"))
    wav = data / "train000.wav"
    assert torch.equal(hparams["feature_cache"](wav, 0.0, 2.0), KaldiFbank(frames=64)(read_cycle(wav, 0.0, 2.0))[0])
    assert (hparams["augment"].freq_width, hparams["augment"].time_width) == (48, 160)
