"""The table of predictions, one row a cycle, that every metric is computed from; built and checked.

``predictions_file.py`` reads it from CSV and writes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES

# Probabilities written with six digits must pass.
SUM_TOLERANCE = 1e-4
SHOWN_PROBLEMS = 10


@dataclass(frozen=True)
class PredictionTable:
    """What a model predicted for each cycle, and what is known of the cycle. Built and checked by ``make_table``.

    Arguments
    ---------
    ids : tuple of str
        (N,) unique names of the cycles.
    labels : tuple of str
        (C,) class names in the model's order, the normal class first.
    targets, predicted : numpy.ndarray
        (N,) int64 class indices: annotated, and predicted.
    probabilities : numpy.ndarray
        (N, C) float64; rows sum to 1.
    metadata : dict
        By column name, a tuple of N strings.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    targets: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
    metadata: dict[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.ids)

    def column(self, name: str) -> tuple[str, ...]:
        """Return one metadata column as N strings; refuse a name that is none.

        Raises
        ------
        LungSRADError
            Naming the missing column and those there are.
        """
        if name not in self.metadata:
            raise LungSRADError(
                f"the predictions have no column {name!r}; they have {', '.join(self.metadata) or 'no metadata'}; "
                "add it to the predictions file"
            )
        return self.metadata[name]

    def patients(self) -> tuple[str, ...]:
        """Return the patient of each cycle, N strings, none of them blank: the clusters of every interval.

        Raises
        ------
        LungSRADError
            Where the column ``patient`` is missing, or blank in some rows.
        """
        patients = self.column("patient")
        blank = [name for name, patient in zip(self.ids, patients, strict=True) if not patient.strip()]
        if blank:
            raise LungSRADError(
                f"column 'patient' is blank for {_some(blank)}; intervals need to know which cycles share a patient"
            )
        return patients

    def rows(self, selected: np.ndarray | Sequence[int]) -> "PredictionTable":
        """Return the table of the selected rows only.

        Arguments
        ---------
        selected : numpy.ndarray
            Row indices, or (N,) bool.
        """
        rows = np.arange(len(self))[selected]
        return replace(
            self,
            ids=tuple(self.ids[i] for i in rows),
            targets=self.targets[rows],
            predicted=self.predicted[rows],
            probabilities=self.probabilities[rows],
            metadata={name: tuple(column[i] for i in rows) for name, column in self.metadata.items()},
        )


def make_table(
    ids: Sequence[str],
    targets: Sequence[str],
    probabilities: ArrayLike,
    labels: Sequence[str] = CLASSES,
    metadata: Mapping[str, Sequence] | None = None,
    predicted: Sequence[str] | None = None,
) -> PredictionTable:
    """Build a table of predictions after checking every row.

    Arguments
    ---------
    ids : sequence of str
        (N,) unique names of the cycles.
    targets : sequence of str
        (N,) annotated class names.
    probabilities : array-like
        (N, C), rows summing to 1.
    labels : sequence of str
        (C,) class names in the model's order, the normal class first.
    metadata : dict, optional
        By column name, N values; kept as text.
    predicted : sequence of str, optional
        (N,) predicted class names; the most probable ones when None.

    Returns
    -------
    PredictionTable

    Raises
    ------
    LungSRADError
        Listing the rows with a blank or repeated ID, an unknown label, a probability that is not a number from 0 to 1,
        probabilities that do not sum to 1, or a prediction that is not the most probable class.

    Example
    -------
    >>> table = make_table(["a", "b"], ["normal", "both"], [[0.7, 0.1, 0.1, 0.1], [0.1, 0.5, 0.2, 0.2]])
    >>> table.targets, table.predicted
    (array([0, 3]), array([0, 1]))
    """
    labels, ids = tuple(labels), tuple(map(str, ids))
    values = np.asarray(probabilities, dtype=np.float64)
    columns = {
        name: tuple("" if value is None else str(value) for value in column)
        for name, column in (metadata or {}).items()
    }
    if not ids:
        raise LungSRADError("no predictions: expected at least one row")
    if values.shape != (len(ids), len(labels)):
        raise LungSRADError(
            f"probabilities of shape {values.shape}: expected ({len(ids)}, {len(labels)}), a row for each ID and a "
            "column for each label"
        )
    if predicted is None:
        predicted = [labels[i] for i in values.argmax(axis=1)]
    for name, column in {"targets": targets, "predicted": predicted, **columns}.items():
        if len(column) != len(ids):
            raise LungSRADError(f"{name}: {len(column)} values for {len(ids)} IDs")
    lines = [f"row {i + 1}" for i in range(len(ids))]
    refuse("predictions", row_problems(lines, ids, targets, predicted, values, labels))
    index = {name: i for i, name in enumerate(labels)}
    target_of, predicted_of = (np.array([index[name] for name in column]) for column in (targets, predicted))
    return PredictionTable(ids, labels, target_of, predicted_of, values, columns)


