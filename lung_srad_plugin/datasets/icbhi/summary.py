"""What a preparation made, counted: the content of ``summary.json`` and a table to look at."""

import hashlib

from rich.console import Console
from rich.table import Table

from lung_srad_plugin.labels import CLASSES


def count_rows(rows):
    """Count the cycles of a manifest by class, and its recordings and patients.

    Arguments
    ---------
    rows : list of dict
        With ``label``, ``recording`` and ``patient``.

    Returns
    -------
    dict
        ``cycles`` (class to number, and ``total``), ``recordings`` (number) and ``patients`` (sorted list).

    Example
    -------
    >>> count_rows([{"label": "wheeze", "recording": "a", "patient": "101"}])["cycles"]
    {'normal': 0, 'crackle': 0, 'wheeze': 1, 'both': 0, 'total': 1}
    """
    labels = [row["label"] for row in rows]
    return {
        "cycles": {**{name: labels.count(name) for name in CLASSES}, "total": len(rows)},
        "recordings": len({row["recording"] for row in rows}),
        "patients": sorted({row["patient"] for row in rows}),
    }


def shared_patients(counts):
    """Return the patients that two of train, valid and test have in common.

    Arguments
    ---------
    counts : dict
        ``"train"``, ``"valid"``, ``"test"`` to what ``count_rows`` returns.

    Returns
    -------
    dict
        ``"train_valid"``, ``"train_test"``, ``"valid_test"`` to a sorted list.

    Example
    -------
    >>> patients = {"train": ["156"], "valid": ["101"], "test": ["102", "156"]}
    >>> shared_patients({part: {"patients": of_part} for part, of_part in patients.items()})
    {'train_valid': [], 'train_test': ['156'], 'valid_test': []}
    """
    return {
        f"{one}_{other}": sorted(set(counts[one]["patients"]) & set(counts[other]["patients"]))
        for one, other in (("train", "valid"), ("train", "test"), ("valid", "test"))
    }


def sha256_of(text):
    """Return the SHA-256 of a text in UTF-8, as hexadecimal digits.

    Example
    -------
    >>> sha256_of("101_1b1_Al_sc test\\n")[:8]
    '...'
    """
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def print_summary(summary):
    """Print counts, shared patients, what was left out, and the notes.

    Arguments
    ---------
    summary : dict
        The content of ``summary.json``.
    """
    console = Console()
    table = Table(title=f"ICBHI, {summary['protocol']}")
    table.add_column("")
    for column in (*CLASSES, "cycles", "recordings", "patients"):
        table.add_column(column, justify="right")
    for part in ("train", "valid", "test"):
        counts = summary["parts"][part]
        numbers = [*counts["cycles"].values(), counts["recordings"], len(counts["patients"])]
        table.add_row(part, *(f"{number:,}" for number in numbers))
    console.print(table)
    both = summary["patients_shared"]["train_test"]
    console.print(f"Patients in both train and test: {', '.join(both) or 'none'}", highlight=False)
    for note in summary["notes"]:
        console.print(f"Note: {note}", highlight=False)
    if summary["left_out"]:
        console.print(f"Left out: {len(summary['left_out'])}, listed with the reasons in summary.json", highlight=False)
