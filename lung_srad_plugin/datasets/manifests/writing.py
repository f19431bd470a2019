"""Writing a manifest: rows to CSV text, whole or not at all."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lung_srad_plugin.datasets.manifests.reading import REQUIRED
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.files import write_together
from lung_srad_plugin.utils.text import printable


def format_manifest(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of a manifest.

    Arguments
    ---------
    rows : list of dict
        At least one; all with the same keys in the same order, which become the columns.

    Returns
    -------
    str

    Raises
    ------
    LungSRADError
        Without rows; where the keys of a row differ from those of the first or a required one is missing; where a text,
        such as a file's name, is not UTF-8.

    Example
    -------
    >>> row = {"ID": "a", "duration": 1.5, "wav": "{data_root}/a.wav", "start": 0.0, "stop": 1.5, "label": "normal"}
    >>> format_manifest([row])
    'ID,duration,wav,start,stop,label\\na,1.5,{data_root}/a.wav,0.0,1.5,normal\\n'
    """
    if not rows:
        raise LungSRADError("a manifest needs at least one row")
    columns = list(rows[0])
    if missing := [name for name in REQUIRED if name not in columns]:
        raise LungSRADError(f"row 2 of the manifest has no {', '.join(missing)}; required are {', '.join(REQUIRED)}")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for number, row in enumerate(rows, 2):
        if list(row) != columns:
            raise LungSRADError(f"row {number} of the manifest has the columns {list(row)}; expected {columns}")
        writer.writerow(row.values())
        for name, value in row.items():
            if isinstance(value, str) and not _is_utf8(value):
                raise LungSRADError(
                    f"row {number} of the manifest, column {name!r}: {printable(value)} is not UTF-8; rename the file "
                    "or folder"
                )
    return text.getvalue()


def _is_utf8(text):
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def write_manifest(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a manifest; on an error, the file that was there before stays.

    Arguments
    ---------
    path : str or pathlib.Path
        Where to write; folders are made if missing.
    rows : list of dict
        See ``format_manifest``.

    Raises
    ------
    LungSRADError
        See ``format_manifest``.

    Example
    -------
    >>> from lung_srad_plugin import read_manifest
    >>> path = getfixture("tmp_path") / "train.csv"
    >>> row = {"ID": "a", "duration": 1.5, "wav": "{data_root}/a.wav", "start": 0.0, "stop": 1.5, "label": "normal"}
    >>> write_manifest(path, [row])
    >>> read_manifest(path, data_root="/data")[0]["wav"]
    '/data/a.wav'
    """
    write_together({path: format_manifest(rows)})
