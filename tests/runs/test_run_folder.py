"""A run's folder: its checkpoints, its results, and the lock that keeps a second run out."""

import json
import os
import platform
import signal
import subprocess
import sys

import pytest
from tiny_model import results, write_run

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.runs.lock import RunLock
from lung_srad_plugin.runs.record import RunResults, read_results
from lung_srad_plugin.runs.run_folder import SETTINGS_HEADER, RunFolder
from lung_srad_plugin.utils.files import write_together


@pytest.fixture
def run(tmp_path):
    """A run as an earlier version left it: checkpoints without sensitivity, settings without a selection."""
    return RunFolder(write_run(tmp_path / "run"))


# ---- checkpoints ----


def test_checkpoints_of_an_earlier_version_are_found(run):
    assert run.is_started() and run.is_finished()
    assert run.find_checkpoint("valid").name == "CKPT+epoch1"
    assert run.find_checkpoint("last").name == "CKPT+epoch2"
    with pytest.raises(LungSRADError, match="--report_test_selected True"):
        run.find_checkpoint("test")
    with pytest.raises(LungSRADError, match="expected one of valid, last, test"):
        run.find_checkpoint("best")


def test_a_checkpoint_that_was_cut_off_is_not_found(run):
    (run.checkpoints / "CKPT+epoch2" / "whole.ckpt").unlink()
    assert run.find_checkpoint("last").name == "CKPT+epoch1"


# ---- results ----


def test_results_of_an_earlier_version_are_read_and_written_as_they_were(run):
    read = run.results()
    assert read.selected["valid"].tests["test"].strict.score == 51.375
    assert read.selected["last"].epoch == 2
    assert read.training is None
    assert read.as_dict() == results()
    assert json.loads(read.as_json()) == results()


def test_keys_of_a_later_version_are_kept():
    stored = {**results(), "energy": {"joules": 5}}
    stored["selected"] = {rule: {**scores, "later": 1} for rule, scores in stored["selected"].items()}
    assert RunResults.model_validate(stored).as_dict() == stored


def test_results_of_named_test_sets_are_read_and_written_as_they_were():
    stored = results()
    for scores in stored["selected"].values():
        of_one = {key: scores.pop(key) for key in ("cycles", "4class", "2class", "recall", "confusion")}
        scores["tests"] = {"inter": of_one, "intra": {**of_one, "cycles": 1}}
    read = RunResults.model_validate(stored)
    assert {name: one.cycles for name, one in read.selected["valid"].tests.items()}["intra"] == 1
    assert read.as_dict() == stored


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[1]", "not the results of a run"),
        ('"text"', "not the results of a run"),
        ("\udcff", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("{}", "experiment: field required"),
    ],
)
def test_files_that_are_no_results_are_refused(tmp_path, text, message):
    path = tmp_path / "results.json"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(LungSRADError, match=message) as refused:
        read_results(path)
    assert str(path) in str(refused.value)


def test_a_value_of_another_type_is_named_by_its_key(tmp_path):
    stored = results()
    stored["selected"]["valid"]["epoch"] = "first"
    (tmp_path / "results.json").write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(LungSRADError, match=r"selected\.valid\.epoch"):
        read_results(tmp_path / "results.json")


# ---- files of others ----


@pytest.mark.parametrize("name", ["results.json", "results.txt", "hyperparams.yaml"])
def test_files_that_no_run_wrote_are_refused(tmp_path, name):
    (tmp_path / name).write_text("my own", encoding="utf-8")
    with pytest.raises(LungSRADError, match=f"{name}: already there, and not written by"):
        RunFolder(tmp_path).refuse_foreign_files()


def test_files_of_a_run_that_somebody_changed_are_refused_before_it_trains(tmp_path):
    run = RunFolder(tmp_path)
    run.settings_file.write_text(f"{SETTINGS_HEADER}from: somewhere", encoding="utf-8")
    write_together({run.results_file: "{}", run.export / "README.md": "card"})
    run.refuse_foreign_files()
    (run.export / "README.md").write_text("my own words", encoding="utf-8")
    with pytest.raises(LungSRADError, match=r"README\.md: already there"):
        run.refuse_foreign_files()


def test_files_of_a_run_of_version_0_1_are_its_own(tmp_path):
    run = RunFolder(tmp_path)
    run.export.mkdir()
    for path in (run.results_file, run.confusion_plot("valid"), run.predictions("test", "last"), run.export / "x.ckpt"):
        path.write_text("of version 0.1", encoding="utf-8")
    with pytest.raises(LungSRADError, match="already there"):
        run.refuse_foreign_files()
    run.settings_file.write_text(f"{SETTINGS_HEADER}from: somewhere", encoding="utf-8")
    run.refuse_foreign_files()
    write_together({run.results_file: "new"})


# ---- the lock ----

HOLD = """
import sys
from lung_srad_plugin.runs.lock import RunLock
from lung_srad_plugin.runs.run_folder import RunFolder
lock = RunLock(RunFolder(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_is_kept_out_until_it_is_killed(tmp_path):
    run = RunFolder(tmp_path / "run")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(LungSRADError) as refused:
        RunLock(run).acquire()
    message = str(refused.value)
    assert f"{run}: in use by process {holder.pid} on {platform.node()}" in message
    assert "choose another output_folder" in message

    holder.send_signal(signal.SIGKILL)
    holder.wait()
    lock = RunLock(run)
    lock.acquire()  # the file that names the killed process is still there
    assert json.loads(run.lock_owner.read_text())["process"] == os.getpid()
    lock.release()
    assert not run.lock_owner.exists()


def test_releasing_a_lock_that_was_not_taken_leaves_the_holder_alone(tmp_path):
    run = RunFolder(tmp_path)
    holder, other = RunLock(run), RunLock(run)
    holder.acquire()
    other.release()
    with pytest.raises(LungSRADError, match="in use"):
        other.acquire()
    holder.release()
    other.acquire()
    other.release()
