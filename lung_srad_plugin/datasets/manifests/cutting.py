"""Cutting long rows of a manifest into windows, for data sets with one label for a whole recording."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lung_srad_plugin.datasets.manifests.reading import SHOWN, read_manifest
from lung_srad_plugin.datasets.manifests.writing import write_manifest
from lung_srad_plugin.errors import LungSRADError

# Differences that rounding makes in times.
TOLERANCE = 1e-3


def cut_manifest(source: str | Path, path: str | Path, seconds: float) -> int:
    """Write a manifest whose rows last at most ``seconds``: longer ones of another manifest become several.

    Windows have exactly this length. The first begins where the row begins, the last ends where it ends, and they
    overlap as little as that allows. Each has the label and all other columns of its row; ``ID`` gets ``_w`` and the
    number of the window, from 1. ``{data_root}`` stays in the paths.

    Arguments
    ---------
    source : str or Path
        The manifest to cut.
    path : str or Path
        Where to write.
    seconds : float
        The length of a window, at least 0.1.

    Returns
    -------
    int
        The number of rows.

    Raises
    ------
    LungSRADError
        Where the manifest cannot be read, the length is too small, or the ID of a window is that of another row.

    Example
    -------
    >>> from lung_srad_plugin import read_manifest, write_manifest
    >>> folder = getfixture("tmp_path")
    >>> row = {"ID": "a", "duration": 10.0, "wav": "{data_root}/a.wav", "start": 0.0, "stop": 10.0, "label": "wheeze"}
    >>> write_manifest(folder / "whole.csv", [row])
    >>> cut_manifest(folder / "whole.csv", folder / "windows.csv", seconds=4)
    3
    >>> [(row["ID"], row["start"], row["stop"]) for row in read_manifest(folder / "windows.csv", "sounds")]
    [('a_w1', 0.0, 4.0), ('a_w2', 3.0, 7.0), ('a_w3', 6.0, 10.0)]
    """
    if not (math.isfinite(seconds) and seconds >= 0.1):
        raise LungSRADError(f"seconds={seconds!r}; expected the length of a window, at least 0.1 s")
    rows = read_manifest(source, data_root="{data_root}")
    cut = [window for row in rows for window in _windows(row, seconds)]
    _check_ids(cut, str(source))
    write_manifest(path, cut)
    return len(cut)


def _windows(row: Mapping[str, Any], seconds: float) -> list[dict[str, Any]]:
    start, length = row["start"], row["stop"] - row["start"]
    if length <= seconds + TOLERANCE:
        return [dict(row)]
    count = math.ceil((length - TOLERANCE) / seconds)
    step = (length - seconds) / (count - 1)
    starts = [round(start + step * number, 6) for number in range(count)]
    return [
        {
            **row,
            "ID": f"{row['ID']}_w{number}",
            "duration": seconds,
            "start": begin,
            "stop": min(round(begin + seconds, 6), row["stop"]),
        }
        for number, begin in enumerate(starts, 1)
    ]


def _check_ids(rows: Sequence[Mapping[str, Any]], source: str) -> None:
    counts = Counter(row["ID"] for row in rows)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise LungSRADError(
            f"{source}: windows and rows would have the same ID: {', '.join(twice[:SHOWN])}; rename these rows"
        )
