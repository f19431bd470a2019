"""Manifests of several data sets become one."""

import pytest

from lung_srad_plugin import LungSRADError, join_manifests, read_manifest, validate_manifests, write_manifest
from lung_srad_plugin.cli.main import main

ROW = {"ID": "1", "duration": 2.0, "wav": "{data_root}/1.wav", "start": 0.0, "stop": 2.0, "label": "normal"}


def write(path, *rows):
    write_manifest(path, [{**ROW, **row} for row in rows])
    return path


def test_rows_keep_their_values_and_get_their_data_set(tmp_path):
    a = write(
        tmp_path / "a.csv", {"patient": "9", "age": "3"}, {"ID": "2", "label": "wheeze", "patient": "", "age": "4"}
    )
    b = write(tmp_path / "b.csv", {"sex": "F", "patient": "9"})
    assert join_manifests({"a": (a, "/a"), "b": (b, "/b")}, tmp_path / "ab.csv") == 3
    rows = read_manifest(tmp_path / "ab.csv")
    assert list(rows[0]) == ["ID", "duration", "wav", "start", "stop", "label", "patient", "dataset"]
    assert [row["ID"] for row in rows] == ["a:1", "a:2", "b:1"]
    assert [row["patient"] for row in rows] == ["a:9", "", "b:9"]
    assert [row["wav"] for row in rows] == ["/a/1.wav", "/a/1.wav", "/b/1.wav"]
    assert [row["label"] for row in rows] == ["normal", "wheeze", "normal"]


def test_patients_of_one_number_in_two_data_sets_are_two(tmp_path):
    a = write(tmp_path / "a.csv", {"patient": "9"})
    b = write(tmp_path / "b.csv", {"patient": "9"})
    join_manifests({"a": (a, "/a")}, tmp_path / "train.csv")
    join_manifests({"b": (b, "/b")}, tmp_path / "test.csv")
    paths = [tmp_path / f"{part}.csv" for part in ("train", "test", "test")]
    summary = validate_manifests(*paths, labels=["normal", "wheeze"], check_files=False)
    assert not summary.shared_patients["train_test"]
    assert summary.shared_patients["valid_test"] == ("b:9",)


@pytest.mark.parametrize("again", [True, False])
def test_nothing_and_what_was_joined_before_are_refused(tmp_path, again):
    a = write(tmp_path / "a.csv", {"patient": "9"})
    join_manifests({"a": (a, "/a")}, tmp_path / "joined.csv")
    with pytest.raises(LungSRADError, match="'dataset'" if again else "no manifest"):
        join_manifests({"b": (tmp_path / "joined.csv", None)} if again else {}, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_command_joins_and_refuses_what_it_did_not_write(tmp_path, capsys):
    a = write(tmp_path / "a.csv", {"patient": "9"})
    b = write(tmp_path / "b.csv", {"patient": "9"})
    out = tmp_path / "out" / "train.csv"
    first = ["--name", "a", "--manifest", str(a), "--data-root", "/a"]
    sources = [*first, "--name", "b", "--manifest", str(b), "--data-root", "/b"]
    for _ in range(2):  # its own file may be written anew
        with pytest.raises(SystemExit) as ended:
            main(["join-manifests", str(out), *sources])
        assert ended.value.code == 0
    assert "2 rows of a, b" in capsys.readouterr().out
    assert [row["dataset"] for row in read_manifest(out)] == ["a", "b"]

    (tmp_path / "mine.csv").write_text("my notes", encoding="utf-8")
    for arguments in (
        [str(tmp_path / "mine.csv"), *sources],
        [str(out), *sources, *first],
        [str(out), *sources, *first[:2]],
    ):
        with pytest.raises(SystemExit) as ended:
            main(["join-manifests", *map(str, arguments)])
        assert ended.value.code == 2
    assert (tmp_path / "mine.csv").read_text(encoding="utf-8") == "my notes"
