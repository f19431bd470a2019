"""``lung-srad segments``: what is selected, that clips hold the very samples, and that nothing is overwritten."""

import csv
import io
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile

from lung_srad_plugin import LungSoundClassifier, LungSRADError, write_manifest
from lung_srad_plugin.audio.clips import FORMATS, cut_clip
from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.cli import segments as segments_cli
from lung_srad_plugin.export.model_config import Finding
from lung_srad_plugin.inference.result import make_segment
from lung_srad_plugin.inference.rows import (
    arrow_schema,
    csv_header,
    csv_lines,
    import_pyarrow,
    json_lines,
    row_columns,
    segment_rows,
)
from lung_srad_plugin.review.candidates import Candidate, merge_events, merge_segments
from lung_srad_plugin.review.segments_table import read_segments
from lung_srad_plugin.review.selection import ORDERS, SegmentSelection, select_candidates
from lung_srad_plugin.review.stored_results import read_results

LABELS = ("normal", "crackle", "wheeze", "both")


@pytest.fixture
def recordings(breaths, tmp_path):
    """Two recordings of 16 s, in two folders and of one name."""
    for number, folder in ((19, "first"), (20, "second")):
        (tmp_path / "recordings" / folder).mkdir(parents=True)
        (tmp_path / "recordings" / folder / "chest.wav").write_bytes((breaths / f"valid{number}.wav").read_bytes())
    return tmp_path / "recordings"


def segment(start, end, crackle, confidence=None, uncertain=None, score=None):
    made = make_segment(start, end, ("normal", "crackle"), (1 - crackle, crackle))
    unlike = None if score is None else score > 1
    reliability = {"unlike_training_score": score, "unlike_training": unlike}
    return replace(made, confidence=confidence, uncertain=uncertain, **reliability)


def candidate(name, start, probabilities, confidence, uncertain, score):
    made = make_segment(start, start + 1, LABELS, probabilities)
    reliability = {"unlike_training_score": score, "unlike_training": score > 1}
    return Candidate(Path(name), replace(made, confidence=confidence, uncertain=uncertain, **reliability), "demo")


# ---- merging ----


def test_neighbours_of_one_class_are_merged_by_length():
    timeline = [
        segment(0, 4, 0.9, 0.9, False, 0.5),
        segment(4, 5, 0.6, 0.6, True, 2.0),
        segment(5, 6, 0.2, 0.8, False, 0.5),
        segment(7, 8, 0.3, 0.7, False, 0.5),  # after a gap
    ]
    merged = merge_segments(timeline)
    assert [(one.start, one.end, one.label) for one in merged] == [
        (0, 5, "crackle"),
        (5, 6, "normal"),
        (7, 8, "normal"),
    ]
    assert merged[0].probabilities["crackle"] == pytest.approx((4 * 0.9 + 0.6) / 5)
    assert merged[0].confidence == pytest.approx((4 * 0.9 + 0.6) / 5)
    assert (merged[0].uncertain, merged[0].unlike_training) == (False, False)
    half = merge_segments([segment(0, 2, 0.9, 0.9, False, 0.5), segment(2, 4, 0.9, 0.9, True, 3.0)])[0]
    assert (half.uncertain, half.unlike_training, half.unlike_training_score) == (True, True, 3.0)


def test_merged_segments_last_no_longer_than_asked():
    timeline = [segment(0.5 * index, 0.5 * index + 0.5, 0.8) for index in range(21)]
    merged = merge_segments(timeline, longest=4)
    assert [(one.start, one.end) for one in merged] == [(0, 4), (4, 8), (8, 10.5)]


# ---- selection ----


