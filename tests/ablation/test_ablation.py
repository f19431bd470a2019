"""A grid of experiments: reading it, running it in spite of kills and failures, and the numbers of its table."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import namedtuple

import numpy as np
import pytest
from browser import needs_browser, screenshot
from page_parser import parse
from toy import HPARAMS, toy_arguments, write_toy_data

from lung_srad_plugin import (
    CycleFeatures,
    DASSEncoder,
    FeatureNormalization,
    LungSRADError,
    PatchMixContrastiveLoss,
    SpecAugment,
    smooth_blocks,
)
from lung_srad_plugin.ablation.command import INTERRUPTED, ablate
from lung_srad_plugin.ablation.execute import execute, launch_subprocess, make_slots
from lung_srad_plugin.ablation.grid import FIGURES, read_grid
from lung_srad_plugin.ablation.plot import plot_factors
from lung_srad_plugin.ablation.runs import check_folders, plan_runs, prepare_folder
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.predictions import make_table
from lung_srad_plugin.metrics.predictions_file import write_predictions
from lung_srad_plugin.runs.command_line import read_overrides
from lung_srad_plugin.runs.experiment import parse_keys, read_experiment
from lung_srad_plugin.runs.results import score_predictions
from lung_srad_plugin.runs.run_folder import RunFolder
from lung_srad_plugin.runs.selection import EpochSelection
from lung_srad_plugin.training.recipe import main

Answers = namedtuple("Answers", "targets classes")
GIVEN = {"data_folder": "x", "pretrained": None}
GRID = """
experiment: base.yaml
seeds: [1, 2]
reference: plain
published_source: a paper
rows:
  - name: plain
    published: {Score: [61.06, 1.27]}
  - {name: other, changes: {lr: 0.2}}
