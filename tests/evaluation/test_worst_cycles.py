"""The most confident errors in a report: which they are, their sounds, and why there is none."""

import base64
import csv
import io
import json
import re
import shutil

import numpy as np
import pytest
import soundfile
from browser import browse  # noqa: F401
from evaluation_calls import evaluate, evaluate_runs
from page_parser import parse
from prediction_tables import draw_table
from toy import toy_arguments, write_toy_data

from lung_srad_plugin import LungSRADError, read_predictions, write_manifest, write_predictions
from lung_srad_plugin.evaluation.worst_cycles import CycleStretch, describe_worst, load_sounds
from lung_srad_plugin.training.recipe import train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """The output folders of two seeds."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (1, 2):
        train(toy_arguments(data, folder / str(seed), seed=seed, number_of_epochs=1))
    return [folder / "1", folder / "2"]


def page_of(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def sounds_of(page):
    found = re.findall(r'src="data:audio/flac;base64,([^"]+)"', page)
    return [soundfile.read(io.BytesIO(base64.b64decode(one))) for one in found]


def test_the_most_confident_wrong_answers_come_first():
    table = draw_table(3)
    worst = describe_worst(table, 5)
    rows = [
        (max(p), name)
        for name, target, p in zip(table.ids, table.targets, table.probabilities, strict=True)
        if list(p).index(max(p)) != target
    ]
    assert worst["wrong"] == len(rows)
    assert [one["ID"] for one in worst["cycles"]] == [name for _, name in sorted(rows, key=lambda row: -row[0])[:5]]
    for one in worst["cycles"]:
        assert one["predicted"] == max(one["probabilities"], key=one["probabilities"].get) != one["label"]
    assert describe_worst(table, 10_000)["cycles"][-1]["ID"] == sorted(rows, key=lambda row: -row[0])[-1][1]


def test_a_model_on_a_manifest_has_the_sounds_of_its_errors(runs, data, tmp_path):
    report = evaluate(runs[0] / "export", tmp_path, data / "test.csv", data_root=data, worst_cycles=3)
    worst = report["worst_cycles"]
    assert worst["without_sound"] is None and 1 <= len(worst["cycles"]) <= 3
    page = page_of(tmp_path)
    sounds = sounds_of(page)
    assert len(sounds) == len(worst["cycles"]) == page.count("data:image/webp")
    for one, (sound, rate) in zip(worst["cycles"], sounds, strict=True):
        clip, native = soundfile.read(data / one["recording"])
        assert rate == native == 16000
        np.testing.assert_allclose(sound, 0.9 * clip / abs(clip).max(), atol=1e-4)
        assert f"annotated {one['label']}" in page
    tags = [tag for tag, _ in parse(page).elements]
    assert "script" not in tags and tags.count("audio") == len(sounds)
    assert "//" not in re.sub(r"<!--.*?-->|base64,[^\"]+", "", page)
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["worst_cycles"] == worst
    assert worst["cycles"][0]["ID"].replace("_", r"\_") in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_the_rest_of_the_page_is_as_without_errors(runs, data, tmp_path):
    reports = [
        evaluate(runs[0], tmp_path / str(count), data_root=data if count else None, worst_cycles=count)
        for count in (0, 2)
    ]
    assert "worst_cycles" not in reports[0] and "Most confident" not in page_of(tmp_path / "0")
    assert {key: value for key, value in reports[1].items() if key != "worst_cycles"} == reports[0]
    with_errors = re.sub(r'<section id="worst">.*?</section>', "", page_of(tmp_path / "2"), flags=re.S)
    with_errors = with_errors.replace('<a href="#worst">Errors</a>', "")
    bodies = [text[text.index("<body>") :].split() for text in (with_errors, page_of(tmp_path / "0"))]
    assert bodies[0] == bodies[1]
    assert "<audio" not in with_errors


def test_a_run_says_why_there_is_no_sound_and_finds_them_below_the_root(runs, data, tmp_path):
    report = evaluate(runs[0], tmp_path / "without")
    assert "--data-root" in report["worst_cycles"]["without_sound"]
    page = page_of(tmp_path / "without")
    assert 'id="no-sound"' in page and "<audio" not in page and "<img" not in page
    report = evaluate(runs[0], tmp_path / "with", data_root=data)
    table = read_predictions(runs[0] / "predictions_test_valid.csv")
    assert [one["ID"] for one in report["worst_cycles"]["cycles"]] == [
        one["ID"] for one in describe_worst(table, 8)["cycles"]
    ]
    assert len(sounds_of(page_of(tmp_path / "with"))) == len(report["worst_cycles"]["cycles"])
    assert 'id="no-sound"' not in page_of(tmp_path / "with")


def test_seeds_have_the_errors_of_the_mean_probabilities(runs, data, tmp_path):
    report = evaluate_runs(runs, tmp_path, data_root=data, worst_cycles=4)
    tables = [read_predictions(run / "predictions_test_valid.csv") for run in runs]
    assert tables[0].ids == tables[1].ids
    mean = (tables[0].probabilities + tables[1].probabilities) / 2
    wrong = [row for row in range(len(mean)) if mean[row].argmax() != tables[0].targets[row]]
    expected = sorted(wrong, key=lambda row: -mean[row].max())[:4]
    cycles = report["worst_cycles"]["cycles"]
    assert [one["ID"] for one in cycles] == [tables[0].ids[row] for row in expected]
    assert list(cycles[0]["probabilities"].values()) == pytest.approx(mean[expected[0]].tolist())
    assert len(sounds_of(page_of(tmp_path))) == len(cycles)
    assert "mean over the seeds" in page_of(tmp_path)
    assert "mean over the seeds" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_predictions_need_manifest_and_root(runs, data, tmp_path):
    predictions = runs[0] / "predictions_test_valid.csv"
    assert "manifest" in evaluate(predictions, tmp_path / "1")["worst_cycles"]["without_sound"]
    report = evaluate(predictions, tmp_path / "2", data / "test.csv")
    assert "--data-root" in report["worst_cycles"]["without_sound"]
    report = evaluate(predictions, tmp_path / "3", data / "test.csv", data_root=data)
    assert report["worst_cycles"]["without_sound"] is None and sounds_of(page_of(tmp_path / "3"))
    with pytest.raises(LungSRADError) as caught:
        evaluate(predictions, tmp_path / "4", data / "test.csv", data_root=tmp_path / "nowhere")
    assert str(caught.value).count(".wav") > 1 and "--worst-cycles 0" in str(caught.value)
    assert not (tmp_path / "4").exists()
    evaluate(predictions, tmp_path / "5", data / "test.csv", data_root=tmp_path / "nowhere", worst_cycles=0)


def test_a_test_manifest_that_is_gone_or_changed_is_refused(runs, data, tmp_path):
    copy = shutil.copytree(data, tmp_path / "data")
    run = shutil.copytree(runs[0], tmp_path / "run")
    settings = run / "hyperparams.yaml"
    settings.write_text(settings.read_text(encoding="utf-8").replace(str(data), str(copy)), encoding="utf-8")
    evaluate(run, tmp_path / "1", data_root=copy, worst_cycles=1)
    with open(copy / "test.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    (copy / "test.csv").unlink()
    with pytest.raises(LungSRADError, match="not there any more"):
        evaluate(run, tmp_path / "2", data_root=copy)
    write_manifest(copy / "test.csv", [{**row, "stop": 1.5} for row in rows])
    with pytest.raises(LungSRADError, match="was changed"):
        evaluate(run, tmp_path / "2", data_root=copy)
    with pytest.raises(LungSRADError, match="--data-root"):
        evaluate(run, tmp_path / "2", data_root=copy, worst_cycles=0)


def test_no_answer_is_wrong(tmp_path):
    table = draw_table(1)
    right = table.rows(table.predicted == table.targets)
    write_predictions(right, tmp_path / "right.csv")
    report = evaluate(tmp_path / "right.csv", tmp_path / "out")
    assert report["worst_cycles"]["wrong"] == 0 and "No answer is wrong" in page_of(tmp_path / "out")


@pytest.mark.parametrize(("start", "stop"), [(0.0, 0.05), (1.97, 2.0), (0.5, 0.51)])
def test_cycles_too_short_for_a_spectrum_are_widened(data, start, stop):
    worst = {"cycles": [{"ID": "a"}]}
    found = load_sounds(worst, {"a": CycleStretch(str(data / "test000.wav"), start, stop)})["a"]
    sound, rate = soundfile.read(io.BytesIO(found.sound))
    assert len(sound) / rate == pytest.approx(0.2, abs=0.001) == found.picture.duration


def test_a_browser_plays_the_errors(runs, data, tmp_path, browse):  # noqa: F811
    evaluate(runs[0], tmp_path / "report", data_root=data, worst_cycles=2)
    driver = browse((tmp_path / "report" / "report.html").as_uri(), width=390, height=844)
    lengths = driver.execute_async_script(
        "const done = arguments[0], all = [...document.querySelectorAll('audio')];"
        "Promise.all(all.map((one) => new Promise((found) => {"
        "  one.preload = 'metadata'; one.load();"
        "  one.addEventListener('loadedmetadata', () => found(one.duration)); })))"
        ".then(done);"
    )
    assert lengths == pytest.approx([2.0] * len(lengths), abs=0.01) and lengths
    pictures = "[...document.querySelectorAll('.clip img')].map((one) => one.naturalWidth)"
    assert min(driver.execute_script(f"return {pictures}")) > 100
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 390