FOUND = [
    candidate("a.wav", 0, (0.9, 0.1, 0, 0), 0.9, False, 0.2),
    candidate("a.wav", 1, (0.4, 0.6, 0, 0), 0.6, False, 3.0),
    candidate("a.wav", 2, (0.25, 0.2, 0.28, 0.27), 0.28, True, 1.5),
    candidate("b.wav", 0, (0.55, 0.0, 0.45, 0), 0.55, True, 0.1),
    candidate("b.wav", 1, (0.99, 0.01, 0, 0), 0.99, False, 0.1),
]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({}, ["a2", "b0", "a1", "a0", "b1"]),
        ({"order": "most_confident", "limit": 2}, ["b1", "a0"]),
        ({"order": "most_uncertain", "limit": 3}, ["a2", "b0", "a1"]),
        ({"order": "most_unlike", "limit": 2}, ["a1", "a2"]),
        ({"order": "time"}, ["a0", "a1", "a2", "b0", "b1"]),
        ({"labels": ("normal",)}, ["b0", "a0", "b1"]),
        ({"uncertain": True}, ["a2", "b0"]),
        ({"unlike_training": True}, ["a2", "a1"]),
        ({"per_recording": 1}, ["a2", "b0"]),
        ({"balanced": True}, ["b0", "a1", "a2", "a0", "b1"]),
        ({"balanced": True, "order": "most_confident", "limit": 3}, ["b1", "a1", "a2"]),
    ],
)
def test_selection(selection, expected):
    selected = select_candidates(FOUND, SegmentSelection(**selection))
    assert [f"{one.recording.stem}{one.segment.start:g}" for one in selected] == expected


def test_random_order_depends_on_the_seed_alone():
    orders = {
        seed: [id(one) for one in select_candidates(found, SegmentSelection(order="random", seed=seed))]
        for seed in range(4)
        for found in (FOUND, FOUND[::-1])
    }
    assert len(set(map(tuple, orders.values()))) > 1
    again = select_candidates(FOUND[::-1], SegmentSelection(order="random", seed=2))
    assert [id(one) for one in again] == orders[2]


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ({"labels": ("rhonchi",)}, "rhonchi"),
        ({"labels": ("both",)}, "none of the 5"),
        ({"wrong": True}, "--wrong"),
    ],
)
def test_what_cannot_be_selected_is_refused(selection, words):
    with pytest.raises(LungSRADError, match=words):
        select_candidates(FOUND, SegmentSelection(**selection))


def test_flags_that_results_lack_are_refused_together():
    plain = [Candidate(Path("a.wav"), make_segment(0, 1, LABELS, (0.4, 0.6, 0, 0)), "demo")]
    with pytest.raises(LungSRADError) as caught:
        select_candidates(plain, SegmentSelection(uncertain=True, unlike_training=True))
    assert "detector" in str(caught.value) and "uncertain" in str(caught.value)


# ---- clips ----


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_U8"])
def test_clips_hold_the_very_samples(tmp_path, format, subtype):
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, (8000, 2)), 4000, subtype=subtype)
    whole, _ = soundfile.read(path, dtype="int32")
    clip, rate = soundfile.read(io.BytesIO(cut_clip(audio_source(path), 0.25, 1.5, format)), dtype="int32")
    assert rate == 4000
    np.testing.assert_array_equal(clip, whole[1000:6000])


def test_clips_of_floats_keep_them(tmp_path):
    path = tmp_path / "float.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 2, 8000), 4000, subtype="FLOAT")
    clip, _ = soundfile.read(io.BytesIO(cut_clip(audio_source(path), 1, 2)), dtype="float32")
    np.testing.assert_array_equal(clip, soundfile.read(path, dtype="float32")[0][4000:])
    with pytest.raises(LungSRADError, match="beyond"):
        cut_clip(audio_source(path), 1, 3)


# ---- the command ----


def test_options_are_those_of_the_selection():
    assert segments_cli.ORDERS == ORDERS and segments_cli.FORMATS == FORMATS
    assert set(segments_cli.EVENTS) == set(get_args(Finding))