"""
# Two normal cycles of patient a; a crackle and a wheeze of patient b.
TARGETS = np.array([0, 0, 1, 2])


@pytest.fixture
def grid(tmp_path):
    (tmp_path / "base.yaml").write_text("seed: 0\noutput_folder: x\nlr: 0.1\nframes: 8\n", encoding="utf-8")
    return write(tmp_path, GRID)


def write(folder, text):
    (folder / "grid.yaml").write_text(text, encoding="utf-8")
    return folder / "grid.yaml"


class Ended:
    """What stands for a process that has ended already."""

    def __init__(self, code):
        self.code = code

    def poll(self):
        return self.code


def answer(answers, seen=None):
    """Return a launcher that trains nothing: a run's results come from ``answers[row, seed]``, the predicted classes.

    A row and seed without answers fails. ``seen`` collects what was started.
    """

    def launch(run, device):
        if seen is not None:
            seen.append((run.row, run.seed, device))
        classes = answers.get((run.row, run.seed))
        if classes is None:
            (run.folder / "output.log").write_text("line\n" * 30 + "out of memory\n", encoding="utf-8")
            return Ended(1)
        write_run(run, np.array(classes))
        return Ended(0)

    return launch


def write_run(run, classes):
    scores = {"epoch": 7, **score_predictions(Answers(TARGETS, classes), CLASSES).as_dict()}
    protocol = {
        "selection": {rule: EpochSelection().text(rule) for rule in ("valid", "last")},
        "split": "official",
        "split_sha256": "5e8a",
        "patients_shared": {"train_valid": [], "train_test": ["156", "218"], "valid_test": []},
    }
    results = {
        "experiment": run.row,
        "labels": CLASSES,
        "selected": {"valid": scores, "last": scores},
        "protocol": protocol,
        "seed": run.seed,
        "data_folder": "somewhere/ICBHI",
        "parameters": 1234,
        "device": "cpu",
        "precision": {"training": "fp32", "evaluation": "fp32"},
        "commit": "c0ffee",
        "seconds": 1.0,
    }
    run.output.results_file.write_text(json.dumps(results), encoding="utf-8")
    names = [CLASSES[target] for target in TARGETS]
    table = make_table("wxyz", names, np.eye(4)[classes], CLASSES, {"patient": "aabb"})
    for rule in ("valid", "last"):
        write_predictions(table, run.output.predictions("test", rule))


ANSWERS = {
    ("plain", 1): [0, 0, 0, 0],  # Sp 100, Se 0; any abnormal 0
    ("plain", 2): [0, 1, 1, 0],  # Sp 50, Se 50; any abnormal 50
    ("other", 1): [0, 0, 1, 3],  # Sp 100, Se 50; any abnormal 100
    ("other", 2): [0, 0, 1, 2],  # all right
}


# ---- the grid file ----


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds:", "seed:", "unknown key seed"),
        ("seeds: [1, 2]", "seeds: [1, 1]", "seeds: \\[1, 1\\]; expected a list of different whole numbers"),
        ("seeds: [1, 2]", "seeds: []", "expected a list of different"),
        ("changes:", "chnges:", "row other: unknown key chnges"),
        ("name: other", "name: plain", "row plain: more than one row has this name"),
        ("name: other", "name: a/b", "row a/b: the name is also that of a folder"),
        ("name: other", "nam: other", "row 2: name is missing"),
        ("name: other", "name: other, experiment: absent.yaml", "row other: no such experiment: .*absent.yaml"),
        ("experiment: base.yaml", "", "row plain: no experiment"),
        ("reference: plain", "reference: plan", "reference: no row is called plan; the rows are plain, other"),
        ("Score: [61.06, 1.27]", "score: 1", "row plain: published: unknown key score"),
        ("[61.06, 1.27]", "high", "published Score: high; expected a number"),
        ("published_source: a paper", "", "row plain: published figures without a published_source"),
        ("lr: 0.2", "seed: 2", "row other: changes: seed is given to each run by the grid"),
        ("rows:", "rows: [", "not valid yaml"),
        ("reference: plain", "reference: plain\nreference: other", "give each key once"),
    ],
)
def test_mistakes_in_a_grid_are_named(grid, tmp_path, old, new, message):
    assert old in GRID
    with pytest.raises(LungSRADError, match=message):
        read_grid(write(tmp_path, GRID.replace(old, new)))


def test_all_mistakes_of_a_grid_are_told_at_once(grid, tmp_path):
    with pytest.raises(LungSRADError, match=r"(?s)3 problems.*unknown key x.*seeds is missing.*at least one row"):
        read_grid(write(tmp_path, "x: 1\nreference: plain\nrows: []\n"))
    with pytest.raises(LungSRADError, match="no such grid"):
        read_grid(tmp_path / "absent.yaml")


def test_published_figures_are_read_as_mean_and_deviation():
    grid = read_grid(HPARAMS / "ablation.yaml")
    assert grid.seeds == (1, 2, 3, 4, 5)
    assert "test set" in grid.published_source
    published = {row.name: row.published for row in grid.rows}
    assert published["lung_srad"] == {
        "Sp": (79.53, None),
        "Se": (49.42, None),
        "Score": (64.48, 0.25),
        "2-class": (72.57, 0.47),
    }
    assert published["dass"]["Score"] == (61.06, 1.27)
    assert published["dass_gaussian_patch"] == {}
    assert published["ast"] == {
        "Sp": (77.14, None),
        "Se": (41.97, None),
        "Score": (59.55, None),
        "2-class": (66.77, None),
    }
    assert published["ast_patch_mix"]["Score"] == (62.37, None)


def test_weights_of_the_command_line_go_to_the_rows_that_have_none_of_their_own(tmp_path):
    given = {"data_folder": "x", "pretrained": "DASS_medium_v2.pth"}
    runs = plan_runs(read_grid(HPARAMS / "ablation.yaml"), tmp_path, given)[:8]
    assert {run.row: run.settings["pretrained"] for run in runs} == {
        **dict.fromkeys((run.row for run in runs), "DASS_medium_v2.pth"),
        **dict.fromkeys(("ast", "ast_patch_mix"), "MIT/ast-finetuned-audioset-10-10-0.4593"),
    }
    mixing = next(run for run in runs if run.row == "ast_patch_mix")
    assert "pretrained" not in parse_keys(mixing.text, "x")
    names = ("alpha_patch", "alpha_time", "temperature", "batch_size", "class_weighting")
    assert [mixing.settings[name] for name in names] == [1.0, 0.0, 0.06, 8, "none"]


@pytest.mark.parametrize(("name", "rows"), [("ablation", 8), ("ablation_factors", 27), ("ablation_small", 5)])
def test_each_row_of_the_grids_can_be_built(name, rows, tmp_path):
    grid = read_grid(HPARAMS / f"{name}.yaml")
    assert len(grid.rows) == rows
    for run in plan_runs(grid, tmp_path, GIVEN)[:rows]:
        settings = run.settings
        gaussian = [
            settings[f"gaussian_{part}"] for part in ("stage", "blocks", "kernel", "sigma", "target", "padding")
        ]
        smooth_blocks(DASSEncoder(settings["depths"], [8, 8, 8, 8]), *gaussian)
        PatchMixContrastiveLoss(settings["temperature"], settings["negatives"], settings["stop_gradient"])
        CycleFeatures(frames=settings["frames"], level=settings["level"], high_hz=settings["high_hz"])
        FeatureNormalization(settings["normalization"])
        SpecAugment(probability=settings["spec_augment_probability"])


# ---- runs ----


def test_overrides_reach_every_run_but_not_what_the_rows_differ_in(grid, tmp_path):
    runs = plan_runs(read_grid(grid), tmp_path / "out", read_overrides(["--frames", "16"]))
    assert [(run.row, run.seed) for run in runs] == [("plain", 1), ("other", 1), ("plain", 2), ("other", 2)]
    assert {run.settings["frames"] for run in runs} == {16}
    assert [run.settings["lr"] for run in runs] == [0.1, 0.2, 0.1, 0.2]
    assert runs[3].folder == tmp_path / "out" / "other" / "2"
    prepare_folder(runs[3])
    _, changes = read_experiment(runs[3].experiment)
    assert dict(changes) == {"lr": 0.2, "frames": 16, "seed": 2, "output_folder": str(runs[3].folder)}

    for arguments, message in [
        (["--lr", "0.3"], r"--lr 0.3: the rows differ in it \(other set it\)"),
        (["--seed", "3"], "the grid gives it"),
        (["--output_folder", "x"], "the grid gives it"),
        (["--frmes", "16"], r"base\.yaml has no key frmes \(did you mean frames\?\)"),
        (["--device", "cuda"], "--devices"),
        (["--frames"], "expected a value"),
        (["--frames", "1", "--frames=2"], "given twice"),
        (["frames", "1"], "belongs to no option"),
    ]:
        with pytest.raises(LungSRADError, match=message):
            plan_runs(read_grid(grid), tmp_path / "out", read_overrides(arguments))


def test_unknown_keys_and_equal_rows_are_refused(grid, tmp_path):
    with pytest.raises(LungSRADError, match=r"row other: .*base\.yaml has no key rate,"):
        plan_runs(read_grid(write(tmp_path, GRID.replace("lr: 0.2", "rate: 0.2"))), tmp_path)
    with pytest.raises(LungSRADError, match="rows plain and other are the same experiment"):
        plan_runs(read_grid(write(tmp_path, GRID.replace("lr: 0.2", "lr: 0.1"))), tmp_path)


def test_values_that_only_the_user_can_give_are_asked_for(tmp_path):
    with pytest.raises(LungSRADError, match="--data_folder"):
        plan_runs(read_grid(HPARAMS / "ablation.yaml"), tmp_path)


def test_slots_share_devices():
    assert make_slots() == [None]
    assert make_slots(["cuda:0", "cuda:1"]) == ["cuda:0", "cuda:1"]
    assert make_slots(["cuda:0", "cuda:1"], 3) == ["cuda:0", "cuda:1", "cuda:0"]
    for devices, jobs in [(None, 0), (["cuda:0", "cuda:1"], 1), (["cuda:0", "cuda:0"], 2), ([""], 1)]:
        with pytest.raises(LungSRADError):
            make_slots(devices, jobs)


def test_finished_runs_are_kept_and_the_others_run(grid, tmp_path):
    seen = []
    some = {key: ANSWERS[key] for key in list(ANSWERS)[:3]}
    assert ablate(grid, tmp_path / "out", devices=["cuda:0", "cuda:1"], launch=answer(some, seen)) == 1
    assert seen == [("plain", 1, "cuda:0"), ("other", 1, "cuda:1"), ("plain", 2, "cuda:0"), ("other", 2, "cuda:1")]
    seen.clear()
    assert ablate(grid, tmp_path / "out", launch=answer(ANSWERS, seen)) == 0
    assert seen == [("other", 2, None)]
    seen.clear()
    # Cut off by a kill while it was written, or not marked as ended well.
    (tmp_path / "out" / "plain" / "1" / "results.json").write_text('{"selected": ', encoding="utf-8")
    (tmp_path / "out" / "plain" / "2" / "finished").unlink()
    assert ablate(grid, tmp_path / "out", launch=answer(ANSWERS, seen)) == 0
    assert seen == [("plain", 1, None), ("plain", 2, None)]


def test_runs_with_other_settings_are_never_reused(grid, tmp_path):
    output = tmp_path / "out"
    assert ablate(grid, output, launch=answer(ANSWERS)) == 0
    seen = []
    with pytest.raises(LungSRADError) as refused:
        ablate(grid, output, {"frames": 16}, launch=answer(ANSWERS, seen))
    assert "4 runs have other settings" in str(refused.value)
    assert f"{output / 'other' / '2'}: frames is 8 there, 16 was asked for" in str(refused.value)
    assert "another --output, or remove" in str(refused.value)
    assert seen == []
    # The recipe's own file may change too.
    (tmp_path / "base.yaml").write_text("seed: 0\noutput_folder: x\nlr: 0.3\nframes: 8\n", encoding="utf-8")
    with pytest.raises(LungSRADError, match=r"(?s)2 runs .*plain.1: lr is 0.1 there, 0.3 was asked for"):
        ablate(grid, output, launch=answer(ANSWERS, seen))
    assert seen == []


def test_runs_that_no_grid_started_are_not_taken_over(grid, tmp_path):
    run = plan_runs(read_grid(grid), tmp_path / "out")[0]
    assert check_folders([run]) == []
    (run.folder / "save" / "CKPT+1").mkdir(parents=True)
    with pytest.raises(LungSRADError, match="not one that a grid started"):
        check_folders([run])
    prepare_folder(run)
    assert check_folders([run]) == []  # to be resumed


def test_failed_run_is_told_with_the_end_of_its_log_and_the_others_go_on(grid, tmp_path, capsys):
    answers = {key: value for key, value in ANSWERS.items() if key != ("plain", 1)}
    assert ablate(grid, tmp_path / "out", launch=answer(answers)) == 1
    printed = capsys.readouterr().out
    assert "plain, seed 1: failed, exit code 1; its log ends:" in printed
    assert "out of memory" in printed
    table = json.loads((tmp_path / "out" / "ablation.json").read_text(encoding="utf-8"))
    (failure,) = table["failures"]
    assert (failure["row"], failure["seed"], failure["ended"]) == ("plain", 1, "exit code 1")
    assert len(failure["log"]) == 15
    assert failure["log"][-1] == "out of memory"
    assert table["rows"][0]["measured"]["valid"]["Score"]["values"] == {"2": 50.0}
    assert "plain (1)" in table["notes"][0]
    for form in ("md", "html"):
        assert "out of memory" in (tmp_path / "out" / f"ablation.{form}").read_text(encoding="utf-8")


def test_run_without_results_has_failed(grid, tmp_path):
    assert ablate(grid, tmp_path / "out", launch=lambda run, device: Ended(0)) == 1
    assert "No run is finished" in (tmp_path / "out" / "ablation.md").read_text(encoding="utf-8")
    assert not (tmp_path / "out" / "ablation.png").exists()
    assert "No run is finished" in (tmp_path / "out" / "ablation.html").read_text(encoding="utf-8")


def test_interrupt_keeps_what_is_finished(grid, tmp_path, capsys):
    launch = answer(ANSWERS)

    def interrupted(run, device):
        if run.seed == 2:
            raise KeyboardInterrupt
        return launch(run, device)

    assert ablate(grid, tmp_path / "out", launch=interrupted) == INTERRUPTED
    assert "same command resumes" in capsys.readouterr().out
    table = json.loads((tmp_path / "out" / "ablation.json").read_text(encoding="utf-8"))
    assert [row["measured"]["last"]["Score"]["values"] for row in table["rows"]] == [{"1": 50.0}, {"1": 75.0}]


def test_interrupt_stops_runs_at_work_and_kills_those_that_will_not_end(grid, tmp_path, monkeypatch):
    calls = []

    class Stubborn:
        def poll(self):
            return None

        def terminate(self):
            calls.append("terminate")

        def wait(self, timeout=None):
            if timeout is not None:
                raise subprocess.TimeoutExpired("run", timeout)
            calls.append("wait")

        def kill(self):
            calls.append("kill")

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("lung_srad_plugin.ablation.execute.time.sleep", interrupt)
    runs = plan_runs(read_grid(grid), tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        execute(runs, make_slots(jobs=2), lambda run, device: Stubborn())
    assert calls == ["terminate", "terminate", "kill", "wait", "kill", "wait"]


def test_run_ends_with_the_process_that_started_it(grid, tmp_path):
    run = plan_runs(read_grid(grid), tmp_path / "out")[0]
    prepare_folder(run)
    process = launch_subprocess(run, None)
    process.stdin.close()  # as the system does when the parent is killed
    assert process.wait(timeout=60) == 1
    log = (run.folder / "output.log").read_text(encoding="utf-8")
    assert log.startswith("--- ")
    assert "error" not in log


# ---- the table ----


@pytest.fixture
def table(grid, tmp_path):
    assert ablate(grid, tmp_path / "out", launch=answer(ANSWERS)) == 0
    return json.loads((tmp_path / "out" / "ablation.json").read_text(encoding="utf-8"))


def test_means_and_deviations_over_seeds(table):
    plain, other = table["rows"]
    for rule in ("valid", "last"):
        assert {name: plain["measured"][rule][name]["values"] for name in FIGURES} == {
            "Sp": {"1": 100.0, "2": 50.0},
            "Se": {"1": 0.0, "2": 50.0},
            "Score": {"1": 50.0, "2": 50.0},
            "2-class": {"1": 50.0, "2": 50.0},
        }
        score = other["measured"][rule]["Score"]
        assert score["values"] == {"1": 75.0, "2": 100.0}
        assert score["mean"] == 87.5
        assert score["sd"] == pytest.approx(25 / np.sqrt(2))
        assert plain["measured"][rule]["Sp"]["sd"] == pytest.approx(50 / np.sqrt(2))
    assert plain["published"] == {"Score": {"mean": 61.06, "sd": 1.27}}
    assert other["changes"] == {"lr": 0.2}
    assert plain["epochs"]["valid"] == {"1": 7, "2": 7}


def test_difference_is_that_of_the_means_with_patients_resampled(table):
    plain, other = table["rows"]
    assert plain["difference"] == {"valid": None, "last": None}
    difference = other["difference"]["valid"]
    # Of the means over seeds: Sp 100 - 75, Se 75 - 25, any abnormal 100 - 25.
    values = {name: difference[name]["value"] for name in FIGURES}
    assert values == {"Sp": 25.0, "Se": 50.0, "Score": 37.5, "2-class": (25.0 + 75.0) / 2}
    # Each measure has its cycles in one patient: where it is drawn at all, the difference is the same.
    assert (difference["Se"]["low"], difference["Se"]["high"]) == (50.0, 50.0)
    # Not defined where the only patient drawn has no normal cycle: one of four resamples, roughly.
    assert 0.2 < difference["Sp"]["undefined"] / table["bootstrap"]["resamples"] < 0.3
    assert table["test"] == {"cycles": 4, "patients": 2}
    assert any("2 patients are too few" in note for note in table["notes"])
    assert "Split: official, SHA-256 5e8a." in table["notes"]
    assert "Patients in both train and test: 156, 218. What the models learned of them may help." in table["notes"]


FACTOR_ROWS = """
experiment: base.yaml
seeds: [1, 2]
reference: plain
rows:
  - name: plain
  - {name: hot, changes: {temperature: 0.5}}
  - {name: cold, changes: {temperature: 0.06}}
  - {name: hot_and_fast, changes: {temperature: 0.5, lr: 0.2}}
  - {name: none, changes: {gaussian_blocks: []}}
  - {name: first, changes: {gaussian_stage: 0, gaussian_blocks: [0, 1]}}
