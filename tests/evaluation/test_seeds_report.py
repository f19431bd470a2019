"""Several seeds of one experiment in one report: mean, deviation and each seed; what does not belong is refused."""

import json
import re
import statistics
from collections import namedtuple
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from browser import needs_browser, screenshot
from evaluation_calls import evaluate_runs
from page_parser import parse
from prediction_tables import draw_table
from toy import toy_arguments, write_toy_data

from lung_srad_plugin.cli.main import main
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.bootstrap import Bootstrap
from lung_srad_plugin.metrics.comparison import paired_difference
from lung_srad_plugin.metrics.predictions import align
from lung_srad_plugin.metrics.predictions_file import read_predictions
from lung_srad_plugin.metrics.table_metrics import compute_metrics
from lung_srad_plugin.runs.results import score_predictions, write_run_predictions
from lung_srad_plugin.runs.run_folder import RunFolder
from lung_srad_plugin.runs.selection import EpochSelection
from lung_srad_plugin.training.recipe import train

Answers = namedtuple("Answers", "targets classes")
SKILLS = {1: 1.5, 2: 1.0, 3: 2.0}


def answers_of(seed, rule):
    """One model's answers: the same cycles for every seed, the last epoch a little worse."""
    table = draw_table(1)
    noise = np.random.default_rng(seed).dirichlet(np.ones(4), len(table))
    share = 0.2 * SKILLS.get(seed, 1.0) + (0.1 if rule == "valid" else 0.0)
    probabilities = (1 - share) * noise + share * np.eye(4)[table.targets]
    return replace(table, probabilities=probabilities, predicted=probabilities.argmax(1))


def scores_of(table):
    return score_predictions(Answers(table.targets, table.predicted), table.labels)


def write_run(folder, seed, settings="lr: 0.1", results=None, protocol=None):
    """Write what a training run leaves that a report needs."""
    folder.mkdir(parents=True)
    tables = {rule: {"test": answers_of(seed, rule)} for rule in ("valid", "last")}
    run = RunFolder(folder)
    write_run_predictions(tables, run)
    stored = {
        "experiment": "lung_srad",
        "labels": list(tables["valid"]["test"].labels),
        "protocol": {
            "split": "official",
            "split_sha256": "5e8a" * 16,
            "sha256": {"train": "ab" * 32, "valid": "cd" * 32, "test": "ef" * 32},
            "valid_is_test": False,
            "patients_shared": {"train_valid": [], "train_test": ["156", "218"], "valid_test": []},
            "notes": [],
            "selection": {rule: EpochSelection().text(rule) for rule in tables},
            **(protocol or {}),
        },
        "selected": {
            rule: {
                "epoch": 10 * seed,
                **score_predictions(Answers(part["test"].targets, part["test"].predicted), list("0123")).as_dict(),
            }
            for rule, part in tables.items()
        },
        "seed": seed,
        "data_folder": "somewhere/ICBHI",
        "pretrained": None,
        "parameters": 1234,
        "device": "cpu",
        "precision": {"training": "fp32", "evaluation": "fp32"},
        "commit": "c0ffee",
        **(results or {}),
    }
    run.results_file.write_text(json.dumps(stored), encoding="utf-8")
    text = f"seed: {seed}\noutput_folder: {folder}\nsave_folder: {folder}/save\n{settings}\n"
    run.settings_file.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [write_run(folder / str(seed), seed) for seed in SKILLS]


@pytest.fixture(scope="module")
def written(runs, tmp_path_factory):
    """The report and the folder it was written to; the runs are given in any order."""
    output = tmp_path_factory.mktemp("report")
    return evaluate_runs([runs[2], runs[0], runs[1]], output, resamples=200), output


def refusal(*arguments, **options):
    with pytest.raises(LungSRADError) as caught:
        evaluate_runs(*arguments, **options)
    return str(caught.value)


