"""Manifests of one's own annotated recordings: every format, patients, faults all together."""

import csv
import json

import numpy as np
import pytest
import soundfile

from lung_srad_plugin.annotations.event import AnnotatedEvent
from lung_srad_plugin.annotations.files import write_annotations
from lung_srad_plugin.annotations.prepare import prepare_own
from lung_srad_plugin.cli.main import main
from lung_srad_plugin.datasets.manifests import validate_manifest, validate_manifests
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES

EVENTS = [
    AnnotatedEvent(0.25, 1.0, "Normal"),
    AnnotatedEvent(1.0, 1.5, "crackles"),
    AnnotatedEvent(1.5, 2.02, "wheeze"),
]
SPRSOUND = {"event_annotation": [{"start": 250, "end": 1000, "type": "Normal"}]}


@pytest.fixture
def data(tmp_path):
    """Four patients, two recordings each, annotated in all formats."""
    folder = tmp_path / "data"
    for patient in range(4):
        (folder / f"p{patient}").mkdir(parents=True)
        for number in range(2):
            write_wav(folder / f"p{patient}" / f"{patient}_{number}.wav", 10 * patient + number)
    for name, format in (("p0/0_0.txt", "icbhi"), ("p0/0_1.txt", "audacity"), ("p1/1_0.selections.txt", "raven")):
        write_annotations(EVENTS, folder / name, format)
    for name in ("p1/1_1", "p2/2_0", "p3/3_0", "p3/3_1"):
        write_annotations(EVENTS, folder / f"{name}.TextGrid", "textgrid")
    (folder / "p2" / "2_1.json").write_text(json.dumps(SPRSOUND))
    return folder


def write_wav(path, seed):
    soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, 8000), 4000)


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_format_becomes_rows_of_the_four_classes(data, tmp_path):
    prepared = prepare_own(data, tmp_path / "out", patients="name", quiet=True)
    rows = rows_of(prepared.manifest)
    assert len(rows) == 7 * 3 + 1
    assert {(row["original_label"], row["label"]) for row in rows} == {
        *(("Normal", "normal"), ("crackles", "crackle"), ("wheeze", "wheeze")),
        *(("normal", "normal"), ("crackle", "crackle")),  # as ICBHI and SPRSound have them
    }
    last = next(row for row in rows if row["ID"] == "p1/1_0_003")
    assert (last["start"], last["stop"], last["patient"]) == ("1.5", "2.0", "1")  # cut at the end of the audio
    parts = [prepared.train, prepared.valid, prepared.test]
    summary = validate_manifests(*parts, labels=CLASSES, data_root=prepared.data_root)
    assert not any(summary.shared_patients.values())
    assert sum(len(rows_of(part)) for part in parts) == len(rows)
    assert validate_manifest(prepared.manifest, CLASSES, prepared.data_root).patients == ("0", "1", "2", "3")


@pytest.mark.parametrize(("patients", "expected"), [("folder", "p1"), ("recording", "p1/1_0"), ("name", "1")])
def test_patients_come_from_the_path(data, tmp_path, patients, expected):
    prepared = prepare_own(data, tmp_path / "out", patients=patients, split="none", quiet=True)
    assert {row["patient"] for row in rows_of(prepared.manifest) if row["recording"] == "p1/1_0"} == {expected}
    assert prepared.train is None and not (tmp_path / "out" / "train.csv").exists()


def break_things(data):
    (data / "p0" / "0_0.txt").write_text("0.25\t1.0\tcough\n1.0\t1.0\twheeze\n1.5\t9.0\twheeze\n")
    (data / "p1" / "1_0.selections.txt").unlink()
    (data / "p2" / "2_0.txt").write_text("0.5\t1.0\twheeze\n")
    (data / "p2" / "2_1.wav").write_bytes(b"no sound")
    (data / "p3" / "3_1.wav").write_bytes((data / "p3" / "3_0.wav").read_bytes())


