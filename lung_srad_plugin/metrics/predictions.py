"""The table of predictions, one row a cycle, that everything in this package starts from; read, written and checked.

As CSV it has the columns ``ID, label, prediction``, one probability ``p_<class>`` for each class in the model's order,
and any further columns as metadata (``patient``, ``device``, ``location``, ``age`` and so on).
"""

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.utils.files import write_together

# Probabilities written with six digits must pass.
SUM_TOLERANCE = 1e-4
SHOWN_PROBLEMS = 10


@dataclass(frozen=True)
class PredictionTable:
    """What a model said of each cycle, and what is known of the cycle. Built and checked by ``make_table``.

    Arguments
    ---------
    ids : tuple of str
        (N,) unique names of the cycles.
    labels : tuple of str
        (C,) class names in the model's order, the normal class first.
    targets, predicted : numpy.ndarray
        (N,) int64 class indices: annotated, and answered.
    probabilities : numpy.ndarray
        (N, C) float64; rows sum to 1.
    metadata : dict
        By column name, a tuple of N strings.
    """

    ids: tuple
    labels: tuple
    targets: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
    metadata: dict

    def __len__(self):
        return len(self.ids)

    def column(self, name):
        """Return one metadata column as N strings, or refuse where there is none.

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

    def patients(self):
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

    def rows(self, chosen):
        """Return the table of the chosen rows only.

        Arguments
        ---------
        chosen : numpy.ndarray
            Row indices, or (N,) bool.
        """
        chosen = np.arange(len(self))[chosen]
        return replace(
            self,
            ids=tuple(self.ids[i] for i in chosen),
            targets=self.targets[chosen],
            predicted=self.predicted[chosen],
            probabilities=self.probabilities[chosen],
            metadata={name: tuple(column[i] for i in chosen) for name, column in self.metadata.items()},
        )


def make_table(ids, targets, probabilities, labels=CLASSES, metadata=None, predicted=None):
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
        (N,) answered class names; the most probable ones when None.

    Returns
    -------
    PredictionTable

    Raises
    ------
    LungSRADError
        Listing the rows with a blank or repeated ID, an unknown label, a probability that is not a number from 0 to 1,
        probabilities that do not sum to 1, or an answer that is not the most probable class.

    Example
    -------
    >>> table = make_table(["a", "b"], ["normal", "both"], [[0.7, 0.1, 0.1, 0.1], [0.1, 0.5, 0.2, 0.2]])
    >>> table.targets, table.predicted
    (array([0, 3]), array([0, 1]))
    """
    labels, ids, targets = tuple(labels), tuple(map(str, ids)), tuple(targets)
    probabilities = np.asarray(probabilities, dtype=np.float64)
    metadata = {
        name: tuple("" if value is None else str(value) for value in column)
        for name, column in (metadata or {}).items()
    }
    if not ids:
        raise LungSRADError("no predictions: expected at least one row")
    if probabilities.shape != (len(ids), len(labels)):
        raise LungSRADError(
            f"probabilities of shape {probabilities.shape}: expected ({len(ids)}, {len(labels)}), a row for each ID "
            "and a column for each label"
        )
    if predicted is None:
        predicted = [labels[i] for i in probabilities.argmax(axis=1)]
    for name, column in {"targets": targets, "predicted": predicted, **metadata}.items():
        if len(column) != len(ids):
            raise LungSRADError(f"{name}: {len(column)} values for {len(ids)} IDs")
    places = [f"row {i + 1}" for i in range(len(ids))]
    _refuse("predictions", _row_problems(places, ids, targets, predicted, probabilities, labels))
    index = {name: i for i, name in enumerate(labels)}
    targets = np.array([index[name] for name in targets])
    return PredictionTable(ids, labels, targets, np.array([index[name] for name in predicted]), probabilities, metadata)


def read_predictions(path, labels=None):
    """Read a predictions CSV, refusing it with every faulty row named.

    Arguments
    ---------
    path : str or Path
        The file; UTF-8, with or without a byte-order mark.
    labels : sequence of str, optional
        The classes the file must have, in this order; when None, those of its ``p_`` columns.

    Returns
    -------
    PredictionTable

    Raises
    ------
    LungSRADError
        Where the file or a column is missing, and as of ``make_table``, with line numbers.

    Example
    -------
    >>> table = make_table(["a"], ["normal"], [[0.7, 0.1, 0.1, 0.1]], metadata={"patient": ["101"]})
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_predictions(table, Path(folder) / "predictions.csv")
    ...     read_predictions(Path(folder) / "predictions.csv").column("patient")
    ('101',)
    """
    path = Path(path)
    if not path.is_file():
        raise LungSRADError(f"{path}: no such file; expected a predictions CSV")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        lines = [(reader.line_num, cells) for cells in reader]
    labels = _check_header(path, header, labels)
    problems, places, rows = [], [], []
    for line, cells in lines:
        if len(cells) == len(header):
            places.append(f"line {line}")
            rows.append(dict(zip(header, cells, strict=True)))
        else:
            problems.append(f"line {line}: {len(cells)} cells, but the header has {len(header)}")
    probabilities = np.full((len(rows), len(labels)), np.nan)
    for i, row in enumerate(rows):
        for j, label in enumerate(labels):
            try:
                probabilities[i, j] = float(row[f"p_{label}"])
            except ValueError:
                problems.append(f"{places[i]}: p_{label} is {row[f'p_{label}']!r}, not a number")
    columns = {name: [row[name] for row in rows] for name in header}
    problems += _row_problems(places, columns["ID"], columns["label"], columns["prediction"], probabilities, labels)
    _refuse(path, problems)
    known = {"ID", "label", "prediction", *(f"p_{label}" for label in labels)}
    metadata = {name: column for name, column in columns.items() if name not in known}
    return make_table(columns["ID"], columns["label"], probabilities, labels, metadata, columns["prediction"])


