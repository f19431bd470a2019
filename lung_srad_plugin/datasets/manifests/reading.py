"""Reading a manifest: CSV text to rows, with every problem of its form."""

import csv
import io
import math
from pathlib import Path
from typing import Any, NamedTuple

from lung_srad_plugin.datasets.problems import Problem, raise_problems

REQUIRED = ("ID", "duration", "wav", "start", "stop", "label")
SECONDS = ("duration", "start", "stop")

# How many lines an error message about a manifest lists.
SHOWN = 50

_PLACEHOLDERS = ("{data_root}", "$data_root")


class _Fault(NamedTuple):
    message: str
    column: str | None = None
    group: str | None = None


def read_manifest(path: str | Path, data_root: str | Path | None = None) -> list[dict[str, Any]]:
    """Return the rows of a manifest, checked for its form but neither for its labels nor for its audio.

    Arguments
    ---------
    path : str or pathlib.Path
        The manifest.
    data_root : str or pathlib.Path, optional
        What ``{data_root}`` stands for.

    Returns
    -------
    list of dict
        Column to value, in the order of the file: ``duration``, ``start`` and ``stop`` as float, ``wav`` with
        ``{data_root}`` replaced, the rest as str.

    Raises
    ------
    LungSRADError
        With every problem, see ``validate_manifest``.
    """
    rows, problems = read_rows(path, data_root)
    raise_problems(problems, str(path), limit=SHOWN)
    return [row for _, row in rows]


def read_rows(path: str | Path, data_root: str | Path | None) -> tuple[list[tuple[int, dict[str, Any]]], list[Problem]]:
    """Return the rows of a manifest with their numbers, and the problems of its form.

    Arguments
    ---------
    path, data_root
        As in ``read_manifest``.

    Returns
    -------
    rows : list of (int, dict)
        Without blank and ragged rows; a value that is wrong is ``None``.
    problems : list of Problem

    Example
    -------
    >>> read_rows(getfixture("tmp_path") / "absent.csv", None)[0]
    []
    """
    file = str(path)
    text, fault = _read_text(path)
    if fault:
        return [], [Problem(file, fault)]
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        header, *body = list(reader) or [[]]
    except csv.Error as error:
        return [], [Problem(file, f"is not a CSV: {error}", line=reader.line_num)]
    if not header and not any(body):
        return [], [Problem(file, "is empty; expected a header and rows")]
    problems = _check_header(header, file)
    if problems:
        return [], problems
    if not body:
        return [], [Problem(file, "has a header and no rows")]
    rows: list[tuple[int, dict[str, Any]]] = []
    first_seen: dict[str, int] = {}
    for number, fields in enumerate(body, 2):
        row, found = _parse_row(fields, header, data_root)
        if row:
            rows.append((number, row))
            first = first_seen.setdefault(row["ID"], number)
            if row["ID"].strip() and first != number:
                message = f"{row['ID']!r} is the ID of row {first} too"
                found.append(_Fault(message, "ID", "{count} rows have the ID of another row"))
        problems += [Problem(file, f.message, row=number, column=f.column, group=f.group) for f in found]
    return rows, problems


def _read_text(path):
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        return None, f"cannot be opened: {error.strerror}: {path}"
    if raw.startswith(b"\xef\xbb\xbf"):
        return None, "begins with a byte order mark (BOM), which becomes part of 'ID'; save it as UTF-8 without BOM"
    try:
        return raw.decode("utf-8"), None
    except UnicodeDecodeError:
        return None, "is not UTF-8; save it as UTF-8 without BOM"


def _check_header(header, file):
    problems = []
    missing = [name for name in REQUIRED if name not in header]
    for name in missing:
        message = f"the column is missing; required are {', '.join(REQUIRED)}, found are {', '.join(header)}"
        problems.append(Problem(file, message, row=1, column=name))
    if len(missing) == len(REQUIRED) and len(header) == 1:
        problems.append(Problem(file, "only one column; columns are separated by commas, not by ';' or tabs", row=1))
    for name in sorted({name for name in header if header.count(name) > 1}):
        problems.append(Problem(file, "the column is there more than once", row=1, column=name))
    return problems


def _parse_row(fields, header, data_root):
    """A row by column, ``None`` where it is blank or ragged, and its faults."""
    if not any(field.strip() for field in fields):
        return None, [_Fault("blank row; delete it")]
    if len(fields) != len(header):
        return None, [_Fault(f"{len(fields)} fields; the header has {len(header)}")]
    row = dict(zip(header, fields, strict=True))
    found = [] if row["ID"].strip() else [_Fault("blank", "ID")]
    for name in SECONDS:
        row[name], fault = _parse_seconds(row[name], name)
        found += [fault] if fault else []
    if None not in (row["start"], row["stop"]) and row["stop"] <= row["start"]:
        message = f"stop {row['stop']} is not after start {row['start']}"
        found.append(_Fault(message, "stop", "{count} rows have a stop that is not after their start"))
    if row["duration"] == 0:
        found.append(_Fault("a duration is above 0 s", "duration"))
    row["wav"], fault = _resolve(row["wav"], data_root)
    found += [fault] if fault else []
    return row, found


def _parse_seconds(text, column):
    if not text.strip():
        return None, _Fault("blank; expected seconds", column)
    group = "{count} rows have no number of seconds from 0 up here; expected digits and a decimal point"
    try:
        value = float(text)
    except ValueError:
        return None, _Fault(f"{text!r} is not a number; expected seconds, with a decimal point", column, group)
    if not math.isfinite(value):
        return None, _Fault(f"{text!r} is not a finite number of seconds", column, group)
    if value < 0:
        return None, _Fault(f"{text} is negative", column, group)
    return value, None


def _resolve(wav, data_root):
    """The path with ``{data_root}`` replaced, or ``None`` and its fault."""
    if not wav.strip():
        return None, _Fault("blank; expected the path of an audio file", "wav")
    for placeholder in _PLACEHOLDERS:
        if wav.startswith(placeholder):
            if data_root is None:
                return None, _Fault(f"{placeholder} is not resolved; pass data_root", "wav")
            return str(Path(data_root).expanduser()) + wav[len(placeholder) :], None
    if not Path(wav).is_absolute():
        message = f"relative path {wav!r}; write '{{data_root}}/{wav}' or an absolute path"
        return None, _Fault(
            message, "wav", "{count} rows have a relative path; write '{data_root}/...' or absolute paths"
        )
    return wav, None
