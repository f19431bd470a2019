"""A run with several test sets by name: each evaluated by itself, in everything that the run leaves."""

import json

import numpy as np
import pytest
from toy import toy_arguments, write_toy_data

from lung_srad_plugin import LungSRADError, read_manifest, read_predictions, write_manifest
from lung_srad_plugin.cli.main import main
from lung_srad_plugin.metrics.icbhi_score import confusion_counts
from lung_srad_plugin.runs.run_folder import RunFolder
from lung_srad_plugin.runs.selection import RULES
from lung_srad_plugin.training.recipe import train

REPORTS = ("report.html", "report.json", "report.md")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Toy data whose test part is also there in two: ``near`` of 8 cycles, with a patient of train, ``far`` of 4."""
    folder = write_toy_data(tmp_path_factory.mktemp("data"))
    rows = read_manifest(folder / "test.csv", "{data_root}")
    write_manifest(
        folder / "near.csv", [{**row, "patient": "train0"} if index < 4 else row for index, row in enumerate(rows[:8])]
    )
    write_manifest(folder / "far.csv", rows[8:])
    return folder


def named(data):
    return {"test_csv": f"{{near: {data}/near.csv, far: {data}/far.csv}}", "number_of_epochs": 1}


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """The output folders of two seeds."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (1, 2):
        train(toy_arguments(data, folder / str(seed), seed=seed, **named(data)))
    return [folder / "1", folder / "2"]


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


def test_each_test_set_has_its_own_scores_predictions_and_report(runs):
    run = runs[0]
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    for rule in ("valid", "last"):
        selected = results["selected"][rule]
        assert "4class" not in selected and "confusion" not in selected
        assert {name: scores["cycles"] for name, scores in selected["tests"].items()} == {"near": 8, "far": 4}
        for name, scores in selected["tests"].items():
            table = read_predictions(run / f"predictions_test_{name}_{rule}.csv")
            confusion = confusion_counts(table.targets, table.predicted, 4)
            assert scores["confusion"] == confusion.tolist() and np.sum(confusion) == scores["cycles"]
            assert (run / f"confusion_{name}_{rule}.png").is_file()
    assert not list(run.glob("predictions_test_valid.csv"))
    assert set(results["protocol"]["sha256"]) == {"train", "valid", "test_near", "test_far"}
    assert results["protocol"]["patients_shared"]["train_test_near"] == ["train0"]
    assert results["protocol"]["patients_shared"]["train_test_far"] == []
    text = (run / "results.txt").read_text(encoding="utf-8")
    assert all(name in text for name in ("test set", "near", "far"))
    for name, cycles in (("near", 8), ("far", 4)):
        report = json.loads((run / "report" / name / "report.json").read_text(encoding="utf-8"))
        assert report["evaluation"]["cycles"] == cycles
        assert f"test set {name}" in report["data"]
        assert ("train0" in " ".join(report["cautions"])) == (name == "near")
        assert set(report["protocol"]["sha256"]) == {"train", "valid", f"test_{name}"}
        assert all((run / "report" / name / file).is_file() for file in REPORTS)
    assert not (run / "report" / "report.json").exists()


def test_the_card_has_the_scores_of_each(runs):
    card = (runs[0] / "export" / "README.md").read_text(encoding="utf-8")
    scores = json.loads((runs[0] / "results.json").read_text(encoding="utf-8"))["selected"]["valid"]["tests"]
    for name in ("near", "far"):
        part = card.split(f"### Test set {name}")[1].split("###")[0]
        assert f"{scores[name]['cycles']} test cycles" in part
        assert f"| {scores[name]['4class']['score']:.2f}" in part
        assert f"test set {name}, split" in card.split("# ")[0]


def test_evaluation_reports_on_the_one_that_is_chosen(runs, data, tmp_path, capsys):
    assert command("evaluate", runs[0], "--output", tmp_path / "none") == 2
    assert "has the test sets near, far" in capsys.readouterr().err
    assert command("evaluate", runs[0], "--test-set", "nearer", "--output", tmp_path / "none") == 2
    assert "has no test set nearer" in capsys.readouterr().err
    assert command("evaluate", runs[0], data / "far.csv", "--data-root", data, "--test-set", "far") == 2
    assert "--test-set would change nothing" in capsys.readouterr().err
    few = ("--resamples", "20")
    against = ("--against", runs[1])
    assert not command("evaluate", runs[0], "--test-set", "far", "--output", tmp_path / "one", *few, *against)
    report = json.loads((tmp_path / "one" / "report.json").read_text(encoding="utf-8"))
    assert report["evaluation"]["cycles"] == 4
    assert len(report["paired"]) == 2

    assert not command("evaluate", *runs, "--test-set", "near", "--output", tmp_path / "seeds", *few)
    report = json.loads((tmp_path / "seeds" / "report.json").read_text(encoding="utf-8"))
    values = report["selections"][0]["measures"]["score_strict_class"]["values"]
    for seed, run in zip(("1", "2"), runs, strict=True):
        scores = RunFolder(run).results().selected["valid"].tests["near"]
        assert values[seed] == pytest.approx(scores.strict.score)


def test_a_model_knows_the_manifests_of_its_training(runs, data, tmp_path):
    few = ("--resamples", "20", "--output", tmp_path)
    assert not command("evaluate", runs[0] / "export", data / "far.csv", "--data-root", data, *few)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["of_training"] is True


def test_files_of_others_are_not_overwritten(data, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "predictions_test_far_last.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(LungSRADError, match=r"predictions_test_far_last\.csv"):
        train(toy_arguments(data, tmp_path / "run", **named(data)))


def test_a_finished_run_is_tested_on_another_set(runs, data):
    """Where manifests lie changes nothing of training, so a run may be tested on further ones."""
    results = train(
        toy_arguments(data, runs[1], "--test_only", seed=2, **{**named(data), "test_csv": data / "far.csv"})
    )
    assert results["selected"]["valid"]["cycles"] == 4
    assert set(results["selected"]) == set(RULES) - {"test"}
    assert RunFolder(runs[1]).results().selected["last"].tests.keys() == {"test"}