def test_mean_deviation_and_each_seed(written):
    report, output = written
    assert report["seeds"] == [1, 2, 3]
    assert json.loads((output / "report.json").read_text(encoding="utf-8")) == report
    assert [row["rule"] for row in report["selections"]] == ["valid", "last"]
    for row in report["selections"]:
        assert row["epochs"] == {"1": 10, "2": 20, "3": 30}
        for name, summary in row["measures"].items():
            values = [compute_metrics(answers_of(seed, row["rule"]))[name] for seed in (1, 2, 3)]
            assert list(summary["values"].values()) == pytest.approx(values)
            assert summary["mean"] == pytest.approx(statistics.mean(values))
            assert summary["sd"] == pytest.approx(statistics.stdev(values), abs=1e-9)
            assert summary["low"] <= summary["high"]
    assert "auroc_crackle" in report["selections"][0]["measures"]


def test_rules_are_compared_on_the_same_patients(written):
    report, _ = written
    first, second = ([answers_of(seed, rule) for seed in (1, 2, 3)] for rule in ("valid", "last"))
    expected = paired_difference(first, second, Bootstrap(200))["score_strict_class"]
    difference = report["paired"]["last-selected"]["score_strict_class"]
    assert (difference["value"], difference["low"], difference["high"]) == (expected.value, expected.low, expected.high)
    score = [row["measures"]["score_strict_class"]["mean"] for row in report["selections"]]
    assert difference["value"] == pytest.approx(score[1] - score[0])


def test_both_forms_show_every_number(written):
    report, output = written
    page, text = ((output / f"report.{form}").read_text(encoding="utf-8") for form in ("html", "md"))
    for shown in (page, text):
        for name in ("specificity", "sensitivity_strict_class", "score_strict_class", "score_any_abnormal"):
            for row in report["selections"]:
                summary = row["measures"][name]
                assert f"{summary['mean']:.2f} ± {summary['sd']:.2f}" in shown
                for value in summary["values"].values():
                    assert f"{value:.2f}" in shown
        assert "5e8a" * 16 in shown
        assert "156, 218" in shown
        assert "must not be compared" in shown
        assert "A mean over seeds with a single run" in shown
        assert "One seed with a mean over seeds" not in shown
    for above, line in pairwise(text.splitlines()):
        if line.startswith("|") and above.startswith("|"):
            assert line.count("|") == above.count("|"), line
    parser = parse(page)
    assert all(link.startswith("#") for link in parser.links)
    assert {link[1:] for link in parser.links} <= {attributes.get("id") for _, attributes in parser.elements}
    assert "//" not in page
    assert not {tag for tag, _ in parser.elements} & {"script", "link", "img"}
    assert all(attributes.get("scope") in ("row", "col") for tag, attributes in parser.elements if tag == "th")
    assert page.count('class="seed"') == 6  # a dot for each seed and rule
    assert "None" not in re.sub(r"<style>.*?</style>", "", page, flags=re.S)


@needs_browser
@pytest.mark.parametrize("width", [1200, 420])
def test_a_browser_draws_it(written, tmp_path, width):
    _, output = written
    picture = screenshot(output / "report.html", tmp_path, width, 4000)
    drawn = (picture != picture[-1, 0]).any(axis=(1, 2))
    assert drawn[:2000].mean() > 0.4
    # Text to the right edge would have been cut off.
    assert (picture[:, -3:] == picture[-1, 0]).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": {"split_sha256": "0" * 64}}, "2: hash of the split 000"),
        ({"protocol": {"split": "corrected"}}, "split corrected; in "),
        ({"protocol": {"sha256": {"train": "00", "valid": "cd" * 32, "test": "ef" * 32}}}, "hash of train.csv 00; in "),
        ({"protocol": {"sha256": {"train": "ab" * 32, "valid": "cd" * 32, "test": "1"}}}, "hash of test.csv 1; in "),
        (
            {"protocol": {"selection": {"valid": "the test set chose", "last": "last epoch"}}},
            "epochs selected by valid: the",
        ),
        ({"results": {"experiment": "dass"}}, "experiment dass; in "),
        ({"results": {"pretrained": {"source": "a.pth", "sha256": "77"}}}, "hash of the pretrained weights 77; in "),
        ({"results": {"precision": {"training": "bf16"}}}, "precision training bf16; in "),
        ({"settings": "lr: 0.2"}, "2: lr 0.2, not 0.1 as in "),
        ({"settings": "lr: 0.1\nframes: 8"}, "2: frames 8, not absent as in "),
        ({"settings": "lr: 0.1\nprocesses: 2"}, "2: processes 2, not absent as in "),
    ],
)
def test_runs_of_other_experiments_are_refused(runs, tmp_path, changes, message):
    other = write_run(tmp_path / "2", 2, **changes)
    error = refusal([runs[0], other], tmp_path / "out", resamples=2)
    assert "differ in their seed alone" in error
    assert message in error
    assert not (tmp_path / "out").exists()


