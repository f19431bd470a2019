"""Decisions on disk, agreement, and the manifest that they become."""

import csv
import threading

import pytest

from lung_srad_plugin import LungSRADError, read_manifest, validate_manifest, write_manifest
from lung_srad_plugin.review.agreement import measure_agreement
from lung_srad_plugin.review.decisions import COLUMNS, DECISIONS, Decision, DecisionLog, check_reviewer
from lung_srad_plugin.review.segments_table import read_segments

PREDICTED = {"a": "normal", "b": "wheeze", "c": "normal"}


@pytest.fixture
def log(tmp_path):
    return DecisionLog(tmp_path, PREDICTED)


def rows_of(folder):
    with open(folder / DECISIONS, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_decision_is_a_line_on_disk(log, tmp_path):
    for number, (label, kind) in enumerate((("normal", "accept"), ("both", "correct"), (None, "reject")), 1):
        log.add("Koch", "a", label)
        rows = rows_of(tmp_path)
        assert len(rows) == number and list(rows[-1]) == list(COLUMNS)
        assert (rows[-1]["decision"], rows[-1]["label"], rows[-1]["predicted"]) == (kind, label or "", "normal")
        assert rows[-1]["time"].endswith("+00:00") and rows[-1]["blind"] == "no"
    assert DecisionLog(tmp_path, PREDICTED).of_reviewer("Koch")["a"].decision == "reject"


def test_undo_takes_back_one_decision_after_the_other(log, tmp_path):
    log.add("Koch", "a", "normal")
    log.add("Koch", "a", "both")
    log.add("Lee", "b", "wheeze")
    log.add("Koch", "c", None)
    assert log.undo("Koch") == "c" and "c" not in log.of_reviewer("Koch")
    assert log.undo("Koch") == "a" and log.of_reviewer("Koch")["a"].label == "normal"
    again = DecisionLog(tmp_path, PREDICTED)
    assert again.undo("Koch") == "a" and again.of_reviewer("Koch") == {}
    assert again.undo("Koch") is None
    assert again.of_reviewer("Lee")["b"].label == "wheeze"
    assert [row["decision"] for row in rows_of(tmp_path)].count("undo") == 3


def test_a_line_that_was_not_finished_is_left_out_and_then_replaced(log, tmp_path):
    log.add("Koch", "a", "normal")
    whole = (tmp_path / DECISIONS).read_bytes()
    (tmp_path / DECISIONS).write_bytes(whole + b"2026-01-01T00:00:00+00:00,Koch,b,acc")
    again = DecisionLog(tmp_path, PREDICTED)
    assert list(again.of_reviewer("Koch")) == ["a"]
    again.add("Koch", "c", "normal")
    assert [row["ID"] for row in rows_of(tmp_path)] == ["a", "c"]
    assert (tmp_path / DECISIONS).read_bytes().startswith(whole)


def test_several_writers_lose_nothing(tmp_path):
    logs = [DecisionLog(tmp_path, PREDICTED) for _ in range(4)]
    threads = [
        threading.Thread(
            target=lambda one=log, who=f"r{index}": [one.add(who, "abc"[n % 3], "normal") for n in range(9)]
        )
        for index, log in enumerate(logs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows_of(tmp_path)) == 36
    assert len(logs[0].latest()) == 12


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("t,Koch,a,accept,normal,normal", "row 2: 6 cells"),
        ("t,Koch,z,accept,normal,normal,no", "'z'"),
        ("t,Koch,a,maybe,normal,normal,no", "'maybe'"),
        ("t,Koch,a,accept,,normal,no", "row 2"),
    ],
)
def test_faulty_decisions_are_refused(tmp_path, line, words):
    (tmp_path / DECISIONS).write_text(f"{','.join(COLUMNS)}\n{line}\n")
    with pytest.raises(LungSRADError, match=words):
        DecisionLog(tmp_path, PREDICTED)


def test_a_file_of_something_else_is_left_alone(tmp_path):
    (tmp_path / DECISIONS).write_text("name,age\n")
    with pytest.raises(LungSRADError, match="row 1"):
        DecisionLog(tmp_path, PREDICTED)
    assert (tmp_path / DECISIONS).read_text() == "name,age\n"


@pytest.mark.parametrize("name", ["", "  ", "=1+1", "a\nb", "x" * 61])
def test_names_that_a_table_cannot_hold_are_refused(name):
    with pytest.raises(LungSRADError, match="--reviewer"):
        check_reviewer(name)


def test_kappa_by_hand():
    """Two of four labels alike where chance gives 3/8: (1/2 - 3/8) / (1 - 3/8) = 1/5."""

    def decide(reviewer, labels):
        return [Decision(reviewer, str(n), "correct", one, "other", False, "") for n, one in enumerate(labels)]

    found = measure_agreement([*decide("A", ["n", "n", "w", ""]), *decide("B", ["n", "w", "w", "n"])])
    pair = found[0]
    # A: n 1/2, w 1/4, unusable 1/4; B: n 1/2, w 1/2.
    chance = 1 / 2 * 1 / 2 + 1 / 4 * 1 / 2
    assert (pair.first, pair.second, pair.segments, pair.same) == ("A", "B", 4, 2)
    assert pair.kappa == pytest.approx((2 / 4 - chance) / (1 - chance))
    assert [one.segments for one in found[1:]] == [3, 4]
    alike = measure_agreement([*decide("A", ["n", "n"]), *decide("B", ["n", "n"])])[0]
    assert alike.kappa is None and "undefined" in str(alike)


# ---- the manifest ----


