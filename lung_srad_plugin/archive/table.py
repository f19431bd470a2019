"""The table of rows on disk: appended to recording by recording, and continued after a stop."""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lung_srad_plugin.archive.journal import (
    Entry,
    append,
    make_header,
    read_entries,
    read_header,
    truncate,
    verify,
)
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.rows import SegmentRow, csv_header, csv_lines, import_pyarrow, json_lines, row_columns
from lung_srad_plugin.utils.files import explain_write_errors, refuse_foreign_files

ENDINGS = (".csv", ".jsonl", ".parquet")
SYNC_SECONDS = 5.0  # between two calls that make sure of what was written: a loss of power costs no more


class OutputPaths:
    """The files of a run, which all begin with the name of its table.

    Arguments
    ---------
    output : Path
        The table, which ends in one of ``ENDINGS``.

    Attributes
    ----------
    rows : Path
        What rows are appended to: the table, or where that is Parquet, which cannot be appended to, JSON lines.
    journal, recordings, patients, run : Path

    Example
    -------
    >>> paths = OutputPaths(Path("results/all.parquet"))
    >>> [path.name for path in (paths.rows, paths.journal, paths.recordings, paths.patients, paths.run)]
    ['all.rows.jsonl', 'all.journal.jsonl', 'all.recordings.parquet', 'all.patients.parquet', 'all.run.json']
    """

    def __init__(self, output: Path):
        self.output = output
        self.is_parquet = output.suffix.lower() == ".parquet"
        self.rows = output.with_suffix(".rows.jsonl") if self.is_parquet else output
        self.journal = output.with_suffix(".journal.jsonl")
        self.recordings = output.with_suffix(f".recordings{output.suffix}")
        self.patients = output.with_suffix(f".patients{output.suffix}")
        self.run = output.with_suffix(".run.json")


class RowTable:
    """The table of rows and its journal, to be used as a context.

    Arguments
    ---------
    paths : OutputPaths
    labels : sequence of str
        The class names of the model.
    deciding : dict
        Settings and model; a table that was begun with others is refused.

    Attributes
    ----------
    continued : int
        How many recordings were done when it was opened.
    dropped : int
        Bytes of recordings that were not finished, removed from the table.

    Raises
    ------
    LungSRADError
        Where there is a table that is not of this command, was changed since, or was begun with other settings.
    """

    def __init__(self, paths: OutputPaths, labels: Sequence[str], deciding: dict[str, Any]):
        if paths.is_parquet:
            import_pyarrow()
        self.paths = paths
        self._is_csv = paths.rows.suffix.lower() == ".csv"
        header = csv_header(row_columns(labels)).encode() if self._is_csv else b""
        self._done: dict[int, int] = {}
        self.dropped = 0
        with explain_write_errors(paths.rows):
            paths.rows.parent.mkdir(parents=True, exist_ok=True)
            if not self._continue(header, deciding):
                paths.journal.write_bytes(make_header(header, deciding))
                paths.rows.write_bytes(header)
            self._rows = paths.rows.open("ab", buffering=0)
            self._journal = paths.journal.open("ab", buffering=0)
        self.continued = len(self._done)
        self._synced = time.monotonic()

    def __enter__(self) -> RowTable:
        return self

    def __exit__(self, *_: object) -> None:
        self._sync()
        self._rows.close()
        self._journal.close()

    def is_done(self, path: Path) -> bool:
        """Return whether a recording is done.

        Raises
        ------
        LungSRADError
            Where it is, and the recording was changed since.
        """
        known = self._done.get(_digest(absolute(path)))
        if known is None:
            return False
        if known != _digest(*stamp(path)):
            raise LungSRADError(
                f"{path}: was changed since it was classified, in size or time; its rows are of what it was. To "
                "classify it as it is now, choose another --output"
            )
        return True

    def add(self, entry_of: Entry, rows: Sequence[SegmentRow]) -> None:
        """Append the rows of a recording, then its line of the journal; ``entry_of`` has all but their checksum.

        Raises
        ------
        LungSRADError
            Where they cannot be written.
        """
        values = [row.to_dict() for row in rows]
        content = (csv_lines(values) if self._is_csv else json_lines(values)).encode()
        entry = replace(entry_of, row_bytes=len(content), crc32=zlib.crc32(content), rows=len(values))
        with explain_write_errors(self.paths.rows):
            append(self._rows, content)
            append(self._journal, entry.line())
            if time.monotonic() - self._synced > SYNC_SECONDS:
                self._sync()

    def _sync(self):
        os.fsync(self._rows.fileno())
        os.fsync(self._journal.fileno())
        self._synced = time.monotonic()

    def _continue(self, header, deciding):
        """Return whether there is a table to continue; what of it is of no finished recording is removed."""
        paths = self.paths
        begun = read_header(paths.journal)
        if begun is None:
            if paths.rows.exists() and paths.rows.stat().st_size:
                refuse_foreign_files([paths.rows])
            return False
        if not paths.rows.exists():
            return False
        refuse_other_settings(begun["settings"], deciding, paths)
        found = verify(paths.rows, paths.journal, begun)
        if found.table_end < len(header):
            return False
        self.dropped = truncate(paths.rows, found.table_end)
        truncate(paths.journal, found.journal_end)
        for entry, _ in read_entries(paths.journal):
            if entry.error is None:
                self._done[_digest(entry.file)] = _digest(entry.size, entry.mtime_ns)
        return True


def refuse_other_settings(before: dict[str, Any], now: dict[str, Any], paths: OutputPaths) -> None:
    """Refuse to continue with other settings or another model, naming each that differs.

    Example
    -------
    >>> refuse_other_settings({"hop": 1.0}, {"hop": 0.5}, OutputPaths(Path("all.csv")))
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: all.csv: was begun with other settings: hop was 1.0 and is now 0.5; ...
    """
    differing = [
        f"{name} was {_show(before.get(name))} and is now {_show(now.get(name))}"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]
    if differing:
        raise LungSRADError(
            f"{paths.output}: was begun with other settings: {'; '.join(differing)}; one table has one kind of rows. "
            f"Choose another --output, or give --settings {paths.run} to go on with those"
        )


def absolute(path: Path) -> str:
    """Return the path by which a recording is known, from whichever folder the command is called."""
    return os.path.abspath(path)  # noqa: PTH100 - a Path's own follows no "..", and links keep their names


def stamp(path: Path) -> tuple[int, int]:
    """Return size and time of change of a file, by which it is recognised; -1 where it is not there."""
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _show(value):
    return "not set" if value is None else value


def _digest(*values: object) -> int:
    """Return 64 bits that stand for some values: for a million recordings, texts would need much memory."""
    text = "\0".join(map(str, values)).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
