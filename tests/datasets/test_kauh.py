"""Preparation of KAUH: the real names, the choice about mixed sounds, and every faulty name told."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
import soundfile

from lung_srad_plugin.cli.main import main
from lung_srad_plugin.datasets.kauh import parse_kauh_name, prepare_kauh
from lung_srad_plugin.datasets.manifests import validate_manifest
from lung_srad_plugin.errors import LungSRADError

NAMES = ("BP1_Asthma,I E W,P L L,70,M", "DP1_Asthma,I E W,P L L,70,M", "BP2_heart failure,I C E W,P R L ,51,F")


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data" / "Audio Files"
    folder.mkdir(parents=True)
    for name in NAMES:
        soundfile.write(folder / f"{name}.wav", np.zeros(8000), 4000)
    return folder.parent


def rows_of(prepared):
    with prepared.manifest.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_real_folder(kauh_folder, tmp_path):
    prepared = prepare_kauh(kauh_folder, tmp_path, mixed="leave_out", quiet=True)
    labels = json.loads(prepared.labels_map.read_text(encoding="utf-8"))
    summary = validate_manifest(prepared.manifest, list(labels), prepared.data_root)
    assert len(summary.rows) == 108
    assert len(summary.patients) == 36
    assert Counter(row["filter"] for row in summary.rows) == {"bell": 36, "diaphragm": 36, "extended": 36}
    classes = Counter(labels[row["label"]] for row in summary.rows)
    assert classes == {"normal": 24, "wheeze": 60, "crackle": 24}
    by_subject = {}
    for row in summary.rows:
        by_subject.setdefault(row["patient"], set()).add((row["label"], row["age"], row["sex"], row["diagnosis"]))
    assert all(len(found) == 1 for found in by_subject.values())


@pytest.mark.parametrize(("mixed", "expected"), [("both", "both"), ("leave_out", None)])
def test_mixed_sounds_are_what_was_chosen(data, tmp_path, mixed, expected):
    prepared = prepare_kauh(data, tmp_path / "out", mixed=mixed, quiet=True)
    labels = json.loads(prepared.labels_map.read_text(encoding="utf-8"))
    assert labels["I C B"] == labels["I C E W"] == expected
    assert labels["Crep"] == labels["C"] == labels["I C"] == "crackle"
    first, _, third = rows_of(prepared)
    assert third["label"] == "I C E W"
    assert (third["diagnosis"], third["location"], third["age"], third["sex"]) == ("Heart failure", "P R L", "51", "F")
    assert first["patient"] == "1"
    assert (first["ID"], first["filter"], first["stop"]) == ("BP1", "bell", "2.0")


def test_the_choice_has_to_be_made(data, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["prepare-kauh", str(data), str(tmp_path)])
    assert stop.value.code == 2
    assert "--mixed" in capsys.readouterr().err
    with pytest.raises(LungSRADError, match="mixed='crackle'"):
        prepare_kauh(data, tmp_path, mixed="crackle")


def test_all_faults_are_told_together(data, tmp_path):
    folder = data / "Audio Files"
    (folder / "101_1b1_Al_sc_Meditron.wav").write_bytes(b"x")
    (folder / "EP3_N,Rhonchi,P L L,70,M.wav").write_bytes(b"x")
    (folder / "EP4_N,N,P L L,70,M.wav").write_bytes(b"no audio")
    soundfile.write(folder / "EP5_N,N,P L L,70,M.wav", np.zeros(0), 4000)
    soundfile.write(folder / "BP1_N,N,P L L,70,M.wav", np.zeros(80), 4000)
    with pytest.raises(LungSRADError) as caught:
        prepare_kauh(data, tmp_path / "out", mixed="both")
    message = str(caught.value)
    assert "5 problems" in message
    for part in (
        "not of the KAUH form",
        "unknown sound 'Rhonchi'",
        "cannot be read",
        "no samples",
        "same subject and filter",
    ):
        assert part in message
    assert not (tmp_path / "out").exists()


def test_no_recordings(tmp_path):
    with pytest.raises(LungSRADError, match=r"no \.wav file"):
        prepare_kauh(tmp_path, tmp_path / "out", mixed="both")


@pytest.mark.parametrize(
    ("name", "diagnosis"),
    [
        ("BP1_N,N,P R M,70,F", "Healthy"),
        ("BP1_COPD,E W,P R M,70,F", "COPD"),
        ("BP1_BRON,Crep,P R M,70,F", "Bronchitis"),
        ("BP1_Heart Failure + COPD,E W,P R M,70,F", "Heart failure + COPD"),
        ("BP1_asthma,E W,P R M,70,F", "Asthma"),
    ],
)
def test_diagnoses_have_one_spelling(name, diagnosis):
    assert parse_kauh_name(name)["diagnosis"] == diagnosis
