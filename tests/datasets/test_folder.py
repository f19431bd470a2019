"""The files of a data folder: found in every folder, compared by content."""

import os

import pytest

from lung_srad_plugin.datasets.folder import audio_seconds, equal_files, files_below
from lung_srad_plugin.errors import LungSRADError


def test_linked_folders_are_followed_once(tmp_path):
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "a.wav").touch()
    (tmp_path / "data" / "deep" / "loop").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "__MACOSX").mkdir()
    (tmp_path / "data" / "__MACOSX" / "a.wav").touch()
    assert [path.name for path in files_below(tmp_path / "data")] == ["a.wav"]


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(LungSRADError, match="closed: the folder cannot be read: Permission denied"):
        files_below(tmp_path)


def test_equal_files_need_equal_content(tmp_path):
    for name, content in {"a": b"x" * 200_000, "b": b"x" * 200_000, "c": b"x" * 199_999 + b"y", "empty": b""}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "also empty").write_bytes(b"")
    assert [[path.name for path in group] for group in equal_files(sorted(tmp_path.iterdir()))] == [["a", "b"]]


def test_what_is_no_audio_says_why(tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "link.wav").symlink_to("nowhere")
    assert audio_seconds(tmp_path / "text.wav")[1].startswith("cannot be read as audio (")
    assert audio_seconds(tmp_path / "link.wav") == (None, "cannot be opened: No such file or directory")
