"""From the rows of a manifest to annotated recordings: rows of the same file annotate one recording."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lung_srad_plugin.errors import LungSRADError

SHOWN = 5


@dataclass(frozen=True)
class AnnotatedRecording:
    """A recording with its annotated cycles or events.

    Arguments
    ---------
    wav : str
        The file.
    patient, data_set : str
        Whose recording it is, and of which data set.
    starts, ends : numpy.ndarray
        (E,) of the cycles or events, in seconds.
    targets : numpy.ndarray
        (E,) their class indices.
    """

    wav: str
    patient: str
    data_set: str
    starts: np.ndarray
    ends: np.ndarray
    targets: np.ndarray


def select_data_sets(
    rows: Sequence[dict[str, Any]], data_sets: Sequence[str], source: str | Path
) -> list[dict[str, Any]]:
    """Return the rows of some data sets, by the column ``dataset``; all rows where none is named.

    Raises
    ------
    LungSRADError
        Where the manifest has no row of one.

    Example
    -------
    >>> select_data_sets([{"dataset": "icbhi"}, {"dataset": "kauh"}], ["icbhi"], "valid.csv")
    [{'dataset': 'icbhi'}]
    """
    there = {row.get("dataset", "") for row in rows}
    absent = [name for name in data_sets if name not in there]
    if absent:
        found = ", ".join(sorted(there - {""})) or "no data set, for want of a column 'dataset'"
        raise LungSRADError(f"{source}: no row has the dataset {', '.join(absent)}; it has {found}")
    return [row for row in rows if not data_sets or row["dataset"] in data_sets]


def group_rows(
    rows: Sequence[Mapping[str, Any]], labels: Sequence[str], source: str | Path
) -> list[AnnotatedRecording]:
    """Return the recordings of a manifest, in the order in which they come.

    Arguments
    ---------
    rows : list of dict
        Rows of a manifest with the labels of the model and a patient each. The column ``dataset``, where it is there,
        names the data set; else all are of the one that the manifest is named after.
    labels : sequence of str
        The model's, the normal class first.
    source : str or Path
        The manifest.

    Raises
    ------
    LungSRADError
        Where a row has no patient, or rows of one recording differ in patient or data set.

    Example
    -------
    >>> row = {"wav": "a.wav", "start": 0.0, "stop": 2.0, "label": "crackle", "patient": "7"}
    >>> (recording,) = group_rows([row, {**row, "start": 2.0, "stop": 3.0}], ("normal", "crackle"), "test.csv")
    >>> recording.data_set, recording.ends.tolist(), recording.targets.tolist()
    ('test', [2.0, 3.0], [1, 1])
    """
    by_wav: dict[str, list[Mapping[str, Any]]] = {}
    blank = [row["ID"] for row in rows if not str(row.get("patient", "")).strip()]
    if blank:
        more = f" and {len(blank) - SHOWN} more" if len(blank) > SHOWN else ""
        raise LungSRADError(
            f"{source}: column 'patient' is missing or blank for {', '.join(blank[:SHOWN])}{more}; intervals need to "
            "know which recordings share a patient"
        )
    for row in rows:
        by_wav.setdefault(row["wav"], []).append(row)
    index = {label: number for number, label in enumerate(labels)}
    recordings = []
    for wav, events in by_wav.items():
        owners = {(row["patient"], row.get("dataset") or Path(source).stem) for row in events}
        if len(owners) > 1:
            raise LungSRADError(
                f"{source}: the rows of {wav} differ in patient or dataset; a recording has one of each"
            )
        ((patient, data_set),) = owners
        recordings.append(
            AnnotatedRecording(
                wav,
                patient,
                data_set,
                np.array([row["start"] for row in events], dtype=float),
                np.array([row["stop"] for row in events], dtype=float),
                np.array([index[row["label"]] for row in events]),
            )
        )
    return recordings