"""


def test_scores_over_each_factor_that_rows_vary_alone(tmp_path):
    base = "seed: 0\noutput_folder: x\nlr: 0.1\ntemperature: 0.2\ngaussian_stage: 2\ngaussian_blocks: [2, 3]\n"
    (tmp_path / "base.yaml").write_text(base + "gaussian_kernel: 5\n", encoding="utf-8")
    names = ("plain", "hot", "cold", "hot_and_fast", "none", "first")
    answers = {(name, seed): ANSWERS["plain", seed] for name in names for seed in (1, 2)}
    del answers["first", 2]
    answers["cold", 1] = [0, 0, 1, 2]
    out = tmp_path / "out"
    assert ablate(write(tmp_path, FACTOR_ROWS), out, launch=answer(answers)) == 1
    factors = json.loads((out / "ablation.json").read_text(encoding="utf-8"))["factors"]
    assert [(one["row"], one["value"]) for one in factors["temperature"]] == [
        ("cold", 0.06),
        ("plain", 0.2),
        ("hot", 0.5),
    ]
    assert [(one["row"], one["value"]) for one in factors["smoothed blocks"]] == [
        ("plain", "stage 2: 2, 3"),
        ("none", "none"),
        ("first", "stage 0: 0, 1"),
    ]
    assert set(factors) == {"temperature", "smoothed blocks"}
    assert (out / "ablation_factors.pdf").read_bytes().startswith(b"%PDF")
    table = json.loads((out / "ablation.json").read_text(encoding="utf-8"))
    temperature, _ = plot_factors(table).axes[-2:]
    means = temperature.containers[0].lines[0].get_xydata()
    assert means.tolist() == [[0, 75.0], [1, 50.0], [2, 50.0]]  # cold: 100 and 50
    assert [tick.get_text() for tick in temperature.get_xticklabels()] == ["0.06", "0.2", "0.5"]


def test_without_such_rows_there_is_no_figure_of_factors(table, tmp_path):
    assert table["factors"] == {}
    assert not (tmp_path / "out" / "ablation_factors.png").exists()


def test_the_same_numbers_stand_in_markdown_and_csv(table, tmp_path):
    text = (tmp_path / "out" / "ablation.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert "published Sp / Se / Score / 2-class" in lines[0]
    assert lines[1] == (
        "| plain | 2 of 2 | 75.00 ± 35.36 | 25.00 ± 35.36 | 50.00 ± 0.00 | 50.00 ± 0.00 | reference "
        "| - / - / 61.06 ± 1.27 / - |"
    )
    assert "+37.50 [+37.50, +37.50]" in lines[2]
    assert "Published: a paper. Not measured here." in text
    assert "other: lr: 0.2" in text
    with open(tmp_path / "out" / "ablation.csv", encoding="utf-8") as file:
        rows = {(row["row"], row["selected_by"]): row for row in csv.DictReader(file)}
    assert len(rows) == 4
    assert float(rows["other", "last"]["Score_mean"]) == 87.5
    assert float(rows["other", "last"]["Score_difference_value"]) == 37.5
    assert float(rows["plain", "valid"]["Score_published_sd"]) == 1.27
    assert rows["other", "valid"]["Score_published_mean"] == ""
    assert (tmp_path / "out" / "ablation.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_shows_each_seed_and_the_differences(table, tmp_path):
    page = (tmp_path / "out" / "ablation.html").read_text(encoding="utf-8")
    parser = parse(page)
    assert all(link.startswith("#") for link in parser.links)
    assert {link[1:] for link in parser.links} <= {attributes.get("id") for _, attributes in parser.elements}
    assert not {tag for tag, _ in parser.elements} & {"script", "link", "img"}
    assert "87.50 ± 17.68" in page
    assert page.count("<strong>75.00</strong>") == page.count("<strong>100.00</strong>") == 2  # seeds of other, by rule
    assert page.count('class="seed"') == 2 * 2 * 2
    assert "+37.50 [+37.50, +37.50]" in page
    assert page.count('class="range"') == 2
    assert "61.06 ± 1.27" in page
    assert "Published: a paper. Not measured here." in page
    text = (tmp_path / "out" / "ablation.md").read_text(encoding="utf-8")
    assert "| other | 2 | 7 | 100.00 | 100.00 | 100.00 | 100.00 |" in text
    assert str(tmp_path) not in page + text  # a report must not show paths of the machine


@needs_browser
@pytest.mark.parametrize("width", [1200, 420])
def test_a_browser_draws_the_page(table, tmp_path, width):
    picture = screenshot(tmp_path / "out" / "ablation.html", tmp_path, width, 2400)
    drawn = (picture != picture[-1, 0]).any(axis=(1, 2))
    assert drawn[:1000].mean() > 0.4
    # Text to the right edge would have been cut off.
    assert (picture[:, -3:] == picture[-1, 0]).all()


def test_each_test_set_has_a_table_of_its_own(grid, tmp_path, capsys):
    """On ``hard`` the runs give ``ANSWERS``, on ``easy`` they are right."""
    base = tmp_path / "base.yaml"
    base.write_text(base.read_text(encoding="utf-8") + "test_csv: {hard: h.csv, easy: e.csv}\n", encoding="utf-8")

    def launch(run, device):
        write_run(run, np.array(ANSWERS[run.row, run.seed]))
        stored = json.loads(run.output.results_file.read_text(encoding="utf-8"))
        right = score_predictions(Answers(TARGETS, TARGETS), CLASSES).as_dict()
        for rule, scores in stored["selected"].items():
            epoch = scores.pop("epoch")
            stored["selected"][rule] = {"epoch": epoch, "tests": {"hard": scores, "easy": right}}
            given = run.output.predictions("test", rule)
            given.rename(run.output.predictions("test_hard", rule))
            table = make_table("wxyz", [CLASSES[i] for i in TARGETS], np.eye(4)[TARGETS], CLASSES, {"patient": "aabb"})
            write_predictions(table, run.output.predictions("test_easy", rule))
        run.output.results_file.write_text(json.dumps(stored), encoding="utf-8")
        return Ended(0)

    assert ablate(grid, tmp_path / "out", launch=launch) == 0
    printed = capsys.readouterr().out
    expected = {"hard": ([50, 50], [75, 100]), "easy": ([100, 100], [100, 100])}
    for name, (plain, other) in expected.items():
        assert f"ablation_{name}.html" in printed
        table = json.loads((tmp_path / "out" / f"ablation_{name}.json").read_text(encoding="utf-8"))
        found = {row["name"]: row["measured"]["valid"]["Score"]["values"] for row in table["rows"]}
        assert found == {"plain": dict(zip("12", plain, strict=True)), "other": dict(zip("12", other, strict=True))}
        assert table["rows"][1]["difference"]["valid"]["Score"]["value"] == np.mean(other) - np.mean(plain)
        assert any(f"test set {name}, 4 cycles" in note for note in table["notes"])
    assert not (tmp_path / "out" / "ablation.json").exists()


def test_rows_with_different_test_sets_are_refused(grid, tmp_path):
    base = tmp_path / "base.yaml"
    base.write_text(base.read_text(encoding="utf-8") + "test_csv: h.csv\n", encoding="utf-8")
    text = grid.read_text(encoding="utf-8").replace("{lr: 0.2}", "{test_csv: {hard: h.csv}}")
    grid.write_text(text, encoding="utf-8")
    with pytest.raises(LungSRADError, match="plain: test; other: hard"):
        ablate(grid, tmp_path / "out", launch=answer(ANSWERS))


def test_one_seed_has_no_deviation(grid, tmp_path):
    write(tmp_path, GRID.replace("[1, 2]", "[1]"))
    assert ablate(grid, tmp_path / "out", launch=answer(ANSWERS)) == 0
    table = json.loads((tmp_path / "out" / "ablation.json").read_text(encoding="utf-8"))
    assert table["rows"][1]["measured"]["valid"]["Score"] == {"mean": 75.0, "sd": None, "values": {"1": 75.0}}
    assert "| 75.00 |" in (tmp_path / "out" / "ablation.md").read_text(encoding="utf-8")


def test_another_split_is_seen_by_its_hash(grid, tmp_path):
    ablate(grid, tmp_path / "out", launch=answer(ANSWERS))
    path = tmp_path / "out" / "other" / "2" / "results.json"
    path.write_text(path.read_text(encoding="utf-8").replace("5e8a", "0bad"), encoding="utf-8")
    assert ablate(grid, tmp_path / "out", launch=answer(ANSWERS)) == 0
    text = (tmp_path / "out" / "ablation.md").read_text(encoding="utf-8")
    assert "Split: official, SHA-256 0bad; official, SHA-256 5e8a. Rows of different splits do not compare." in text


def test_other_test_cycles_have_no_difference_and_say_so(grid, tmp_path):
    ablate(grid, tmp_path / "out", launch=answer(ANSWERS))
    path = RunFolder(tmp_path / "out" / "other" / "2").predictions("test", "last")
    path.write_text(path.read_text(encoding="utf-8").replace("z,", "v,"), encoding="utf-8")
    assert ablate(grid, tmp_path / "out", launch=answer(ANSWERS)) == 0
    table = json.loads((tmp_path / "out" / "ablation.json").read_text(encoding="utf-8"))
    assert table["rows"][1]["difference"]["last"] is None
    assert any("No difference of other from plain" in note and "no prediction for z" in note for note in table["notes"])


# ---- the recipe itself ----


def test_killed_grid_goes_on_where_it_was(tmp_path):
    """A real grid, killed in its second run: the first is kept, the second resumes."""
    data = write_toy_data(tmp_path)
    pairs = toy_arguments(data, "unused", number_of_epochs=5)[1:]
    where = pairs.index("--output_folder")
    arguments = pairs[:where] + pairs[where + 2 :]
    text = f"experiment: {HPARAMS / 'lung_srad.yaml'}\nseeds: [3]\nreference: full\n"
    rows = "rows:\n  - name: full\n  - {name: unmixed, changes: {alpha_time: 0, alpha_frequency: 0}}\n"
    grid, output = write(tmp_path, text + rows), tmp_path / "out"

    program = "import sys; from lung_srad_plugin.cli.main import main; main()"
    command = [sys.executable, "-c", program, "ablate", str(grid), "--output", str(output), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    second = output / "unmixed" / "3"
    deadline = time.monotonic() + 240
    while not any(second.glob("save/CKPT*/whole.ckpt")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "the second run saved no checkpoint"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    kept = output / "full" / "3" / "results.json"
    written = kept.stat().st_mtime_ns
    assert not (second / "finished").exists()
    _wait_until_quiet(RunFolder(second).train_log)

    def train_here(run, device):
        return Ended(main([str(run.experiment)]))

    assert ablate(grid, output, read_overrides(arguments), launch=train_here) == 0
    assert kept.stat().st_mtime_ns == written
    epochs = [int(epoch) for epoch in re.findall(r"^epoch: (\d+)", (RunFolder(second).train_log).read_text(), re.M)]
    assert sorted(set(epochs)) == list(range(1, 6))
    assert epochs.count(1) == 1, "it began anew"
    table = json.loads((output / "ablation.json").read_text(encoding="utf-8"))
    assert [row["runs"]["3"]["finished"] for row in table["rows"]] == [True, True]
    for row in table["rows"]:
        results = json.loads((output / row["name"] / "3" / "results.json").read_text(encoding="utf-8"))
        assert row["measured"]["valid"]["Score"]["mean"] == results["selected"]["valid"]["4class"]["score"]
        assert len(results["history"]) == 5
    difference = table["rows"][1]["difference"]["last"]["Score"]
    scores = [row["measured"]["last"]["Score"]["mean"] for row in table["rows"]]
    assert difference["value"] == pytest.approx(scores[1] - scores[0])
    assert difference["low"] <= difference["value"] <= difference["high"]
    page = (output / "ablation.html").read_text(encoding="utf-8")
    assert all(f"<strong>{score:.2f}</strong>" in page for score in scores)


def _wait_until_quiet(log):
    """Wait until the run that lost its parent has ended too: its log has stopped growing."""
    size = -1
    while size != log.stat().st_size:
        size = log.stat().st_size
        time.sleep(1.0)
