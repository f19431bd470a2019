"""From the rows of a manifest and a model's predictions of them to a table of predictions."""

import json
from pathlib import Path

import numpy as np
from scipy.special import softmax

from lung_srad_plugin.datasets.problems import Problem, raise_problems
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.predictions import make_table

# Columns that are no metadata: the table has them elsewhere, or they are paths of one machine.
_OWN = ("ID", "label", "prediction", "wav")


def join_rows(rows, log_probs, labels):
    """Return the table of predictions of some cycles, with the further columns of the manifest.

    Arguments
    ---------
    rows : list of dict
        (N,) rows of a manifest, with a label of ``labels`` each.
    log_probs : array-like
        (N, C) log-probabilities, in the order of the rows.
    labels : sequence of str
        (C,) class names in the model's order, the normal class first.

    Returns
    -------
    PredictionTable
        Its metadata are the manifest's further columns; ``p_`` columns are left out.

    Raises
    ------
    LungSRADError
        As of ``make_table``.

    Example
    -------
    >>> row = {"ID": "a", "duration": 2.0, "wav": "a.wav", "start": 0.0, "stop": 2.0, "label": "sick", "patient": "7"}
    >>> table = join_rows([row], np.log([[0.25, 0.75]]), labels=("healthy", "sick"))
    >>> table.probabilities.round(2), table.column("patient")
    (array([[0.25, 0.75]]), ('7',))
    """
    log_probs = np.asarray(log_probs, dtype=np.float64)
    # Probabilities of float32 log-probabilities sum to 1 only approximately.
    probabilities = softmax(log_probs, axis=1)
    columns = [name for name in rows[0] if name not in _OWN and not name.startswith("p_")]
    return make_table(
        [row["ID"] for row in rows],
        [row["label"] for row in rows],
        probabilities,
        labels,
        {name: [row[name] for row in rows] for name in columns},
    )


def join_predictions(rows, predictions, labels):
    """Return the table of a training run's predictions of the cycles of a manifest, in the manifest's order.

    Arguments
    ---------
    rows : list of dict
        Rows of the manifest.
    predictions : Predictions
        Of these rows, in any order.
    labels : sequence of str
        As in ``join_rows``.

    Returns
    -------
    PredictionTable
    """
    index = {name: number for number, name in enumerate(predictions.ids)}
    return join_rows(rows, predictions.log_probs[[index[row["ID"]] for row in rows]], labels)


def read_labels_map(path):
    """Read a mapping of labels: JSON, the data set's label to the model's, or to null for rows that are left out.

    Arguments
    ---------
    path : str or Path

    Returns
    -------
    dict

    Raises
    ------
    LungSRADError
        Where the file is missing or holds something else.

    Example
    -------
    >>> path = getfixture("tmp_path") / "map.json"
    >>> _ = path.write_text('{"Crep": "crackle", "I C E W": null}')
    >>> read_labels_map(path)
    {'Crep': 'crackle', 'I C E W': None}
    """
    path = Path(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LungSRADError(f"{path}: no such file; expected a mapping of labels as JSON") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise LungSRADError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(found, dict) or not all(isinstance(value, str | None) for value in found.values()):
        raise LungSRADError(
            f'{path}: expected an object such as {{"Crep": "crackle", "rhonchi": null}}: the data set\'s label to the '
            "model's, or to null for rows that are left out"
        )
    return found


def map_labels(rows, labels_map, labels, source):
    """Return the rows with the model's labels, without those that the mapping leaves out.

    Arguments
    ---------
    rows : list of dict
        Rows of a manifest.
    labels_map : dict or None
        The data set's label to the model's, or to None for rows to leave out. None where they are the same already.
    labels : sequence of str
        The model's.
    source : str or Path
        What messages call the manifest.

    Returns
    -------
    list of dict
        With a column ``original_label`` where there is a mapping.

    Raises
    ------
    LungSRADError
        With every row whose label is not the model's, or not in the mapping, and where nothing is left.

    Example
    -------
    >>> rows = [{"ID": "a", "label": "Crep"}, {"ID": "b", "label": "I C E W"}]
    >>> map_labels(rows, {"Crep": "crackle", "I C E W": None}, ("normal", "crackle"), "kauh.csv")
    [{'ID': 'a', 'label': 'crackle', 'original_label': 'Crep'}]
    """
    expected = f"the model knows {', '.join(labels)}"
    if labels_map is not None:
        wrong = sorted({target for target in labels_map.values() if target is not None} - set(labels))
        if wrong:
            raise LungSRADError(f"the mapping of labels leads to {', '.join(wrong)}; {expected}")
    known = labels if labels_map is None else labels_map
    cure = "Give a mapping of labels with --labels-map." if labels_map is None else "Add them to the mapping of labels."
    problems = [
        Problem(
            str(source),
            f"label {row['label']!r} of {row['ID']}",
            row=number,
            column="label",
            group=f"{{count}} rows have the label {row['label']!r}",
        )
        for number, row in enumerate(rows, 2)
        if row["label"] not in known
    ]
    what = f"{source}: labels that do not match the model: {expected}" if labels_map is None else f"{source}: labels"
    raise_problems(problems, what, cure, limit=20)
    if labels_map is None:
        return rows
    mapped = [
        {**row, "label": labels_map[row["label"]], "original_label": row["label"]}
        for row in rows
        if labels_map[row["label"]] is not None
    ]
    if not mapped:
        raise LungSRADError(f"{source}: the mapping of labels leaves out every row")
    return mapped
