"""Predictions as CSV: read with every faulty row named, and written so that they read back the same.

The columns are ``ID, label, prediction``, one probability ``p_<class>`` for each class in the model's order, and any
further columns as metadata (``patient``, ``device``, ``location``, ``age`` and so on).
"""

import codecs
import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.predictions import PredictionTable, make_table, refuse, row_problems, several
from lung_srad_plugin.utils.files import write_together

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SAVE_AS_UTF8 = "save it as UTF-8 (in Excel: CSV UTF-8)"


def read_predictions(path: str | Path, labels: Sequence[str] | None = None) -> PredictionTable:
    """Read a predictions CSV, refusing it with every faulty row named.

    Arguments
    ---------
    path : str or Path
        The file; UTF-8, with or without a byte-order mark.
    labels : sequence of str, optional
        The classes the file must have, in this order; when None, those of its ``p_`` columns.

    Returns
    -------
    PredictionTable

    Raises
    ------
    LungSRADError
        Where the file or a column is missing, the file is not UTF-8 or not CSV, and as of ``make_table``, with line
        numbers.

    Example
    -------
    >>> table = make_table(["a"], ["normal"], [[0.7, 0.1, 0.1, 0.1]], metadata={"patient": ["101"]})
    >>> path = getfixture("tmp_path") / "predictions.csv"
    >>> write_predictions(table, path)
    >>> read_predictions(path).column("patient")
    ('101',)
    """
    path = Path(path)
    header, lines = _read_cells(path)
    labels = _check_header(path, header, labels)
    problems: list[str] = []
    row_lines: list[str] = []
    rows: list[list[str]] = []
    ragged: dict[int, list[str]] = {}
    for line, cells in lines:
        if len(cells) == len(header):
            row_lines.append(f"line {line}")
            rows.append(cells)
        else:
            ragged.setdefault(len(cells), []).append(f"line {line}")
    for cells, at in ragged.items():
        problems.append(f"{several(at)}: {cells} cells, but the header has {len(header)}")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(header)}
    probabilities, unreadable = _read_probabilities(columns, labels, row_lines)
    problems += unreadable
    if not unreadable:
        problems += row_problems(
            row_lines, columns["ID"], columns["label"], columns["prediction"], probabilities, labels
        )
    refuse(path, problems)
    known = {"ID", "label", "prediction", *(f"p_{label}" for label in labels)}
    metadata = {name: column for name, column in columns.items() if name not in known}
    return make_table(columns["ID"], columns["label"], probabilities, labels, metadata, columns["prediction"])


def write_predictions(table: PredictionTable, path: str | Path) -> None:
    """Write a table as CSV; ``read_predictions`` gives back exactly the same table.

    Arguments
    ---------
    table : PredictionTable
    path : str or Path
        The file appears in one step when it is complete.

    Raises
    ------
    LungSRADError
        Where it cannot be written, or a file is there that this product did not write.
    """
    write_together({Path(path): format_predictions(table)})


def format_predictions(table: PredictionTable) -> str:
    """Return a table as the text of a CSV.

    Example
    -------
    >>> table = make_table(["a"], ["normal"], [[1.0, 0.0]], ("normal", "crackle"), {"patient": ["101"]})
    >>> print(format_predictions(table), end="")
    ID,label,prediction,p_normal,p_crackle,patient
    a,normal,normal,1.0,0.0,101
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["ID", "label", "prediction", *(f"p_{label}" for label in table.labels), *table.metadata])
    for i, name in enumerate(table.ids):
        classes = [table.labels[table.targets[i]], table.labels[table.predicted[i]]]
        # The shortest text that reads back as the same number.
        numbers = [repr(float(p)) for p in table.probabilities[i]]
        writer.writerow([name, *classes, *numbers, *(column[i] for column in table.metadata.values())])
    return text.getvalue()


def _read_cells(path):
    """Return the header, and (number, cells) of each line after it."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise LungSRADError(f"{path}: no such file; expected a predictions CSV") from None
    except OSError as error:
        raise LungSRADError(f"{path}: cannot be read ({error.strerror or error})") from error
    if content.startswith(_UTF16):
        raise LungSRADError(f"{path}: the file is UTF-16; {SAVE_AS_UTF8}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise LungSRADError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8; {SAVE_AS_UTF8}"
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = next(reader, [])
        return header, [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise LungSRADError(
            f"{path}, line {reader.line_num}: not CSV ({error}); expected short cells, quotes closed where they open"
        ) from None


def _read_probabilities(columns, labels, lines):
    """Return the probabilities (N, C), NaN where a cell is no number, and the problems."""
    probabilities, problems = np.full((len(lines), len(labels)), np.nan), []
    for j, label in enumerate(labels):
        cells, faulty = columns[f"p_{label}"], {}
        for i, cell in enumerate(cells):
            try:
                probabilities[i, j] = float(cell)
            except ValueError:
                faulty.setdefault(cell, []).append(lines[i])
        problems += [f"{several(at)}: p_{label} is {cell!r}, not a number" for cell, at in faulty.items()]
    return probabilities, problems


def _check_header(path, header, labels):
    """Return the class names of the header's probability columns, or say which columns are at fault."""
    found = [name[2:] for name in header if name.startswith("p_")]
    problems = [f"missing {name}" for name in ("ID", "label", "prediction") if name not in header]
    problems += [f"repeated {name}" for name in sorted({name for name in header if header.count(name) > 1})]
    if len(found) < 2:
        problems.append(f"{len(found)} probability columns")
    if problems:
        raise LungSRADError(
            f"{path}, header: {', '.join(problems)}; expected ID, label, prediction and p_<class> for each class"
        )
    if labels is not None and found != list(labels):
        raise LungSRADError(
            f"{path}, header: probabilities of {', '.join(found)}; expected those of {', '.join(labels)}, in this order"
        )
    return tuple(found)
