"""Joining manifests of several data sets into one, so that one model learns from all of them."""

from collections.abc import Mapping
from pathlib import Path

from lung_srad_plugin.datasets.manifests.reading import read_manifest
from lung_srad_plugin.datasets.manifests.writing import write_manifest
from lung_srad_plugin.errors import LungSRADError

# What stays apart in each data set: the same number may name two patients.
OWN_NAMES = ("ID", "patient", "recording")


def join_manifests(sources: Mapping[str, tuple[str | Path, str | Path | None]], path: str | Path) -> int:
    """Write one manifest with the rows of several.

    It has the columns that all of them have, in the order of the first, and ``dataset``. Paths of recordings become
    absolute. ``ID``, ``patient`` and ``recording`` get the name of their data set before them.

    Arguments
    ---------
    sources : Mapping
        By name of the data set, its manifest and what ``{data_root}`` stands for in it.
    path : str or Path
        Where to write.

    Returns
    -------
    int
        The number of rows.

    Raises
    ------
    LungSRADError
        Where a manifest cannot be read or has a column ``dataset`` already, or no source is given.

    Example
    -------
    >>> from lung_srad_plugin import read_manifest, write_manifest
    >>> folder = getfixture("tmp_path")
    >>> row = {"ID": "a", "duration": 1.5, "wav": "{data_root}/a.wav", "start": 0.0, "stop": 1.5, "label": "normal"}
    >>> write_manifest(folder / "one.csv", [{**row, "patient": "7"}])
    >>> write_manifest(folder / "two.csv", [{**row, "patient": "7", "age": "40"}])
    >>> sources = {"one": (folder / "one.csv", "/one"), "two": (folder / "two.csv", "/two")}
    >>> join_manifests(sources, folder / "both.csv")
    2
    >>> [(row["ID"], row["patient"], row["wav"], row["dataset"]) for row in read_manifest(folder / "both.csv")]
    [('one:a', 'one:7', '/one/a.wav', 'one'), ('two:a', 'two:7', '/two/a.wav', 'two')]
    """
    if not sources:
        raise LungSRADError("no manifest to join; expected at least one data set")
    read = {name: _rows(manifest, root) for name, (manifest, root) in sources.items()}
    shared = set.intersection(*(set(rows[0]) for rows in read.values()))
    columns = [column for column in next(iter(read.values()))[0] if column in shared]
    joined = []
    for name, rows in read.items():
        for row in rows:
            kept = {column: row[column] for column in columns}
            named = {column: f"{name}:{row[column]}" for column in OWN_NAMES if column in shared and row[column]}
            joined.append({**kept, **named, "wav": str(Path(row["wav"]).absolute()), "dataset": name})
    write_manifest(path, joined)
    return len(joined)


def _rows(manifest, root):
    rows = read_manifest(manifest, root)
    if not rows:
        raise LungSRADError(f"{manifest}: has no rows to join")
    if "dataset" in rows[0]:
        raise LungSRADError(f"{manifest}: has a column 'dataset' already; join the manifests it was made of")
    return rows
