"""Preparation of ICBHI: the real data, both layouts, every problem named and left out exactly, equal bytes."""

import csv
import errno
import hashlib
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lung_srad_plugin.audio.bounds import END_TOLERANCE
from lung_srad_plugin.datasets.icbhi.annotation import parse_annotation, read_annotation
from lung_srad_plugin.datasets.icbhi.patients import parse_demographics, parse_diagnosis
from lung_srad_plugin.datasets.icbhi.prepare import COLUMNS, prepare_icbhi
from lung_srad_plugin.datasets.manifests import read_manifest, validate_manifests
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.utils.files import RECORD

SCRIPT = Path(__file__).parents[2] / "recipes" / "ICBHI" / "icbhi_prepare.py"
THREE = "0.1\t0.5\t0\t0\n0.5\t1.0\t1\t0\n1.2\t1.9\t1\t1\n"


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def class_counts(rows):
    counts = Counter(row["label"] for row in rows)
    return [counts[label] for label in CLASSES]


def patients_of(rows):
    return {row["patient"] for row in rows}


def summary_of(prepared):
    return json.loads(prepared.summary.read_text())


def content_of(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != RECORD]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def make_recording(folder, name, annotation=THREE, seconds=2.0, channels=1):
    """A recording of noise, unlike any other, and its annotation."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(list(name.encode()))
    samples = generator.uniform(-0.1, 0.1, (int(seconds * 4000), channels))
    soundfile.write(folder / f"{name}.wav", samples, 4000)
    if annotation is not None:
        (folder / f"{name}.txt").write_text(annotation)


NAMES = {
    "101_1b1_Al_sc_Meditron": "test",
    "102_1b1_Ar_sc_Meditron": "test",
    "103_2b2_Ar_mc_LittC2SE": "train",
    "105_1b1_Tc_sc_Meditron": "train",
    "106_2b1_Pl_mc_LittC2SE": "train",
}


@pytest.fixture
def data(tmp_path):
    """Five recordings in the layout of the official download, sides as in the official split."""
    root = tmp_path / "data"
    for name in NAMES:
        make_recording(root / "ICBHI_final_database", name)
    (root / "ICBHI_challenge_train_test.txt").write_text("".join(f"{n}\t{side}\n" for n, side in NAMES.items()))
    demographics = "".join(f"{name[:3]}\t3.0\tF\tNA\t19.0\t99.0\tPr\n" for name in NAMES)
    (root / "ICBHI_Challenge_demographic_information.txt").write_text(demographics)
    (root / "ICBHI_Challenge_diagnosis.txt").write_text("".join(f"{name[:3]}\tURTI\n" for name in NAMES))
    return root


def prepare(data, **options):
    return prepare_icbhi(data, data.parent / "prepared", quiet=True, **options)


def refusal(data, **options):
    """The message with which a data folder is refused; nothing is written."""
    with pytest.raises(LungSRADError) as caught:
        prepare(data, **options)
    assert not (data.parent / "prepared").exists()
    return str(caught.value)


# The real recordings


@pytest.fixture(scope="module")
def published(icbhi_folder, tmp_path_factory):
    return prepare_icbhi(icbhi_folder, tmp_path_factory.mktemp("published"), valid="test", quiet=True)


def test_real_recordings_under_the_official_split(published):
    train, test = rows_of(published.train), rows_of(published.test)
    assert class_counts(train) == [593, 122, 100, 38]
    assert class_counts(test) == [527, 88, 111, 33]
    assert (len({row["recording"] for row in train}), len(patients_of(train))) == (74, 35)
    assert (len({row["recording"] for row in test}), len(patients_of(test))) == (84, 32)


def test_published_protocol_is_labelled(published):
    assert published.valid.read_bytes() == published.test.read_bytes()
    summary = summary_of(published)
    assert summary["valid_is_test"] is True
    assert "TEST" in summary["protocol"]
    assert any("has seen the test set" in note for note in summary["notes"])


def test_summary_of_real_recordings(published):
    summary = summary_of(published)
    assert summary["parts"]["train"]["cycles"] == {
        **{"normal": 593, "crackle": 122, "wheeze": 100, "both": 38},
        "total": 853,
    }
    assert summary["parts"]["test"]["recordings"] == 84
    assert summary["patients_shared"]["train_test"] == ["218"]
    assert summary["split"]["agrees_with_official"] is True
    assert summary["split"]["listed_without_recording"] == 762
    assert summary["left_out"] == []
    assert len(summary["split"]["sha256"]) == 64


def test_real_rows(icbhi_folder, published):
    rows = rows_of(published.test)
    assert tuple(rows[0]) == COLUMNS
    assert [row["ID"] for row in rows] == sorted(row["ID"] for row in rows)
    assert rows[0] == {
        **{"ID": "101_1b1_Al_sc_Meditron_001", "duration": "0.543", "start": "0.036", "stop": "0.579"},
        **{"wav": "{data_root}/ICBHI_final_database/101_1b1_Al_sc_Meditron.wav"},
        **{"label": "normal", "crackle": "0", "wheeze": "0", "patient": "101", "recording": "101_1b1_Al_sc_Meditron"},
        **{"device": "Meditron", "location": "Al", "mode": "sc", "age": "3", "sex": "F", "diagnosis": "URTI"},
    }
    assert not [name for name in rows[0] if name not in ("age", "sex") and any(not row[name] for row in rows)]
    for row in rows:
        assert row["label"] == CLASSES[int(row["crackle"]) + 2 * int(row["wheeze"])]
    validate_manifests(published.train, published.valid, published.test, CLASSES, data_root=icbhi_folder)


def test_valid_patients_are_apart_from_train_and_test(icbhi_folder, published, tmp_path):
    for seed in (0, 1, 2):
        prepared = prepare_icbhi(icbhi_folder, tmp_path, seed=seed, quiet=True)
        train, valid = rows_of(prepared.train), rows_of(prepared.valid)
        assert prepared.test.read_bytes() == published.test.read_bytes()
        whole = {row["ID"] for row in rows_of(published.train)}
        assert {row["ID"] for row in train} | {row["ID"] for row in valid} == whole
        assert len(train) + len(valid) == len(whole)
        assert not patients_of(valid) & (patients_of(train) | patients_of(rows_of(prepared.test)))
        assert all(class_counts(valid))
        assert len(valid) / len(whole) == pytest.approx(0.2, abs=0.05)


def test_corrected_split_parts_train_and_test(icbhi_folder, published, tmp_path):
    prepared = prepare_icbhi(icbhi_folder, tmp_path, split="corrected", valid="test", quiet=True)
    train = rows_of(prepared.train)
    assert train == [row for row in rows_of(published.train) if row["patient"] not in ("156", "218")]
    assert len(train) < 853
    assert prepared.test.read_bytes() == published.test.read_bytes()
    summary = summary_of(prepared)
    assert summary["patients_shared"]["train_test"] == []
    assert {name[:3] for name in summary["split"]["dropped"]} == {"218"}


def test_folds_cover_everything_once_and_divide_no_patient(icbhi_folder, tmp_path):
    seen = []
    for fold in range(3):
        prepared = prepare_icbhi(icbhi_folder, tmp_path, split="kfold", folds=3, fold=fold, quiet=True)
        parts = [rows_of(path) for path in (prepared.train, prepared.valid, prepared.test)]
        assert sum(map(len, parts)) == 853 + 759
        assert not patients_of(parts[0]) & patients_of(parts[1])
        assert not (patients_of(parts[0]) | patients_of(parts[1])) & patients_of(parts[2])
        assert all(all(class_counts(part)) for part in parts)
        seen += [row["ID"] for row in parts[2]]
    assert len(seen) == len(set(seen)) == 853 + 759


@pytest.mark.parametrize(
    ("device", "cycles", "dropped"), [("Litt3200", 418, 7), ("LittC2SE", 22, 2), ("Meditron", 1105, 7)]
)
def test_device_left_out_with_its_patients(icbhi_folder, tmp_path, device, cycles, dropped):
    prepared = prepare_icbhi(icbhi_folder, tmp_path, split="device", test_device=device, quiet=True)
    train, valid, test = (rows_of(path) for path in (prepared.train, prepared.valid, prepared.test))
    assert {row["device"] for row in test} == {device}
    assert device not in {row["device"] for row in train + valid}
    assert not patients_of(test) & patients_of(train + valid)
    assert not patients_of(train) & patients_of(valid)
    summary = summary_of(prepared)
    assert (len(test), len(summary["split"]["dropped"])) == (cycles, dropped)
    assert summary["split"]["source"] == "device in the file names"
    assert f"device {device} left out" in summary["protocol"]
    assert any("not reliable" in note for note in summary["notes"])
    assert not any("compare with published" in note for note in summary["notes"])


def test_end_tolerance_is_not_needed_on_real_recordings(icbhi_folder):
    folder = icbhi_folder / "ICBHI_final_database"
    for wav in folder.glob("*.wav"):
        seconds = soundfile.info(str(wav)).duration
        assert read_annotation(wav.with_suffix(".txt"))[-1].stop <= seconds < 90


# Layouts


def test_official_layout(data):
    prepared = prepare(data, valid="test")
    assert class_counts(rows_of(prepared.train)) == [3, 3, 0, 3]
    assert class_counts(rows_of(prepared.test)) == [2, 2, 0, 2]
    assert prepared.data_root == data
    assert Path(read_manifest(prepared.train, prepared.data_root)[0]["wav"]).is_file()
    assert summary_of(prepared)["notes"][:-1] == []


@pytest.mark.parametrize("copied", [False, True])
def test_kaggle_layout(tmp_path, copied):
    root = tmp_path / "archive"
    inner = root / "Respiratory_Sound_Database" / "Respiratory_Sound_Database"
    for name in NAMES:
        make_recording(inner / "audio_and_txt_files", name)
    (inner / "patient_diagnosis.csv").write_text("".join(f"{name[:3]},Healthy\n" for name in NAMES))
    (inner / "filename_format.txt").write_text("Each name is divided into 5 elements\n")
    (inner / "filename_differences.txt").write_text("101_1b1_Al_sc_Meditron\n")
    (root / "demographic_info.txt").write_text("".join(f"{name[:3]} 0.75 M NA 9.8 73\n" for name in NAMES))
    if copied:
        shutil.copytree(inner.parent, root / "respiratory_sound_database_2")
    prepared = prepare_icbhi(root, tmp_path / "prepared", valid="test", quiet=True)
    train = rows_of(prepared.train)
    assert [row["recording"] for row in train[::3]] == [name for name in sorted(NAMES) if NAMES[name] == "train"]
    folder = "{data_root}/Respiratory_Sound_Database/Respiratory_Sound_Database/audio_and_txt_files"
    assert train[0]["wav"] == f"{folder}/103_2b2_Ar_mc_LittC2SE.wav"
    assert {(row["age"], row["sex"], row["diagnosis"]) for row in train} == {("0.75", "M", "Healthy")}
    notes = " ".join(summary_of(prepared)["notes"])
    assert "the official split shipped with lung-srad was used" in notes
    assert ("is a copy of" in notes) is copied


def test_hidden_files_and_texts_that_are_no_annotations_are_ignored(data):
    folder = data / "ICBHI_final_database"
    (folder / "._101_1b1_Al_sc_Meditron.wav").write_bytes(b"resource fork")
    (data / "__MACOSX").mkdir()
    (data / "__MACOSX" / "101_1b1_Al_sc_Meditron.wav").write_bytes(b"resource fork")
    (folder / "README.txt").write_text("Read me.\n")
    assert summary_of(prepare(data))["left_out"] == []


def test_folder_without_tables(data):
    for table in data.glob("*.txt"):
        table.unlink()
    prepared = prepare(data, valid="test")
    row = rows_of(prepared.train)[0]
    assert (row["age"], row["sex"], row["diagnosis"]) == ("", "", "")
    notes = " ".join(summary_of(prepared)["notes"])
    assert "no demographics file; left blank: age, sex" in notes
    assert "no diagnosis file; left blank: diagnosis" in notes


def test_recordings_in_a_linked_folder(data, tmp_path):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "audio").symlink_to(data, target_is_directory=True)
    prepared = prepare_icbhi(tmp_path / "linked", tmp_path / "prepared", valid="test", quiet=True)
    assert rows_of(prepared.train)[0]["wav"].startswith("{data_root}/audio/ICBHI_final_database/")


def test_several_channels_and_a_cycle_that_ends_a_little_late(data):
    folder = data / "ICBHI_final_database"
    late = 2.0 + END_TOLERANCE / 2
    make_recording(folder, "105_1b1_Tc_sc_Meditron", f"0.0\t{late}\t0\t1\n", channels=2)
    row = next(row for row in rows_of(prepare(data, valid="test").train) if row["patient"] == "105")
    assert (row["stop"], row["duration"], row["label"]) == ("2.0", "2.0", "wheeze")


DEVICES = ("LittC2SE", "Meditron")


@pytest.mark.parametrize("wav", DEVICES)
@pytest.mark.parametrize("annotation", DEVICES)
@pytest.mark.parametrize("split", [*DEVICES, None])
def test_patient_226_is_joined_whatever_the_copies_call_the_device(data, wav, annotation, split):
    folder = data / "ICBHI_final_database"
    make_recording(folder, f"226_1b1_Pl_sc_{wav}", None)
    (folder / f"226_1b1_Pl_sc_{annotation}.txt").write_text(THREE)
    for table, line in (("demographic_information", "226 4 M"), ("diagnosis", "226 Pneumonia")):
        with (data / f"ICBHI_Challenge_{table}.txt").open("a") as file:
            file.write(line + "\n")
    listed = data / "ICBHI_challenge_train_test.txt"
    if split:
        listed.write_text(listed.read_text() + f"226_1b1_Pl_sc_{split}\ttrain\n")
    else:
        listed.unlink()
    prepared = prepare(data, valid="test")
    rows = [row for row in rows_of(prepared.train) if row["patient"] == "226"]
    assert [row["recording"] for row in rows] == [f"226_1b1_Pl_sc_{wav}"] * 3
    notes = " ".join(summary_of(prepared)["notes"])
    assert ("joined with annotation" in notes) is (wav != annotation)
    assert ("was found in the split as" in notes) is (wav != (split or "LittC2SE"))


# Problems


def test_missing_folder_says_where_to_get_the_data(tmp_path):
    with pytest.raises(LungSRADError, match=r"does not exist.*bhichallenge\.med\.auth\.gr"):
        prepare_icbhi(tmp_path / "no", tmp_path / "prepared")
    (tmp_path / "no").mkdir()
    with pytest.raises(LungSRADError, match=r"holds no \.wav file.*bhichallenge\.med\.auth\.gr"):
        prepare_icbhi(tmp_path / "no", tmp_path / "prepared")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "offical"}, "split='offical'; expected one of official, corrected, kfold"),
        ({"valid": "train"}, "valid='train'; expected one of patients, test"),
        ({"valid_fraction": 1.0}, "valid_fraction=1.0"),
        ({"split": "kfold", "fold": 5}, "fold=5 of folds=5"),
        ({"split": "kfold", "folds": 1}, "folds=1"),
        ({"split": "device"}, "split='device' with test_device=None"),
        ({"test_device": "Meditron"}, "split='official' with test_device='Meditron'"),
        ({"split": "device", "test_device": "meditron"}, "no recording of device 'meditron'"),
    ],
)
def test_options_that_do_not_exist(data, options, message):
    assert message in refusal(data, **options)


FOLDER = "ICBHI_final_database"
FIRST = "103_2b2_Ar_mc_LittC2SE"


def write_annotation(text):
    return lambda folder: (folder / f"{FIRST}.txt").write_text(text)


def write_wav(content):
    return lambda folder: (folder / f"{FIRST}.wav").write_bytes(content)


def copy_to(folder, name, other):
    other.parent.mkdir(exist_ok=True)
    shutil.copy(folder / name, other)


def make_silent(folder):
    soundfile.write(folder / f"{FIRST}.wav", np.zeros(0), 4000)


def make_other_content(folder):
    make_recording(folder / "more", "x")
    (folder / "more" / "x.txt").unlink()
    (folder / "more" / "x.wav").rename(folder / "more" / f"{FIRST}.wav")


# What is done to the data; the message, which begins with the file; and which cycles of the recording (by line) stay.
PROBLEMS = {
    "wav without txt": (lambda f: (f / f"{FIRST}.txt").unlink(), ".wav: recording without its annotation", []),
    "txt without wav": (lambda f: (f / f"{FIRST}.wav").unlink(), ".txt: annotation without its recording", []),
    "empty wav": (write_wav(b""), ".wav: empty file", []),
    "text as wav": (write_wav(b"no sound at all"), ".wav: cannot be read as audio", []),
    "wav without samples": (make_silent, ".wav: holds no samples", []),
    "no cycles": (write_annotation("\n"), ".txt: no cycles", []),
    "binary annotation": (lambda f: (f / f"{FIRST}.txt").write_bytes(b"\xff\xfe\x00"), ".txt: is not text", []),
    "three fields": (write_annotation("0.1 0.5 0 0\n0.5 1.0 1\n1.2 1.9 1 1\n"), ".txt, line 2: malformed", [1, 3]),
    "decimal comma": (write_annotation("0,1 0,5 0 0\n0.5 1.0 1 0\n"), ".txt, line 1: malformed", [2]),
    "not a number": (write_annotation("nan 0.5 0 0\n0.5 1.0 1 0\n"), ".txt, line 1: malformed", [2]),
    "blank line": (write_annotation("0.1 0.5 0 0\n\n0.5 1.0 1 0\n"), ".txt, line 2: malformed", [1, 3]),
    "unknown finding": (write_annotation("0.1 0.5 0 2\n0.5 1.0 1 0\n"), ".txt, line 1: unknown finding", [2]),
    "negative start": (write_annotation("-0.1 0.5 0 0\n0.5 1.0 1 0\n"), ".txt, line 1: start -0.1 is negative", [2]),
    "start is stop": (write_annotation("0.1 0.5 0 0\n0.5 0.5 1 0\n"), ".txt, line 2: start 0.5 is not before", [1]),
    "start after stop": (write_annotation("0.1 0.5 0 0\n0.9 0.6 1 0\n"), ".txt, line 2: start 0.9 is not before", [1]),
    "unsorted": (write_annotation("0.5 1.0 0 0\n0.1 0.5 0 0\n"), ".txt, line 2: unsorted: starts at 0.1", [1]),
    "overlapping": (write_annotation("0.1 0.5 0 0\n0.4 1.0 0 0\n"), ".txt, line 2: starts at 0.4 and overlaps", [1]),
    "beyond the end": (
        write_annotation("0.1 0.5 0 0\n0.5 2.06 0 0\n"),
        ".txt, line 2: the cycle from 0.5 to 2.06",
        [1],
    ),
    "after the end": (write_annotation("0.1 0.5 0 0\n2.0 2.01 0 0\n"), ".txt, line 2: the cycle from 2.0 to 2.01", [1]),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_problem_is_named_and_exactly_left_out(data, case):
    harm, message, kept = PROBLEMS[case]
    untouched = rows_of(prepare(data, valid="test").train)
    shutil.rmtree(data.parent / "prepared")
    harm(data / FOLDER)
    refused = refusal(data)
    assert refused.startswith(f"{data}: 1 problem\n  {FOLDER}/{FIRST}{message}")
    prepared = prepare(data, valid="test", strict=False)
    rows = rows_of(prepared.train)
    others = [row for row in untouched if row["recording"] != FIRST]
    assert [row for row in rows if row["recording"] != FIRST] == others
    assert [row["ID"] for row in rows if row["recording"] == FIRST] == [f"{FIRST}_{line:03d}" for line in kept]
    left_out = summary_of(prepared)["left_out"]
    assert len(left_out) == 1
    assert left_out[0]["why"].startswith(f"{FOLDER}/{FIRST}{message}")
    assert left_out[0]["what"] == ("cycle" if kept else "recording")


def test_same_name_twice_with_the_same_content_keeps_one(data):
    copy_to(data / FOLDER, f"{FIRST}.wav", data / "more" / f"{FIRST}.wav")
    assert f"more/{FIRST}.wav: duplicate: {FOLDER}/{FIRST}.wav has the same name and the same content" in refusal(data)
    prepared = prepare(data, valid="test", strict=False)
    assert class_counts(rows_of(prepared.train)) == [3, 3, 0, 3]
    assert [entry["what"] for entry in summary_of(prepared)["left_out"]] == ["copy"]


def test_same_name_twice_with_other_content_keeps_none(data):
    make_other_content(data / FOLDER)
    assert f"{FOLDER}/more/{FIRST}.wav: duplicate: {FOLDER}/{FIRST}.wav has the same name and other" in refusal(data)
    prepared = prepare(data, valid="test", strict=False)
    assert class_counts(rows_of(prepared.train)) == [2, 2, 0, 2]
    assert FIRST not in {row["recording"] for row in rows_of(prepared.train)}


def test_same_content_under_two_names_keeps_none(data):
    other = "106_2b1_Pl_mc_LittC2SE"
    copy_to(data / FOLDER, f"{FIRST}.wav", data / FOLDER / f"{other}.wav")
    refused = refusal(data)
    assert f"{FOLDER}/{other}.wav: duplicate: {FOLDER}/{FIRST}.wav has the same content under another name" in refused
    prepared = prepare(data, valid="test", strict=False)
    assert {row["recording"] for row in rows_of(prepared.train)} == {"105_1b1_Tc_sc_Meditron"}


def test_equal_sizes_and_equal_middles_are_no_duplicates(data):
    samples = np.zeros(400_000)
    for first_sample, name in ((0.5, FIRST), (0.25, "106_2b1_Pl_mc_LittC2SE")):
        samples[0] = first_sample
        soundfile.write(data / FOLDER / f"{name}.wav", samples, 4000)
    assert len(rows_of(prepare(data, valid="test").train)) == 9


@pytest.mark.parametrize("name", ["103_2b2_Xx_mc_LittC2SE", "recording1", "103-2b2-Ar-mc-LittC2SE"])
def test_names_of_another_form(data, name):
    make_recording(data / FOLDER, name)
    refused = refusal(data)
    assert "2 problems" in refused
    for ending in ("txt", "wav"):
        assert f"{FOLDER}/{name}.{ending}: the name is not of the ICBHI form" in refused
    prepared = prepare(data, valid="test", strict=False)
    assert len(rows_of(prepared.train)) == 9
    assert len(summary_of(prepared)["left_out"]) == 2


def test_annotation_of_another_form_without_recording(data):
    (data / FOLDER / "notes.txt").write_text("0.1 0.5 0 0\n")
    assert f"{FOLDER}/notes.txt: the name is not of the ICBHI form" in refusal(data)


def test_names_absent_from_the_split(data):
    make_recording(data / FOLDER, "300_1b1_Al_sc_Meditron")
    message = "300_1b1_Al_sc_Meditron: is in no good line of the split (ICBHI_challenge_train_test.txt)"
    assert message in refusal(data)
    prepared = prepare(data, valid="test", strict=False)
    assert len(rows_of(prepared.train)) + len(rows_of(prepared.test)) == 15


def test_folds_need_no_split(data):
    make_recording(data / FOLDER, "300_1b1_Al_sc_Meditron")
    for table in data.glob("*.txt"):
        table.unlink()
    summary = summary_of(prepare(data, split="kfold", folds=2))
    assert sum(part["cycles"]["total"] for part in summary["parts"].values()) == 18
    assert summary["split"]["agrees_with_official"] is None


def test_device_split_needs_no_split(data):
    for table in data.glob("*.txt"):
        table.unlink()
    prepared = prepare(data, split="device", test_device="LittC2SE", valid="test")
    assert patients_of(rows_of(prepared.test)) == {"103", "106"}
    assert patients_of(rows_of(prepared.train)) == {"101", "102", "105"}


def test_split_file_problems_have_lines(data):
    path = data / "ICBHI_challenge_train_test.txt"
    path.write_text(path.read_text().replace(f"{FIRST}\ttrain", f"{FIRST}\tdev"))
    refused = refusal(data)
    assert "ICBHI_challenge_train_test.txt, line 3: " in refused and "expected 'name train' or 'name test'" in refused
    assert f"{FIRST}: is in no good line of the split" in refused
    assert len(rows_of(prepare(data, valid="test", strict=False).train)) == 6


def test_empty_split_file_is_not_replaced_by_the_official_one(data):
    (data / "ICBHI_challenge_train_test.txt").write_text("")
    assert "5 problems" in refusal(data)


def test_another_split_differs_from_the_official_one(data):
    path = data / "ICBHI_challenge_train_test.txt"
    path.write_text(path.read_text().replace("102_1b1_Ar_sc_Meditron\ttest", "102_1b1_Ar_sc_Meditron\ttrain"))
    summary = summary_of(prepare(data))
    assert summary["split"]["agrees_with_official"] is False
    assert any("is not the official split" in note for note in summary["notes"])


def test_contradictory_tables_stop_in_any_case(data):
    (data / "more").mkdir()
    (data / "more" / "ICBHI_challenge_train_test.txt").write_text(f"{FIRST}\ttest\n")
    for strict in (True, False):
        message = "more/ICBHI_challenge_train_test.txt: contradicts ICBHI_challenge_train_test.txt; keep one of them"
        assert message in refusal(data, strict=strict)
    shutil.copy(data / "ICBHI_challenge_train_test.txt", data / "more")
    prepare(data)


def test_patients_without_data(data):
    demographics = data / "ICBHI_Challenge_demographic_information.txt"
    diagnosis = data / "ICBHI_Challenge_diagnosis.txt"
    demographics.write_text(demographics.read_text().replace("103\t3.0\tF", "103\told\tF"))
    diagnosis.write_text(diagnosis.read_text().replace("105\tURTI\n", ""))
    refused = refusal(data)
    assert "3 problems" in refused
    assert f"{demographics.name}, line 3: '103\\told" in refused
    assert f"{demographics.name}: patient 103 is in no good line" in refused
    assert f"{diagnosis.name}: patient 105 is in no good line" in refused
    rows = {row["patient"]: row for row in rows_of(prepare(data, valid="test", strict=False).train)}
    assert (rows["103"]["age"], rows["103"]["sex"], rows["103"]["diagnosis"]) == ("", "", "URTI")
    assert (rows["105"]["age"], rows["105"]["sex"], rows["105"]["diagnosis"]) == ("3", "F", "")


def test_patient_tables_refuse_what_they_do_not_know():
    for text in ("101 3", "101 3 X", "101 -3 F", "x101 3 F", "101 nan F"):
        assert len(parse_demographics(f"100 1 F\n{text}\n", "t")[1]) == 1
    for text in ("101", "101,3", "101 URTI more", "x,URTI"):
        assert len(parse_diagnosis(f"100,Healthy\n{text}\n", "t")[1]) == 1
    table, problems = parse_diagnosis("patient,diagnosis\n101,URTI\n101,URTI\n101,COPD\n", "t")
    assert table == {"101": "URTI"}
    assert [problem.line for problem in problems] == [4]


def test_all_problems_are_reported_at_once(data):
    folder = data / FOLDER
    (folder / "101_1b1_Al_sc_Meditron.txt").unlink()
    (folder / "102_1b1_Ar_sc_Meditron.wav").write_bytes(b"")
    (folder / "102_1b1_Ar_sc_Meditron.txt").write_text("0.5 0.1 0 0\n")
    (folder / f"{FIRST}.txt").write_text("0.1 0.5 0 0\n0.4 0.6 0 7\n0.3 0.6 0 0\n0.7 9.0 0 0\n")
    make_recording(folder, "odd")
    make_recording(folder, "300_1b1_Al_sc_Meditron")
    refused = refusal(data)
    assert refused.splitlines()[0] == f"{data}: 11 problems"
    assert refused.splitlines()[1:-1] == sorted(refused.splitlines()[1:-1])
    assert "strict=False" in refused.splitlines()[-1]
    for part in (
        f"{FOLDER}/101_1b1_Al_sc_Meditron.wav: recording without",
        f"{FOLDER}/102_1b1_Ar_sc_Meditron.wav: empty",
        f"{FOLDER}/102_1b1_Ar_sc_Meditron.txt, line 1: start",
        f"{FOLDER}/{FIRST}.txt, line 2: unknown finding",
        f"{FOLDER}/{FIRST}.txt, line 3: starts at 0.3 and overlaps the cycle of line 1",
        f"{FOLDER}/{FIRST}.txt, line 4: the cycle",
        f"{FOLDER}/odd.wav: the name",
        f"{FOLDER}/odd.txt: the name",
        "300_1b1_Al_sc_Meditron: is in no good line of the split",
        "ICBHI_Challenge_diagnosis.txt: patient 300 is in no good line",
    ):
        assert part in refused


def test_problems_of_one_kind_are_grouped_and_left_out_one_by_one(data):
    for number in range(110, 115):
        make_recording(data / FOLDER, f"{number}_1b1_Al_sc_Meditron", annotation=None)
    refused = refusal(data)
    (line,) = [line for line in refused.splitlines() if "no .txt beside them" in line]
    assert line.strip() == (
        "5 recordings have no .txt beside them, for example "
        + ", ".join(f"{FOLDER}/{number}_1b1_Al_sc_Meditron.wav" for number in (110, 111, 112))
    )
    left_out = summary_of(prepare(data, valid="test", strict=False))["left_out"]
    assert sum("recording without its annotation" in entry["why"] for entry in left_out) == 5


@pytest.mark.parametrize("ending", ["wav", "txt"])
def test_a_link_to_nothing_is_a_problem(data, ending):
    file = data / FOLDER / f"{FIRST}.{ending}"
    file.unlink()
    file.symlink_to("nowhere")
    (data / FOLDER / "notes.txt").symlink_to("nowhere")
    refused = refusal(data)
    assert f"1 problem\n  {FOLDER}/{FIRST}.{ending}: cannot be opened: No such file" in refused


def test_a_table_that_is_a_link_to_nothing_stops_in_any_case(data):
    table = data / "ICBHI_Challenge_diagnosis.txt"
    table.unlink()
    table.symlink_to("nowhere")
    assert f"{table.name}: cannot be opened" in refusal(data, strict=False)


def test_nothing_left_is_an_error(data):
    for name, side in NAMES.items():
        if side == "test":
            (data / FOLDER / f"{name}.wav").unlink()
    assert "no cycle is left for test.csv" in refusal(data, strict=False)


def test_unsorted_cycles_are_compared_with_the_last_good_line():
    cycles, problems = parse_annotation("0 1 0 0\n5 4 0 0\n1 2 0 0\n", "a.txt")
    assert [cycle.line for cycle in cycles] == [1, 3]
    assert [problem.line for problem in problems] == [2]


def test_annotation_with_byte_order_mark_and_windows_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + THREE.replace("\n", "\r\n").encode() + b"\r\n")
    assert [cycle.label for cycle in read_annotation(tmp_path / "a.txt")] == ["normal", "crackle", "both"]


# Writing


@pytest.mark.parametrize(
    "options",
    [{}, {"split": "corrected", "valid": "test"}, {"split": "kfold", "folds": 2, "fold": 1}],
)
def test_second_run_gives_the_same_bytes(data, options):
    prepared = prepare(data, **options)
    before = content_of(prepared.summary.parent)
    assert sorted(before) == ["summary.json", "test.csv", "train.csv", "valid.csv"]
    prepare(data, **options)
    assert content_of(prepared.summary.parent) == before


def test_bytes_do_not_depend_on_the_folder(data, tmp_path):
    before = content_of(prepare(data).summary.parent)
    moved = shutil.copytree(data, tmp_path / "elsewhere" / "data")
    assert content_of(prepare(moved).summary.parent) == before


def test_error_keeps_what_was_written(data):
    folder = prepare(data).summary.parent
    before = content_of(folder)
    (data / FOLDER / f"{FIRST}.wav").unlink()
    with pytest.raises(LungSRADError):
        prepare(data)
    assert content_of(folder) == before


def test_failed_write_keeps_what_was_written(data, monkeypatch):
    folder = prepare(data).summary.parent
    before = content_of(folder)

    calls = []

    def fail(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lung_srad_plugin.utils.files.os.fsync", fail)
    with pytest.raises(LungSRADError, match=r"cannot be written: No space left on device; free some space"):
        prepare(data, valid="test")
    assert content_of(folder) == before


def test_summary_hashes_the_files_and_the_split(data):
    prepared = prepare(data)
    summary = summary_of(prepared)
    for path in (prepared.train, prepared.valid, prepared.test):
        assert summary["files"][path.name] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert summary_of(prepare(data, valid="test"))["split"]["sha256"] != summary["split"]["sha256"]


def test_folder_that_cannot_be_made_is_named(data):
    (data.parent / "file").write_text("")
    with pytest.raises(LungSRADError, match=r"file/prepared/train\.csv: cannot be written: Not a directory"):
        prepare_icbhi(data, data.parent / "file" / "prepared", valid="test", quiet=True)


# The script


def run_script(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_script_prints_a_table(data):
    done = run_script(data, data.parent / "prepared", "--valid", "test", "--strict", "false")
    assert done.returncode == 0, done.stderr
    table = [line for line in done.stdout.splitlines() if "train" in line and "│" in line]
    assert [cell.strip() for cell in table[0].strip("│").split("│")] == ["train", "3", "3", "0", "3", "9", "3", "3"]
    assert "Patients in both train and test: none" in done.stdout


def test_script_reports_a_mistake_without_traceback(data):
    (data / FOLDER / f"{FIRST}.txt").unlink()
    done = run_script(data, data.parent / "prepared")
    assert done.returncode == 2
    assert done.stderr.startswith(("error: ", "Reading"))
    assert f"{FIRST}.wav: recording without its annotation" in done.stderr
    assert "Traceback" not in done.stderr
