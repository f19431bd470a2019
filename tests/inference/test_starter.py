"""The model that comes with the package: the names that mean it, what is said of it, and the folder that is shipped."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from evaluation_calls import evaluate
from speechbrain.inference.classifiers import EncoderClassifier

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_folder import read_config
from lung_srad_plugin.export.packaged import refuse_machine_paths
from lung_srad_plugin.inference import starter_model
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.loading import load_model
from lung_srad_plugin.inference.starter_model import describe_starter, model_path, starter_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def packaged(model_folder, tmp_path, monkeypatch):
    """A package whose model is the tiny one, and an empty current folder."""
    monkeypatch.setattr(starter_model, "FOLDER", model_folder)
    current = tmp_path / "current"
    current.mkdir()
    monkeypatch.chdir(current)
    monkeypatch.delenv("LUNG_SRAD_MODEL", raising=False)
    return model_folder


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "breath.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 20000), 4000)
    return path


@pytest.fixture
def manifest(tmp_path, recording):
    """Four cycles of two patients in that recording."""
    header = "ID,duration,wav,start,stop,label,patient\n"
    labels = ("normal", "crackle", "wheeze", "normal")
    rows = [f"{n},1.0,{recording},{n},{n + 1},{label},p{n // 2}\n" for n, label in enumerate(labels)]
    path = tmp_path / "test.csv"
    path.write_text(header + "".join(rows), encoding="utf-8")
    return path


# ---- names ----


def test_no_source_and_the_name_mean_the_packaged_model(packaged):
    expected = read_config(packaged).model
    for source in ({}, {"source": None}, {"source": "starter"}):
        assert LungSoundClassifier.from_hparams(**source, run_opts={"device": "cpu"}).model_id == expected
    assert load_model("starter").folder == packaged


def test_a_path_is_never_the_packaged_model(packaged):
    assert model_path(Path("starter")) == Path("starter")
    for source in (Path("starter"), "./starter"):
        with pytest.raises(LungSRADError, match="no such folder"):
            load_model(source)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_the_name_is_refused_beside_something_of_that_name(packaged, kind):
    if kind == "folder":
        shutil.copytree(packaged, "starter")
        assert load_model("./starter").folder == Path("./starter")
        assert load_model(Path("starter")).folder == Path("starter")
    else:
        Path("starter").write_text("weights")
    with pytest.raises(LungSRADError, match=r"write \./starter") as refused:
        load_model("starter")
    assert str(packaged) in str(refused.value)  # the way to the packaged model
    assert load_model(None).folder == packaged  # nothing was named, so nothing is ambiguous


def test_a_package_without_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(starter_model, "FOLDER", tmp_path / "absent")
    for source in (None, "starter"):
        with pytest.raises(LungSRADError, match=r"absent: no such folder; .*Install lung-srad again"):
            load_model(source)


# ---- commands ----


def test_classify_without_a_model_says_what_it_uses(packaged, run, recording):
    code, out, err = run("classify", recording, "--format", "json")
    assert code == 0 and json.loads(out)["model"] == read_config(packaged).model
    notes = [line for line in err.splitlines() if line.startswith("note: no model was named")]
    assert len(notes) == 1 and read_config(packaged).model in notes[0] and "research use only" in notes[0]


@pytest.mark.parametrize("named", ["starter", "folder"])
def test_classify_with_a_named_model_does_not_say_it(packaged, run, recording, named):
    code, _, err = run("classify", recording, "--model", packaged if named == "folder" else "starter")
    assert code == 0 and "no model was named" not in err


def test_info_prints_its_card(packaged, run):
    code, out, _ = run("info", "starter")
    assert code == 0 and read_config(packaged).model in out


def test_evaluate_takes_the_name(packaged, run, manifest, tmp_path):
    code, _, err = run("evaluate", "starter", manifest, "--output", tmp_path / "report", "--resamples", "10")
    assert code == 0, err
    report = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert report["title"] == read_config(packaged).model
    assert evaluate("starter", tmp_path / "again", manifest, resamples=10)["title"] == report["title"]


def test_evaluate_keeps_the_folder_of_that_name_apart(packaged, run, manifest, tmp_path):
    shutil.copytree(packaged, "starter")
    code, _, err = run("evaluate", "starter", manifest, "--output", tmp_path / "report", "--resamples", "10")
    assert code == 2 and "./starter" in err
    code, _, err = run("evaluate", "./starter", manifest, "--output", tmp_path / "report", "--resamples", "10")
    assert code == 0, err


@pytest.mark.parametrize("command", ["classify", "evaluate", "info", "train"])
def test_help_names_it(run, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert "starter" in run(command, "--help")[1]


# ---- the folder that is shipped ----


def test_the_shipped_folder_is_small_and_complete():
    files = {path.name: path.stat().st_size for path in starter_folder().iterdir() if not path.name.startswith(".")}
    config = read_config(starter_folder())
    assert {"README.md", "LICENSE", *config.files, "config.json"} == set(files)
    assert sum(size for name, size in files.items() if name.endswith((".ckpt", ".safetensors"))) <= 12_000_000
    refuse_machine_paths(starter_folder())


def test_the_shipped_model_says_what_it_is():
    config = read_config(starter_folder())
    line = describe_starter(config)
    assert {one.name for one in config.training_sets} >= {"sprsound", "icbhi"} and config.select == "valid"
    for one in config.training_sets:
        assert one.patients > 0 and f"{one.patients} patients of {one.title}" in line
    assert "\n" not in line and "research use only" in line


def test_the_shipped_model_answers_the_same_in_the_stock_class(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ours = LungSoundClassifier.from_hparams(run_opts={"device": "cpu"})
    stock = EncoderClassifier.from_hparams(source=str(starter_folder()), run_opts={"device": "cpu"})
    clip = np.random.default_rng(0).normal(0, 0.1, (1, 3 * ours.sample_rate)).astype(np.float32)
    found, expected = ours.classify_batch(clip)[0], stock.classify_batch(torch.from_numpy(clip))[0]
    assert (found - expected).abs().max() < 1e-5
    result = ours.classify_file(clip[0], sample_rate=ours.sample_rate)
    assert abs(sum(result.summary.probabilities.values()) - 1) < 1e-4


def test_the_shipped_folder_is_part_of_what_is_installed(tmp_path):
    arguments = ["-q", "egg_info", "--egg-base", tmp_path, "build_py", "--build-lib", tmp_path / "lib"]
    subprocess.run([sys.executable, "setup.py", *map(str, arguments)], cwd=ROOT, check=True, capture_output=True)
    installed = tmp_path / "lib" / "lung_srad_plugin" / "inference" / "starter"
    assert read_config(installed) == read_config(starter_folder())
    assert {"README.md", "LICENSE", *read_config(installed).files} <= {path.name for path in installed.iterdir()}
