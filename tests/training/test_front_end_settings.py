"""A run with another front end: trained, kept, exported and evaluated with the same features."""

import json
import os

import pytest
import torch
from speechbrain.inference.classifiers import EncoderClassifier
from toy import toy_arguments, write_toy_data

from lung_srad_plugin.runs.experiment import load_experiment, read_experiment
from lung_srad_plugin.training.recipe import train

# Each was trained otherwise than exported before, or did not exist.
SETTINGS = {"sample_rate": 8000, "duration": 1.0, "level": "rms", "high_hz": 2000.0, "normalization": "dataset"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, its data and its settings."""
    data, folder = write_toy_data(tmp_path_factory.mktemp("data")), tmp_path_factory.mktemp("run")
    arguments = toy_arguments(data, folder, number_of_epochs=1, gaussian_padding="replicate", **SETTINGS)
    return folder, data, arguments, train(arguments)


def test_statistics_are_those_of_the_training_part_and_kept_with_the_model(run):
    folder, _, _, _ = run
    hparams = load_experiment(*read_experiment(folder / "hyperparams.yaml"))
    (checkpoint,) = (folder / "save").iterdir()
    kept = torch.load(checkpoint / "mean_var_norm.ckpt", weights_only=True)
    cache, data = hparams["feature_cache"], run[1]
    values = torch.stack([cache(data / f"train{number:03d}.wav", 0.0, 2.0) for number in range(24)]).double()
    assert kept["mean"].item() == pytest.approx(values.mean().item(), abs=1e-4)
    assert kept["std"].item() == pytest.approx(values.std(correction=0).item(), rel=1e-5)
    exported = EncoderClassifier.from_hparams(source=str(folder / "export"), run_opts={"device": "cpu"})
    assert exported.mods.mean_var_norm.mean == kept["mean"] and exported.mods.mean_var_norm.std == kept["std"]


def test_a_run_that_is_evaluated_again_keeps_its_statistics_and_features(run, capsys):
    """Also where the training part has changed since, and files of the cache were cut off."""
    folder, data, arguments, returned = run
    (checkpoint,) = (folder / "save").iterdir()
    before = torch.load(checkpoint / "mean_var_norm.ckpt", weights_only=True)
    rows = (data / "train.csv").read_text(encoding="utf-8").splitlines()
    (data / "train.csv").write_text("\n".join(rows[:-8]) + "\n", encoding="utf-8")
    for file in (data / "features").glob("*/*.npy"):
        os.truncate(file, 10_000)
    again = train([*arguments, "--test_only"])
    printed = "".join(capsys.readouterr())
    assert printed.count(f"{data / 'features'}: 36 of 36 cached feature files are damaged") == 1
    assert again["selected"]["last"]["confusion"] == returned["selected"]["last"]["confusion"]
    kept = EncoderClassifier.from_hparams(source=str(folder / "export"), run_opts={"device": "cpu"}).mods.mean_var_norm
    assert kept.mean == before["mean"] and kept.std == before["std"]


def test_the_export_says_what_it_processes(run):
    config = json.loads((run[0] / "export" / "config.json").read_text(encoding="utf-8"))
    assert (config["sample_rate"], config["duration"], config["frames"]) == (8000, 1.0, 64)
