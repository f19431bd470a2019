"""The most confident wrong answers of an evaluation: which cycles they are, with their sound and picture."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lung_srad_plugin.audio.clips import cut_clip, heard_flac
from lung_srad_plugin.audio.quality import MIN_SECONDS
from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.datasets.problems import Problem, raise_problems
from lung_srad_plugin.inference.clip_picture import ClipPicture, draw_clip
from lung_srad_plugin.metrics.predictions import PredictionTable, align

SHOWN_CYCLES = 8
NAMELESS = (
    "The sounds are not here: predictions alone do not say where the recordings are. Give the manifest too, and what "
    "{data_root} in it stands for with --data-root."
)
WITHOUT_ROOT = (
    "The sounds are not here: the report of a run has them only where --data-root says what {data_root} in its test "
    "manifest stands for."
)


class CycleStretch(NamedTuple):
    """Where the sound of a cycle is: its recording, and its times in seconds."""

    wav: str
    start: float
    stop: float


@dataclass(frozen=True)
class CycleSound:
    """What a page shows of a cycle beside the numbers.

    Arguments
    ---------
    picture : ClipPicture
    sound : bytes
        FLAC.
    """

    picture: ClipPicture
    sound: bytes


def stretches_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, CycleStretch]:
    """Return where the cycles of a manifest are, by ID."""
    return {row["ID"]: CycleStretch(row["wav"], row["start"], row["stop"]) for row in rows}


def describe_worst(
    table: PredictionTable,
    count: int,
    stretches: Mapping[str, CycleStretch] | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """Return the wrong answers with the highest probability of the predicted class, the highest first.

    Arguments
    ---------
    table : PredictionTable
    count : int
        How many at most.
    stretches : mapping, optional
        Where the cycles are, by ID.
    reason : str, optional
        Why that is not known, where it is not.

    Returns
    -------
    dict
        ``wrong``, the number of all wrong answers; ``without_sound``, the reason or None; and ``cycles``.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> answers = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]
    >>> table = make_table("abc", ["sick", "sick", "sick"], answers, labels=("healthy", "sick"))
    >>> worst = describe_worst(table, 1)
    >>> worst["wrong"], [(one["ID"], one["label"], one["predicted"]) for one in worst["cycles"]]
    (2, [('a', 'sick', 'healthy')])
    """
    wrong = np.flatnonzero(table.predicted != table.targets)
    confidence = table.probabilities[wrong, table.predicted[wrong]]
    # Of equal ones the first of the table, so that a report made again is the same.
    ordered = wrong[np.argsort(-confidence, kind="stable")][:count]
    return {
        "wrong": len(wrong),
        "without_sound": reason if stretches is None else None,
        "cycles": [_describe(table, row, (stretches or {}).get(table.ids[row])) for row in ordered],
    }


def load_sounds(worst: Mapping[str, Any], stretches: Mapping[str, CycleStretch] | None) -> dict[str, CycleSound]:
    """Return sound and picture of each of the worst cycles, by ID; empty where it is not known where they are.

    Raises
    ------
    LungSRADError
        Where recordings are not there, cannot be read, or are shorter than the manifest says.
    """
    if stretches is None:
        return {}
    wanted = {one["ID"]: stretches[one["ID"]] for one in worst["cycles"]}
    gone = [
        Problem(name, "is not there")
        for name in sorted({one.wav for one in wanted.values()})
        if not Path(name).is_file()
    ]
    raise_problems(gone, "recordings of the worst cycles", "Correct --data-root, or give --worst-cycles 0.")
    return {name: _load(stretch) for name, stretch in wanted.items()}


def _describe(table: PredictionTable, row: int, stretch: CycleStretch | None) -> dict[str, Any]:
    probabilities = table.probabilities[row].tolist()
    where = (
        {} if stretch is None else {"recording": Path(stretch.wav).name, "start": stretch.start, "stop": stretch.stop}
    )
    return {
        "ID": table.ids[row],
        "patient": table.patients()[row] if "patient" in table.metadata else None,
        "label": table.labels[table.targets[row]],
        "predicted": table.labels[table.predicted[row]],
        "probabilities": dict(zip(table.labels, probabilities, strict=True)),
        **where,
    }


def _load(stretch: CycleStretch) -> CycleSound:
    source = audio_source(stretch.wav)
    with source.open_audio() as file:
        length = file.frames / file.samplerate
    # A cycle may be too short for a spectrum; then what follows or precedes it is heard too.
    start = max(0.0, min(stretch.start, length - MIN_SECONDS))
    clip = audio_source(cut_clip(source, start, max(stretch.stop, start + MIN_SECONDS)), name=source.name)
    return CycleSound(draw_clip(clip), heard_flac(clip))


def mean_table(tables: Sequence[PredictionTable]) -> PredictionTable:
    """Return the table of the mean probabilities of several models on the same cycles.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> patients = {"patient": ["1"]}
    >>> tables = [make_table(["a"], ["yes"], [[p, 1 - p]], ("no", "yes"), patients) for p in (0.75, 0.5)]
    >>> mean_table(tables).probabilities
    array([[0.625, 0.375]])
    """
    first = tables[0]
    probabilities = np.mean([align(first, table).probabilities for table in tables], axis=0)
    return replace(first, probabilities=probabilities, predicted=probabilities.argmax(axis=1))
