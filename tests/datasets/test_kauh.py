"""Preparation of KAUH: the real names, the choice about mixed sounds, faulty names, equal files, and parts."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
import soundfile

from lung_srad_plugin.cli.main import main
from lung_srad_plugin.datasets.kauh.prepare import prepare_kauh
from lung_srad_plugin.datasets.kauh.recording_name import parse_kauh_name
from lung_srad_plugin.datasets.manifests import validate_manifest, validate_manifests
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES

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


def test_all_faults_are_reported_together(data, tmp_path):
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


# Parts for training

SOUNDS = ("N", "E W", "Crep", "N", "C")


@pytest.fixture
def subjects(tmp_path):
    """Twenty subjects under three filters, each file unlike any other."""
    folder = tmp_path / "subjects"
    folder.mkdir()
    for number in range(1, 21):
        for index, letter in enumerate("BDE"):
            name = f"{letter}P{number}_Asthma,{SOUNDS[number % 5]},P L L,70,M"
            soundfile.write(folder / f"{name}.wav", np.full(8000, number * 1e-3 + index * 1e-4), 4000)
    return folder


def parts_of(prepared):
    parts = {}
    for name in ("train", "valid", "test"):
        with getattr(prepared, name).open(newline="", encoding="utf-8") as file:
            parts[name] = list(csv.DictReader(file))
    return parts


def copy_over(folder, source, target):
    """Make the recording of one subject and filter the same file as another's."""
    (source,), (target,) = folder.glob(f"{source}_*.wav"), folder.glob(f"{target}_*.wav")
    target.write_bytes(source.read_bytes())


def test_parts_of_the_real_folder(kauh_folder, tmp_path):
    prepared = prepare_kauh(kauh_folder, tmp_path, mixed="both", split="patients", quiet=True)
    paths = (prepared.train, prepared.valid, prepared.test)
    summary = validate_manifests(*paths, labels=CLASSES, data_root=prepared.data_root)
    assert set(summary.shared_patients.values()) == {()}
    assert [len(part.rows) for part in (summary.train, summary.valid, summary.test)] == [66, 21, 21]
    assert all(summary.train.labels[label] for label in ("normal", "crackle", "wheeze"))
    assert json.loads(prepared.summary.read_text(encoding="utf-8"))["left_out"] == []


def test_parts_hold_whole_subjects_with_four_classes(subjects, tmp_path):
    parts = parts_of(prepare_kauh(subjects, tmp_path / "out", mixed="both", split="patients", quiet=True))
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 36, "valid": 12, "test": 12}
    assert set(Counter(row["patient"] for rows in parts.values() for row in rows).values()) == {3}
    assert {(row["original_label"], row["label"]) for row in parts["train"]} == {
        *(("N", "normal"), ("E W", "wheeze"), ("Crep", "crackle"), ("C", "crackle"))
    }


def test_one_file_with_two_labels_is_left_out_of_the_parts_and_its_subjects_stay_together(subjects, tmp_path):
    for letter in "BD":
        copy_over(subjects, f"{letter}P1", f"{letter}P20")
    prepared = prepare_kauh(subjects, tmp_path / "out", mixed="both", split="patients", quiet=True)
    parts = parts_of(prepared)
    used = {row["ID"]: name for name, rows in parts.items() for row in rows}
    assert len(used) == 56 and not {"BP1", "DP1", "BP20", "DP20"} & set(used)
    assert used["EP1"] == used["EP20"]
    summary = json.loads(prepared.summary.read_text(encoding="utf-8"))
    assert [entry["recording"] for entry in summary["left_out"]] == ["BP1", "BP20", "DP1", "DP20"]
    assert "BP1 (E W), BP20 (N) are the same file with different labels" in summary["left_out"][0]["why"]
    assert "20 with 1" in " ".join(summary["notes"])
    assert len(rows_of(prepared)) == 60


def test_equal_files_are_reported_without_parts_too(subjects, tmp_path, capsys):
    copy_over(subjects, "EP1", "EP20")
    prepared = prepare_kauh(subjects, tmp_path / "out", mixed="both")
    summary = json.loads(prepared.summary.read_text(encoding="utf-8"))
    assert summary["left_out"] == []
    assert summary["same_file"] == ["EP1 (E W), EP20 (N) are the same file with different labels"]
    assert "kauh.csv holds them all" in " ".join(capsys.readouterr().out.split())


def test_one_file_with_one_label_is_kept_once(subjects, tmp_path):
    copy_over(subjects, "EP3", "EP8")
    prepared = prepare_kauh(subjects, tmp_path / "out", mixed="both", split="patients", quiet=True)
    used = {row["ID"] for rows in parts_of(prepared).values() for row in rows}
    assert "EP3" in used and "EP8" not in used and len(used) == 59


def test_sounds_are_known_in_any_case_and_bronchial_is_left_out_of_the_parts(subjects, tmp_path):
    soundfile.write(subjects / "BP30_N,bronchial,P L L,70,M.wav", np.full(800, 0.5), 4000)
    soundfile.write(subjects / "BP31_N,crep ,P L L,70,M.wav", np.full(800, 0.6), 4000)
    prepared = prepare_kauh(subjects, tmp_path / "out", mixed="both", split="patients", quiet=True)
    assert {row["ID"]: row["label"] for row in rows_of(prepared) if row["patient"] in ("30", "31")} == {
        **{"BP30": "Bronchial", "BP31": "Crep"}
    }
    assert "BP30" not in {row["ID"] for rows in parts_of(prepared).values() for row in rows}


@pytest.mark.parametrize("options", [{"split": "official"}, {"valid_fraction": 0.0}, {"test_fraction": 0.9}])
def test_split_options_that_do_not_exist(subjects, tmp_path, options):
    with pytest.raises(LungSRADError, match=f"{next(iter(options))}="):
        prepare_kauh(subjects, tmp_path / "out", mixed="both", **options)
