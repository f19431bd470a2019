"""A frozen encoder with a trained head: the fit against scikit-learn, the run's folder against the stock class."""

import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from speechbrain.inference.classifiers import EncoderClassifier
from toy import HPARAMS, toy_arguments, write_toy_data

from lung_srad_plugin import CLASSES, LungSoundClassifier, LungSRADError, icbhi_scores, read_manifest, read_predictions
from lung_srad_plugin.cli.main import main as command
from lung_srad_plugin.datasets.manifests import write_manifest
from lung_srad_plugin.evaluation import embeddings
from lung_srad_plugin.evaluation.embeddings import EmbeddingCache
from lung_srad_plugin.training import linear_probe
from lung_srad_plugin.training.linear_probe import ChosenStrength, choose_strength, describe_strength, fit_linear_probe
from lung_srad_plugin.training.recipe import main, train

GRID = [0.001, 0.1, 10.0]
SIZES = {"probe": True, "probe_c": GRID, "probe_folds": 2, "alpha_time": 0, "alpha_frequency": 0, "gaussian_blocks": []}


def draw(classes, cycles=120, size=6, patients=10):
    random = np.random.default_rng(classes)
    targets = np.arange(cycles) % classes
    embeddings = 3 + 5 * random.normal(size=(cycles, size)) + 4 * np.eye(size)[targets]
    return embeddings, targets, [f"p{number % patients}" for number in random.permutation(cycles)]


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize(("weighting", "theirs"), [("none", None), ("inverse", "balanced")])
def test_the_layer_is_scikit_learns_pipeline(classes, weighting, theirs):
    embeddings, targets, _ = draw(classes)
    embeddings, targets = embeddings[:-7], targets[:-7]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight=theirs, max_iter=5000, tol=1e-7))
    pipeline.fit(embeddings, targets)
    probe = fit_linear_probe(embeddings, targets, CLASSES[:classes], 0.1, weighting)
    np.testing.assert_allclose(probe.log_probs(embeddings), pipeline.predict_log_proba(embeddings), atol=1e-6)
    scaler, model = pipeline
    ours = probe.weight * scaler.scale_
    np.testing.assert_allclose(ours[1] - ours[0] if classes == 2 else ours, np.squeeze(model.coef_), atol=1e-6)


def test_strength_is_chosen_by_predictions_of_other_patients(monkeypatch):
    embeddings, targets, patients = draw(4)
    parts = np.array([int(patient[1:]) % 5 for patient in patients])
    monkeypatch.setattr(linear_probe, "divide_cycles", lambda *_: parts)
    chosen = choose_strength(embeddings, targets, patients, CLASSES, GRID, 5, select_by="score")
    for c in GRID:
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=5000, tol=1e-7))
        found = cross_val_predict(pipeline, embeddings, targets, groups=parts, cv=GroupKFold(5))
        assert chosen.metrics[c] == pytest.approx(icbhi_scores(targets, found)["score"])
    assert chosen.c == min(c for c in GRID if chosen.metrics[c] == max(chosen.metrics.values()))


def test_folds_keep_patients_together():
    _, targets, patients = draw(4)
    parts = linear_probe.divide_cycles(patients, targets, 5, seed=3)
    assert set(parts) == set(range(5))
    assert len(set(zip(patients, parts, strict=True))) == len(set(patients))


def test_what_cannot_be_fitted_is_refused():
    embeddings, targets, patients = draw(4)
    with pytest.raises(LungSRADError, match="none labelled both"):
        fit_linear_probe(embeddings[targets < 3], targets[targets < 3], CLASSES, 1.0)
    with pytest.raises(LungSRADError, match="1 of 120 cycles have no patient"):
        choose_strength(embeddings, targets, ["", *patients[1:]], CLASSES, GRID)
    with pytest.raises(LungSRADError, match=r"probe_folds: 11, .* 10 patients"):
        choose_strength(embeddings, targets, patients, CLASSES, GRID, folds=11)
    alone = ["a" if target else "b" for target in targets]
    with pytest.raises(LungSRADError, match="only cycles labelled normal; lower probe_folds"):
        choose_strength(embeddings, np.minimum(targets, 1), alone, CLASSES, GRID, folds=2)


def test_a_class_of_one_patient_is_missed_where_the_patient_is_left_out():
    embeddings, targets, patients = draw(4)
    embeddings = embeddings + 40 * np.eye(6)[targets]
    patients = ["alone" if target == 3 else patient for target, patient in zip(targets, patients, strict=True)]
    chosen = choose_strength(embeddings, targets, patients, CLASSES, [0.1], select_by="balanced_accuracy")
    everywhere = choose_strength(embeddings, targets, draw(4)[2], CLASSES, [0.1], select_by="balanced_accuracy")
    assert chosen.metrics == {0.1: 75.0} and everywhere.metrics == {0.1: 100.0}


