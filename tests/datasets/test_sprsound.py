"""Preparation of SPRSound: the published counts, every way its files were published, and each problem named."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest
import soundfile

from lung_srad_plugin.cli.main import main
from lung_srad_plugin.datasets.manifests import read_manifest, validate_manifests
from lung_srad_plugin.datasets.sprsound.annotation import parse_annotation
from lung_srad_plugin.datasets.sprsound.layout import Layout
from lung_srad_plugin.datasets.sprsound.prepare import prepare_sprsound
from lung_srad_plugin.datasets.sprsound.recording_name import parse_name
from lung_srad_plugin.datasets.sprsound.tasks import EVENT_TYPES, FOUR_CLASSES, TASKS, pool_recording_labels
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES


def summary_of(prepared):
    return json.loads(prepared.summary.read_text(encoding="utf-8"))


# The real recordings


@pytest.fixture(scope="module")
def published(sprsound_folder, tmp_path_factory):
    return prepare_sprsound(sprsound_folder, tmp_path_factory.mktemp("sprsound"), quiet=True)


def test_published_counts(published):
    found = summary_of(published)["found"]
    assert {part: (of["recordings"], of["patients"], of["events"]["total"]) for part, of in found.items()} == {
        "train": (1949, 251, 6656),
        "test_intra": (379, 162, 1004),
        "test_inter": (355, 41, 1429),
    }
    assert found["train"]["events"] == {
        **{"normal": 5159, "fine crackle": 912, "wheeze": 452, "coarse crackle": 49},
        **{"rhonchi": 39, "wheeze+crackle": 30, "stridor": 15, "total": 6656},
    }
    assert found["test_inter"]["events"] == {
        **{"normal": 1040, "wheeze": 305, "fine crackle": 80, "coarse crackle": 3, "wheeze+crackle": 1, "total": 1429}
    }
    assert [found[part]["without_events"] for part in found] == [177, 2, 8]
    assert found["train"]["recording_labels"] == {
        **{"normal": 1303, "DAS": 248, "poor quality": 177, "CAS": 126, "CAS & DAS": 95}
    }


def test_four_classes_of_the_tests_which_stay_apart(published):
    assert list(published.tests) == ["test_intra", "test_inter"]
    counts = {
        part: [Counter(row["label"] for row in read_manifest(path, "/data"))[label] for label in CLASSES]
        for part, path in published.tests.items()
    }
    assert counts == {"test_intra": [688, 189, 124, 3], "test_inter": [1040, 83, 305, 1]}


def test_manifests_are_valid_and_their_patients_apart(published):
    summary = validate_manifests(
        *(published.train, published.valid, published.tests["test_inter"]),
        labels=CLASSES,
        data_root=published.data_root,
    )
    assert set(map(len, summary.shared_patients.values())) == {0}
    assert len(summary.train.rows) + len(summary.valid.rows) == 6656
    for label, count in summary.valid.labels.items():
        assert count / (count + summary.train.labels[label]) == pytest.approx(0.2, abs=0.03)


def test_intra_patients_are_known_and_the_one_file_in_both_is_reported(published):
    summary = summary_of(published)
    assert len(summary["patients_shared"]["train_test_intra"] + summary["patients_shared"]["valid_test_intra"]) >= 156
    assert any("41279835_14.1_0_p1_2945" in note and "_2050" in note for note in summary["notes"])
    assert summary["left_out"] == []


@pytest.mark.parametrize("task", ["1-1", "1-2", "2-1", "2-2"])
def test_tasks_of_the_challenge(sprsound_folder, published, tmp_path, task):
    prepared = prepare_sprsound(sprsound_folder, tmp_path, task=task, quiet=True)
    parts = summary_of(prepared)["parts"]
    inter = parts["test_inter"]["cycles"]
    assert (
        inter
        == {
            "1-1": {"normal": 1040, "adventitious": 389, "total": 1429},
            "1-2": {
                **{"normal": 1040, "fine crackle": 80, "coarse crackle": 3, "wheeze": 305, "rhonchi": 0, "stridor": 0},
                **{"wheeze+crackle": 1, "total": 1429},
            },
            "2-1": {"normal": 241, "adventitious": 106, "poor quality": 8, "total": 355},
            "2-2": {"normal": 241, "CAS": 65, "DAS": 24, "CAS & DAS": 17, "poor quality": 8, "total": 355},
        }[task]
    )
    assert summary_of(prepared)["split"] == summary_of(published)["split"]
    if task.startswith("2"):
        assert parts["train"]["cycles"]["total"] + parts["valid"]["cycles"]["total"] == 1949
        rows = read_manifest(prepared.tests["test_inter"], prepared.data_root)
        assert all(row["start"] == 0 and row["stop"] == row["duration"] for row in rows)


@pytest.mark.parametrize("finer", [True, False], ids=["seven types", "four classes"])
def test_pooled_true_events_give_the_published_recording_labels(published, finer):
    rows = [row for path in published.tests.values() for row in read_manifest(path, "/data")]
    pooled = pool_recording_labels(
        [row["recording"] for row in rows], [row["event" if finer else "label"] for row in rows]
    )
    assert pooled == {row["recording"]: row["recording_label"] for row in rows}
    assert len(pooled) == 377 + 347


def test_pooling_refuses_unknown_classes_and_unequal_lengths():
    with pytest.raises(LungSRADError, match="a: unknown class 'poor quality'"):
        pool_recording_labels(["a"], ["poor quality"])
    with pytest.raises(LungSRADError, match="2 recordings but 1 classes"):
        pool_recording_labels(["a", "b"], ["normal"])


# Made folders

EVENTS = [("2000", "2900", "Normal"), ("100", "1000", "Fine Crackle"), ("1000", "1900", "Wheeze")]
TRAIN = [f"4000{number}_3.{number}_{number % 2}_p1_{number}" for number in range(10)]
INTRA, INTER = "40001_3.1_1_p2_100", "50001_7.0_0_p4_200"


def annotation(events=EVENTS, label="CAS & DAS", key="record_annotation"):
    keys = ("start", "end", "type")
    found = {"event_annotation": [dict(zip(keys, event, strict=True)) for event in events]}
    return json.dumps(found if label is None else {key: label, **found})


def make(audio_folder, json_folder, name, text=None, ending="wav", seconds=3.0):
    """A recording of noise, unlike any other, and its annotation."""
    for folder in (audio_folder, json_folder):
        folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(list(name.encode()))
    soundfile.write(audio_folder / f"{name}.{ending}", generator.uniform(-0.1, 0.1, int(seconds * 8000)), 8000)
    (json_folder / f"{name}.json").write_text(annotation() if text is None else text, encoding="utf-8")


LAYOUTS = {
    "without year": ("train_wav", "train_json", "test_wav", "test_json"),
    "release": tuple(
        f"BioCAS2022/{name}" for name in ("train2022_wav", "train2022_json", "test2022_wav", "test2022_json")
    ),
    "classification": tuple(
        f"Classification/{name}"
        for name in (
            *("train_classification_wav", "train_classification_json"),
            *("test_classification_wav", "test_classification_json/2022"),
        )
    ),
}


@pytest.fixture(params=["release"])
def data(request, tmp_path):
    """Ten train recordings of ten patients, one of the intra and one of the inter test."""
    root = tmp_path / "data"
    train_wav, train_json, test_wav, test_json = (root / name for name in LAYOUTS[request.param])
    for name in TRAIN:
        make(train_wav, train_json, name)
    make(test_wav, test_json / "intra_test_json", INTRA)
    make(test_wav, test_json / "inter_test_json", INTER)
    return root


def prepare(data, **options):
    return prepare_sprsound(data, data.parent / "prepared", quiet=True, **options)


def refusal(data, **options):
    """The message with which a data folder is refused; nothing is written."""
    with pytest.raises(LungSRADError) as caught:
        prepare(data, **options)
    assert not (data.parent / "prepared").exists()
    return str(caught.value)


@pytest.mark.parametrize("data", LAYOUTS, indirect=True)
def test_every_published_layout_is_found(data):
    found = summary_of(prepare(data))["found"]
    assert {part: of["recordings"] for part, of in found.items()} == {"train": 10, "test_intra": 1, "test_inter": 1}


@pytest.mark.parametrize(
    ("root", "folders", "part"),
    [
        ("data", "BioCAS2022/train2022_json", "train"),
        ("data", "Classification/valid_classification_json/2022/inter_test_json", "test_inter"),
        ("data", "Classification/test_classification_json/2023", "test_2023"),
        ("data", "BioCAS2024/test2024_json", "test_2024"),
        ("test2025_json", ".", "test_2025"),
        ("training_data", "test2022_json", None),
        ("train_data", "json", None),
        ("data", "test2022_json", None),
        ("data", "BioCAS2022", None),
    ],
)
def test_part_by_folder(tmp_path, root, folders, part):
    layout = Layout(tmp_path / root)
    assert layout.part_of(tmp_path / root / folders / "a.json") == part


def test_events_are_sorted_cut_and_named_by_their_position(data):
    rows = read_manifest(prepare(data).tests["test_inter"], data)
    assert [row["ID"] for row in rows] == [f"{INTER}_{index:03d}" for index in (2, 3, 1)]
    assert [(row["start"], row["stop"], row["label"]) for row in rows] == [
        *((0.1, 1.0, "crackle"), (1.0, 1.9, "wheeze"), (2.0, 2.9, "normal"))
    ]
    assert rows[0]["event"] == "fine crackle" and (rows[0]["crackle"], rows[0]["wheeze"]) == ("1", "0")
    described = [rows[0][key] for key in ("patient", "age", "sex", "location", "recording", "recording_label")]
    assert described == ["50001", "7.0", "M", "right lateral", INTER, "CAS & DAS"]


def test_flac_and_wav_of_different_recordings_and_both_spellings(data):
    test = data / "BioCAS2022" / "test2022_json" / "inter_test_json"
    other = annotation(key="recording_annotation", label="cas&das", events=[(0, 900, "wheeze + CRACKLE")])
    make(data / "BioCAS2022" / "test2022_wav", test, "50001_7.0_0_p1_201", other, ending="flac")
    rows = read_manifest(prepare(data).tests["test_inter"], data)
    assert Counter(row["wav"].rpartition(".")[2] for row in rows) == {"wav": 3, "flac": 1}
    (row,) = [row for row in rows if row["wav"].endswith("flac")]
    assert (row["label"], row["recording_label"], row["stop"]) == ("both", "CAS & DAS", 0.9)


def test_recordings_without_label_patient_or_events(data):
    later = data / "BioCAS2025"
    make(later / "test2025_wav", later / "test2025_json", "_5.3_1_p8_34877", annotation(label=None))
    make(later / "test2025_wav", later / "test2025_json", "_5.3_1_p2_34878", annotation(label=None, events=[]))
    prepared = prepare(data)
    assert list(prepared.tests) == ["test_intra", "test_inter", "test_2025"]
    rows = read_manifest(prepared.tests["test_2025"], data)
    assert {(row["patient"], row["location"], row["recording_label"]) for row in rows} == {("unknown_5.3_F", "p8", "")}
    notes = " ".join(summary_of(prepared)["notes"])
    for text in ("2 recordings of test_2025 have no recording label", "2 recordings state no patient"):
        assert text in notes
    assert "1 recordings of test_2025 have no events" in notes
    whole = prepare(data, task="2-1")
    assert list(whole.tests) == ["test_intra", "test_inter"]
    assert "has no test_2025.csv" in " ".join(summary_of(whole)["notes"])


def test_unknown_patients_are_never_validation(data):
    folder = data / "BioCAS2022"
    for number in range(30):
        make(folder / "train2022_wav", folder / "train2022_json", f"_{number}.0_0_p1_9{number:02d}")
    for seed in range(3):
        rows = read_manifest(prepare(data, seed=seed, valid_fraction=0.1).valid, data)
        assert rows and not any(row["patient"].startswith("unknown") for row in rows)


def test_test_sets_alone(data):
    for name in ("train2022_wav", "train2022_json"):
        shutil.rmtree(data / "BioCAS2022" / name)
    prepared = prepare(data)
    assert prepared.train is None and prepared.valid is None
    assert sorted(path.name for path in prepared.summary.parent.glob("*.csv")) == ["test_inter.csv", "test_intra.csv"]
    assert any("no training part" in note for note in summary_of(prepared)["notes"])


def test_labels_map_makes_four_classes_of_event_types(data):
    labels_map = json.loads(prepare(data, task="1-2").labels_map.read_text(encoding="utf-8"))
    assert labels_map == dict(FOUR_CLASSES)
    assert set(labels_map) == set(EVENT_TYPES) == set(TASKS["1-2"].labels)


# Problems

FOLDER = "BioCAS2022/test2022_json/inter_test_json"


def write(text):
    return lambda data: (data / FOLDER / f"{INTER}.json").write_text(text, encoding="utf-8")


def sound(content):
    return lambda data: (data / "BioCAS2022" / "test2022_wav" / f"{INTER}.wav").write_bytes(content)


def link_to_nothing(path):
    path.unlink()
    path.symlink_to("nowhere")


def event(start=0, end=900, kind="Normal"):
    return annotation([(start, end, kind), ("1000", "1900", "Wheeze")], label="CAS")


# What is wrong, the message, and how many events of the recording are left with strict=False.
PROBLEMS = {
    "no JSON": (write("{"), "is not JSON", 0),
    "a list": (write("[]"), "expected an object with a list 'event_annotation'", 0),
    "no events key": (write('{"record_annotation": "Normal"}'), "expected an object with a list 'event_annotation'", 0),
    "unknown key": (write('{"event_annotation": [], "quality": 1}'), "unknown keys 'quality'", 0),
    "unknown recording label": (write(annotation(label="Good")), "unknown recording label 'Good'", 0),
    "recording label null": (write('{"record_annotation": null, "event_annotation": []}'), "label None", 0),
    "two recording labels": (
        write('{"record_annotation": "CAS", "recording_annotation": "DAS", "event_annotation": []}'),
        "record_annotation is 'CAS', recording_annotation is 'DAS'",
        0,
    ),
    "contradicting label": (write(annotation(label="Normal")), "labelled 'normal', its events make it 'CAS & DAS'", 0),
    "poor quality with events": (write(annotation(label="Poor Quality")), "labelled 'poor quality'", 0),
    "event without type": (write('{"event_annotation": [{"start": 1, "end": 2}]}'), "event 1: {'start': 1", 0),
    "unknown type": (write(event(kind="Rales")), "event 1: unknown type 'Rales'", 1),
    "start is end": (write(event(900, 900)), "event 1: start 900 is not before end 900", 1),
    "negative": (write(event("-5")), "event 1: start '-5'", 1),
    "seconds": (write(event(0.5)), "event 1: start 0.5", 1),
    "true": (write(event(True)), "event 1: start True", 1),
    "not a number": (write(event("NaN")), "event 1: start 'NaN'", 1),
    "past the end": (write(event(2000, 3100)), "event 1: from 2.0 to 3.1 s reaches past the end", 1),
    "overlap": (write(event(0, 1001)), "event 2: starts at 1.0 s, before event 1 ends", 1),
    "not UTF-8": (
        lambda data: (data / FOLDER / f"{INTER}.json").write_bytes(b"\xff\xfe"),
        "is not text in UTF-8",
        0,
    ),
    "empty audio": (sound(b""), "empty file", 0),
    "link to nothing": (
        lambda data: link_to_nothing(data / "BioCAS2022" / "test2022_wav" / f"{INTER}.wav"),
        "cannot be opened",
        0,
    ),
    "annotation linked to nothing": (
        lambda data: link_to_nothing(data / FOLDER / f"{INTER}.json"),
        "cannot be opened",
        0,
    ),
    "no audio": (sound(b"RIFF"), "cannot be read as audio", 0),
    "no annotation": (lambda data: (data / FOLDER / f"{INTER}.json").unlink(), "recording without its annotation", 0),
    "no recording": (
        lambda data: (data / "BioCAS2022" / "test2022_wav" / f"{INTER}.wav").unlink(),
        "annotation without its recording",
        0,
    ),
    "wav and flac": (
        lambda data: make(data / "more", data / FOLDER, INTER, ending="flac"),
        "has the same name and is another file",
        0,
    ),
    "in both tests": (
        lambda data: shutil.copy(data / FOLDER / f"{INTER}.json", data / FOLDER / ".." / "intra_test_json"),
        "has the same name and is another file",
        0,
    ),
    "no part": (
        lambda data: (data / FOLDER).rename(data / "BioCAS2022" / "test2022_json" / "json"),
        "states its part",
        0,
    ),
    "file of a train recording": (
        lambda data: shutil.copy(
            data / "BioCAS2022" / "train2022_wav" / f"{TRAIN[0]}.wav",
            data / "BioCAS2022" / "test2022_wav" / f"{INTER}.wav",
        ),
        "has the same content under another name",
        0,
    ),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_problem_is_named_and_exactly_left_out(data, case):
    # A second recording of the inter test, so that the part does not vanish.
    make(
        data / "BioCAS2022" / "test2022_wav", data / "BioCAS2022" / "test2022_json/inter_test_json2", "60001_2.0_0_p1_7"
    )
    harm, message, kept = PROBLEMS[case]
    harm(data)
    refused = refusal(data)
    assert "1 problem" in refused and message in refused
    prepared = prepare(data, strict=False)
    rows = read_manifest(prepared.tests["test_inter"], data)
    assert sum(row["recording"] == INTER for row in rows) == kept
    (left_out,) = summary_of(prepared)["left_out"]
    assert message in left_out["why"]
    assert left_out["what"] == ("event" if kept else left_out["what"])


def test_all_problems_are_reported_at_once_and_grouped(data):
    folder = data / "BioCAS2022" / "train2022_json"
    for name in TRAIN[:5]:
        (folder / f"{name}.json").unlink()
    for name in TRAIN[5:]:
        (folder / f"{name}.json").write_text(annotation([("0", "9000", "Normal")], label="Normal"), encoding="utf-8")
    (data / "BioCAS2022" / "test2022_wav" / "odd.wav").write_bytes(b"x")
    refused = refusal(data)
    assert refused.startswith(f"{data}: 11 problems")
    assert "5 recordings have no .json of their name, for example BioCAS2022/train2022_wav/" in refused
    assert "5 events reach past the end of their audio" in refused
    assert "odd.wav: the name is not of the form <patient>_<age>" in refused


def test_a_second_copy_of_a_recording_is_left_out(data):
    shutil.copytree(data / "BioCAS2022" / "test2022_wav", data / "copy")
    assert "2 problems" in refusal(data)
    prepared = prepare(data, strict=False)
    assert [entry["what"] for entry in summary_of(prepared)["left_out"]] == ["copy", "copy"]
    assert len(read_manifest(prepared.tests["test_inter"], data)) == 3


def test_one_file_in_train_and_intra_is_kept_and_noted(data):
    folder = data / "BioCAS2022"
    shutil.copy(folder / "train2022_wav" / f"{TRAIN[1]}.wav", folder / "test2022_wav" / f"{INTRA}.wav")
    summary = summary_of(prepare(data))
    assert any(TRAIN[1] in note and INTRA in note for note in summary["notes"])
    assert summary["found"]["train"]["recordings"] == 10


def test_options_that_do_not_exist(data, capsys):
    assert "task='3-1'; expected one of 4class, 1-1, 1-2, 2-1, 2-2" in refusal(data, task="3-1")
    assert "valid_fraction=1.5" in refusal(data, valid_fraction=1.5)
    with pytest.raises(SystemExit) as stop:
        main(["prepare-sprsound", str(data), str(data.parent / "prepared"), "--task", "9"])
    assert stop.value.code == 2
    assert "--task" in capsys.readouterr().err


def test_missing_and_empty_folders_say_where_to_get_the_data(tmp_path):
    for folder in (tmp_path / "no", tmp_path):
        with pytest.raises(LungSRADError, match="SJTU-YONGFU-RESEARCH-GRP/SPRSound"):
            prepare_sprsound(folder, tmp_path / "out")


def test_second_run_gives_the_same_bytes(data):
    folder = prepare(data).summary.parent
    before = {path.name: path.read_bytes() for path in folder.glob("[!.]*")}
    prepare(data)
    assert {path.name: path.read_bytes() for path in folder.glob("[!.]*")} == before


def test_command_prepares_and_prints_a_table(data, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["prepare-sprsound", str(data), str(data.parent / "prepared"), "--task", "1-1"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "adventitious" in printed and "test_inter" in printed


@pytest.mark.parametrize(
    "name", ["65101170_0.4_2_p1_3246", "65101170_0.4_0_p9_3246", "65101170_x_0_p1_3246", "a_1_0_p1_2"]
)
def test_other_names_are_refused(name):
    assert parse_name(name) is None


def test_events_up_to_the_tolerance_past_the_end_are_cut():
    parsed, problems = parse_annotation(annotation([("0", "3020", "Normal")], label=None), "a.json", seconds=3.0)
    assert problems == [] and parsed.events[0].stop == 3.0 and parsed.record_label == ""