def decide_all(folder, labels, reviewer="Koch"):
    rows = read_segments(folder)
    log = DecisionLog(folder, {row.ID: row.predicted for row in rows})
    for row, label in zip(rows, labels, strict=True):
        if label != "":
            log.add(reviewer, row.ID, label)
    return rows


def test_labels_become_a_manifest(run, segments, tmp_path):
    rows = decide_all(segments, ["normal", "both", None, ""])
    code, out, _ = run("review", segments, "--export", tmp_path / "mine.csv", "--patient-pattern", "^([^_]+)_")
    assert code == 0 and "1 unusable" in out and "1 not labelled" in out
    summary = validate_manifest(tmp_path / "mine.csv", labels=["normal", "both"])
    assert [(row["ID"], row["start"], row["stop"], row["label"], row["patient"]) for row in summary.rows] == [
        (rows[0].ID, 1.0, 2.5, "normal", "7"),
        (rows[1].ID, 4.0, 5.5, "both", "7"),
    ]
    assert [(row["predicted"], row["decision"]) for row in summary.rows] == [
        ("normal", "accept"),
        ("wheeze", "correct"),
    ]
    assert all(row["duration"] == 1.5 for row in summary.rows)


def test_paths_are_written_below_the_data_root(run, segments, tmp_path):
    decide_all(segments, ["normal", "", "crackle", ""])
    arguments = ["--export", tmp_path / "mine.csv", "--no-patients", "--data-root", tmp_path / "sounds"]
    assert run("review", segments, *arguments)[0] == 0
    rows = read_manifest(tmp_path / "mine.csv", data_root="/elsewhere")
    assert [row["wav"] for row in rows] == ["/elsewhere/7_chest.wav", "/elsewhere/8_back.wav"]
    assert "patient" not in rows[0]


def test_patients_of_a_manifest_by_path_or_name(run, segments, tmp_path):
    decide_all(segments, ["normal", "", "crackle", ""])
    row = {"ID": "a", "duration": 1.0, "start": 0.0, "stop": 1.0, "label": "normal"}
    rows = [
        {**row, "wav": str(tmp_path / "sounds" / "7_chest.wav"), "patient": "seven"},
        {**row, "ID": "b", "wav": "/moved/8_back.wav", "patient": "eight"},
    ]
    write_manifest(tmp_path / "source.csv", rows)
    arguments = ["review", segments, "--export", tmp_path / "mine.csv", "--manifest", tmp_path / "source.csv"]
    assert run(*arguments)[0] == 0
    assert [row["patient"] for row in read_manifest(tmp_path / "mine.csv")] == ["seven", "eight"]
    # Where recordings of one name have several patients, the name says nothing.
    write_manifest(tmp_path / "source.csv", [*rows, {**rows[1], "ID": "c", "wav": "/other/8_back.wav", "patient": "9"}])
    code, _, err = run(*arguments)
    assert code == 2 and "8_back" in err and "7_chest" not in err and "--patient-pattern" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ("7_chest", "8_back", "--no-patients")),
        (["--patient-pattern", "^(9)"], ("7_chest", "8_back")),
        (["--patient-pattern", "("], ("regular expression",)),
        (["--no-patients", "--patient-pattern", "x"], ("--no-patients",)),
        (["--reviewer", "Lee"], ("Lee", "Koch")),
        (["--blind"], ("--blind",)),
    ],
)
def test_refusals_of_the_export(run, segments, tmp_path, arguments, words):
    decide_all(segments, ["normal", "", "crackle", ""])
    code, _, err = run("review", segments, "--export", tmp_path / "mine.csv", *arguments)
    assert code == 2 and all(word in err for word in words)
    assert not (tmp_path / "mine.csv").exists()


def test_two_reviewers(run, segments, tmp_path):
    decide_all(segments, ["normal", "wheeze", "crackle", None])
    decide_all(segments, ["normal", "both", "crackle", None], reviewer="Lee")
    code, out, _ = run("review", segments, "--agreement")
    assert code == 0 and "Koch, Lee: 3 of 4" in out and "Koch, model: 3 of 3" in out and "Lee, model: 2 of 3" in out
    code, out, _ = run("review", segments, "--export", tmp_path / "both.csv", "--no-patients")
    assert "1 labelled differently" in out and "1 unusable" in out
    assert [row["label"] for row in read_manifest(tmp_path / "both.csv")] == ["normal", "crackle"]
    assert run("review", segments, "--export", tmp_path / "lee.csv", "--no-patients", "--reviewer", "Lee")[0] == 0
    assert [row["label"] for row in read_manifest(tmp_path / "lee.csv")] == ["normal", "both", "crackle"]


def test_nothing_to_export(run, segments, tmp_path):
    code, _, err = run("review", segments, "--export", tmp_path / "mine.csv", "--no-patients")
    assert code == 2 and "no segment has a label" in err
    code, _, err = run("review", segments, "--agreement")
    assert code == 2 and DECISIONS in err
    (tmp_path / "foreign.csv").write_text("mine\n")
    assert run("review", segments, "--export", tmp_path / "foreign.csv", "--no-patients")[0] == 2
    assert run("review", segments, "--no-patients")[0] == 2
    assert run("review", tmp_path / "nowhere", "--agreement")[0] == 2


def test_a_table_that_was_changed_is_refused_in_one_pass(segments):
    lines = (segments / "segments.csv").read_text().splitlines()
    lines[1] = lines[1].replace(",1.0,", ",soon,", 1)
    lines[2] = lines[2].replace("clips/", "../sounds/", 1)
    lines[4] = lines[3]
    (segments / "segments.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(LungSRADError) as caught:
        read_segments(segments)
    assert all(words in str(caught.value) for words in ("row 2, column 'start'", "row 3, column 'clip'", "row 5"))
