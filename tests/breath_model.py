"""A model folder whose detector of unlike sounds was fitted on toy breaths: fixtures for all tests."""

import json
import shutil

import pytest
from toy_sounds import write_breaths

from lung_srad_plugin.export.export import export_run
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.utils.provenance import file_sha256


def change_protocol(run, **changes):
    path = run / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    results["protocol"] |= changes
    path.write_text(json.dumps(results), encoding="utf-8")


def write_breath_run(run_folder, breaths, folder):
    """Copy the tiny run, with the toy breaths as what it was trained on."""
    run = shutil.copytree(run_folder, folder)
    lines = [f"data_folder: {breaths}\n", *(f"{part}_csv: {breaths / part}.csv\n" for part in ("train", "valid"))]
    with open(run / "hyperparams.yaml", "a", encoding="utf-8") as file:
        file.writelines(lines)
    change_protocol(run, sha256={part: file_sha256(breaths / f"{part}.csv") for part in ("train", "valid")})
    return run


@pytest.fixture(scope="session")
def breaths(tmp_path_factory):
    """Recordings of toy breaths with their manifests; not to be changed."""
    return write_breaths(tmp_path_factory.mktemp("breaths") / "data")


@pytest.fixture(scope="session")
def breath_run(run_folder, breaths, tmp_path_factory):
    """The tiny run with these recordings; not to be changed."""
    return write_breath_run(run_folder, breaths, tmp_path_factory.mktemp("breath_run") / "run")


@pytest.fixture(scope="session")
def breath_folder(breath_run, tmp_path_factory):
    """The model folder exported from it; not to be changed."""
    return export_run(breath_run, tmp_path_factory.mktemp("breath_model") / "model")


@pytest.fixture(scope="session")
def breath_model(breath_folder):
    """The classifier of that folder."""
    return LungSoundClassifier.from_hparams(source=breath_folder, run_opts={"device": "cpu"})
