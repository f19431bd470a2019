"""The curves behind the areas: receiver operating characteristic (ROC) and precision-recall (PR)."""

import numpy as np

POINTS = 201  # on a regular grid: more than a screen shows, whatever the number of cycles


def roc_curve(positive, scores):
    """Return points of the ROC curve, false positive rate to sensitivity, both from 0 to 1.

    Arguments
    ---------
    positive : numpy.ndarray
        (N,) bool.
    scores : numpy.ndarray
        (N,), higher for positive.

    Returns
    -------
    list of (float, float)
        On a regular grid of false positive rates, joined by straight lines as ``auroc`` does; empty where positives or
        negatives are absent.

    Example
    -------
    >>> points = roc_curve(np.array([True, True, False, False]), np.array([0.9, 0.4, 0.6, 0.1]))
    >>> points[0], points[100], points[-1]
    ((0.0, 0.5), (0.5, 1.0), (1.0, 1.0))
    """
    hits, alarms = _cumulated(positive, scores)
    if not hits[-1] or not alarms[-1]:
        return []
    rate, sensitivity = alarms / alarms[-1], hits / hits[-1]
    grid = np.linspace(0, 1, POINTS)
    return _points(grid, np.interp(grid, rate, sensitivity))


def pr_curve(positive, scores):
    """Return points of the precision-recall curve, recall to precision, both from 0 to 1.

    Arguments
    ---------
    positive, scores
        As in ``roc_curve``.

    Returns
    -------
    list of (float, float)
        On a regular grid of recalls above 0, in steps as ``average_precision`` does: the precision of the first
        threshold that reaches the recall. Empty without positives.

    Example
    -------
    >>> points = pr_curve(np.array([True, False, True]), np.array([0.9, 0.8, 0.7]))
    >>> points[0], points[-1]
    ((0.005, 1.0), (1.0, 0.6667))
    """
    hits, alarms = _cumulated(positive, scores)
    if not hits[-1]:
        return []
    recall, precision = hits[1:] / hits[-1], hits[1:] / (hits[1:] + alarms[1:])
    grid = np.linspace(0, 1, POINTS)[1:]
    return _points(grid, precision[np.searchsorted(recall, grid - 1e-12)])


def _cumulated(positive, scores):
    """Return positives and negatives at or above each distinct score, falling; 0 first."""
    order = np.argsort(-scores, kind="stable")
    last_of_score = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    return [np.r_[0, np.cumsum(chosen[order])[last_of_score]] for chosen in (positive, ~positive)]


def _points(x, y):
    return [(round(float(a), 4), round(float(b), 4)) for a, b in zip(x, y, strict=True)]
