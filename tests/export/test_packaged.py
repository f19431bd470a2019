"""The folder that is shipped with the package, made of a finished run: small, described, without machine paths."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export import packaged
from lung_srad_plugin.export.model_folder import read_config
from lung_srad_plugin.export.packaged import package_run, refuse_machine_paths
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.utils.provenance import file_sha256

ROWS = [("sprsound", "sprsound:1"), ("sprsound", "sprsound:1"), ("sprsound", "sprsound:2"), ("icbhi", "icbhi:1")]


@pytest.fixture
def train_csv(tmp_path):
    lines = [f"{n},1.0,/home/me/{n}.wav,0.0,1.0,normal,{who},{of}\n" for n, (of, who) in enumerate(ROWS)]
    path = tmp_path / "train.csv"
    path.write_text("ID,duration,wav,start,stop,label,patient,dataset\n" + "".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def run(run_folder, train_csv, tmp_path):
    """A finished run whose settings hold paths of its machine."""
    folder = shutil.copytree(run_folder, tmp_path / "run")
    settings = folder / "hyperparams.yaml"
    text = f"train_csv: {train_csv}\nfeature_folder: /data/features\nteacher: /home/me/teacher.npz\n"
    settings.write_text(settings.read_text(encoding="utf-8") + text, encoding="utf-8")
    change_results(folder, "protocol", "sha256", {"train": file_sha256(train_csv)})
    return folder


def change_results(folder, part, key, value):
    path = folder / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    results[part][key] = value
    path.write_text(json.dumps(results), encoding="utf-8")


def write_report(path, title, value):
    measure = {"value": value, "low": value - 0.125, "high": None if value is None else value + 0.0625}
    measures = {"auroc_wheeze": measure}
    evaluation = {"cycles": 1429, "patients": 41, "measures": measures}
    path.write_text(json.dumps({"title": title, "evaluation": evaluation}), encoding="utf-8")
    return path


def test_the_folder_loads_and_names_its_data_sets(run, tmp_path):
    folder = package_run(run, tmp_path / "starter", remarks=["Never tested on newborns."])
    config = read_config(folder)
    assert [(one.name, one.patients, one.cycles) for one in config.training_sets] == [
        ("sprsound", 2, 3),
        ("icbhi", 1, 1),
    ]
    assert config.teacher == "teacher.npz" and config.epoch == 1
    assert not list(folder.glob("*.safetensors")) and not any(name.endswith("safetensors") for name in config.files)
    card = (folder / "README.md").read_text(encoding="utf-8")
    for text in ("Never tested on newborns", "teacher.npz", "CC BY on IEEE DataPort", "| 2 | 3 |"):
        assert text in card
    assert "safetensors" not in card
    assert LungSoundClassifier.from_hparams(folder, run_opts={"device": "cpu"}).model_id == config.model
    weights = torch.load(run / "save" / "CKPT+epoch1" / "classifier.ckpt", weights_only=True)
    assert torch.equal(torch.load(folder / "classifier.ckpt", weights_only=True)["linear.bias"], weights["linear.bias"])


def test_it_replaces_its_own_folder_and_no_other(run, tmp_path):
    folder = package_run(run, tmp_path / "starter")
    package_run(run, folder)
    (folder / "README.md").write_text("edited", encoding="utf-8")
    with pytest.raises(LungSRADError, match=r"README\.md"):
        package_run(run, folder)


def test_its_card_has_each_test_set_apart(run, tmp_path):
    model = read_config(package_run(run, tmp_path / "starter")).model
    reports = {
        "SPRSound inter": write_report(tmp_path / "inter.json", model, 0.9375),
        "ICBHI test": write_report(tmp_path / "icbhi.json", model, 0.5),
    }
    card = (package_run(run, tmp_path / "starter", test_reports=reports) / "README.md").read_text(encoding="utf-8")
    inter, icbhi = card.split("### SPRSound inter")[1].split("### ICBHI test")
    assert "1429 cycles of 41 patients" in inter and "| AUROC wheeze | 0.938 (0.812 to 1.000) |" in inter
    assert "| AUROC wheeze | 0.500 (0.375 to 0.562) |" in icbhi


def test_a_report_on_another_model_is_refused(run, tmp_path):
    report = write_report(tmp_path / "report.json", "another-1a2b", 0.5)
    with pytest.raises(LungSRADError, match=r"report\.json: a report on 'another-1a2b'"):
        package_run(run, tmp_path / "starter", test_reports={"inter": report})
    assert not (tmp_path / "starter").exists()


@pytest.mark.parametrize(("old", "new", "message"), [("sprsound:2", "sprsound:3", "SHA-256"), (None, None, "no such")])
def test_only_the_manifest_of_training_is_taken(run, train_csv, tmp_path, old, new, message):
    if old is None:
        train_csv.unlink()
    else:
        train_csv.write_text(train_csv.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(LungSRADError, match=message):
        package_run(run, tmp_path / "starter")


def test_rows_without_a_patient_are_refused(run, train_csv, tmp_path):
    train_csv.write_text(train_csv.read_text(encoding="utf-8").replace("sprsound:2", ""), encoding="utf-8")
    change_results(run, "protocol", "sha256", {})
    with pytest.raises(LungSRADError, match=r"row 2, column 'patient'"):
        package_run(run, tmp_path / "starter")


def test_an_unfinished_run_is_refused(run, tmp_path):
    (run / "results.json").unlink()
    with pytest.raises(LungSRADError, match=r"results\.json"):
        package_run(run, tmp_path / "starter")


def test_weights_that_are_too_large_are_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(packaged, "LARGEST_WEIGHTS", 1000)
    with pytest.raises(LungSRADError, match="1,000"):
        package_run(run, tmp_path / "starter")


@pytest.mark.parametrize("text", ["in /home/me/data", '"/data/x"', "~/data/x", r"C:\data", "(/tmp/x)"])
def test_paths_of_a_machine_are_found(tmp_path, text):
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(LungSRADError, match=r"config\.json"):
        refuse_machine_paths(tmp_path)


@pytest.mark.parametrize("text", ["https://arxiv.org/abs/2606.11922", "owner/name", "Sp/Se/Score", "</a/b>", "a / b"])
def test_addresses_and_fractions_are_no_paths(tmp_path, text):
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    refuse_machine_paths(tmp_path)


def test_known_paths_are_found_in_files_that_are_no_text(tmp_path):
    (tmp_path / "classifier.ckpt").write_bytes(b"\xff\x00" + str(Path("/data/features")).encode() + b"\x00")
    with pytest.raises(LungSRADError, match="/data/features"):
        refuse_machine_paths(tmp_path, ["/data/features"])
