"""Every measure of a table of predictions under one name, with its unit and definition.

Names say which sensitivity is meant: *strict class*, where an abnormal cycle is right only with its exact class (the
4-class score of the ICBHI tables), or *any abnormal*, where any abnormal class will do (the 2-class score). They do not
compare with each other.
"""

import math
from dataclasses import dataclass

import numpy as np

from lung_srad_plugin.labels import CLASSES, abnormal_probability, findings_of
from lung_srad_plugin.metrics.bootstrap import bootstrap
from lung_srad_plugin.metrics.icbhi_score import per_class_recall, scores_of_confusion
from lung_srad_plugin.metrics.probabilistic import auroc, average_precision, brier_score, calibration_error
from lung_srad_plugin.metrics.weights import PatientWeights


@dataclass(frozen=True)
class Measure:
    """What a report says of a measure.

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


# The works themselves are named where each measure is computed.
_CHALLENGE, _PATCH_MIX, _SPRSOUND = "Rocha et al. 2019", "Bae et al. 2023", "Zhang et al. 2022"
_ROC, _PR = "Hanley and McNeil 1982", "Davis and Goadrich 2006"


MEASURES = {
    "specificity": Measure("Specificity", "%", "normal cycles called normal / normal cycles", _CHALLENGE),
    "sensitivity_strict_class": Measure(
        "Sensitivity, strict class", "%", "abnormal cycles given their exact class / abnormal cycles", _CHALLENGE
    ),
    "score_strict_class": Measure(
        "Score, strict class (4-class)", "%", "mean of specificity and strict-class sensitivity", _CHALLENGE
    ),
    "sensitivity_any_abnormal": Measure(
        "Sensitivity, any abnormal", "%", "abnormal cycles given any abnormal class / abnormal cycles", _PATCH_MIX
    ),
    "score_any_abnormal": Measure(
        "Score, any abnormal (2-class)", "%", "mean of specificity and any-abnormal sensitivity", _PATCH_MIX
    ),
    "harmonic_strict_class": Measure(
        "Harmonic score, strict class", "%", "harmonic mean of specificity and strict-class sensitivity", _SPRSOUND
    ),
    "harmonic_any_abnormal": Measure(
        "Harmonic score, any abnormal", "%", "harmonic mean of specificity and any-abnormal sensitivity", _SPRSOUND
    ),
    "balanced_accuracy": Measure(
        "Balanced accuracy", "%", "mean recall of the classes that have cycles", "Brodersen et al. 2010"
    ),
    "auroc_abnormal": Measure("AUROC, abnormal", "", "area under the ROC curve of 1 - p(normal)", _ROC),
    "auroc_crackle": Measure("AUROC, crackle", "", "area under the ROC curve of p(crackle) + p(both)", _ROC),
    "auroc_wheeze": Measure("AUROC, wheeze", "", "area under the ROC curve of p(wheeze) + p(both)", _ROC),
    "auprc_abnormal": Measure(
        "AUPRC, abnormal", "", "average precision of 1 - p(normal); chance is the share abnormal", _PR
    ),
    "auprc_crackle": Measure("AUPRC, crackle", "", "average precision of p(crackle) + p(both)", _PR),
    "auprc_wheeze": Measure("AUPRC, wheeze", "", "average precision of p(wheeze) + p(both)", _PR),
    "ece": Measure(
        "ECE", "", "expected calibration error of the most probable class, 15 equal bins", "Guo et al. 2017"
    ),
    "brier": Measure(
        "Brier score", "", "mean squared distance of probabilities from the target, summed over classes", "Brier 1950"
    ),
}


def measure(table, weights=None, harmonic=False):
    """Compute every measure of a table, for one or many weightings of its cycles.

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
        By name: those of ``MEASURES`` and ``recall_<class>`` (percent). Floats, or arrays (...) where weights have
        leading axes; NaN where undefined. Crackle and wheeze are there where all labels are among ``CLASSES``.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> table = make_table(["a", "b"], ["normal", "both"], [[0.7, 0.1, 0.1, 0.1], [0.1, 0.5, 0.2, 0.2]])
    >>> values = measure(table)
    >>> values["score_strict_class"], values["score_any_abnormal"], values["recall_both"]
    (50.0, 100.0, 0.0)
    """
    weights = _as_weights(weights, len(table))
    values = measure_classes(table, weights, harmonic)
    for finding, (positive, scores) in findings(table).items():
        values[f"auroc_{finding}"] = auroc(positive, scores, weights)
        values[f"auprc_{finding}"] = average_precision(positive, scores, weights)
    values["ece"] = calibration_error(table.targets, table.probabilities, weights)
    values["brier"] = brier_score(table.targets, table.probabilities, weights)
    return {name: float(value) if np.ndim(value) == 0 else value for name, value in values.items()}


def measure_classes(table, weights=None, harmonic=False):
    """Compute the measures that depend on the answered classes only: a tenth of the time of ``measure``.

    Arguments
    ---------
    table, weights, harmonic
        As in ``measure``.

    Returns
    -------
    dict
        As of ``measure``, without the areas under curves, the calibration error and the Brier score.
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
    values["balanced_accuracy"] = balanced_accuracy(confusion)
    values.update({f"recall_{name}": recall for name, recall in per_class_recall(confusion, table.labels).items()})
    return {name: float(value) if np.ndim(value) == 0 else value for name, value in values.items()}