FAULTS = (
    "p0/0_0.txt: unknown label 'cough'",
    "start and end are both 1 s",
    "lies beyond the audio",
    "p1/1_0.wav: no annotation beside it",
    "2_0.TextGrid",
    "p2/2_1.wav: cannot be read as audio",
    "p3/3_1.wav: the same recording as p3/3_0.wav",
)


def test_faults_are_reported_together_or_left_out_and_listed(data, tmp_path):
    break_things(data)
    with pytest.raises(LungSRADError) as raised:
        prepare_own(data, tmp_path / "out", patients="name", quiet=True)
    for part in FAULTS:
        assert part in str(raised.value)
    assert "name a mapping of them" in str(raised.value) and "--strict false" in str(raised.value)
    assert not (tmp_path / "out").exists()
    prepared = prepare_own(data, tmp_path / "out", patients="name", split="none", strict=False, quiet=True)
    assert {row["recording"] for row in rows_of(prepared.manifest)} == {"p0/0_1", "p1/1_1", "p3/3_0"}
    left_out = json.loads(prepared.summary.read_text())["left_out"]
    assert len(left_out) == 7 and {entry["what"] for entry in left_out} == {"event", "recording"}


def test_recordings_without_annotation_are_no_fault_of_labels(data, tmp_path):
    (data / "p1" / "1_0.selections.txt").unlink()
    with pytest.raises(LungSRADError) as raised:
        prepare_own(data, tmp_path / "out", patients="name", quiet=True)
    assert ".labels.txt" in str(raised.value) and "orrect the labels" not in str(raised.value)


def test_annotations_without_events_and_events_that_contradict_each_other_are_noted(data, tmp_path):
    (data / "p0" / "0_0.txt").unlink()
    write_annotations([], data / "p0" / "0_0.TextGrid", "textgrid", duration=2.0)
    events = [
        AnnotatedEvent(0.0, 1.5, "wheeze"),
        AnnotatedEvent(0.5, 1.0, "crackle"),
        AnnotatedEvent(1.0, 1.8, "wheeze"),
    ]
    write_annotations(events, data / "p1" / "1_1.TextGrid", "textgrid")
    prepared = prepare_own(data, tmp_path / "out", patients="name", split="none", quiet=True)
    notes = json.loads(prepared.summary.read_text())["notes"]
    assert len(notes) == 2
    assert notes[0] == "recordings without a row, as their annotation has no event that is kept: 1 (p0/0_0.wav)"
    assert notes[1].startswith("events that overlap one of another class: 1;")


def test_the_command_takes_a_mapping_and_says_when_nothing_is_normal(data, tmp_path, capsys):
    (data / "p0" / "0_0.txt").write_text("0.25\t1.0\tcough\n1.0\t1.5\tW\n")
    mapping = tmp_path / "map.json"
    mapping.write_text(json.dumps({"cough": None, "W": "wheeze", "Normal": "crackle", "normal": None}))
    arguments = [
        "prepare-own",
        data,
        tmp_path / "out",
        "--patients",
        "name",
        "--split",
        "none",
        "--labels-map",
        mapping,
    ]
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    assert not ended.value.code
    assert "no event is normal" in capsys.readouterr().out.replace("\n", " ")
    labels = [row["label"] for row in rows_of(tmp_path / "out" / "all.csv") if row["recording"] == "p0/0_0"]
    assert labels == ["wheeze"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patients": "file"}, "patients='file'"),
        ({"split": "random"}, "split='random'"),
        ({"valid_fraction": 0.7, "test_fraction": 0.4}, "leave some of the patients"),
        ({"labels_map": {"W": "whistle"}}, "unknown classes whistle"),
    ],
)
def test_impossible_options_are_refused(data, tmp_path, options, message):
    with pytest.raises(LungSRADError, match=message):
        prepare_own(data, tmp_path / "out", **({"patients": "name"} | options))