def test_segments_of_recordings(run, recordings, breath_folder, tmp_path):
    code, out, _ = run(
        "segments",
        recordings,
        tmp_path / "out",
        breath_folder,
        "--order",
        "time",
        "--context",
        "0.25",
        "--format",
        "flac",
    )
    assert code == 0 and "segments.csv" in out
    rows = read_segments(tmp_path / "out")
    assert {Path(row.recording) for row in rows} == set(recordings.rglob("*.wav"))
    assert len({row.ID for row in rows}) == len(rows)
    for recording in recordings.rglob("*.wav"):
        of_one = [row for row in rows if row.recording == str(recording)]
        assert of_one[0].start == 0 and of_one[-1].end == pytest.approx(16)
        for one, following in pairwise(of_one):
            assert one.end == following.start
            assert one.predicted != following.predicted or following.end - one.start > 8
    for row in rows:
        assert row.ID.endswith(f"_{row.start:08.3f}-{row.end:08.3f}") and row.clip == f"clips/{row.ID}.flac"
        assert sum(row.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert row.clip_start == max(0, row.start - 0.25) and row.clip_end == min(16, row.end + 0.25)
        clip, rate = soundfile.read(tmp_path / "out" / row.clip, dtype="int16")
        whole, _ = soundfile.read(row.recording, dtype="int16")
        np.testing.assert_array_equal(clip, whole[round(row.clip_start * rate) : round(row.clip_end * rate)])


def test_results_give_the_same_segments_as_the_recordings(run, recordings, breath_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(recordings)  # results name recordings as they were given
    assert run("segments", ".", tmp_path / "direct", breath_folder)[0] == 0
    for format in ("json", "csv"):
        assert run("classify", ".", "-m", breath_folder, "--format", format, "--output", tmp_path / format)[0] == 0
        assert run("segments", tmp_path / format, tmp_path / f"of_{format}")[0] == 0
        direct, stored = read_segments(tmp_path / "direct"), read_segments(tmp_path / f"of_{format}")
        assert [row.model_dump(exclude={"probabilities"}) for row in stored] == [
            pytest.approx(row.model_dump(exclude={"probabilities"}), abs=2e-6) for row in direct
        ]
    _, lines, _ = run("classify", ".", "-m", breath_folder, "--format", "json")
    (tmp_path / "all.json").write_text(lines)
    assert [len(one.segments) for one in read_results([tmp_path / "all.json"])] == [
        len(json.loads(line)["segments"]) for line in lines.splitlines()
    ]
    monkeypatch.chdir(tmp_path)
    code, _, err = run("segments", tmp_path / "json", tmp_path / "other")
    assert code == 2 and err.count("chest.wav") == 2 and "--data-root" in err
    assert run("segments", tmp_path / "json", tmp_path / "other", "--data-root", recordings)[0] == 0
    code, _, err = run("segments", tmp_path / "json", tmp_path / "more", "--data-root", tmp_path / "nowhere")
    assert code == 2


def test_stretches_that_classify_calls_are_cut_whatever_their_class(run, breath_folder, tmp_path):
    recordings, rate = tmp_path / "recordings", 8000
    recordings.mkdir()
    time = np.arange(16 * rate) / rate
    noise = np.convolve(np.random.default_rng(0).normal(0, 0.05, len(time)), np.ones(16) / 16, "same")
    tones = 0.05 * np.sin(2 * np.pi * np.array([[300], [600]]) * time).sum(axis=0) * ((time > 5) & (time < 9))
    soundfile.write(recordings / "chest.wav", noise + tones, rate)
    soundfile.write(recordings / "still.wav", noise, rate)
    starter = LungSoundClassifier.from_hparams()
    called = {
        (path, event.start, event.end)
        for path in map(str, sorted(recordings.rglob("*.wav")))
        for event in starter.classify_file(path).events
        if event.finding == "wheeze"
    }
    assert len(called) == 2
    arguments = ["--event", "wheeze", "--longest", 60, "--order", "time"]
    assert run("segments", recordings, tmp_path / "out", "starter", *arguments)[0] == 0
    rows = read_segments(tmp_path / "out")
    assert {(row.recording, row.start, row.end) for row in rows} == called
    code, _, _ = run("classify", recordings, "-m", "starter", "--format", "json", "--output", tmp_path / "json")
    assert code == 0 and run("segments", tmp_path / "json", tmp_path / "stored", *arguments)[0] == 0
    assert read_segments(tmp_path / "stored") == rows

    code, _, err = run("segments", recordings, tmp_path / "none", breath_folder, "--event", "wheeze")
    assert code == 2 and "has no threshold for it; lung-srad check-timeline" in err
    assert run("classify", recordings, "-m", "starter", "--format", "csv", "--output", tmp_path / "csv")[0] == 0
    code, _, err = run("segments", tmp_path / "csv", tmp_path / "none", "--event", "wheeze")
    assert code == 2 and "take timelines as JSON" in err
    code, _, err = run("segments", recordings, tmp_path / "none", "starter", "--event", "wheeze", "--annotations")
    assert code == 2 and "these are cycles" in err
    code, _, err = run("segments", recordings, tmp_path / "none", "starter", "--label", "crackel")
    assert code == 2 and "--label crackel: the model's classes are normal, crackle, wheeze, both" in err
    code, _, err = run("segments", recordings, tmp_path / "none", tmp_path / "no_model", "--wrong")
    assert code == 2 and "only a manifest has them" in err
    assert not (tmp_path / "none").exists()
    code, _, err = run("segments", recordings / "still.wav", tmp_path / "none", "starter", "--event", "wheeze")
    assert code == 2 and "in which wheeze reaches its threshold" in err


def test_a_place_that_cannot_be_written_is_refused_before_recordings_are_classified(run, recordings, tmp_path):
    (tmp_path / "file").touch()
    (recordings / "broken.wav").write_bytes(b"RIFF")
    code, _, err = run("segments", recordings, tmp_path / "file" / "out", "starter")
    assert code == 2 and "cannot be written" in err and "broken" not in err


def test_events_that_meet_become_one_stretch():
    timeline = [segment(start, start + 1, 0.5) for start in range(8)]
    events = [(1.0, 3.0), (2.0, 4.0), (4.0, 5.0), (6.0, 7.0)]
    assert [(one.start, one.end) for one in merge_events(timeline, events)] == [(1, 5), (6, 7)]
    assert [(one.start, one.end) for one in merge_events(timeline, events, 2.0)] == [(1, 3), (3, 5), (6, 7)]
    assert [one.start for one in merge_events(timeline, events, None)] == [1, 2, 3, 4, 6]


def test_tables_of_many_recordings_are_read_in_every_form(breath_model, recordings, tmp_path):
    chests = sorted(recordings.rglob("*.wav"))
    results = [breath_model.classify_file(path) for path in chests]
    results.append(breath_model.classify_file(chests[0], cycles=[(0, 4), (4, 8)]))
    rows = [row.to_dict() for result in results for row in segment_rows(result)]
    columns = row_columns(breath_model.labels)
    (tmp_path / "all.csv").write_text(csv_header(columns) + csv_lines(rows))
    (tmp_path / "all.jsonl").write_text(json_lines(rows))
    pyarrow = import_pyarrow()
    table = pyarrow.Table.from_pylist(rows, schema=arrow_schema(columns))
    pyarrow.parquet.write_table(table, tmp_path / "all.parquet")
    for ending, digits in (("csv", 2e-6), ("jsonl", 1e-12), ("parquet", 1e-12)):
        stored = read_results([tmp_path / f"all.{ending}"])
        assert [(one.file, one.kind) for one in stored] == [(result.file, result.kind) for result in results]
        for one, result in zip(stored, results, strict=True):
            assert len(one.segments) == len(result.segments)
            for found, segment in zip(one.segments, result.segments, strict=True):
                for name, value in vars(found.segment()).items():
                    assert value == pytest.approx(getattr(segment, name), abs=digits), name


def test_cycles_of_a_manifest_keep_patient_and_label(run, breaths, breath_folder, tmp_path):
    arguments = ["segments", breaths / "valid.csv", tmp_path / "out", breath_folder, "--data-root", breaths]
    assert run(*arguments, "--order", "time")[0] == 0
    rows = read_segments(tmp_path / "out")
    with open(breaths / "valid.csv", encoding="utf-8") as file:
        cycles = list(csv.DictReader(file))
    assert len(rows) == len(cycles)
    expected = {(Path(one["wav"]).stem, float(one["start"])): (one["patient"], one["label"]) for one in cycles}
    assert {(Path(row.recording).stem, row.start): (row.patient, row.annotated) for row in rows} == expected
    arguments[2] = tmp_path / "wrong"
    assert run(*arguments, "--wrong", "--order", "most-confident", "--limit", 5)[0] == 0
    wrong = read_segments(tmp_path / "wrong")
    assert len(wrong) == 5 and all(row.predicted != row.annotated for row in wrong)
    errors = sorted((row.confidence for row in rows if row.predicted != row.annotated), reverse=True)
    assert [row.confidence for row in wrong] == pytest.approx(errors[:5])


def test_a_folder_with_segments_is_refused_and_an_interrupted_one_is_finished(run, recordings, breath_folder, tmp_path):
    arguments = ["segments", recordings, tmp_path / "out", breath_folder]
    assert run(*arguments)[0] == 0
    before = (tmp_path / "out" / "segments.csv").read_bytes()
    code, _, err = run(*arguments, "--limit", 1)
    assert code == 2 and "segments.csv" in err and (tmp_path / "out" / "segments.csv").read_bytes() == before
    (tmp_path / "out" / "segments.csv").unlink()
    clips = sorted((tmp_path / "out" / "clips").glob("*.wav"))
    clips[0].unlink()
    assert run(*arguments)[0] == 0
    assert (tmp_path / "out" / "segments.csv").read_bytes() == before
    assert sorted((tmp_path / "out" / "clips").glob("*.wav")) == clips


def test_recordings_that_fail_are_listed_and_the_rest_is_done(run, recordings, breath_folder, tmp_path):
    (recordings / "broken.wav").write_bytes(b"RIFF")
    (recordings / "empty.wav").touch()
    code, _, err = run("segments", recordings, tmp_path / "out", breath_folder)
    assert code == 1 and "broken.wav" in err and "empty.wav" in err and "2 of 4" in err
    assert len({row.recording for row in read_segments(tmp_path / "out")}) == 2


def test_faulty_results_are_listed_in_one_pass(run, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    (results / "a.lung-srad.json").write_text('{"file": "a.wav", "model": "m", "segments": [{"start": 1}]}')
    (results / "b.lung-srad.json").write_text("{broken")
    (results / "c.lung-srad.csv").write_text("file,start,end,label\n")
    (results / "d.lung-srad.csv").write_text("file,start,end,label,p_normal,model\nd.wav,2,1,normal,1.0,m\n")
    code, _, err = run("segments", results, tmp_path / "out")
    assert code == 2 and all(f"{name}.lung-srad" in err for name in "abcd")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_recordings_and_results_is_refused(run, recordings, breath_folder, tmp_path):
    assert run("classify", recordings, "-m", breath_folder, "--format", "json", "--output", recordings)[0] == 0
    code, _, err = run("segments", recordings, tmp_path / "out", breath_folder)
    assert code == 2 and ".lung-srad.json" in err


def test_a_manifest_with_faults_is_refused_before_the_model_is_loaded(run, tmp_path):
    row = {"ID": "a", "duration": 1.0, "wav": str(tmp_path / "no.wav"), "start": 0.0, "stop": 1.0, "label": "normal"}
    write_manifest(tmp_path / "cycles.csv", [row, {**row, "ID": "b", "wav": str(tmp_path / "none.wav")}])
    code, _, err = run("segments", tmp_path / "cycles.csv", tmp_path / "out", tmp_path / "no_model")
    assert code == 2 and "no.wav" in err and "none.wav" in err and "no_model" not in err


def test_cycles_of_an_annotation_in_any_format_are_taken(run, recordings, breath_folder, tmp_path):
    for folder, ending in (("first", ".txt"), ("second", ".labels.txt")):
        (recordings / folder / f"chest{ending}").write_text("1.0\t3.0\twheeze\n3.0\t5.5\tnormal\n")
    clips = tmp_path / "clips"
    code, _, err = run("segments", recordings, clips, breath_folder, "--annotations", "--order", "time")
    assert code == 0, err
    assert [(row.start, row.end) for row in read_segments(clips)] == [(1.0, 3.0), (3.0, 5.5)] * 2
