"""The metrics within groups of cycles: by device, site on the chest, age, sex, diagnosis or duration."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.bootstrap import Bootstrap, Interval
from lung_srad_plugin.metrics.predictions import PredictionTable
from lung_srad_plugin.metrics.table_metrics import compute_metrics, metrics_with_intervals

UNKNOWN = "unknown"

# Columns of numbers are cut at these edges; an edge belongs to the group above it.
AGE_EDGES = (18, 65)
DURATION_EDGES = (2, 3, 4)


@dataclass(frozen=True)
class Subgroup:
    """The cycles that share one value of a column, and how the model did on them.

    Arguments
    ---------
    name : str
        The value, a range such as ``"18 to 65 years"``, or ``"unknown"`` where the column is blank.
    cycles, patients : int
        How many the group has.
    support : dict
        Cycles by class.
    metrics : dict
        ``Interval`` by name, as of ``metrics_with_intervals``. Without an interval (NaN) for a single patient.
    """

    name: str
    cycles: int
    patients: int
    support: dict[str, int]
    metrics: dict[str, Interval]


def metrics_by(table: PredictionTable, by: str) -> dict[str, tuple[PredictionTable, dict[str, float]]]:
    """Return the cycles of each group that shares a value of a column, and their metrics without intervals.

    Arguments
    ---------
    table : PredictionTable
    by : str
        As in ``subgroups``.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> metadata = {"dataset": ["one", "one", "two"]}
    >>> table = make_table("abc", ["no", "yes", "no"], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], ("no", "yes"), metadata)
    >>> {name: (len(part), values["specificity"]) for name, (part, values) in metrics_by(table, "dataset").items()}
    {'one': (2, 100.0), 'two': (1, 100.0)}
    """
    names, order = _group_names(table, by)
    of_cycle = np.array(names)
    parts = {name: table.rows(of_cycle == name) for name in order}
    return {
        name: (part, {metric: float(value) for metric, value in compute_metrics(part).items()})
        for name, part in parts.items()
    }


def subgroups(table: PredictionTable, by: str, bootstrap: Bootstrap | None = None) -> list[Subgroup]:
    """Return the metrics of each group of cycles that share a value of a column.

    A difference between groups may come from anything in which they differ: their devices, diagnoses and classes go
    together. Groups with few patients have intervals that are too narrow.

    Arguments
    ---------
    table : PredictionTable
    by : str
        A metadata column. ``age`` is cut at 18 and 65 years, ``duration`` at 2, 3 and 4 seconds.
    bootstrap : Bootstrap, optional
        How the intervals are made.

    Returns
    -------
    list of Subgroup
        In rising or alphabetical order, cycles with a blank value last. Every cycle is in one group.

    Raises
    ------
    LungSRADError
        Where the column is missing, or an age or duration is not a number.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> metadata = {"patient": "112", "age": ["70", "70", ""]}
    >>> table = make_table("abc", ["no", "yes", "no"], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], ("no", "yes"), metadata)
    >>> [(group.name, group.cycles, group.patients) for group in subgroups(table, "age", Bootstrap(10))]
    [('65 years and above', 2, 1), ('unknown', 1, 1)]
    """
    names, order = _group_names(table, by)
    groups = []
    of_cycle = np.array(names)
    for name in order:
        part = table.rows(of_cycle == name)
        counts = np.bincount(part.targets, minlength=len(table.labels)).tolist()
        groups.append(
            Subgroup(
                name,
                cycles=len(part),
                patients=len(set(part.patients())),
                support=dict(zip(table.labels, counts, strict=True)),
                metrics=metrics_with_intervals(part, bootstrap),
            )
        )
    return groups


def _group_names(table, by):
    """Return the group of each cycle, and the groups that occur in the order to show them."""
    column = [value.strip() for value in table.column(by)]
    if by == "age":
        ranges, names = _cut(table, by, column, AGE_EDGES, "years")
    elif by == "duration":
        ranges, names = _cut(table, by, column, DURATION_EDGES, "s")
    else:
        names = [value or UNKNOWN for value in column]
        ranges = sorted(set(names) - {UNKNOWN})
    return names, [name for name in [*ranges, UNKNOWN] if name in names]


def _cut(table, by, column, edges, unit):
    """Return the names of all ranges, and the range of each value."""
    inner = [f"{low} to {high} {unit}" for low, high in pairwise(edges)]
    ranges = [f"below {edges[0]} {unit}", *inner, f"{edges[-1]} {unit} and above"]
    names = []
    for name, value in zip(table.ids, column, strict=True):
        try:
            number = float(value) if value else None
        except ValueError:
            number = np.nan
        if number is not None and not number >= 0:
            raise LungSRADError(f"ID {name}: {by} is {value!r}; expected a number of {unit}, or nothing where unknown")
        names.append(UNKNOWN if number is None else ranges[bisect_right(edges, number)])
    return ranges, names
