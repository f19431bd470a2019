"""The recipe on SPRSound: its own folders in, a model out, the two tests apart."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toy import HPARAMS

from lung_srad_plugin.cli.main import main
from lung_srad_plugin.datasets.preparation import TRAINED_DATA_SETS
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.training.recipe import train

SCRIPT = Path(__file__).parents[2] / "recipes" / "SPRSound" / "train.py"
TYPES = (("Normal",), ("Fine Crackle", "Normal"), ("Wheeze", "Normal"), ("Wheeze+Crackle", "Normal"))
LABELS = {"Normal": "Normal", "Fine Crackle": "DAS", "Wheeze": "CAS", "Wheeze+Crackle": "CAS & DAS"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sixteen train recordings, four of the intra and four of the inter test, two events each."""
    root = tmp_path_factory.mktemp("sprsound") / "data"
    for number in range(24):
        part = "train" if number < 16 else "test"
        patient = 40000 + (number % 4 if number in range(16, 20) else number)
        json_folder = (
            root / f"{part}_json" / ("" if number < 16 else "intra_test_json" if number < 20 else "inter_test_json")
        )
        for folder in (root / f"{part}_wav", json_folder):
            folder.mkdir(parents=True, exist_ok=True)
        name = f"{patient}_3.0_{number % 2}_p1_{number}"
        samples = np.random.default_rng(number).uniform(-0.2, 0.2, 16000)
        soundfile.write(root / f"{part}_wav" / f"{name}.wav", samples, 8000)
        kinds = TYPES[number % 4]
        events = [{"start": str(900 * i), "end": str(900 * i + 800), "type": kind} for i, kind in enumerate(kinds)]
        text = json.dumps({"record_annotation": LABELS[kinds[0]], "event_annotation": events})
        (json_folder / f"{name}.json").write_text(text, encoding="utf-8")
    return root


def arguments(data, output, **changes):
    settings = {
        **{"data_folder": data, "output_folder": output, "feature_folder": data.parent / "features"},
        **{"depths": "[1,1]", "dims": "[8,16]", "gaussian_stage": 1, "frames": 64, "duration": 1.0},
        **{"batch_size": 4, "number_of_epochs": 1, "warmup_epochs": 0, "valid_fraction": 0.25},
        **changes,
    }
    pairs = [argument for key, value in settings.items() for argument in (f"--{key}", str(value))]
    return [str(HPARAMS / "sprsound.yaml"), *pairs]


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """The output folder of a finished run, by the script."""
    output = tmp_path_factory.mktemp("run") / "output"
    command = [sys.executable, str(SCRIPT), *arguments(data, output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return output


def test_the_official_tests_are_evaluated_apart(run):
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert results["protocol"]["split"] == "official parts; valid: patients drawn from train; task 4class"
    shared = results["protocol"]["patients_shared"]
    assert not any(patients for pair, patients in shared.items() if not pair.endswith("intra"))
    assert set(shared["train_test_intra"] + shared["valid_test_intra"]) == {str(40000 + number) for number in range(4)}
    for name, numbers in (("inter", range(20, 24)), ("intra", range(4))):
        with (run / f"predictions_test_{name}_last.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert {row["patient"] for row in rows} == {str(40000 + number) for number in numbers}
        assert results["selected"]["last"]["tests"][name]["cycles"] == len(rows)


def test_the_intra_test_is_evaluated_apart(run, data, tmp_path):
    manifest = run / "manifests" / "test_intra.csv"
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(run / "export"), str(manifest), "--data-root", str(data), "--output", str(tmp_path)])
    assert stop.value.code == 0
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["evaluation"]["cycles"] == 7


def test_a_task_of_the_challenge_is_trained_with_its_labels(data, tmp_path):
    labels = "[normal, adventitious]"
    results = train(arguments(data, tmp_path / "out", task="1-1", labels=labels))
    assert results["labels"] == ["normal", "adventitious"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"task": "1-1"},
            r"labels: \[normal, crackle, wheeze, both\]; task 1-1 of sprsound has \[normal, adventitious\]",
        ),
        ({"split": "kfold"}, "split: kfold; sprsound has only official"),
        ({"valid": "test"}, "valid: test; sprsound has only patients"),
        ({"dataset": "icbhi", "task": "1-1"}, "task: 1-1; icbhi has only 4class"),
        ({"dataset": "icbhi"}, "lung-srad prepare-sprsound .*; to train on it: --dataset sprsound"),
        ({"dataset": "coswara"}, f"{', '.join(TRAINED_DATA_SETS)}"),
        ({"task": "3-1"}, "task"),
    ],
)
def test_settings_that_do_not_fit_the_data_set(data, tmp_path, changes, message):
    with pytest.raises(LungSRADError, match=message):
        train(arguments(data, tmp_path / "out", **changes))
