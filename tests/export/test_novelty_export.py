"""The detector of unlike sounds in a model folder: fitted at export, read back, and refused where it is damaged."""

import json
import shutil

import numpy as np
import pytest
import torch
from breath_model import change_protocol, write_breath_run
from safetensors.torch import load_file, save_file

from lung_srad_plugin.audio.sound_statistics import STATISTICS
from lung_srad_plugin.cli import main as cli
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.export import export_run
from lung_srad_plugin.export.model_folder import read_card, read_config
from lung_srad_plugin.export.novelty_file import NOVELTY
from lung_srad_plugin.export.packaged import package_run
from lung_srad_plugin.export.stored_model import read_model
from lung_srad_plugin.utils.provenance import file_sha256


def test_an_export_has_a_detector_and_says_how_often_it_is_wrong(breath_folder):
    stored = read_config(breath_folder).novelty
    assert stored.available and tuple(stored.statistics) == STATISTICS and stored.wanted_false_alarm_rate == 0.02
    assert (stored.training_sounds, stored.training_recordings) == (18 * 6, 18)
    assert (stored.validation_sounds, stored.validation_recordings) == (13 * 6, 13)
    rates = stored.false_alarms
    assert {kind: rate.sounds for kind, rate in rates.items()} == {
        "cycles": 52,
        "windows": 26,
        "cycles of breaths": 52,
        "windows of breaths": 26,
    }
    assert max(rate.false_alarms for rate in rates.values()) == 1 / 52  # at most 2 % of 52, and of 26
    card = read_card(breath_folder)
    assert "flagged `unlike_training`" in card and "1.9 % of 52 cycles" in card and NOVELTY in card
    assert file_sha256(breath_folder / NOVELTY) == read_config(breath_folder).files[NOVELTY]


def test_the_detector_reads_back_as_it_was_written(breath_folder):
    detector, tensors = read_model(breath_folder).novelty, load_file(breath_folder / NOVELTY)
    assert np.array_equal(detector.precision, tensors["precision"].numpy())
    assert np.array_equal(detector.mean, tensors["mean"].numpy()) and detector.limit == tensors["limit"].item()


def test_a_run_whose_manifests_are_not_named_has_none_and_says_so(model_folder):
    config = read_config(model_folder)
    assert config.novelty.reason == "the run's settings name no manifests of training and validation"
    assert NOVELTY not in config.files and read_model(model_folder).novelty is None
    card = read_card(model_folder)
    assert "has no detector of unlike sounds" in card and "not flagged: the run's settings name no manifests" in card


@pytest.fixture
def moved(run_folder, breaths, tmp_path):
    """A run whose recordings lie in another folder by now."""
    copy = shutil.copytree(breaths, tmp_path / "then")
    run = write_breath_run(run_folder, copy, tmp_path / "run")
    copy.rename(tmp_path / "now")
    return run


def test_recordings_that_are_gone_leave_a_reason_without_a_path(moved, tmp_path):
    reason = read_config(export_run(moved, tmp_path / "model")).novelty.reason
    assert reason.startswith("train.csv: no such file")


def test_the_command_says_why_there_is_none(moved, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["export", str(moved), str(tmp_path / "model")])
    assert not ended.value.code
    assert "note: no detector of unlike sounds: train.csv: no such file" in capsys.readouterr().err


def test_a_manifest_that_is_named_must_be_the_runs(moved, breaths, tmp_path):
    now = tmp_path / "now"
    with pytest.raises(LungSRADError, match=r"now/valid\.csv: not the train manifest of the run"):
        export_run(moved, tmp_path / "model", manifests={"train": now / "valid.csv", "valid": now / "valid.csv"})
    with pytest.raises(
        LungSRADError, match=r"train\.csv: 18 of its recordings are not here, for example .*then/train1"
    ):
        export_run(moved, tmp_path / "model", manifests={"train": now / "train.csv", "valid": now / "valid.csv"})
    with pytest.raises(LungSRADError, match=r"now/absent\.csv: no such file"):
        export_run(moved, tmp_path / "model", manifests={"train": now / "absent.csv"})
    assert not (tmp_path / "model").exists()


def test_nothing_is_fitted_on_the_test_cycles(run_folder, breaths, tmp_path):
    run = write_breath_run(run_folder, breaths, tmp_path / "run")
    change_protocol(run, valid_is_test=True)
    assert "test cycles" in read_config(export_run(run, tmp_path / "model")).novelty.reason


def test_the_packaged_folder_has_it_too(breath_run, breaths, breath_folder, tmp_path):
    folder = package_run(breath_run, tmp_path / "starter", valid_csv=breaths / "valid.csv")
    config = read_config(folder)
    assert NOVELTY in config.files and not (folder / "classifier.safetensors").exists()
    assert read_model(folder).novelty.limit == read_model(breath_folder).novelty.limit
    assert "hold the same weights" not in read_card(folder)


def rewrite(folder, change):
    """Change the tensors of the detector, and the hash of its file with them."""
    tensors = load_file(folder / NOVELTY)
    change(tensors)
    save_file(tensors, folder / NOVELTY)
    set_config(folder, lambda config: config["files"].update({NOVELTY: file_sha256(folder / NOVELTY)}))


def set_config(folder, change):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    change(config)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def negate(tensors):
    tensors["precision"] = -tensors["precision"]


FAULTS = {
    "bytes": (lambda f: (f / NOVELTY).write_bytes(b"x" * 900), "SHA-256"),
    "absent": (lambda f: (f / NOVELTY).unlink(), f"{NOVELTY}: the file is missing"),
    "no hash": (lambda f: set_config(f, lambda c: c["files"].pop(NOVELTY)), f"files.{NOVELTY}"),
    "statistics": (
        lambda f: set_config(f, lambda c: c["novelty"].update(statistics=["loudness"])),
        "statistics loudness.*pip install --upgrade",
    ),
    "key": (lambda f: rewrite(f, lambda t: t.pop("limit")), r"holds mean \(8,\) float64.*expected"),
    "shape": (lambda f: rewrite(f, lambda t: t.update(mean=torch.zeros(7, dtype=torch.float64))), r"mean \(7,\)"),
    "type": (lambda f: rewrite(f, lambda t: t.update(mean=torch.zeros(8))), r"mean \(8,\) float32"),
    "NaN": (lambda f: rewrite(f, lambda t: t["mean"].fill_(np.nan)), "not finite"),
    "limit": (lambda f: rewrite(f, lambda t: t["limit"].zero_()), "the limit is 0"),
    "precision": (lambda f: rewrite(f, negate), "positive definite"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_damaged_detector_is_refused(name, breath_folder, tmp_path):
    folder = shutil.copytree(breath_folder, tmp_path / "model")
    damage, message = FAULTS[name]
    damage(folder)
    with pytest.raises(LungSRADError, match=message):
        read_model(folder)
