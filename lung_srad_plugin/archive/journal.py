"""What was done, recording by recording, in a file beside the table of rows: from both, a stopped run continues.

Each line of the journal says how many bytes of the table a recording's rows take, and their checksum. A recording is
done where these bytes are in the table: lines whose rows are not, and rows without a line, are of a recording at which
the run was stopped, and are removed before it resumes.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from lung_srad_plugin.errors import LungSRADError

FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """A line of the journal.

    Arguments
    ---------
    file : str
        The absolute path of the recording.
    size, mtime_ns : int
        Of the recording when it was classified, in bytes and in ns; -1 where it was not there.
    row_bytes, crc32 : int
        Length and checksum of its rows in the table.
    rows : int
    decoding_seconds, model_seconds : float
    summary : dict
        The recording's row of the table of recordings; empty where it failed.
    error : str or None
        Why it has no rows.
    """

    file: str
    size: int
    mtime_ns: int
    row_bytes: int = 0
    crc32: int = 0
    rows: int = 0
    decoding_seconds: float = 0.0
    model_seconds: float = 0.0
    summary: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    def line(self) -> bytes:
        """Return the line of the journal."""
        return (json.dumps(asdict(self)) + "\n").encode()


def make_header(table_header: bytes, deciding: dict[str, Any]) -> bytes:
    """Return the first line of a journal: with which settings and model its rows were computed."""
    header = {"format": FORMAT, "header_bytes": len(table_header), "header_crc32": zlib.crc32(table_header)}
    return (json.dumps(header | {"settings": deciding}) + "\n").encode()


@dataclass(frozen=True)
class Verified:
    """What of a table and its journal can be continued.

    Arguments
    ---------
    table_end, journal_end : int
        Where the recordings that are done end, in bytes.
    """

    table_end: int
    journal_end: int


def read_header(path: Path) -> dict[str, Any] | None:
    """Return the first line of a journal; None where there is no complete one.

    Raises
    ------
    LungSRADError
        Where it is of another kind.
    """
    try:
        with path.open("rb") as file:
            line = file.readline()
    except FileNotFoundError:
        return None
    if not line.endswith(b"\n"):
        return None
    try:
        header = json.loads(line)
        if header["format"] == FORMAT and isinstance(header["settings"], dict):
            return header
    except (ValueError, KeyError, TypeError):
        pass
    raise LungSRADError(f"{path}: no journal of this version; move it and its table away, or choose another --output")


def read_entries(path: Path) -> Iterator[tuple[Entry, int]]:
    """Yield the complete lines of a journal after the first, each with where it ends in bytes."""
    with path.open("rb") as file:
        end = len(file.readline())
        for line in file:
            end += len(line)
            try:
                yield Entry(**json.loads(line)), end
            except (ValueError, TypeError):
                return  # a line that was torn, or that the disk lost


def verify(table: Path, journal: Path, header: dict[str, Any]) -> Verified:
    """Compare a table with its journal.

    Arguments
    ---------
    table, journal : Path
    header : dict
        Of the journal.

    Raises
    ------
    LungSRADError
        Where the table was changed since: it is not what was written, and not what a stop leaves either.
    """
    with table.open("rb") as file:
        table_end = header["header_bytes"]
        with journal.open("rb") as lines:
            journal_end = len(lines.readline())
        if not _holds(file, table_end, header["header_crc32"], table):
            return Verified(0, journal_end)
        for entry, end in read_entries(journal):
            if not _holds(file, entry.row_bytes, entry.crc32, table):
                break
            table_end += entry.row_bytes
            journal_end = end
    return Verified(table_end, journal_end)


def _holds(file: BinaryIO, size: int, crc32: int, table: Path) -> bool:
    """Return whether the next bytes are those that were written; False where some never reached the disk."""
    content = file.read(size)
    if len(content) == size and zlib.crc32(content) == crc32:
        return True
    if len(content) < size or b"\0" in content:  # what a loss of power leaves
        return False
    raise LungSRADError(
        f"{table}: was changed since classify wrote it, near byte {file.tell()}; nothing was overwritten. Choose "
        "another --output, or move the table and its journal away to begin anew"
    )


def append(file: BinaryIO, content: bytes) -> None:
    """Append to a file that is not buffered, in one write unless the disk is nearly full."""
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]


def truncate(path: Path, size: int) -> int:
    """Cut a file to a size in bytes; return how many were cut off."""
    before = path.stat().st_size
    if before > size:
        os.truncate(path, size)
    return max(before - size, 0)
