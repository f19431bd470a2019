"""Counts of a preparation, the files that it writes with their ``summary.json``, and the table that is printed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.utils.files import write_together


def count_rows(rows: list[dict], labels: Sequence[str] = CLASSES) -> dict:
    """Count the cycles of a manifest by class, and its recordings and patients.

    Arguments
    ---------
    rows : list of dict
        With ``label``, ``recording`` and ``patient``.
    labels : sequence of str
        The classes, in their order.

    Returns
    -------
    dict
        ``cycles`` (class to number, and ``total``), ``recordings`` (number) and ``patients`` (sorted list).

    Example
    -------
    >>> count_rows([{"label": "wheeze", "recording": "a", "patient": "101"}])["cycles"]
    {'normal': 0, 'crackle': 0, 'wheeze': 1, 'both': 0, 'total': 1}
    """
    found = [row["label"] for row in rows]
    return {
        "cycles": {**{name: found.count(name) for name in labels}, "total": len(rows)},
        "recordings": len({row["recording"] for row in rows}),
        "patients": sorted({row["patient"] for row in rows}),
    }


def shared_patients(counts: dict) -> dict:
    """Return the patients that each two parts have in common.

    Arguments
    ---------
    counts : dict
        Part, for example ``"train"``, to what ``count_rows`` returns.

    Returns
    -------
    dict
        Two parts, for example ``"train_valid"``, to a sorted list.

    Example
    -------
    >>> patients = {"train": ["156"], "valid": ["101"], "test": ["102", "156"]}
    >>> shared_patients({part: {"patients": of_part} for part, of_part in patients.items()})
    {'train_valid': [], 'train_test': ['156'], 'valid_test': []}
    """
    return {
        f"{one}_{other}": sorted(set(counts[one]["patients"]) & set(counts[other]["patients"]))
        for one, other in combinations(counts, 2)
    }


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, as hexadecimal digits.

    Example
    -------
    >>> sha256_of("101_1b1_Al_sc test\\n")[:8]
    '...'
    """
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def write_preparation(save_folder: str | Path, texts: Mapping[str, str], summary: Mapping[str, Any]) -> dict[str, Path]:
    """Write the files of a preparation and its ``summary.json``, all or none; return each file's path by its name.

    Arguments
    ---------
    save_folder : str or pathlib.Path
        Made if missing; ``~`` is the home folder.
    texts : Mapping
        By name of the file, its text.
    summary : Mapping
        What ``summary.json`` holds.

    Raises
    ------
    LungSRADError
        As ``write_together``.
    """
    folder = Path(save_folder).expanduser()
    texts = {**texts, "summary.json": json.dumps(summary, indent=1) + "\n"}
    paths = {name: folder / name for name in texts}
    write_together({paths[name]: text for name, text in texts.items()})
    return paths


def print_summary(summary: dict, title: str) -> None:
    """Print counts, patients in several parts, what was left out, and the notes.

    Arguments
    ---------
    summary : dict
        The content of ``summary.json``: ``protocol``, ``parts``, ``patients_shared``, ``notes`` and ``left_out``.
    title : str
        The data set's name.
    """
    console = Console()
    classes = [name for name in next(iter(summary["parts"].values()))["cycles"] if name != "total"]
    table = Table(title=escape(f"{title}, {summary['protocol']}"))
    table.add_column("", no_wrap=True, min_width=max(map(len, summary["parts"])))
    for column in (*classes, "cycles", "recordings", "patients"):
        table.add_column(column, justify="right")
    for part, counts in summary["parts"].items():
        numbers = [*counts["cycles"].values(), counts["recordings"], len(counts["patients"])]
        table.add_row(part, *(f"{number:,}" for number in numbers))
    console.print(table)
    for parts, patients in summary["patients_shared"].items():
        one, _, other = parts.partition("_")
        if one == "train" and other != "valid":
            shown = f"{len(patients)} patients" if len(patients) > 10 else ", ".join(patients) or "none"
            console.print(f"Patients in both train and {other}: {shown}", highlight=False, markup=False)
    for note in summary["notes"]:
        console.print(f"Note: {note}", highlight=False, markup=False)
    if summary["left_out"]:
        console.print(f"Left out: {len(summary['left_out'])}, listed with the reasons in summary.json", highlight=False)
