"""From a run, a model or predictions to a report; every mistake reported before anything is written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from evaluation_calls import evaluate
from prediction_tables import draw_table
from toy import RECIPE, toy_arguments, write_toy_data

from lung_srad_plugin.cli.main import main
from lung_srad_plugin.datasets.manifests import read_manifest, write_manifest
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.manifest_table import map_labels, read_labels_map
from lung_srad_plugin.evaluation.predict import predict_rows
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.calibration import Calibration, fit_temperature, scale_table
from lung_srad_plugin.metrics.operating_points import OperatingPoint, apply_operating_points
from lung_srad_plugin.metrics.predictions import align
from lung_srad_plugin.metrics.predictions_file import read_predictions, write_predictions
from lung_srad_plugin.metrics.validation_fit import fit_on_validation
from lung_srad_plugin.training.recipe import train

RECIPES = RECIPE.parents[1]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """The output folder of a finished run."""
    folder = tmp_path_factory.mktemp("run")
    train(toy_arguments(data, folder, report_test_selected=True, seed=4))  # with this seed there is a temperature
    return folder


@pytest.fixture(scope="module")
def classifier(run):
    return LungSoundClassifier.from_hparams(source=run / "export")


def refusal(*arguments, **options):
    with pytest.raises(LungSRADError) as caught:
        evaluate(*arguments, **options)
    return str(caught.value)


# ---- a run ----


def test_run_is_reported_as_it_was_tested(run, tmp_path):
    report = evaluate(run, tmp_path, resamples=50)
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert [row["rule"] for row in report["selections"]] == ["valid", "last", "test"]
    assert [row["optimistic"] for row in report["selections"]] == [False, False, True]
    for row in report["selections"]:
        scores = results["selected"][row["rule"]]
        measures = row["measures"] or report["evaluation"]["measures"]
        assert measures["score_strict_class"]["value"] == scores["4class"]["score"]
        assert measures["score_any_abnormal"]["value"] == scores["2class"]["score"]
        assert row["epoch"] == scores["epoch"]
    assert report["protocol"]["sha256"] == results["protocol"]["sha256"]
    assert report["groups_missing"] == ["device", "location", "age", "sex", "diagnosis"]
    assert any("4 patients are few" in caution for caution in report["cautions"])
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == report
    assert (tmp_path / "report.md").read_text(encoding="utf-8").startswith("# Evaluation of lung\\_srad")
    assert (tmp_path / "report.html").read_text(encoding="utf-8").endswith("</html>\n")


def test_temperature_and_thresholds_come_from_valid_and_are_tried_on_test(run, tmp_path):
    report = evaluate(run, tmp_path, resamples=50)
    test, valid = (read_predictions(run / f"predictions_{part}_valid.csv") for part in ("test", "valid"))
    assert not set(test.ids) & set(valid.ids)
    fit = fit_on_validation(valid)
    assert report["uncalibrated"] == fit.calibration.reason
    point = report["operating_points"][0]
    expected = apply_operating_points([OperatingPoint(80.0, point["threshold"])], test, Bootstrap(50))[0]
    assert point["sensitivity"]["value"] == expected["sensitivity"].value
    called = 1 - valid.probabilities[valid.targets > 0, 0] >= point["threshold"]
    assert called.mean() >= 0.8
    config = json.loads((run / "export" / "config.json").read_text(encoding="utf-8"))
    assert config["calibration"]["temperature"] == fit.calibration.temperature
    assert config["operating_points"][0]["threshold"] == point["threshold"]
    assert [point["temperature"] for point in config["operating_points"]] == [
        p.temperature for p in fit.operating_points
    ]


def test_valid_that_is_test_fits_nothing_and_says_so(data, tmp_path):
    changes = {"valid_csv": data / "test.csv", "number_of_epochs": 1}
    train(toy_arguments(data, tmp_path / "run", **changes))
    report = evaluate(tmp_path / "run", tmp_path / "report", resamples=20)
    assert report["calibration"] is report["operating_points"] is None
    assert report["selections"][0]["optimistic"] is True
    assert any("validation cycles were the test cycles" in caution for caution in report["cautions"])
    classifier = LungSoundClassifier.from_hparams(source=tmp_path / "run" / "export")
    with pytest.raises(LungSRADError, match="has no temperature"):
        classifier.classify_file(data / "test000.wav", calibrated=True)


def test_an_export_of_the_version_before_with_a_temperature_at_its_bound_has_none(run, data, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(run / "export", folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    fitted = {"temperature": 0.05, "at_bound": True, "before": {"log_loss": 0.06}, "after": {"log_loss": 0.02}}
    config["calibration"] = fitted
    config["operating_points"] = [{"wanted_sensitivity": 90.0, "threshold": 0.3}]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    classifier = LungSoundClassifier.from_hparams(source=folder)
    assert classifier.operating_points == (OperatingPoint(90.0, 0.3, temperature=1.0),)
    with pytest.raises(LungSRADError, match=r"has no temperature: .* 0\.05,"):
        classifier.classify_file(data / "test000.wav", calibrated=True)


def test_probabilities_are_calibrated_on_request_only(run, data, classifier, monkeypatch):
    wav = data / "test001.wav"
    monkeypatch.setattr(classifier, "calibration", Calibration(1.7))
    plain, calibrated = (classifier.classify_file(wav, [(0.0, 2.0)], calibrated=asked) for asked in (False, True))
    table = read_predictions(run / "predictions_test_valid.csv")
    row = table.rows([table.ids.index("test001")])
    np.testing.assert_allclose(list(plain.segments[0].probabilities.values()), row.probabilities[0], atol=1e-5)
    expected = scale_table(row, 1.7).probabilities[0]
    np.testing.assert_allclose(list(calibrated.segments[0].probabilities.values()), expected, atol=1e-5)
    assert plain.segments[0].label == calibrated.segments[0].label


def test_run_with_other_files_is_refused(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("save", "export"))
    text = (copy / "predictions_test_valid.csv").read_text(encoding="utf-8")
    (copy / "predictions_test_last.csv").unlink()
    assert "predictions_test_last.csv: no such file" in refusal(copy, tmp_path / "out")
    (copy / "predictions_test_last.csv").write_text(text.splitlines()[0] + "\n" + text.splitlines()[1] + "\n")
    assert "does not give the confusion counts" in refusal(copy, tmp_path / "out")
    assert "--windows would change nothing" in refusal(run, tmp_path / "out", windows=True)
    assert not (tmp_path / "out").exists()


# ---- a model ----


def test_model_says_what_its_training_said(run, data, tmp_path):
    report = evaluate(run, tmp_path, data / "test.csv", data_root=data, resamples=20)
    found = align(read_predictions(run / "predictions_test_valid.csv"), read_predictions(tmp_path / "predictions.csv"))
    expected = read_predictions(run / "predictions_test_valid.csv")
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    assert "These are the test cycles of its training run." in report["cautions"]
    assert report["selections"][0]["optimistic"] is False
    valid = fit_temperature(read_predictions(run / "predictions_valid_valid.csv"))
    assert report["uncalibrated"] == valid.reason


@pytest.mark.parametrize(("part", "optimistic", "words"), [("train", False, "TRAINED"), ("valid", True, "validation")])
def test_other_parts_of_the_training_are_named(run, data, tmp_path, part, optimistic, words):
    report = evaluate(run / "export", tmp_path, data / f"{part}.csv", data_root=data, resamples=20)
    assert words in report["cautions"][0]
    assert report["selections"][0]["optimistic"] is optimistic


def test_other_data_set_with_mapped_labels(run, data, tmp_path):
    names = {"normal": "N", "crackle": "Crep", "wheeze": "E W", "both": "I C E W"}
    rows = [{**row, "label": names[row["label"]]} for row in read_manifest(data / "test.csv", data)]
    write_manifest(tmp_path / "other.csv", rows)
    mapping = {"N": "normal", "Crep": "crackle", "E W": "wheeze", "I C E W": None, "I C B": "both"}
    (tmp_path / "map.json").write_text(json.dumps(mapping), encoding="utf-8")
    report = evaluate(
        run / "export",
        tmp_path / "out",
        tmp_path / "other.csv",
        labels_map=tmp_path / "map.json",
        valid=None,
        resamples=20,
    )
    assert report["labels_map"] == mapping
    assert report["left_out"] == {"I C E W": 3}
    assert report["evaluation"]["support"] == {"normal": 3, "crackle": 3, "wheeze": 3, "both": 0}
    assert [group["name"] for group in report["evaluation"]["groups"]["original_label"]] == ["Crep", "E W", "N"]
    assert any("not the manifests of the model's training" in caution for caution in report["cautions"])
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Mapping of labels" in page
    assert ">left out<" in page


def test_validation_cycles_of_ones_own(run, data, tmp_path):
    report = evaluate(
        run / "export", tmp_path, data / "test.csv", data_root=data, valid=data / "train.csv", resamples=20
    )
    classifier = LungSoundClassifier.from_hparams(source=run / "export")
    expected = fit_on_validation(predict_rows(classifier, read_manifest(data / "train.csv", data)))
    assert (report["calibration"] is None) == (expected.calibration.temperature is None)
    thresholds = [point.threshold for point in expected.operating_points]
    assert [point["threshold"] for point in report["operating_points"]] == pytest.approx(thresholds)
    same = refusal(run / "export", tmp_path, data / "test.csv", data_root=data, valid=data / "test.csv")
    assert "12 of its cycles, such as test000, are evaluated too" in same


def test_long_cycles_are_cut_or_heard_whole(classifier, tmp_path):
    """12 s, of which the first 4 are unlike the rest: windows 0 to 8 and 4 to 12."""
    draw = np.random.default_rng(0)
    sound = 0.3 * draw.normal(size=12 * 16000)
    sound[4 * 16000 :] *= np.sin(np.arange(8 * 16000) / 3)
    soundfile.write(tmp_path / "long.wav", sound.clip(-1, 1), 16000)
    row = {"ID": "a", "duration": 12.0, "wav": str(tmp_path / "long.wav"), "start": 0.0, "stop": 12.0, "label": "both"}
    cut = predict_rows(classifier, [row]).probabilities
    whole = predict_rows(classifier, [row], windows=True).probabilities
    # A cut loses nothing of the fade at the start, and a window that ends within the recording has none at its end.
    first = predict_rows(classifier, [{**row, "stop": 8.5}]).probabilities
    np.testing.assert_allclose(cut, first, atol=1e-6)
    second = classifier.classify_file(tmp_path / "long.wav", hop=4.0)
    expected = np.array(list(second.segments[-1].probabilities.values()))
    assert [segment.start for segment in second.segments] == [0, 4, 8]
    np.testing.assert_allclose(whole[0], (cut[0] + expected) / 2, atol=1e-5)


def test_manifests_that_do_not_match_the_model_are_refused(run, data, tmp_path):
    out = tmp_path / "out"
    rows = read_manifest(data / "test.csv", data)
    write_manifest(tmp_path / "odd.csv", [*rows[:3], {**rows[3], "label": "rhonchi"}])
    error = refusal(run / "export", out, tmp_path / "odd.csv")
    assert "odd.csv, row 5, column 'label': unknown label 'rhonchi'" in error
    (tmp_path / "map.json").write_text('{"normal": "normal", "crackle": "squawk"}')
    error = refusal(run / "export", out, tmp_path / "odd.csv", labels_map=tmp_path / "map.json")
    assert "odd.csv, row 4" in error
    (tmp_path / "map.json").write_text('{"rhonchi": "squawk", "normal": null, "crackle": null, "wheeze": null}')
    error = refusal(run / "export", out, tmp_path / "odd.csv", labels_map=tmp_path / "map.json")
    assert "leads to squawk; the model knows normal, crackle, wheeze, both" in error
    (tmp_path / "map.json").write_text('{"rhonchi": null, "normal": null, "crackle": null, "wheeze": null}')
    error = refusal(run / "export", out, tmp_path / "odd.csv", labels_map=tmp_path / "map.json")
    assert "leaves out every row" in error
    write_manifest(
        tmp_path / "without_patients.csv", [{key: row[key] for key in row if key != "patient"} for row in rows]
    )
    assert "no column 'patient'" in refusal(run / "export", out, tmp_path / "without_patients.csv")
    assert "give a manifest too" in refusal(run / "export", out)
    assert not out.exists()


def test_label_maps_are_checked(tmp_path):
    path = tmp_path / "map.json"
    with pytest.raises(LungSRADError, match="no such file"):
        read_labels_map(path)
    for text, message in (("{", "not valid JSON"), ('["a"]', "expected an object"), ('{"a": 1}', "expected an object")):
        path.write_text(text)
        with pytest.raises(LungSRADError, match=message):
            read_labels_map(path)
    rows = [{"ID": "x", "label": "b"}]
    with pytest.raises(LungSRADError, match=r"m\.csv, row 2, column 'label': label 'b' of x"):
        map_labels(rows, {"a": "normal"}, ("normal", "crackle"), "m.csv")
    with pytest.raises(LungSRADError, match="Give a mapping of labels"):
        map_labels(rows, None, ("normal", "crackle"), "m.csv")


# ---- predictions of any model ----


def test_predictions_of_two_models_are_compared(tmp_path):
    for name, skill in (("ours", 2.0), ("theirs", 1.0)):
        write_predictions(draw_table(1, skill=skill), tmp_path / f"{name}.csv")
    write_predictions(draw_table(2, prefix="v"), tmp_path / "valid.csv")
    report = evaluate(
        tmp_path / "ours.csv",
        tmp_path / "out",
        valid=tmp_path / "valid.csv",
        against=[tmp_path / "theirs.csv"],
        resamples=50,
        harmonic=True,
    )
    assert report["paired"]["theirs"]["differences"]["score_strict_class"]["high"] < 0
    assert "harmonic_strict_class" in report["evaluation"]["measures"]
    assert report["calibration"]["temperature"] == fit_temperature(draw_table(2, prefix="v")).temperature
    assert not (tmp_path / "out" / "predictions.csv").exists()
    error = refusal(tmp_path / "ours.csv", tmp_path, against=[tmp_path / "theirs.csv", tmp_path / "out" / "theirs.csv"])
    assert "no such file" in error
    shutil.copy(tmp_path / "theirs.csv", tmp_path / "out" / "theirs.csv")
    error = refusal(tmp_path / "ours.csv", tmp_path, against=[tmp_path / "theirs.csv", tmp_path / "out" / "theirs.csv"])
    assert "another has the name theirs too" in error
    assert "--labels-map would change nothing" in refusal(tmp_path / "ours.csv", tmp_path, labels_map="map.json")


def test_runs_are_compared_with_runs(run, data, tmp_path):
    other = tmp_path / "dass" / "2"
    train(toy_arguments(data, other, seed=2, number_of_epochs=1))
    report = evaluate(run, tmp_path / "out", against=[other], resamples=50)
    scores = [
        json.loads((folder / "results.json").read_text(encoding="utf-8"))["selected"]["valid"]["4class"]["score"]
        for folder in (run, other)
    ]
    difference = report["paired"]["dass/2, valid-selected"]["differences"]["score_strict_class"]
    assert difference["value"] == pytest.approx(scores[1] - scores[0])
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "dass/2, valid-selected" in page


def _edit(line, column, value):
    def edit(lines):
        cells = lines[line - 1].split(",")
        cells[lines[0].split(",").index(column)] = value
        lines[line - 1] = ",".join(cells)

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_edit(3, "ID", "c0000"), "line 3: ID c0000 repeats that of line 2"),
        (_edit(4, "label", "rhonchi"), "line 4, ID c0002: label 'rhonchi'"),
        (_edit(5, "p_wheeze", "nan"), "line 5, ID c0003: probabilities"),
        (_edit(5, "p_wheeze", "much"), "line 5: p_wheeze is 'much'"),
        (_edit(6, "prediction", ""), "line 6, ID c0004: prediction ''"),
        (_edit(7, "patient", ""), "column 'patient' is blank for c0005"),
        (lambda lines: lines.pop(7), "no prediction for c0006"),
        (_edit(8, "ID", "other"), "not in"),
    ],
)
def test_faulty_predictions_are_refused_with_their_rows(tmp_path, edit, message):
    table = draw_table()
    write_predictions(table, tmp_path / "predictions.csv")
    rows = [
        {"ID": name, "duration": 1.0, "wav": "/a.wav", "start": 0.0, "stop": 1.0, "label": table.labels[target]}
        for name, target in zip(table.ids, table.targets, strict=True)
    ]
    write_manifest(tmp_path / "test.csv", rows)
    evaluate(tmp_path / "predictions.csv", tmp_path / "out", tmp_path / "test.csv", resamples=2)
    lines = (tmp_path / "predictions.csv").read_text(encoding="utf-8").splitlines()
    edit(lines)
    (tmp_path / "predictions.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    error = refusal(tmp_path / "predictions.csv", tmp_path / "out", tmp_path / "test.csv")
    assert message in error


def test_labels_other_than_the_manifest_are_refused(tmp_path):
    table = draw_table()
    write_predictions(table, tmp_path / "predictions.csv")
    rows = [
        {"ID": name, "duration": 1.0, "wav": "/a.wav", "start": 0.0, "stop": 1.0, "label": table.labels[target]}
        for name, target in zip(table.ids, table.targets, strict=True)
    ]
    rows[4]["label"] = next(label for label in table.labels if label != rows[4]["label"])
    write_manifest(tmp_path / "test.csv", rows)
    error = refusal(tmp_path / "predictions.csv", tmp_path / "out", tmp_path / "test.csv")
    assert "1 labels of the predictions are not those of" in error
    assert "c0004: " in error


# ---- commands ----


def test_command_line(run, tmp_path, capsys):
    main_or_exit(["evaluate", str(run), "--output", str(tmp_path), "--resamples", "20"])
    error = capsys.readouterr().out
    assert "Score, strict class (4-class)" in error
    assert str(tmp_path / "report.html") in error
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(tmp_path / "absent"), "--output", str(tmp_path)])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "Traceback" not in error


def main_or_exit(arguments):
    try:
        main(arguments)
    except SystemExit as stop:
        assert not stop.code


def test_recipe(run, tmp_path):
    script = RECIPES / "ICBHI" / "evaluate.py"
    command = [sys.executable, str(script), str(run), "--output", str(tmp_path), "--resamples", "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "report.html").is_file()


def test_kauh_in_one_command(run, kauh_folder, tmp_path):
    """Six subjects under three filters, each recording scored as a whole; intervals by subject."""
    data = tmp_path / "kauh"
    data.mkdir()
    for number in (1, 11, 22, 93, 94, 100):
        for path in kauh_folder.rglob(f"?P{number}_*.wav"):
            (data / path.name).symlink_to(path)
    command = [sys.executable, str(RECIPES / "KAUH" / "evaluate.py"), str(run), str(data), str(tmp_path / "out")]
    done = subprocess.run([*command, "--mixed", "leave_out"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "label 'Crep' read as crackle" in done.stdout
    assert "label 'I C E W' read as nothing: left out" in done.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert (report["evaluation"]["cycles"], report["evaluation"]["patients"]) == (18, 6)
    assert report["evaluation"]["support"] == {"normal": 9, "crackle": 6, "wheeze": 3, "both": 0}
    assert [group["cycles"] for group in report["evaluation"]["groups"]["filter"]] == [6, 6, 6]
    assert "overlapping windows" in report["facts"]["longer than the input length"]
    assert any("here it is called a cycle all the same" in caution for caution in report["cautions"])
    assert report["labels_map"]["Crep"] == "crackle"
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "--mixed" in done.stderr


def test_nothing_is_left_half_written(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert "cannot be written" in refusal(run, Path(tmp_path / "file"), resamples=2)