def write_predictions(table, path):
    """Write a table as CSV; ``read_predictions`` gives back exactly the same table.

    Arguments
    ---------
    table : PredictionTable
    path : str or Path

    Raises
    ------
    LungSRADError
        Where the file cannot be written, or would overwrite what lung-srad did not write.
    """
    header = ["ID", "label", "prediction", *(f"p_{label}" for label in table.labels), *table.metadata]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for i, name in enumerate(table.ids):
        classes = [table.labels[table.targets[i]], table.labels[table.predicted[i]]]
        # The shortest text that reads back as the same number.
        numbers = [repr(float(p)) for p in table.probabilities[i]]
        writer.writerow([name, *classes, *numbers, *(column[i] for column in table.metadata.values())])
    write_together({path: text.getvalue()})


def check_complete(table, ids, source):
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


def align(first, second):
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
    place = {name: i for i, name in enumerate(second.ids)}
    second = second.rows([place[name] for name in first.ids])
    pairs = zip(first.ids, first.targets, second.targets, first.patients(), second.patients(), strict=True)
    differing = [name for name, target, other, patient, patient2 in pairs if (target, patient) != (other, patient2)]
    if differing:
        raise LungSRADError(
            f"the two models' predictions give another label or patient for {_some(differing)}; they were not made "
            "from the same manifest"
        )
    return second


def _check_header(path, header, labels):
    """Return the class names of the header's probability columns, or say which columns are at fault."""
    found = [name[2:] for name in header if name.startswith("p_")]
    problems = [f"missing {name}" for name in ("ID", "label", "prediction") if name not in header]
    problems += [f"repeated {name}" for name in sorted({name for name in header if header.count(name) > 1})]
    if len(found) < 2:
        problems.append(f"{len(found)} probability columns")
    if problems:
        raise LungSRADError(
            f"{path}, header: {', '.join(problems)}; expected ID, label, prediction and p_<class> for each class"
        )
    if labels is not None and found != list(labels):
        raise LungSRADError(
            f"{path}, header: probabilities of {', '.join(found)}; expected those of {', '.join(labels)}, in this order"
        )
    return tuple(found)


def _row_problems(places, ids, targets, predicted, probabilities, labels):
    """List what is wrong with each row, with its place."""
    problems = []
    first_place = {}
    for place, name, target, answer, row in zip(places, ids, targets, predicted, probabilities, strict=True):
        if not name.strip():
            problems.append(f"{place}: blank ID")
        elif first_place.setdefault(name, place) != place:
            problems.append(f"{place}: ID {name} repeats that of {first_place[name]}")
        for column, label in (("label", target), ("prediction", answer)):
            if label not in labels:
                problems.append(f"{place}, ID {name}: {column} {label!r}; expected one of {', '.join(labels)}")
        shown = ", ".join(f"{p:.6g}" for p in row)
        if not (np.isfinite(row) & (row >= 0) & (row <= 1)).all():
            problems.append(f"{place}, ID {name}: probabilities {shown}; expected numbers from 0 to 1")
        elif abs(row.sum() - 1) > SUM_TOLERANCE:
            problems.append(f"{place}, ID {name}: probabilities {shown} sum to {row.sum():.6g}, not 1")
        elif answer in labels and row[labels.index(answer)] < row.max():
            problems.append(f"{place}, ID {name}: prediction {answer!r} is not the most probable class of {shown}")
    return problems


def _refuse(source, problems):
    if problems:
        shown = "\n  ".join(problems[:SHOWN_PROBLEMS])
        more = f"\n  and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
        raise LungSRADError(f"{source}: {len(problems)} problems\n  {shown}{more}")


def _some(names):
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - SHOWN_PROBLEMS} more" if len(names) > SHOWN_PROBLEMS else ""
    return ", ".join(names[:SHOWN_PROBLEMS]) + more
