"""The recordings of an archive, against looking for them with a Path."""

import os

import pytest

from lung_srad_plugin.archive.listing import RecordingList
from lung_srad_plugin.cli.input_files import find_recordings
from lung_srad_plugin.errors import LungSRADError

ENDINGS = {".wav", ".flac"}


@pytest.fixture
def archive(tmp_path):
    for name in ("a/b/c.wav", "a/b.wav", "a/b.d/e.FLAC", "z.wav", "B/1.wav", "B/notes.txt", "empty/x.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "linked_folder").symlink_to(tmp_path / "a")
    (tmp_path / "linked.wav").symlink_to(tmp_path / "z.wav")
    return tmp_path


def test_a_folder_is_listed_in_the_order_of_its_paths(archive):
    found = list(RecordingList([str(archive)], ENDINGS))
    named = [str(path.relative_to(archive)) for path in found]
    assert named == ["B/1.wav", "a/b/c.wav", "a/b.d/e.FLAC", "a/b.wav", "linked.wav", "z.wav"]
    assert found == sorted(found)


def test_a_link_to_nothing_is_listed_so_that_it_fails_by_name(archive):
    (archive / "gone.wav").symlink_to(archive / "absent.wav")
    (archive / "a" / "up.wav").symlink_to(archive)
    named = [path.name for path in RecordingList([str(archive)], ENDINGS)]
    assert "gone.wav" in named and "up.wav" not in named


def test_several_patterns_name_no_recording_twice(archive):
    patterns = [str(archive / "z.wav"), str(archive / "a"), str(archive / "**" / "*.wav"), str(archive / "absent.wav")]
    found = RecordingList(patterns, ENDINGS)
    assert list(found) == find_recordings(patterns)
    assert len(found) == len(set(found)) == 6


@pytest.mark.parametrize("pattern", ["empty", "no*.wav"])
def test_a_folder_or_pattern_without_recordings_is_refused_by_name(archive, pattern):
    with pytest.raises(LungSRADError, match=pattern.replace("*", r"\*")):
        RecordingList([str(archive / pattern)], ENDINGS)
    with pytest.raises(LungSRADError, match=pattern.replace("*", r"\*")):
        RecordingList([str(archive / "z.wav"), str(archive / pattern)], ENDINGS)


def test_each_folder_is_read_once(archive, monkeypatch):
    read = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: read.append(os.fspath(path)) or scandir(path))
    found = RecordingList([str(archive)], ENDINGS)
    assert len(list(found)) == len(list(found)) == len(found)
    assert len(read) == len(set(read)) == 6
