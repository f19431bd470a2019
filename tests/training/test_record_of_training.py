"""What a run states of its training: how its epoch was selected, what changed its steps, and who may resume it."""

import json

import pytest
import yaml
from toy import toy_arguments, write_toy_data

from lung_srad_plugin.runs.lock import RunLock
from lung_srad_plugin.runs.run_folder import RunFolder
from lung_srad_plugin.training.recipe import main, train

OPTIONS = ("--grad_accumulation_factor", "2", "--remove_vector_weight_decay", "--skip_nonfinite_grads")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run with options that change its training, the minimum of sensitivity out of reach, selected by AUROC."""
    run = RunFolder(tmp_path_factory.mktemp("run"))
    changes = {"min_sensitivity": 99.9, "select_by": "auroc"}
    train(toy_arguments(data, run, *OPTIONS, **changes))
    return run


def arguments_of(data, run, *options, **changes):
    return toy_arguments(data, run, *options, **{"min_sensitivity": 99.9, "select_by": "auroc", **changes})


def refusal(capsys, arguments):
    assert main(arguments) == 2
    return " ".join(capsys.readouterr().err.rpartition("error:")[2].split())


def test_epoch_is_selected_by_the_metric_asked_for(run):
    results = run.results()
    best = max(entry["valid"]["auroc"] for entry in results.history)
    first = next(entry["epoch"] for entry in results.history if entry["valid"]["auroc"] == best)
    assert results.selected["valid"].epoch == first
    assert (results.protocol.select_by, results.protocol.min_sensitivity) == ("auroc", 99.9)


def test_a_minimum_that_no_epoch_reached_is_stated_everywhere(run):
    results = run.results()
    assert all(entry["valid"]["sensitivity"] <= 99.9 for entry in results.history)
    sentence = "no epoch had a sensitivity above 99.9 % on the validation cycles"
    assert sentence in results.protocol.notes[0]
    rule = (
        "first epoch with the best AUROC of abnormal on the validation cycles; NO epoch had a sensitivity above 99.9 %"
    )
    assert results.protocol.selection["valid"] == rule
    for path in (run.results_text, run.export / "README.md", run.report / "report.md", run.report / "report.html"):
        assert "NO epoch had a sensitivity above 99.9 %" in " ".join(path.read_text(encoding="utf-8").split()), path
    assert sentence[1:] in (run.report / "report.md").read_text(encoding="utf-8")


def test_options_that_change_training_are_on_record(run):
    training = run.results().training
    assert (training.grad_accumulation_factor, training.effective_batch) == (2, 8)
    assert training.remove_vector_weight_decay and training.skip_nonfinite_grads
    settings = run.settings()
    assert (settings["grad_accumulation_factor"], settings["processes"]) == (2, 1)
    # Six batches of the toy data are three steps an epoch.
    for checkpoint in run.checkpoints.iterdir():
        meta = yaml.safe_load((checkpoint / "CKPT.yaml").read_text(encoding="utf-8"))
        steps = yaml.safe_load((checkpoint / "brain.ckpt").read_text(encoding="utf-8"))["optimizer_step"]
        assert steps == 3 * meta["epoch"]


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (OPTIONS[2:], "grad_accumulation_factor is 2 there, 1 was asked for"),
        ((*OPTIONS[:2], OPTIONS[3]), "remove_vector_weight_decay is True there, False was asked for"),
        (OPTIONS[:3], "skip_nonfinite_grads is True there, False was asked for"),
        ((*OPTIONS, "--optimizer_step_limit", "99"), "optimizer_step_limit is None there, 99 was asked for"),
        ((*OPTIONS, "--compile"), "compile is False there, True was asked for"),
    ],
)
def test_a_run_is_not_resumed_with_other_options(run, data, capsys, options, difference):
    assert difference in refusal(capsys, arguments_of(data, run, *options))


def test_a_run_is_not_resumed_with_another_selection(run, data, capsys):
    message = refusal(capsys, arguments_of(data, run, *OPTIONS, select_by="score"))
    assert "select_by is auroc there, score was asked for" in message


def test_processes_are_counted_not_given(run, data, capsys):
    assert "torchrun --nproc_per_node 2" in refusal(capsys, arguments_of(data, run, *OPTIONS, processes=2))


def test_a_run_of_an_earlier_version_is_refused_with_what_to_do(run, data, tmp_path, capsys):
    old = RunFolder(tmp_path)
    lines = run.settings_file.read_text(encoding="utf-8").splitlines(keepends=True)
    later = ("select_by", "min_sensitivity", "training_version", "processes")
    old.settings_file.write_text("".join(line for line in lines if not line.startswith(later)), encoding="utf-8")
    (old.checkpoints / "CKPT+1").mkdir(parents=True)
    message = refusal(capsys, arguments_of(data, old, *OPTIONS))
    assert "begun by version 0.1" in message
    assert f"by its own settings, {old.settings_file}" in message and "another output_folder" in message


def test_a_second_run_in_the_folder_is_refused_and_changes_nothing(run, data, capsys):
    lock = RunLock(run)
    lock.acquire()
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    message = refusal(capsys, arguments_of(data, run, *OPTIONS))
    assert f"{run}: in use by process" in message
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before
    lock.release()
    assert main(arguments_of(data, run, *OPTIONS, "--test_only")) == 0


def test_a_limit_of_steps_ends_training_once(data, tmp_path):
    arguments = toy_arguments(data, tmp_path, "--optimizer_step_limit", "4")
    results = train(arguments)
    assert results["protocol"]["notes"][-1] == "training ended after epoch 1 of 3"
    again = train(arguments)
    assert again["selected"] == results["selected"]
    assert len(json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["history"]) == 1


def test_a_folder_that_cannot_be_written_is_named(data, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    message = refusal(capsys, toy_arguments(data, tmp_path / "file" / "run"))
    assert f"{tmp_path / 'file' / 'run'}: cannot be written" in message