def test_the_edge_of_the_grid_is_mentioned():
    metrics = dict.fromkeys(GRID, 50.0)
    assert "it is the largest" in describe_strength(ChosenStrength(10.0, metrics), 5, "score")
    assert "it is the" not in describe_strength(ChosenStrength(0.1, metrics), 5, "score")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The toy data, with training patients who have cycles of every class."""
    folder = write_toy_data(tmp_path_factory.mktemp("data"))
    rows = read_manifest(folder / "train.csv", data_root=folder)
    for number, row in enumerate(rows):
        row["patient"] = f"train{number // 4}"
    (folder / "train.csv").unlink()
    write_manifest(folder / "train.csv", rows)
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A finished probe of an encoder of random weights, and what it returned."""
    folder = tmp_path_factory.mktemp("run")
    changes = {**SIZES, "embedding_folder": folder.parent / "kept", "feature_folder": "null", "report_train": True}
    return folder, train(toy_arguments(data, folder, **changes))


def test_the_run_is_a_run(run, capsys, tmp_path):
    folder, returned = run
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results == json.loads(json.dumps(returned))
    assert set(results["selected"]) == {"valid"} and results["selected"]["valid"]["cycles"] == 12
    assert results["selected"]["valid"]["train"]["cycles"] == 24
    assert results["probe"]["c"] in GRID and set(results["probe"]["metrics"]) == {"0.001", "0.1", "10"}
    assert results["protocol"]["selection"]["valid"].startswith("logistic regression on embeddings: C = ")
    report = json.loads((folder / "report" / "report.json").read_text(encoding="utf-8"))
    assert (
        report["evaluation"]["measures"]["score_strict_class"]["value"]
        == (results["selected"]["valid"]["4class"]["score"])
    )


def test_the_model_folder_gives_the_predictions_of_the_run(run, data, tmp_path):
    folder, _ = run
    rows = read_manifest(data / "test.csv", data_root=data)
    predictions = read_predictions(folder / "predictions_test_valid.csv", CLASSES)
    stock = EncoderClassifier.from_hparams(source=str(folder / "export"), savedir=str(tmp_path / "cache"))
    for row, expected in zip(rows, predictions.probabilities, strict=True):
        log_probs = stock.classify_file(row["wav"], savedir=str(tmp_path / "cache"))[0]
        torch.testing.assert_close(log_probs[0].exp().double(), torch.from_numpy(expected), atol=1e-5, rtol=0)
    evaluated = tmp_path / "report"
    with pytest.raises(SystemExit) as ended:
        test_csv = [str(data / "test.csv"), "--data-root", str(data)]
        command(["evaluate", str(folder / "export"), *test_csv, "--output", str(evaluated), "--resamples", "10"])
    assert ended.value.code == 0
    again = read_predictions(evaluated / "predictions.csv", CLASSES)
    np.testing.assert_allclose(again.probabilities, predictions.probabilities, atol=1e-5)
    config = json.loads((folder / "export" / "config.json").read_text(encoding="utf-8"))
    assert (config["select"], config["epoch"]) == ("valid", 1) and config["operating_points"]


def test_its_predictions_are_those_of_scikit_learn_on_the_kept_embeddings(run, data):
    folder, returned = run
    classifier = LungSoundClassifier.from_hparams(source=folder / "export", run_opts={"device": "cpu"})
    train_rows, test_rows = (read_manifest(data / f"{part}.csv", data_root=data) for part in ("train", "test"))
    embed = EmbeddingCache(None, classifier, batch_size=4)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=returned["probe"]["c"], max_iter=5000, tol=1e-7))
    targets = [CLASSES.index(row["label"]) for row in train_rows]
    pipeline.fit(embed(train_rows).astype(np.float64), targets)
    found = read_predictions(folder / "predictions_test_valid.csv", CLASSES)
    expected = pipeline.predict_proba(embed(test_rows).astype(np.float64))
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)


def test_embeddings_are_computed_once(run, data, tmp_path, monkeypatch):
    folder, _ = run
    asked = []
    monkeypatch.setattr(embeddings, "cut_clips", lambda classifier, rows, wanted: asked.extend(wanted) or ())
    changes = {**SIZES, "embedding_folder": folder.parent / "kept", "feature_folder": "null"}
    again = train(toy_arguments(data, tmp_path / "run", **{**changes, "class_weighting": "inverse"}))
    assert not asked and again["probe"]["class_weighting"] == "inverse"