def check_complete(table: PredictionTable, ids: Iterable[str], source: str) -> None:
    """Refuse a table whose cycles are not exactly the expected ones.

    Arguments
    ---------
    table : PredictionTable
    ids : iterable of str
        The expected IDs, such as those of a manifest.
    source : str
        Where they come from, for the message.

    Raises
    ------
    LungSRADError
        Naming IDs without a prediction, and predictions without a cycle.

    Example
    -------
    >>> table = make_table(["a"], ["normal"], [[1, 0, 0, 0]])
    >>> check_complete(table, ["a", "b"], "test.csv")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: the predictions do not match test.csv: no prediction for b
    """
    expected, given = set(ids), set(table.ids)
    problems = []
    if expected - given:
        problems.append(f"no prediction for {_some(sorted(expected - given))}")
    if given - expected:
        problems.append(f"not in {source}: {_some(sorted(given - expected))}")
    if problems:
        raise LungSRADError(f"the predictions do not match {source}: {'; '.join(problems)}")


def align(first: PredictionTable, second: PredictionTable) -> PredictionTable:
    """Return the rows of ``second`` in the order of ``first``, for comparisons cycle by cycle.

    Raises
    ------
    LungSRADError
        Where the two differ in their IDs, labels, targets or patients.

    Example
    -------
    >>> answers = [[1, 0, 0, 0], [0, 0, 0, 1]]
    >>> first = make_table(["a", "b"], ["normal", "both"], answers, metadata={"patient": ["101", "102"]})
    >>> align(first, first.rows([1, 0])).ids
    ('a', 'b')
    """
    if first.labels != second.labels:
        raise LungSRADError(f"the two models' labels differ: {', '.join(first.labels)}; {', '.join(second.labels)}")
    check_complete(second, first.ids, "the other model's predictions")
    index = {name: i for i, name in enumerate(second.ids)}
    second = second.rows([index[name] for name in first.ids])
    pairs = zip(first.ids, first.targets, second.targets, first.patients(), second.patients(), strict=True)
    differing = [name for name, target, other, patient, patient2 in pairs if (target, patient) != (other, patient2)]
    if differing:
        raise LungSRADError(
            f"the two models' predictions give another label or patient for {_some(differing)}; they were not made "
            "from the same manifest"
        )
    return second


def row_problems(
    lines: Sequence[str],
    ids: Sequence[str],
    targets: Sequence[str],
    predicted: Sequence[str],
    probabilities: np.ndarray,
    labels: Sequence[str],
) -> list[str]:
    """List what is wrong with the rows of a table, each with its line; rows with the same fault are one problem.

    Arguments
    ---------
    lines : sequence of str
        (N,) what messages call each row, such as ``line 2``.
    ids, targets, predicted, probabilities, labels
        As in ``make_table``.
    """
    problems: list[str] = []
    unknown: dict[tuple[str, str], list[str]] = {}
    first_line: dict[str, str] = {}
    for line, name, target, answer in zip(lines, ids, targets, predicted, strict=True):
        if not name.strip():
            problems.append(f"{line}: blank ID")
        elif first_line.setdefault(name, line) != line:
            problems.append(f"{line}: ID {name} repeats that of {first_line[name]}")
        for column, label in (("label", target), ("prediction", answer)):
            if label not in labels:
                unknown.setdefault((column, label), []).append(f"{line}, ID {name}")
    for (column, label), rows in unknown.items():
        problems.append(f"{several(rows)}: {column} {label!r}; expected one of {', '.join(labels)}")
    index = {label: i for i, label in enumerate(labels)}
    of_answer = np.array([index.get(answer, -1) for answer in predicted], dtype=np.int64)
    outside = ~(np.isfinite(probabilities) & (probabilities >= 0) & (probabilities <= 1)).all(axis=1)
    sums = probabilities.sum(axis=1)
    unsummed = ~outside & (np.abs(sums - 1) > SUM_TOLERANCE)
    lower = probabilities[np.arange(len(of_answer)), of_answer] < probabilities.max(axis=1)
    for row in np.flatnonzero(outside | unsummed | (lower & (of_answer >= 0))):
        shown = ", ".join(f"{p:.6g}" for p in probabilities[row])
        start = f"{lines[row]}, ID {ids[row]}: "
        if outside[row]:
            problems.append(f"{start}probabilities {shown}; expected numbers from 0 to 1")
        elif unsummed[row]:
            problems.append(f"{start}probabilities {shown} sum to {sums[row]:.6g}, not 1")
        else:
            problems.append(f"{start}prediction {predicted[row]!r} is not the most probable class of {shown}")
    return problems


def refuse(source: str | Path, problems: Sequence[str]) -> None:
    """Raise with the first problems and the number of all, where there are any.

    Raises
    ------
    LungSRADError
    """
    if problems:
        shown = "\n  ".join(problems[:SHOWN_PROBLEMS])
        more = f"\n  and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
        what = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise LungSRADError(f"{source}: {what}\n  {shown}{more}")


def several(lines: Sequence[str]) -> str:
    """Return the line of a fault, or the number of faults and the line of the first.

    Example
    -------
    >>> several(["line 2"]), several(["line 2", "line 3"])
    ('line 2', '2 rows, the first in line 2')
    """
    return lines[0] if len(lines) == 1 else f"{len(lines):,} rows, the first in {lines[0]}"


def _some(names):
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - SHOWN_PROBLEMS} more" if len(names) > SHOWN_PROBLEMS else ""
    return ", ".join(names[:SHOWN_PROBLEMS]) + more
