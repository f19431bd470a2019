"""Writing files: whole or not at all, and never over what somebody else wrote."""

import os
from pathlib import Path

import pytest

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.files import RECORD, refuse_foreign_files, write_safely, write_together


def write_one_of_two(folder):
    write_together({folder / "new.txt": "new\n", folder / "a.txt": "ours\n"})


def test_a_file_of_somebody_else_is_refused_by_name_and_nothing_is_written(tmp_path):
    (tmp_path / "a.txt").write_text("theirs")
    with pytest.raises(LungSRADError, match=r"a\.txt: already there.*Choose another folder"):
        write_one_of_two(tmp_path)
    with pytest.raises(LungSRADError, match=r"a\.txt"), write_safely(tmp_path / "a.txt"):
        raise AssertionError("must be refused before anything is written")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "theirs"


def test_our_file_is_replaced_but_not_after_somebody_changed_it(tmp_path):
    path = tmp_path / "a.txt"
    for content in ("one", "two", "one"):
        write_together({path: content})
        assert path.read_text() == content
    path.write_text("one, corrected by hand")
    with pytest.raises(LungSRADError, match=r"a\.txt"):
        write_together({path: "three"})
    assert path.read_text() == "one, corrected by hand"


def test_our_content_under_another_name_or_in_another_folder_is_not_ours(tmp_path):
    write_together({tmp_path / "a.txt": "same"})
    (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.txt").write_text("same")
    for path in (tmp_path / "b.txt", tmp_path / "deep" / "a.txt"):
        with pytest.raises(LungSRADError, match=path.name):
            refuse_foreign_files([path])


def test_what_has_the_content_already_is_left_as_it_is(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("same")
    before = path.stat().st_mtime_ns
    write_together({path: "same"})
    assert path.stat().st_mtime_ns == before
    with pytest.raises(LungSRADError):
        write_together({path: "other"})


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("nowhere")], ids=["folder", "broken link"])
def test_what_is_no_file_is_refused(tmp_path, make):
    make(tmp_path / "a.txt")
    with pytest.raises(LungSRADError, match=r"a\.txt"):
        write_together({tmp_path / "a.txt": "new"})


def test_a_failure_leaves_what_was_there_and_no_parts(tmp_path):
    write_together({tmp_path / "a.txt": "one"})
    with pytest.raises(RuntimeError), write_safely(tmp_path / "a.txt") as beside:
        beside.write_text("half")
        raise RuntimeError
    with pytest.raises(LungSRADError, match=r"b\.txt: cannot be written"):
        write_together({tmp_path / "a.txt": "two", tmp_path / "a.txt" / "b.txt": "under a file"})
    assert (tmp_path / "a.txt").read_text() == "one"
    assert sorted(path.name for path in tmp_path.iterdir()) == [RECORD, "a.txt"]


def test_long_and_odd_names(tmp_path):
    for name in ("n" * 250, "line\nbreak", os.fsdecode(b"caf\xe9"), "two  spaces"):
        write_together({tmp_path / name: "one"})
        write_together({tmp_path / name: "two"})
        assert (tmp_path / name).read_text() == "two"


def test_many_foreign_files_are_counted(tmp_path):
    paths = [tmp_path / f"{number}.txt" for number in range(9)]
    for path in paths:
        path.touch()
    with pytest.raises(LungSRADError, match="and 4 more"):
        refuse_foreign_files(paths)
