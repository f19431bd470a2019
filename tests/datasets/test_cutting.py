"""Long rows of a manifest become windows that cover them."""

from itertools import pairwise

import pytest

from lung_srad_plugin import LungSRADError, cut_manifest, prepare_kauh, read_manifest, validate_manifest, write_manifest
from lung_srad_plugin.cli.main import main

ROW = {"ID": "r", "duration": 2.0, "wav": "{data_root}/r.wav", "start": 0.0, "stop": 2.0, "label": "crackle"}
OWN = {"patient": "7", "recording": "r", "filter": "Bell"}


def cut(folder, start, stop, seconds=4.0):
    write_manifest(folder / "whole.csv", [{**ROW, **OWN, "start": start, "stop": stop, "duration": stop - start}])
    count = cut_manifest(folder / "whole.csv", folder / "cut.csv", seconds)
    rows = read_manifest(folder / "cut.csv", "/sounds")
    assert len(rows) == count
    return rows


@pytest.mark.parametrize(
    ("start", "stop", "starts"),
    [
        (0.0, 8.0, [0, 4]),
        (0.0, 5.0, [0, 1]),
        (1.5, 11.5, [1.5, 4.5, 7.5]),
        (0.0, 12.0004, [0, 4.0002, 8.0004]),
        (2.0, 18.000001, [2, 6, 10, 14.000001]),
    ],
)
def test_windows_cover_the_row_and_have_one_length(tmp_path, start, stop, starts):
    rows = cut(tmp_path, start, stop)
    assert [row["start"] for row in rows] == pytest.approx(starts, abs=1e-6)
    assert rows[0]["start"] == start
    assert rows[-1]["stop"] == stop
    assert [row["stop"] - row["start"] for row in rows] == pytest.approx([4.0] * len(rows), abs=2e-6)
    assert [row["duration"] for row in rows] == [4.0] * len(rows)
    assert [row["ID"] for row in rows] == [f"r_w{number}" for number in range(1, 1 + len(rows))]
    assert all(row["start"] <= before["stop"] + 1e-3 for before, row in pairwise(rows))


def test_windows_keep_everything_else_of_their_row(tmp_path):
    for row in cut(tmp_path, 0.0, 9.0):
        assert {key: row[key] for key in OWN} == OWN
        assert (row["label"], row["wav"]) == ("crackle", "/sounds/r.wav")
    assert "{data_root}/r.wav" in (tmp_path / "cut.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("stop", [0.5, 4.0, 4.0005])
def test_short_rows_stay(tmp_path, stop):
    (row,) = cut(tmp_path, 0.0, stop)
    assert (row["ID"], row["start"], row["stop"]) == ("r", 0.0, stop)


def test_equal_ids_and_impossible_lengths_are_refused(tmp_path):
    write_manifest(tmp_path / "a.csv", [{**ROW, "stop": 10.0}, {**ROW, "ID": "r_w2"}])
    with pytest.raises(LungSRADError, match=r"a\.csv: .*r_w2; rename"):
        cut_manifest(tmp_path / "a.csv", tmp_path / "b.csv", 4)
    for seconds in (0, -1, float("nan"), float("inf")):
        with pytest.raises(LungSRADError, match="seconds="):
            cut_manifest(tmp_path / "a.csv", tmp_path / "b.csv", seconds)
    assert not (tmp_path / "b.csv").exists()


def test_command_cuts_the_real_recordings(kauh_folder, tmp_path, capsys):
    prepared = prepare_kauh(kauh_folder, tmp_path / "kauh", mixed="both", split="patients", quiet=True)
    with pytest.raises(SystemExit) as ended:
        main(["cut-manifest", str(prepared.train), str(tmp_path / "train.csv"), "--seconds", "4"])
    assert ended.value.code == 0
    whole, windows = (read_manifest(path, kauh_folder) for path in (prepared.train, tmp_path / "train.csv"))
    assert f"{len(windows)} rows of at most 4 s" in capsys.readouterr().out
    assert len(windows) > len(whole)
    labels = ("normal", "crackle", "wheeze", "both")
    summary = validate_manifest(tmp_path / "train.csv", labels, data_root=kauh_folder)
    assert {(row["recording"], row["patient"], row["label"]) for row in summary.rows} == {
        (row["recording"], row["patient"], row["label"]) for row in whole
    }


def test_command_keeps_files_that_it_did_not_write(tmp_path):
    write_manifest(tmp_path / "a.csv", [ROW])
    (tmp_path / "mine.csv").write_text("my notes", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["cut-manifest", str(tmp_path / "a.csv"), str(tmp_path / "mine.csv"), "--seconds", "4"])
    assert ended.value.code == 2
    assert (tmp_path / "mine.csv").read_text(encoding="utf-8") == "my notes"
