"""Which recordings are meant by SOURCE: a folder, an object store, or a list of paths."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lung_srad_plugin.archive.listing import RecordingList
from lung_srad_plugin.audio.endings import AUDIO_ENDINGS
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.screening.storage import Location, is_utf8, locate, unreachable
from lung_srad_plugin.utils.text import printable

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

LISTS = (".csv", ".parquet")
PATH_COLUMN = "path"
EMPTY = "the list is empty; expected a path for each recording"


@dataclass(frozen=True)
class Recordings:
    """Recordings of one file system.

    Arguments
    ---------
    filesystem : pyarrow.fs.FileSystem
    scheme : str
        As in ``Location``.
    paths : list of str
        In the file system, sorted, no path twice.
    not_utf8 : list of str
        What to call files of this machine whose names are no UTF-8, so that Arrow and Parquet cannot hold them.
    """

    filesystem: FileSystem
    scheme: str
    paths: list[str]
    not_utf8: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.paths) + len(self.not_utf8)

    def not_utf8_left(self, done: Collection[str]) -> list[str]:
        """Return those of ``not_utf8`` that are not among those that are done."""
        return [name for name in self.not_utf8 if name not in done]

    def left(self, done: Collection[str]) -> list[str]:
        """Return the paths whose names are not among those that are done.

        Example
        -------
        >>> Recordings(None, "s3://", ["archive/a.wav", "archive/b.wav"]).left({"s3://archive/a.wav"})
        ['archive/b.wav']
        """
        return [path for path in self.paths if f"{self.scheme}{path}" not in done]


def find_source(source: str, path_column: str | None = None) -> Location:
    """Return where a source lies, after looking whether anything is there.

    Raises
    ------
    LungSRADError
        Where nothing is, or a column is named of what is no list.
    """
    from pyarrow.fs import FileType

    place = locate(source)
    try:
        kind = place.filesystem.get_file_info(place.path).type
    except OSError as error:
        raise unreachable(place, error) from error
    if kind == FileType.NotFound:
        raise LungSRADError(
            f"{place}: nothing is there; expected a folder of recordings, here or in an object store, or a list of "
            f"paths ({' or '.join(LISTS)})"
        )
    if path_column is not None and not is_list(place):
        raise LungSRADError(f"--path-column {path_column}: {place} is no list of paths ({' or '.join(LISTS)})")
    return place


def is_list(place: Location) -> bool:
    """Return whether a source is a list of paths, by what its name ends in."""
    return place.path.lower().endswith(LISTS)


def search_folder(place: Location) -> list[Recordings]:
    """Return the recordings of a folder and all its subfolders, here or in an object store; or the one that is named.

    Links to folders of this machine are not followed.

    Arguments
    ---------
    place : Location

    Raises
    ------
    LungSRADError
        Where there is none.
    """
    from pyarrow.fs import FileSelector, FileType

    if place.is_local:
        found = [os.fspath(path) for path in RecordingList([place.path], AUDIO_ENDINGS)]
        named = [path for path in found if is_utf8(path)]
        not_utf8 = [printable(path) for path in found if not is_utf8(path)]
        return [Recordings(place.filesystem, place.scheme, sorted(named), sorted(not_utf8))]
    try:
        if place.filesystem.get_file_info(place.path).type == FileType.File:
            return [Recordings(place.filesystem, place.scheme, [place.path])]
        found = place.filesystem.get_file_info(FileSelector(place.path, recursive=True))
    except OSError as error:
        raise unreachable(place, error) from error
    paths = [one.path for one in found if one.type == FileType.File and f".{one.extension.lower()}" in AUDIO_ENDINGS]
    if not paths:
        some = ", ".join(sorted(AUDIO_ENDINGS)[:4])
        raise LungSRADError(f"{place}: no recording is there; expected files that end in {some} and so on")
    return [Recordings(place.filesystem, place.scheme, sorted(paths))]


def read_list(place: Location, path_column: str | None = None) -> list[Recordings]:
    """Return the recordings that a list names, by file system; Ray, which reads it, must have been started.

    Arguments
    ---------
    place : Location
        A CSV or Parquet file.
    path_column : str, optional
        The column of the paths; "path" if left out.

    Returns
    -------
    list of Recordings
        A path that is neither absolute nor an address is relative to the folder of the list. Whether what a list names
        exists is not asked.

    Raises
    ------
    LungSRADError
        Where the file cannot be read, lacks the column, or has an empty path.
    """
    return _group(_read_column(place, path_column or PATH_COLUMN), place)


def _read_column(place: Location, column: str) -> list[str | None]:
    """Return the column of paths of a list."""
    import ray.data

    read = ray.data.read_csv if place.path.lower().endswith(".csv") else ray.data.read_parquet
    try:
        table = read(place.path, filesystem=place.filesystem)
        names = table.columns() or []
    except Exception as error:  # of Ray or of pyarrow, whatever is wrong with the file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise LungSRADError(f"{place}: cannot be read as a list of paths, CSV or Parquet ({reason})") from error
    if not names:  # of a file without a row, whether or not it names columns
        raise LungSRADError(f"{place}: {EMPTY}")
    if column not in names:
        raise LungSRADError(
            f"{place}: no column {column!r}, the columns are {', '.join(names) or 'none'}; name the column of the "
            "paths: --path-column NAME"
        )
    rows = table.select_columns([column]).iter_rows()
    return [row[column] for row in rows]


def _group(texts: list[str | None], place: Location) -> list[Recordings]:
    """Return the recordings that a list names, by file system."""
    folder = os.path.dirname(place.path)  # noqa: PTH120
    bucket = f"{place.scheme}{place.path.split('/')[0]}/"
    found: dict[int, Recordings] = {}
    for row, text in enumerate(texts, start=1):
        if not isinstance(text, str) or not text.strip():
            raise LungSRADError(f"{place}, row {row}: {text!r} is no path; expected one for each recording")
        if text.startswith(bucket):  # the options of the list's own address hold for its neighbours
            one = Location(place.filesystem, text.removeprefix(place.scheme), place.scheme)
        elif "://" in text or os.path.isabs(text):  # noqa: PTH117
            one = locate(text)
        else:
            one = Location(place.filesystem, os.path.normpath(f"{folder}/{text}"), place.scheme)
        # The same object for all paths of a bucket, and for all of this machine.
        key = 0 if one.is_local else id(one.filesystem)
        found.setdefault(key, Recordings(one.filesystem, one.scheme, [])).paths.append(one.path)
    if not found:
        raise LungSRADError(f"{place}: {EMPTY}")
    return [Recordings(group.filesystem, group.scheme, sorted(set(group.paths))) for group in found.values()]
