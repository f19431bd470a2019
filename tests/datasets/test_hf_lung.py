"""Preparation of HF_Lung, on made files in its format: the rule for classes, the parts, each problem named."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest
import soundfile

from lung_srad_plugin.cli.main import main
from lung_srad_plugin.datasets.hf_lung.annotation import Interval, parse_annotation
from lung_srad_plugin.datasets.hf_lung.classes import classify_intervals
from lung_srad_plugin.datasets.hf_lung.prepare import prepare_hf_lung
from lung_srad_plugin.datasets.hf_lung.recording_name import parse_name
from lung_srad_plugin.datasets.manifests import read_manifest, validate_manifests
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES

# A breath without sounds, one with crackles in its inspiration, one with a wheeze and crackles in its expiration.
LABELS = """\
I 00:00:00.000 00:00:01.000
E 00:00:01.000 00:00:02.000
I 00:00:03.000 00:00:04.000
D 00:00:03.200 00:00:03.700
E 00:00:06.000 00:00:08.000
Wheeze 00:00:06.100 00:00:07.500
D 00:00:06.000 00:00:06.400
"""
TRAIN = [f"steth_201908{day:02d}_12_00_25" for day in range(1, 11)]
TEST = "trunc_2019-09-21-10-35-06-L1_1"


def make(folder, name, text=LABELS):
    folder.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(list(name.encode())).uniform(-0.1, 0.1, 60000)
    soundfile.write(folder / f"{name}.wav", samples, 4000)
    (folder / f"{name}_label.txt").write_text(text, encoding="utf-8")


@pytest.fixture
def data(tmp_path):
    """Ten train recordings of ten days with one device, one test recording with the other."""
    root = tmp_path / "HF_Lung_V1"
    for name in TRAIN:
        make(root / "train", name)
    make(root / "test", TEST)
    return root


def prepare(data, **options):
    return prepare_hf_lung(data, data.parent / "prepared", quiet=True, **options)


def refusal(data, **options):
    """The message with which a data folder is refused; nothing is written."""
    with pytest.raises(LungSRADError) as caught:
        prepare(data, **options)
    assert not (data.parent / "prepared").exists()
    return str(caught.value)


def summary_of(prepared):
    return json.loads(prepared.summary.read_text(encoding="utf-8"))


# The rule


def classes_of(*intervals):
    """(line, class) of the stretches and the lines left out; intervals are (label, start, stop), lines from 1."""
    numbered = [Interval(line, *interval) for line, interval in enumerate(intervals, 1)]
    stretches, uncertain = classify_intervals(numbered)
    return [(stretch.interval.line, stretch.label) for stretch in stretches], [phase.line for phase in uncertain]


@pytest.mark.parametrize(
    ("sounds", "label"),
    [
        ((), "normal"),
        ((("D", 0.2, 0.5),), "crackle"),
        ((("Wheeze", 0.2, 0.5),), "wheeze"),
        ((("Stridor", 0.2, 0.5),), "wheeze"),
        ((("Rhonchi", 0.2, 0.5),), "wheeze"),
        ((("Rhonchi", 0.2, 0.5), ("D", 0.6, 0.9)), "both"),
        ((("Wheeze", 0.2, 0.5), ("Stridor", 0.6, 0.9)), "wheeze"),
        ((("D", 0.5, 3.0),), "crackle"),  # half of the phase
        ((("D", 0.9, 1.1),), "crackle"),  # half of the sound
    ],
)
def test_a_phase_has_the_class_of_the_sounds_in_it(sounds, label):
    stretches, uncertain = classes_of(("I", 0.0, 1.0), *sounds)
    assert stretches == [(1, label)] and uncertain == []


def test_a_phase_that_a_sound_only_touches_is_left_out_and_the_sound_stands_for_itself():
    assert classes_of(("I", 0.0, 1.0), ("D", 0.9, 2.0)) == ([(2, "crackle")], [1])


def test_a_sound_labels_every_phase_it_is_in():
    stretches, uncertain = classes_of(("I", 0.0, 1.0), ("E", 1.0, 2.0), ("Wheeze", 0.1, 1.9))
    assert stretches == [(1, "wheeze"), (2, "wheeze")] and uncertain == []


def test_sounds_without_phases_have_the_class_of_all_in_them():
    assert classes_of(("Wheeze", 0.0, 2.0), ("D", 0.5, 1.0), ("D", 5.0, 6.0)) == (
        [(1, "both"), (2, "both"), (3, "crackle")],
        [],
    )


def test_what_is_not_labelled_is_nothing():
    assert classes_of() == ([], [])


# The manifests


def test_rows_of_a_recording(data):
    rows = read_manifest(prepare(data).test, data)
    assert [(row["ID"], row["start"], row["stop"], row["label"], row["phase"]) for row in rows] == [
        (f"{TEST}_001", 0.0, 1.0, "normal", "I"),
        (f"{TEST}_002", 1.0, 2.0, "normal", "E"),
        (f"{TEST}_003", 3.0, 4.0, "crackle", "I"),
        (f"{TEST}_005", 6.0, 8.0, "both", "E"),
    ]
    assert [row["sounds"] for row in rows] == ["", "", "D", "D+Wheeze"]
    described = {key: rows[0][key] for key in ("patient", "device", "location", "recording")}
    assert described == {
        **{"patient": "trunc_20190921", "device": "HF-Type-1", "location": "L1", "recording": TEST},
    }


def test_manifests_are_valid_and_their_dates_apart(data):
    prepared = prepare(data)
    summary = validate_manifests(prepared.train, prepared.valid, prepared.test, labels=CLASSES, data_root=data)
    assert set(summary.shared_patients.values()) == {()}
    assert (len(summary.train.rows), len(summary.valid.rows)) == (32, 8)


def test_both_devices_of_one_day_are_in_one_part(data):
    for day in range(1, 11):
        make(data / "train", f"trunc_2019-08-{day:02d}-10-35-06-L4_2")
    for seed in range(3):
        prepared = prepare(data, seed=seed)
        dates = [
            {row["patient"][-8:] for row in read_manifest(path, data)} for path in (prepared.train, prepared.valid)
        ]
        assert not dates[0] & dates[1] and len(dates[1]) == 2


def test_dates_that_are_in_test_too_stay_in_train(data):
    make(data / "test", "trunc_2019-08-01-10-35-06-L4_2")
    for seed in range(5):
        assert not any(
            row["patient"] == "steth_20190801" for row in read_manifest(prepare(data, seed=seed).valid, data)
        )
    assert any("1 dates have recordings in train and in test" in note for note in summary_of(prepare(data))["notes"])


def test_empty_label_files_and_uncertain_phases_are_counted(data):
    make(data / "train", "steth_20190811_12_00_25", "")
    make(data / "train", "steth_20190812_12_00_25", "I 00:00:00.000 00:00:01.000\nD 00:00:00.900 00:00:02.000\n")
    notes = " ".join(summary_of(prepare(data))["notes"])
    assert "1 recordings have no labelled interval" in notes
    assert "1 breath phases were left out" in notes


def test_v2_is_v1_and_its_addition_side_by_side(data):
    make(data.parent / "both" / "HF_Lung_V1_IP" / "test", "steth_20190930_12_00_25")
    shutil.copytree(data, data.parent / "both" / "HF_Lung_V1")
    prepared = prepare(data.parent / "both")
    assert Counter(row["device"] for row in read_manifest(prepared.test, data)) == {"HF-Type-1": 4, "Littmann 3200": 4}


# Problems


def line(text):
    return lambda data: (data / "test" / f"{TEST}_label.txt").write_text(LABELS + text + "\n", encoding="utf-8")


# What is wrong, the message, and how many rows of the recording are left with strict=False.
PROBLEMS = {
    "two fields": (line("I 00:00:01.000"), "line 8: malformed", 4),
    "seconds": (line("I 1.0 2.0"), "line 8: malformed", 4),
    "61 seconds": (line("I 00:00:01.000 00:00:61.000"), "line 8: malformed", 4),
    "unknown label": (line("Cough 00:00:01.000 00:00:02.000"), "line 8: unknown label 'Cough'", 4),
    "start is stop": (line("I 00:00:09.000 00:00:09.000"), "line 8: start 9.0 is not before stop 9.0", 4),
    "past the end": (line("I 00:00:14.000 00:00:15.100"), "line 8: from 14.0 to 15.1 s reaches past the end", 4),
    "the same line": (line("I 00:00:00.000 00:00:01.000"), "line 8: the same as line 1", 4),
    "not UTF-8": (
        lambda data: (data / "test" / f"{TEST}_label.txt").write_bytes(b"\xff\xfe"),
        "_label.txt: is not text in UTF-8",
        0,
    ),
    "empty audio": (lambda data: (data / "test" / f"{TEST}.wav").write_bytes(b""), "empty file", 0),
    "no label file": (
        lambda data: (data / "test" / f"{TEST}_label.txt").unlink(),
        "recording without its label file",
        0,
    ),
    "no recording": (lambda data: (data / "test" / f"{TEST}.wav").unlink(), "label file without its recording", 0),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_problem_is_named_and_exactly_left_out(data, case):
    make(data / "test", "trunc_2019-09-22-10-35-06-L2_1")
    harm, message, kept = PROBLEMS[case]
    harm(data)
    refused = refusal(data)
    assert "1 problem" in refused and message in refused
    prepared = prepare(data, strict=False)
    assert sum(row["recording"] == TEST for row in read_manifest(prepared.test, data)) == kept
    (left_out,) = summary_of(prepared)["left_out"]
    assert message in left_out["why"]
    assert left_out["what"] == ("interval" if kept else "recording")


def test_all_problems_are_reported_at_once_and_grouped(data):
    for name in TRAIN[:4]:
        (data / "train" / f"{name}_label.txt").unlink()
    make(data / "train", "recording1")
    make(data / "train 2", "steth_20190830_12_00_25")
    refused = refusal(data)
    assert refused.startswith(f"{data}: 7 problems")
    assert f"4 recordings have no label file, for example train/{TRAIN[0]}.wav" in refused
    assert "train/recording1.wav: the name is not of the form steth_YYYYMMDD" in refused
    assert "train/recording1_label.txt: the name is not of the form" in refused
    assert "train 2/steth_20190830_12_00_25.wav: no folder above it is named train or test" in refused


def test_a_second_copy_of_a_folder_is_left_out(data):
    shutil.copytree(data / "train", data / "more" / "train")
    assert "20 problems" in refusal(data)
    prepared = prepare(data, strict=False)
    assert {entry["what"] for entry in summary_of(prepared)["left_out"]} == {"copy"}
    assert len(read_manifest(prepared.train, data)) == 32


def test_missing_folder_says_where_to_get_the_data(tmp_path):
    for folder in (tmp_path / "no", tmp_path):
        with pytest.raises(LungSRADError, match=r"gitlab\.com/techsupportHF"):
            prepare_hf_lung(folder, tmp_path / "out")


def test_command_prepares(data, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["prepare-hf-lung", str(data), str(data.parent / "prepared")])
    assert stop.value.code == 0
    assert "Patients in both train and test: none" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("steth_20180814_09_37_11", "steth_20180814"),
        ("trunc_2019-08-21-10-05-00-L1_14", "trunc_20190821"),
        ("trunc_2019-08-01-14-14-59-CH-14_7", "trunc_20190801"),
    ],
)
def test_names(name, group):
    assert parse_name(name).group == group


@pytest.mark.parametrize(
    "name", ["steth_2018_09_37_11", "trunc_2019-08-21-10-05-00_14", "steth_20180814_09_37_11_label"]
)
def test_other_names_are_refused(name):
    assert parse_name(name) is None


def test_intervals_up_to_the_tolerance_past_the_end_are_cut():
    intervals, problems = parse_annotation("i 00:00:14.000 00:00:15.020\n", "a_label.txt", seconds=15.0)
    assert problems == [] and intervals == [Interval(1, "I", 14.0, 15.0)]