def test_embeddings_depend_on_weights_and_damaged_ones_are_computed_again(model_folder, run, data, tmp_path, caplog):
    rows = read_manifest(data / "test.csv", data_root=data)[:3]
    classifier = LungSoundClassifier.from_hparams(source=model_folder, run_opts={"device": "cpu"})
    first = EmbeddingCache(tmp_path, classifier)(rows)
    files = sorted(tmp_path.glob("*/*.npy"))
    assert len(files) == 3
    files[0].write_bytes(files[0].read_bytes()[:-9])
    again = EmbeddingCache(tmp_path, classifier, batch_size=2)(rows[::-1])[::-1]
    np.testing.assert_allclose(again, first, atol=1e-6)
    assert "1 of 3 cached embeddings are damaged" in caplog.text
    with torch.no_grad():
        classifier.mods.embedding_model.norm.bias.add_(1)
    np.testing.assert_allclose(EmbeddingCache(tmp_path, classifier)(rows), first + 1, atol=1e-5)
    assert len(list(tmp_path.glob("*/*.npy"))) == 6


def write_table(data, path):
    """Write embeddings that tell the classes apart, of the cycles of all parts."""
    rows = [row for part in ("train", "valid", "test") for row in read_manifest(data / f"{part}.csv", data_root=data)]
    noise = np.random.default_rng(0).normal(size=(len(rows), 4))
    embedding = np.eye(4)[[CLASSES.index(row["label"]) for row in rows]] + 0.1 * noise
    times = {key: [row[key] for row in rows] for key in ("start", "stop")}
    np.savez(path, embedding=embedding, recording=[row["ID"] for row in rows], **times)
    return path


def test_a_table_gives_scores_and_a_report_but_no_model(data, tmp_path):
    table = write_table(data, tmp_path / "table.npz")
    results = train(toy_arguments(data, tmp_path / "run", **SIZES, embeddings=table))
    assert results["selected"]["valid"]["4class"]["score"] == 100
    assert results["probe"]["embeddings"]["source"] == "table.npz" and results["parameters"] == 20
    assert (tmp_path / "run" / "report" / "report.html").is_file()
    assert not (tmp_path / "run" / "export").exists()
    assert len(read_predictions(tmp_path / "run" / "predictions_valid_valid.csv", CLASSES).ids) == 8


def test_the_packaged_model_is_probed(data, tmp_path):
    arguments = toy_arguments(data, tmp_path / "run")
    kept = ("data_folder", "output_folder", "skip_prep", "train_csv", "valid_csv", "test_csv")
    pairs = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    options = [word for key in kept for word in (f"--{key}", pairs[f"--{key}"])]
    rest = ["--probe_folds", "2", "--probe_c", "[0.01]", "--batch_size", "8", "--embedding_folder", "null"]
    assert main([str(HPARAMS / "probe_starter.yaml"), *options, *rest]) == 0
    starter, probed = (
        LungSoundClassifier.from_hparams(source=source, run_opts={"device": "cpu"})
        for source in (None, tmp_path / "run" / "export")
    )
    wav = data / "test001.wav"
    assert np.array_equal(starter.encode_file(wav).vectors, probed.encode_file(wav).vectors)
    assert starter.classify_file(wav).summary != probed.classify_file(wav).summary


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probe": False, "embeddings": "t.npz"}, "embeddings: t.npz; expected null, or probe: True"),
        ({"embeddings": "t.npz", "pretrained": "starter"}, "pretrained: starter; expected null"),
        ({"sampling_weights": "{a: 1.0}"}, "expected null: a probe takes each cycle once"),
        ({"teacher": "t.npz"}, "teacher: t.npz; expected null"),
        ({"embeddings": "absent.npz"}, "no such table"),
        ({"pretrained": "starter", "n_mels": 64}, "--depths"),
    ],
)
def test_settings_that_do_not_fit_are_refused(data, tmp_path, capsys, changes, message):
    assert main(toy_arguments(data, tmp_path / "run", **{**SIZES, **changes})) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_model_of_another_front_end_is_refused(model_folder, data, tmp_path, capsys):
    changes = {**SIZES, "pretrained": model_folder, "depths": "[1,1]", "dims": "[16,32]"}
    assert main(toy_arguments(data, tmp_path / "run", **changes)) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "compute_features is there" in error and "frames=128" in error and "frames=64" in error
