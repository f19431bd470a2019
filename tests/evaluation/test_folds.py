"""The folds of a cross-validation as one evaluation, on real runs; what is no whole set of folds is refused."""

import json
import shutil
from collections import Counter

import pytest
from evaluation_calls import evaluate_runs
from toy import toy_arguments

from lung_srad_plugin.cli.main import main
from lung_srad_plugin.datasets.manifests import read_manifest
from lung_srad_plugin.datasets.synthetic.folder import synthesize_icbhi
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.predictions_file import read_predictions
from lung_srad_plugin.metrics.table_metrics import compute_metrics
from lung_srad_plugin.runs.run_folder import RunFolder
from lung_srad_plugin.training.recipe import train

FOLDS = 3


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """The output folders of one training on each fold of synthetic recordings, an epoch each."""
    folder = tmp_path_factory.mktemp("folds")
    data = folder / "data"
    synthesize_icbhi(data, patients=9, recordings=1, progress=False)
    runs = [folder / "runs" / str(fold) for fold in range(FOLDS)]
    for fold, run in enumerate(runs):
        manifests = {f"{part}_csv": RunFolder(run).manifests / f"{part}.csv" for part in ("train", "valid", "test")}
        own = {"skip_prep": False, "split": "kfold", "folds": FOLDS, "fold": fold, "number_of_epochs": 1, **manifests}
        train(toy_arguments(data, run, **own))
    return runs


def copied(run, folder, old, new):
    """A copy of a run with another text in its settings."""
    shutil.copytree(run, folder)
    path = RunFolder(folder).settings_file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return folder


def refusal(runs, output, **options):
    with pytest.raises(LungSRADError) as caught:
        evaluate_runs(runs, output, **options)
    assert not output.exists()
    return str(caught.value)


def test_every_cycle_is_answered_once_by_the_model_that_did_not_hear_its_patient(folds, tmp_path):
    with pytest.raises(SystemExit) as end:
        main(["evaluate", *map(str, reversed(folds)), "--output", str(tmp_path), "--resamples", "20"])
    assert not end.value.code
    pooled = read_predictions(tmp_path / "predictions.csv")
    answers = dict(zip(pooled.ids, pooled.probabilities.tolist(), strict=True))
    everything = {}
    for fold, run in enumerate(folds):
        table = read_predictions(RunFolder(run).predictions("test", "valid"))
        for name, row in zip(table.ids, table.probabilities.tolist(), strict=True):
            assert answers[name] == row
            everything[name] = str(fold)
        trained_on = {row["patient"] for row in read_manifest(RunFolder(run).manifests / "train.csv", "recordings")}
        assert trained_on.isdisjoint(table.patients())
    assert dict(zip(pooled.ids, pooled.column("fold"), strict=True)) == everything
    assert set(everything) == {
        row["ID"]
        for part in ("train", "valid", "test")
        for row in read_manifest(RunFolder(folds[0]).manifests / f"{part}.csv", "recordings")
    }

    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    score = report["evaluation"]["measures"]["score_strict_class"]["value"]
    assert score == pytest.approx(compute_metrics(pooled)["score_strict_class"])
    assert report["evaluation"]["patients"] == 9
    assert report["selections"][0]["epoch"] == "1, 1, 1"
    assert report["protocol"]["split"] == "patient k-fold, all 3 folds"
    assert len(set(report["facts"]["SHA-256 of the splits"].values())) == FOLDS
    assert report["calibration"] is None
    groups = report["evaluation"]["groups"]["fold"]
    assert Counter(everything.values()) == {group["name"]: group["cycles"] for group in groups}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "patient k-fold, all 3 folds" in page
    assert "the score of a method" in page
    assert "No temperature: each fold has one of its own" in page


def test_a_missing_fold_is_named(folds, tmp_path):
    assert "one of 3 folds, and fold 1 is not given" in refusal([folds[0], folds[2]], tmp_path / "out")


def test_a_fold_given_twice_is_refused(folds, tmp_path):
    assert f"{folds[1]}: fold 1, which {folds[1]} has too" in refusal([*folds, folds[1]], tmp_path / "out")


def test_folds_of_other_settings_are_refused(folds, tmp_path):
    other = copied(folds[2], tmp_path / "other", "lr: 0.003", "lr: 0.004")
    error = refusal([*folds[:2], other], tmp_path / "out")
    assert "differ in their fold alone" in error
    assert "lr 0.004, not 0.003" in error


def test_folds_of_other_seeds_are_refused(folds, tmp_path):
    other = copied(folds[2], tmp_path / "other", "seed: 1 ", "seed: 2 ")
    assert "seed 2, not 1" in refusal([*folds[:2], other], tmp_path / "out")


def test_folds_classify_no_other_manifest(folds, tmp_path):
    manifest = RunFolder(folds[0]).manifests / "test.csv"
    error = refusal(folds, tmp_path / "out", manifest=manifest, data_root=folds[0].parents[1] / "data")
    assert f"{manifest}: the folds of a cross-validation classify their own test cycles" in error
