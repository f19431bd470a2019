"""The recordings of an archive: listed once, in order, and kept as names rather than as objects."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from lung_srad_plugin.errors import LungSRADError


class RecordingList:
    """The recordings that files, folders and patterns stand for, in order and no file twice.

    A folder is searched with all its subfolders, sorted within each; links to folders are not followed, and a link to
    nothing is listed, so that opening it tells. Each folder is read once, and of each only the names are kept, as one
    text.

    Arguments
    ---------
    patterns : list of str
        Files, which are taken whatever their names end in; folders; patterns with ``*``, ``?``, ``[]`` and ``**``.
    suffixes : set of str
        What the names of recordings in folders end in, in small letters, with the dot.

    Raises
    ------
    LungSRADError
        Where a folder or a pattern holds no recording, or a folder cannot be read.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> (folder / "b").mkdir()
    >>> for name in ("c.wav", "b/2.wav", "b/1.wav", "a.txt"):
    ...     (folder / name).touch()
    >>> found = RecordingList([str(folder)], {".wav"})
    >>> len(found), [path.name for path in found]
    (3, ['1.wav', '2.wav', 'c.wav'])
    """

    def __init__(self, patterns: Sequence[str], suffixes: frozenset[str] | set[str]):
        self._suffixes = tuple(suffixes)
        self._runs: list[tuple[str, str]] = []  # a folder, and names of files in it with NUL between
        self._count = 0
        self._met = 0  # with those that were met before
        # Within one folder no name occurs twice, but for links.
        self._seen: set[str] | None = set() if len(patterns) > 1 else None
        for pattern in patterns:
            before = self._met
            self._add(pattern)
            if self._met == before:
                raise LungSRADError(f"{pattern}: no recording is there; expected audio files")
        self._seen = None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Path]:
        for folder, names in self._runs:
            parent = Path(folder)
            for name in names.split("\0"):
                yield parent / name

    def _add(self, pattern):
        if os.path.isdir(pattern):  # noqa: PTH112 - a Path raises for a name that is too long
            self._add_folder(pattern)
        elif os.path.lexists(pattern) or not glob.has_magic(pattern):
            self._add_names(*os.path.split(pattern)[:1], [os.path.split(pattern)[1]])
        else:
            names = glob.iglob(pattern, recursive=True)  # noqa: PTH207 - a Path takes no absolute pattern
            for name in sorted(name for name in names if os.path.isfile(name)):  # noqa: PTH113
                self._add_names(os.path.dirname(name), [os.path.basename(name)])  # noqa: PTH119, PTH120

    def _add_folder(self, folder):
        """Add a folder: files and subfolders together in the order of their names."""
        try:
            with os.scandir(folder) as entries:
                found = sorted(
                    (entry.name, entry.is_dir(follow_symlinks=False))
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False)
                    or (entry.name.lower().endswith(self._suffixes) and _may_be_recording(entry))
                )
        except OSError as error:
            raise LungSRADError(f"{folder}: cannot be listed ({error.strerror}); expected a folder to read") from error
        names: list[str] = []
        for name, is_folder in found:
            if is_folder:
                self._add_names(folder, names)
                names = []
                self._add_folder(os.path.join(folder, name))  # noqa: PTH118
            else:
                names.append(name)
        self._add_names(folder, names)

    def _add_names(self, folder, names):
        self._met += len(names)
        if self._seen is not None:
            real = [(name, os.path.realpath(os.path.join(folder, name))) for name in names]  # noqa: PTH118
            names = [name for name, path in real if not (path in self._seen or self._seen.add(path))]
        if names:
            self._runs.append((folder, "\0".join(names)))
            self._count += len(names)


def _may_be_recording(entry: os.DirEntry) -> bool:
    """Return whether it is a file, or a link to one that is not there."""
    return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))  # noqa: PTH110