def _as_weights(weights, cycles):
    if isinstance(weights, PatientWeights):
        return weights
    return np.ones(cycles) if weights is None else np.asarray(weights, dtype=float)


def measure_with_intervals(table, resamples=10_000, confidence=95.0, seed=0, harmonic=False):
    """Compute every measure of a table with its patient-clustered bootstrap interval.

    Arguments
    ---------
    table : PredictionTable
        With a ``patient`` column.
    resamples, confidence, seed
        As in ``bootstrap``.
    harmonic : bool
        As in ``measure``.

    Returns
    -------
    dict
        ``Interval`` by name, the names of ``measure``.
    """
    return bootstrap(lambda weights: measure(table, weights, harmonic), table.patients(), resamples, confidence, seed)


def score_intervals(table):
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
    found = measure_with_intervals(table)
    names = {
        task: {"specificity": "specificity", "sensitivity": f"sensitivity_{kind}", "score": f"score_{kind}"}
        for task, kind in (("4class", "strict_class"), ("2class", "any_abnormal"))
    }
    return {task: {key: _bounds(found[name]) for key, name in of_task.items()} for task, of_task in names.items()}


def _bounds(interval):
    return None if math.isnan(interval.low) else [interval.low, interval.high]


def findings(table):
    """Return what is to be detected, each as who has it and how likely the model thinks it.

    Arguments
    ---------
    table : PredictionTable

    Returns
    -------
    dict
        ``abnormal`` and, where all labels are among ``CLASSES``, ``crackle`` and ``wheeze``: each a (N,) bool array and
        a (N,) score: ``1 - p(normal)``, and for a finding the sum of the probabilities of the classes that have it.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> table = make_table(["a", "b"], ["normal", "both"], [[0.5, 0.125, 0.25, 0.125], [0.25, 0.5, 0, 0.25]])
    >>> findings(table)["crackle"]
    (array([False,  True]), array([0.25, 0.75]))
    """
    found = {"abnormal": (table.targets > 0, abnormal_probability(table.probabilities))}
    if set(table.labels) <= set(CLASSES):
        has = np.array([findings_of(label) for label in table.labels], dtype=bool)
        for name, member in (("crackle", has[:, 0]), ("wheeze", has[:, 1])):
            found[name] = (member[table.targets], table.probabilities[:, member].sum(1))
    return found


def harmonic_score(specificity, sensitivity):
    """Return the harmonic mean of specificity and sensitivity; 0 where both are 0.

    One of the four measures of the SPRSound challenges (Zhang et al., "Grand challenge on respiratory sound
    classification", IEEE BioCAS 2022). Unlike the mean, it gives nothing to always answering normal.

    Example
    -------
    >>> harmonic_score(80.0, 40.0), harmonic_score(100.0, 0.0)
    (53.333333333333336, 0.0)
    """
    total = np.add(specificity, sensitivity)
    value = 2 * np.multiply(specificity, sensitivity) / np.where(total == 0, 1, total)
    return float(value) if np.ndim(value) == 0 else value


def balanced_accuracy(confusion):
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
