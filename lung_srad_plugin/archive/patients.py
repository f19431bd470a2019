"""Whose recording it is: by a table, or by the name of the recording."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path

from lung_srad_plugin.datasets.catalogue import DATA_SETS
from lung_srad_plugin.errors import LungSRADError

PATH_COLUMNS = ("wav", "file")


def patient_finder(table: str | Path | None, pattern: str | None) -> Callable[[str], str | None] | None:
    """Return what gives the patient of a recording, and None for one that is not known; None where nothing says so.

    Arguments
    ---------
    table : str, Path or None
        A CSV with the columns ``patient`` and ``wav`` (as in manifests) or ``file``. Relative paths are relative to
        the folder of the table.
    pattern : str or None
        A regular expression that the name of a recording without its ending matches, with a group ``patient``; or
        ``icbhi`` or ``sprsound``, for the names of these data sets.

    Raises
    ------
    LungSRADError
        Where both are given, or one is wrong.

    Example
    -------
    >>> find = patient_finder(None, "icbhi")
    >>> find("sounds/101_1b1_Al_sc_Meditron.wav"), find("sounds/other.wav")
    ('101', None)
    """
    if table is not None and pattern is not None:
        raise LungSRADError("--patients and --patient-pattern both say whose recording it is; give one of them")
    if table is not None:
        known = read_patients(table)
        return lambda file: known.get(os.path.realpath(file))
    if pattern is None:
        return None
    named = DATA_SETS.get(pattern.lower())
    try:
        expression = re.compile(pattern if named is None else named.name_pattern)
    except re.error as error:
        raise LungSRADError(f"--patient-pattern {pattern}: no regular expression ({error})") from None
    if "patient" not in expression.groupindex:
        raise LungSRADError(
            f"--patient-pattern {pattern}: has no group patient; expected for example '(?P<patient>[0-9]+)_.*'"
        )

    def find(file: str) -> str | None:
        match = expression.fullmatch(Path(file).stem)
        return None if match is None else match["patient"] or None

    return find


def read_patients(table: str | Path) -> dict[str, str]:
    """Return the patient of each recording, by its real path.

    Raises
    ------
    LungSRADError
        Where the table cannot be read, a column is missing, or a recording has two patients.
    """
    table = Path(table)
    known: dict[str, str] = {}
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = reader.fieldnames or []
            column = next((name for name in PATH_COLUMNS if name in names), None)
            if column is None or "patient" not in names:
                raise LungSRADError(
                    f"{table}: has the columns {', '.join(names) or '(none)'}; expected patient, and wav or file"
                )
            for row in reader:
                if not row[column] or not row["patient"]:
                    continue
                path = os.path.realpath(table.parent / row[column])
                if known.setdefault(path, row["patient"]) != row["patient"]:
                    raise LungSRADError(
                        f"{table}: line {reader.line_num}: {row[column]} is of patient {row['patient']}, and further "
                        f"up of {known[path]}; expected one patient for each recording"
                    )
    except OSError as error:
        raise LungSRADError(f"{table}: cannot be read ({error.strerror}); expected a table of patients") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise LungSRADError(f"{table}: no CSV in UTF-8 ({error}); expected a table of patients") from error
    return known
