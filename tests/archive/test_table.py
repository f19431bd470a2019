"""The table of rows after every kind of stop: continued, it equals that of a run that was not stopped."""

import os

import pytest

from lung_srad_plugin.archive.journal import Entry, read_entries
from lung_srad_plugin.archive.summaries import latest_entries
from lung_srad_plugin.archive.table import OutputPaths, RowTable, stamp
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.rows import SegmentRow

LABELS = ("normal", "abnormal")
SETTINGS = {"hop": 1.0, "model": "demo"}


def rows_of(path):
    """One to three rows; none for a recording that fails."""
    count = 0 if "bad" in path.name else 1 + len(path.stem) % 3
    rest = dict.fromkeys(("any_crackle", "any_wheeze", "called_abnormal", "unlike_training_score"))
    rest |= {"unlike_training": None, "trained_on": None, "flaws": "", "kind": "timeline", "model": "demo"}
    shares = {"normal": 0.25, "abnormal": 0.75}
    return [
        SegmentRow(
            str(path), second, second + 1, "abnormal", shares, abnormal=0.75, confidence=0.75, uncertain=False, **rest
        )
        for second in range(count)
    ]


def fill(paths, recordings, settings=SETTINGS):
    """Do what is not done; return what was done now."""
    done = []
    with RowTable(paths, LABELS, settings) as table:
        for path in recordings:
            if not table.is_done(path):
                rows = rows_of(path)
                error = None if rows else "cannot be read"
                table.add(Entry(os.fspath(path), *stamp(path), error=error, summary={"file": path.name}), rows)
                done.append(path)
    return done


@pytest.fixture(params=["all.csv", "all.jsonl"])
def paths(request, tmp_path):
    return OutputPaths(tmp_path / "out" / request.param)


@pytest.fixture
def recordings(tmp_path):
    names = ("one.wav", "two.wav", "bad.wav", "three.wav", "four.wav")
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    return [tmp_path / name for name in names]


@pytest.fixture
def whole(paths, recordings):
    """Table and journal of a run that was not stopped."""
    fill(paths, recordings)
    return paths.rows.read_bytes(), paths.journal.read_bytes()


def leave(paths, rows, journal):
    paths.rows.write_bytes(rows)
    paths.journal.write_bytes(journal)


def test_a_stop_anywhere_leaves_what_can_be_continued_to_the_same_table(paths, recordings, whole, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # hundreds of runs, none of which loses power
    rows, journal = whole
    first = journal.index(b"\n") + 1
    # Rows are written before their line of the journal; a loss of power may lose more of either.
    for rows_end in range(0, len(rows) + 1, len(rows) // 25):
        for journal_end in (0, first - 3, first, first + 40, len(journal) // 2, len(journal) - 1, len(journal)):
            leave(paths, rows[:rows_end], journal[:journal_end])
            if journal_end < first and rows_end:
                continue  # the journal is begun before the table
            done = fill(paths, recordings)
            assert paths.rows.read_bytes() == rows, (rows_end, journal_end)
            assert len({entry.file for entry in latest_entries(paths.journal)}) == len(recordings)
            assert recordings[2] in done  # what failed is tried again


def test_what_is_on_disk_is_not_done_twice(paths, recordings, whole):
    rows, journal = whole
    assert fill(paths, recordings) == [recordings[2]]
    lines = journal.splitlines(keepends=True)
    leave(paths, rows, b"".join(lines[:3]))  # killed between the rows of the fourth recording and its line
    assert fill(paths, recordings) == recordings[2:]
    assert paths.rows.read_bytes() == rows


def test_zeros_that_a_loss_of_power_leaves_are_written_again(paths, recordings, whole):
    rows, journal = whole
    leave(paths, rows[:-30] + bytes(30), journal)
    assert fill(paths, recordings)[-1] == recordings[-1]
    assert paths.rows.read_bytes() == rows


def test_a_table_that_somebody_changed_is_refused_and_left_alone(paths, recordings, whole):
    changed = whole[0].replace(b"0.75", b"0.99", 1)
    leave(paths, changed, whole[1])
    with pytest.raises(LungSRADError, match=paths.rows.name):
        fill(paths, recordings)
    assert paths.rows.read_bytes() == changed


def test_a_table_of_somebody_else_is_refused(paths, recordings):
    paths.rows.parent.mkdir()
    paths.rows.write_text("mine\n")
    with pytest.raises(LungSRADError, match="not written by lung-srad"):
        fill(paths, recordings)
    assert paths.rows.read_text() == "mine\n"


def test_other_settings_are_refused_by_name(paths, recordings, whole):
    with pytest.raises(LungSRADError) as raised:
        fill(paths, recordings, {"hop": 0.5, "model": "demo", "sensitivity": 90})
    assert "hop was 1.0 and is now 0.5" in str(raised.value)
    assert "sensitivity was not set and is now 90" in str(raised.value)
    assert "model" not in str(raised.value).replace(str(paths.rows.parent), "").split("settings:")[1].split(".")[0]
    assert paths.rows.read_bytes() == whole[0]


def test_a_recording_that_was_changed_is_noticed(paths, recordings, whole):
    recordings[1].write_bytes(b"longer than before")
    with RowTable(paths, LABELS, SETTINGS) as table:
        assert table.is_done(recordings[0])
        with pytest.raises(LungSRADError, match=r"two\.wav"):
            table.is_done(recordings[1])
    os.utime(recordings[0], ns=(1, 1))
    with RowTable(paths, LABELS, SETTINGS) as table, pytest.raises(LungSRADError, match=r"one\.wav"):
        table.is_done(recordings[0])


def test_what_failed_counts_once_however_often_it_was_tried(paths, recordings, whole):
    fill(paths, recordings)
    fill(paths, recordings)
    lines = [entry for entry, _ in read_entries(paths.journal) if entry.error]
    assert len(lines) == 3
    assert [entry.file for entry in latest_entries(paths.journal) if entry.error] == [str(recordings[2])]
