"""A model trained on synthetic sounds says so wherever its results go, and nothing of them speaks of patients."""

import csv
import io
import json
import re

import pytest
from evaluation_calls import evaluate
from toy import toy_arguments, write_toy_data

from lung_srad_plugin.cli.main import main
from lung_srad_plugin.datasets.icbhi.prepare import prepare_icbhi
from lung_srad_plugin.datasets.synthetic.folder import synthesize_icbhi
from lung_srad_plugin.datasets.synthetic.marker import DESCRIPTION_FILE, trained_on_synthetic
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.figure import plot_timeline
from lung_srad_plugin.training.recipe import train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = write_toy_data(tmp_path_factory.mktemp("data"))
    (folder / DESCRIPTION_FILE).write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train(toy_arguments(data, folder, number_of_epochs=1))
    return folder


def test_results_card_and_config_say_it(run):
    assert json.loads((run / "results.json").read_text(encoding="utf-8"))["synthetic"] is True
    assert "SYNTHETIC" in (run / "results.txt").read_text(encoding="utf-8")
    assert "SYNTHETIC" in (run / "export" / "README.md").read_text(encoding="utf-8")
    assert json.loads((run / "export" / "config.json").read_text(encoding="utf-8"))["synthetic"] is True


def test_a_classification_says_it_in_every_form(run, data):
    classifier = LungSoundClassifier.from_hparams(source=run / "export")
    result = classifier.classify_file(data / "test000.wav")
    assert json.loads(result.to_json())["trained_on_synthetic"] is True
    assert {row["trained_on"] for row in csv.DictReader(io.StringIO(result.to_csv()))} == {"SYNTHETIC sounds"}
    assert any("SYNTHETIC" in text.get_text() for text in plot_timeline(result, data / "test000.wav").texts)


def test_the_commands_say_it(run, data, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["classify", str(data / "test000.wav"), "--model", str(run / "export")])
    assert "SYNTHETIC" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["evaluate", str(run), "--output", str(tmp_path / "report"), "--resamples", "10"])
    assert "note: This model was trained on SYNTHETIC sounds" in capsys.readouterr().out
    for ending in ("html", "md", "json"):
        assert "SYNTHETIC" in (tmp_path / "report" / f"report.{ending}").read_text(encoding="utf-8")


def test_other_sounds_are_not_called_synthetic(run, data, tmp_path):
    """The toy data without the marker, classified by the synthetic model: only the model is."""
    real = write_toy_data(tmp_path)
    report = evaluate(run / "export", tmp_path / "out", tmp_path / "test.csv", data_root=real)
    assert report["synthetic"] == {"training": True, "evaluated": False}


def test_preparation_speaks_of_no_official_split(tmp_path, capsys):
    synthesize_icbhi(tmp_path / "data", patients=5, recordings=1, progress=False)
    prepare_icbhi(tmp_path / "data", tmp_path / "manifests")
    summary = json.loads((tmp_path / "manifests" / "summary.json").read_text(encoding="utf-8"))
    assert summary["protocol"].startswith("SYNTHETIC sounds, split as synthesized;")
    assert not re.search("official|published", " ".join([summary["protocol"], *summary["notes"]]))
    assert "official" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({"data": "data, SYNTHETIC sounds: the scores say nothing about patients"}, True),  # a model of version 0.1
        ({"data": "icbhi"}, False),
        ({"synthetic": False, "data": "SYNTHETIC"}, False),
        ({"data_folder": "no/such/folder"}, False),
        ({}, False),
    ],
)
def test_models_and_runs_of_the_version_before_are_recognised(stored, expected):
    assert trained_on_synthetic(stored) is expected
