"""A run's folder is data: its settings call what the recipe needs, and other things only where the user says so."""

import shutil

import pytest
import torch
from toy import HPARAMS

from lung_srad_plugin import LungSRADError
from lung_srad_plugin.evaluation.command import evaluate_runs
from lung_srad_plugin.export.export import export_run
from lung_srad_plugin.runs.allowed_callables import RUN_CALLABLES
from lung_srad_plugin.runs.experiment import read_experiment
from lung_srad_plugin.runs.saved_settings import experiment_calls, read_saved_text, saved_settings
from lung_srad_plugin.training.resume import check_resumable
from lung_srad_plugin.utils.yaml_nodes import called_tags

GRIDS = ("ablation",)
EXPERIMENTS = [path for path in sorted(HPARAMS.glob("*.yaml")) if not path.name.startswith(GRIDS)]


@pytest.fixture
def run(run_folder, tmp_path):
    """A run that may be changed, and a file that nothing may create."""
    return shutil.copytree(run_folder, tmp_path / "run"), tmp_path / "trace"


def add(run, line, trace):
    path = run / "hyperparams.yaml"
    path.write_text(path.read_text() + line.format(trace=trace) + "\n")


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_the_recipes_experiments_call_only_what_is_allowed(path):
    base, changes = read_experiment(path)
    changes = {"data_folder": "data", "pretrained": None} | dict(changes)
    assert experiment_calls(base, changes) <= RUN_CALLABLES.keys()


FOREIGN = [
    "extra: !apply:os.mkdir [{trace}]",
    "extra: !new:pathlib.Path [{trace}]",
    "extra: !name:os.mkdir",
    "extra: !module:os",
    "extra: !applyref:os.mkdir [{trace}]",
    "extra: !include:{trace}",
    "extra: (!!python/object/apply:os.mkdir [{trace}])",
    "extra: !!python/object/apply:os.mkdir [{trace}]",
    "extra: !apply:lung_srad_plugin.synthesize_icbhi [{trace}]",
    "extra: !apply:lung_srad_plugin.LogClassifier {{input_size: 1, classes: 2}}",
    "seed: 2",
]


@pytest.mark.parametrize("line", FOREIGN)
def test_a_foreign_callable_is_refused_when_a_run_is_exported(run, line, tmp_path):
    folder, trace = run
    lines = len((folder / "hyperparams.yaml").read_text().splitlines())
    add(folder, line, trace)
    with pytest.raises(LungSRADError, match=rf"hyperparams\.yaml, line {lines + 1}: .*--trust-code"):
        export_run(folder, tmp_path / "model")
    assert not trace.exists() and not (tmp_path / "model").exists()


@pytest.mark.parametrize("line", FOREIGN)
def test_a_foreign_callable_is_refused_when_settings_are_compared(run, line):
    folder, trace = run
    add(folder, line, trace)
    with pytest.raises(LungSRADError, match=r"hyperparams\.yaml, line \d+: "):
        saved_settings(folder / "hyperparams.yaml")
    assert not trace.exists()


def test_a_foreign_callable_is_refused_when_runs_are_evaluated(run, tmp_path, monkeypatch):
    folder, trace = run
    add(folder, "extra: !applyref:os.mkdir [{trace}]", trace)
    monkeypatch.setattr("lung_srad_plugin.evaluation.command._load", lambda *arguments: None)
    with pytest.raises(LungSRADError, match=r"!applyref:os\.mkdir is not allowed"):
        evaluate_runs([folder, folder], tmp_path / "report")
    assert not trace.exists()


def test_a_foreign_callable_is_refused_when_a_run_is_resumed(run, tmp_path):
    folder, trace = run
    add(folder, "extra: !applyref:os.mkdir [{trace}]", trace)
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(f"output_folder: {folder}\nsave_folder: {folder}/save\n")
    with pytest.raises(LungSRADError, match=r"!applyref:os\.mkdir is not allowed"):
        check_resumable(experiment, {})
    assert not trace.exists()


def test_a_run_of_the_users_own_callables_is_resumed_by_the_experiment_that_names_them(tmp_path):
    saved = tmp_path / "hyperparams.yaml"
    text = f"output_folder: {tmp_path}\nsave_folder: {tmp_path}/save\nencoder: !new:my_package.Encoder\n  size: 3\n"
    saved.write_text(text)
    (tmp_path / "save" / "CKPT+1").mkdir(parents=True)
    check_resumable(saved, {})
    other = tmp_path / "other.yaml"
    other.write_text(text.replace("my_package.Encoder", "collections.Counter"))
    with pytest.raises(LungSRADError, match=r"line 3: !new:my_package\.Encoder is not allowed"):
        check_resumable(other, {})


def test_trust_lets_a_run_call_anything(run, tmp_path):
    folder, _ = run
    add(folder, "extra: !name:os.mkdir", None)
    exported = export_run(folder, tmp_path / "model", trust_code=True)
    assert torch.load(exported / "classifier.ckpt", weights_only=True)
    assert "!name:os.mkdir" in called_tags(read_saved_text(folder / "hyperparams.yaml", trust_code=True))


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "hyperparams.yaml"
    with pytest.raises(LungSRADError, match="no such file"):
        read_saved_text(path)
    path.write_bytes(b"a: caf\xe9")
    with pytest.raises(LungSRADError, match="not a UTF-8 text file"):
        read_saved_text(path)