def test_a_seed_whose_epochs_miss_the_minimum_of_sensitivity_is_pooled_and_named(runs, tmp_path):
    note = "no epoch had a sensitivity above 5 % on the validation cycles, so the best of all epochs was selected there"
    selection = {"valid": EpochSelection().text("valid", reached=False), "last": "last epoch"}
    other = write_run(tmp_path / "2", 2, protocol={"selection": selection, "notes": [note]})
    report = evaluate_runs([runs[0], other], tmp_path / "out", resamples=2)
    assert f"Seed 2: {note}." in report["cautions"]
    assert report["selections"][0]["text"] == EpochSelection().text("valid")


def test_what_is_no_second_seed_is_refused(runs, tmp_path):
    assert f"{runs[0]}: seed 1, which {runs[0]} has too" in refusal([runs[0], runs[0]], tmp_path / "out")
    assert "two or more" in refusal([runs[0]], tmp_path / "out")
    assert "not the output folder of a finished training run" in refusal([runs[0], tmp_path], tmp_path / "out")
    # Other cycles under the same hashes: an edited file.
    other = write_run(tmp_path / "2", 2)
    for rule in ("valid", "last"):
        path = RunFolder(other).predictions("test", rule)
        path.write_text(path.read_text(encoding="utf-8").replace("c0007,", "c9999,"), encoding="utf-8")
    assert "no prediction for c0007" in refusal([runs[0], other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_few_seeds_and_other_commits_are_pointed_out(runs, tmp_path):
    report = evaluate_runs(
        [runs[0], write_run(tmp_path / "2", 2, results={"commit": "dead"})], tmp_path / "out", resamples=2
    )
    assert any("2 seeds are few" in caution for caution in report["cautions"])
    assert any("2 versions of the code" in caution for caution in report["cautions"])
    assert report["runs"]["2"]["commit"] == "dead"
    assert any("156, 218" in caution for caution in report["cautions"])


def test_trained_runs_on_the_command_line(tmp_path, capsys):
    """Two real runs: as they were tested, then their exported models on a manifest."""
    data = write_toy_data(tmp_path, cycles=(8, 4, 8))
    folders = [tmp_path / "runs" / str(seed) for seed in (1, 2)]
    for seed, folder in enumerate(folders, start=1):
        train(toy_arguments(data, folder, seed=seed, number_of_epochs=1))
    capsys.readouterr()
    given, out = [str(folder) for folder in folders], tmp_path / "out"
    _command("evaluate", *given, "--output", str(out), "--resamples", "20")
    printed = capsys.readouterr().out
    assert "seeds 1, 2: mean ± standard deviation (each seed)" in printed
    assert "patients in train and test: none" in printed
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    for seed, folder in zip(("1", "2"), folders, strict=True):
        scores = RunFolder(folder).results().selected["valid"]
        assert (
            report["selections"][0]["measures"]["score_strict_class"]["values"][seed]
            == scores.tests["test"].strict.score
        )
    again = tmp_path / "again"
    _command(
        "evaluate",
        *given,
        str(data / "test.csv"),
        "--data-root",
        str(data),
        "--output",
        str(again),
        "--resamples",
        "20",
    )
    for seed, folder in zip(("1", "2"), folders, strict=True):
        tested = read_predictions(RunFolder(folder).predictions("test", "valid"))
        found = align(tested, read_predictions(again / f"predictions_seed_{seed}.csv"))
        np.testing.assert_allclose(found.probabilities, tested.probabilities, atol=1e-5)
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", *given, str(tmp_path / "typo"), str(data / "test.csv")])
    assert stop.value.code == 2
    assert "typo: no such folder" in capsys.readouterr().err


def _command(*arguments):
    try:
        main(list(arguments))
    except SystemExit as stop:
        assert not stop.code
