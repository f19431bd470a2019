"""Every metric of a table of predictions under one name, with its unit and definition.

Names say which sensitivity is meant: *strict class*, where an abnormal cycle is right only with its exact class (the
4-class score of the ICBHI tables), or *any abnormal*, where any abnormal class will do (the 2-class score). They do not
compare with each other. With one abnormal class the two are the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.bootstrap import Bootstrap, Interval
from lung_srad_plugin.metrics.findings import findings
from lung_srad_plugin.metrics.icbhi_score import per_class_recall, scores_of_confusion
from lung_srad_plugin.metrics.predictions import PredictionTable
from lung_srad_plugin.metrics.probabilistic import Weights, auroc, average_precision, brier_score, calibration_error
from lung_srad_plugin.metrics.weights import PatientWeights


@dataclass(frozen=True)
class Metric:
    """What a report says of a metric.

    Arguments
    ---------
    title : str
    unit : str
        "%", or "" for a number from 0 up.
    definition : str
    source : str
        Who defined it.
    """

    title: str
    unit: str
    definition: str
    source: str


# The works themselves are named where each metric is computed.
_CHALLENGE, _PATCH_MIX, _SPRSOUND = "Rocha et al. 2019", "Bae et al. 2023", "Zhang et al. 2022"
_ROC, _PR = "Hanley and McNeil 1982", "Davis and Goadrich 2006"


METRICS = {
    "specificity": Metric("Specificity", "%", "normal cycles called normal / normal cycles", _CHALLENGE),
    "sensitivity_strict_class": Metric(
        "Sensitivity, strict class", "%", "abnormal cycles given their exact class / abnormal cycles", _CHALLENGE
    ),
    "score_strict_class": Metric(
        "Score, strict class (4-class)", "%", "mean of specificity and strict-class sensitivity", _CHALLENGE
    ),
    "sensitivity_any_abnormal": Metric(
        "Sensitivity, any abnormal", "%", "abnormal cycles given any abnormal class / abnormal cycles", _PATCH_MIX
    ),
    "score_any_abnormal": Metric(
        "Score, any abnormal (2-class)", "%", "mean of specificity and any-abnormal sensitivity", _PATCH_MIX
    ),
    "harmonic_strict_class": Metric(
        "Harmonic score, strict class", "%", "harmonic mean of specificity and strict-class sensitivity", _SPRSOUND
    ),
    "harmonic_any_abnormal": Metric(
        "Harmonic score, any abnormal", "%", "harmonic mean of specificity and any-abnormal sensitivity", _SPRSOUND
    ),
    "sprsound_score_strict_class": Metric(
        "SPRSound Score, strict class", "%", "mean of the strict-class score and the harmonic score", _SPRSOUND
    ),
    "balanced_accuracy": Metric(
        "Balanced accuracy", "%", "mean recall of the classes that have cycles", "Brodersen et al. 2010"
    ),
    "auroc_abnormal": Metric("AUROC, abnormal", "", "area under the ROC curve of 1 - p(normal)", _ROC),
    "auroc_crackle": Metric("AUROC, crackle", "", "area under the ROC curve of p(crackle) + p(both)", _ROC),
    "auroc_wheeze": Metric("AUROC, wheeze", "", "area under the ROC curve of p(wheeze) + p(both)", _ROC),
    "auprc_abnormal": Metric(
        "AUPRC, abnormal", "", "average precision of 1 - p(normal); chance is the share abnormal", _PR
    ),
    "auprc_crackle": Metric("AUPRC, crackle", "", "average precision of p(crackle) + p(both)", _PR),
    "auprc_wheeze": Metric("AUPRC, wheeze", "", "average precision of p(wheeze) + p(both)", _PR),
    "ece": Metric("ECE", "", "expected calibration error of the most probable class, 15 equal bins", "Guo et al. 2017"),
    "brier": Metric(
        "Brier score", "", "mean squared distance of probabilities from the target, summed over classes", "Brier 1950"
    ),
}


def describe_metrics(labels: Sequence[str], harmonic: bool = True) -> dict[str, Metric]:
    """Return what a report says of each metric, in the words of its test set.

    Arguments
    ---------
    labels : sequence of str
        (C,) class names, the normal class first.
    harmonic : bool
        With those of the SPRSound challenge.

    Returns
    -------
    dict
        As ``METRICS``, with the number of classes in the Score's title, and ``recall_<class>``. With two labels there
        is one sensitivity and one Score: the any-abnormal metrics, which are the same, are left out.

    Example
    -------
    >>> describe_metrics(("healthy", "mild", "severe"))["score_strict_class"].title
    'Score, strict class (3-class)'
    >>> [name for name in describe_metrics(("healthy", "sick")) if "sensitivity" in name]
    ['sensitivity_strict_class']
    >>> describe_metrics(("healthy", "sick"))["sensitivity_strict_class"].definition
    'sick cycles called sick / sick cycles'
    """
    normal, *abnormal = labels
    found = dict(METRICS)
    specificity = f"{normal} cycles called {normal} / {normal} cycles"
    found["specificity"] = Metric("Specificity", "%", specificity, _CHALLENGE)
    if len(abnormal) == 1:
        sensitivity = f"{abnormal[0]} cycles called {abnormal[0]} / {abnormal[0]} cycles"
        found["sensitivity_strict_class"] = Metric("Sensitivity", "%", sensitivity, _CHALLENGE)
        found["score_strict_class"] = Metric("Score", "%", "mean of specificity and sensitivity", _CHALLENGE)
        mean = "harmonic mean of specificity and sensitivity"
        found["harmonic_strict_class"] = Metric("Harmonic score", "%", mean, _SPRSOUND)
        mean = "mean of the score and the harmonic score"
        found["sprsound_score_strict_class"] = Metric("SPRSound Score", "%", mean, _SPRSOUND)
        found = {name: metric for name, metric in found.items() if not name.endswith("_any_abnormal")}
    else:
        title = f"Score, strict class ({len(labels)}-class)"
        definition = METRICS["score_strict_class"].definition
        found["score_strict_class"] = Metric(title, "%", definition, _CHALLENGE)
    if not harmonic:
        found = {name: metric for name, metric in found.items() if metric.source != _SPRSOUND}
    if not set(labels) <= set(CLASSES):
        found = {name: metric for name, metric in found.items() if not name.endswith(("_crackle", "_wheeze"))}
    if normal != CLASSES[0]:
        for name in ("auroc_abnormal", "auprc_abnormal"):
            metric = found[name]
            definition = metric.definition.replace("p(normal)", f"p({normal})")
            found[name] = Metric(metric.title, metric.unit, definition, metric.source)
    for label in labels:
        recall = f"{label} cycles called {label} / {label} cycles"
        found[f"recall_{label}"] = Metric(f"Recall, {label}", "%", recall, "")
    return found


def compute_metrics(
    table: PredictionTable, weights: Weights | None = None, harmonic: bool = False
) -> dict[str, float | np.ndarray]:
    """Compute every metric of a table, for one or many weightings of its cycles.

    Arguments
    ---------
    table : PredictionTable
    weights : numpy.ndarray or PatientWeights, optional
        (..., N): how often each cycle counts; all 1 when None.
    harmonic : bool
        Add the harmonic scores of the SPRSound challenge.

    Returns
    -------
    dict
        By name: those of ``METRICS`` and ``recall_<class>`` (percent). Floats, or arrays (...) where weights have
        leading axes; NaN where undefined. Crackle and wheeze are there where all labels are among ``CLASSES``.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> table = make_table(["a", "b"], ["normal", "both"], [[0.7, 0.1, 0.1, 0.1], [0.1, 0.5, 0.2, 0.2]])
    >>> values = compute_metrics(table)
    >>> values["score_strict_class"], values["score_any_abnormal"], values["recall_both"]
    (50.0, 100.0, 0.0)
    """
    weights = _as_weights(weights, len(table))
    values = compute_class_metrics(table, weights, harmonic)
    for finding, (positive, scores) in findings(table).items():
        values[f"auroc_{finding}"] = auroc(positive, scores, weights)
        values[f"auprc_{finding}"] = average_precision(positive, scores, weights)
    values["ece"] = calibration_error(table.targets, table.probabilities, weights)
    values["brier"] = brier_score(table.targets, table.probabilities, weights)
    return {name: float(value) if np.ndim(value) == 0 else value for name, value in values.items()}


def compute_class_metrics(
    table: PredictionTable, weights: Weights | None = None, harmonic: bool = False
) -> dict[str, float | np.ndarray]:
    """Compute the metrics that depend on the predicted classes only: a tenth of the time of ``compute_metrics``.

    Arguments
    ---------
    table, weights, harmonic
        As in ``compute_metrics``.

    Returns
    -------
    dict
        As of ``compute_metrics``, without the areas under curves, the calibration error and the Brier score.
    """
    weights = _as_weights(weights, len(table))
    classes = len(table.labels)
    cell = np.eye(classes**2)[table.targets * classes + table.predicted]
    confusion = (weights @ cell).reshape(*weights.shape[:-1], classes, classes)
    strict, loose = (scores_of_confusion(confusion, task) for task in ("4class", "2class"))
    values = {
        "specificity": strict["specificity"],
        "sensitivity_strict_class": strict["sensitivity"],
        "score_strict_class": strict["score"],
        "sensitivity_any_abnormal": loose["sensitivity"],
        "score_any_abnormal": loose["score"],
    }
    if harmonic:
        values["harmonic_strict_class"] = harmonic_score(strict["specificity"], strict["sensitivity"])
        values["harmonic_any_abnormal"] = harmonic_score(loose["specificity"], loose["sensitivity"])
        values["sprsound_score_strict_class"] = (strict["score"] + values["harmonic_strict_class"]) / 2
    values["balanced_accuracy"] = balanced_accuracy(confusion)
    values.update({f"recall_{name}": recall for name, recall in per_class_recall(confusion, table.labels).items()})
    return {name: float(value) if np.ndim(value) == 0 else value for name, value in values.items()}


def _as_weights(weights, cycles):
    if isinstance(weights, PatientWeights):
        return weights
    return np.ones(cycles) if weights is None else np.asarray(weights, dtype=float)


def metrics_with_intervals(
    table: PredictionTable, bootstrap: Bootstrap | None = None, harmonic: bool = False
) -> dict[str, Interval]:
    """Compute every metric of a table with its patient-clustered bootstrap interval.

    Arguments
    ---------
    table : PredictionTable
        With a ``patient`` column.
    bootstrap : Bootstrap, optional
        How the intervals are made.
    harmonic : bool
        As in ``compute_metrics``.

    Returns
    -------
    dict
        ``Interval`` by name, the names of ``compute_metrics``.
    """
    bootstrap = bootstrap or Bootstrap()
    return bootstrap.intervals(lambda weights: compute_metrics(table, weights, harmonic), table.patients())


def score_intervals(table: PredictionTable) -> dict[str, dict[str, list[float] | None]]:
    """Return the 95 % intervals of the scores that ``scores_of_confusion`` names, by task.

    Arguments
    ---------
    table : PredictionTable
        With a ``patient`` column.

    Returns
    -------
    dict
        ``"4class"`` and ``"2class"``: each ``specificity``, ``sensitivity`` and ``score`` as ``[low, high]``, in
        percent; None where there are too few patients for an interval.
    """
    found = Bootstrap().intervals(lambda weights: compute_class_metrics(table, weights), table.patients())
    names = {
        task: {"specificity": "specificity", "sensitivity": f"sensitivity_{kind}", "score": f"score_{kind}"}
        for task, kind in (("4class", "strict_class"), ("2class", "any_abnormal"))
    }
    return {task: {key: _bounds(found[name]) for key, name in of_task.items()} for task, of_task in names.items()}


def _bounds(interval):
    return None if math.isnan(interval.low) else [interval.low, interval.high]


def harmonic_score(specificity: float | np.ndarray, sensitivity: float | np.ndarray) -> float | np.ndarray:
    """Return the harmonic mean of specificity and sensitivity; 0 where both are 0.

    One of the four metrics of the SPRSound challenges (Zhang et al., "Grand challenge on respiratory sound
    classification", IEEE BioCAS 2022). Unlike the mean, it gives nothing to a model that always predicts normal.

    Example
    -------
    >>> harmonic_score(80.0, 40.0), harmonic_score(100.0, 0.0)
    (53.333333333333336, 0.0)
    """
    total = np.add(specificity, sensitivity)
    value = 2 * np.multiply(specificity, sensitivity) / np.where(total == 0, 1, total)
    return float(value) if np.ndim(value) == 0 else value


def balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the mean recall, in percent, of the classes that have cycles.

    As scikit-learn's ``balanced_accuracy_score`` (Brodersen et al., "The balanced accuracy and its posterior
    distribution", ICPR 2010).

    Arguments
    ---------
    confusion : numpy.ndarray
        (..., C, C) counts: row the target, column the prediction.

    Returns
    -------
    numpy.ndarray
        (...); NaN without any cycle.

    Example
    -------
    >>> float(balanced_accuracy(np.array([[3, 1], [1, 1]])))
    62.5
    """
    support = confusion.sum(-1)
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    recalls = right / np.where(support > 0, support, 1)
    with np.errstate(invalid="ignore"):
        return 100 * recalls.sum(-1) / (support > 0).sum(-1)
