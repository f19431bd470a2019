"""Thresholds for calling a cycle abnormal: chosen for a sensitivity on validation cycles, then tried on others."""

import math
from dataclasses import dataclass

import numpy as np

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.bootstrap import bootstrap
from lung_srad_plugin.metrics.icbhi_score import percent
from lung_srad_plugin.metrics.metrics import findings


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold: a cycle is called abnormal where ``1 - p(normal)`` is at least ``threshold``.

    Arguments
    ---------
    wanted_sensitivity : float
        In percent, any abnormal: what the threshold was chosen for.
    threshold : float
    """

    wanted_sensitivity: float
    threshold: float


def fit_operating_points(table, sensitivities=(80.0, 90.0, 95.0)):
    """Choose, for each wanted sensitivity, the highest threshold that reaches it on these cycles.

    Arguments
    ---------
    table : PredictionTable
        Validation cycles.
    sensitivities : sequence of float
        In percent, above 0 and up to 100: the share of abnormal cycles called abnormal.

    Returns
    -------
    list of OperatingPoint

    Raises
    ------
    LungSRADError
        Where a sensitivity is out of range, or no cycle is abnormal.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> answers = [[0.1, 0.9], [0.4, 0.6], [0.7, 0.3], [0.75, 0.25]]
    >>> table = make_table("abcd", ["yes", "yes", "yes", "no"], answers, labels=("no", "yes"))
    >>> [round(point.threshold, 6) for point in fit_operating_points(table, [50, 100])]
    [0.6, 0.3]
    """
    wrong = [sensitivity for sensitivity in sensitivities if not 0 < sensitivity <= 100]
    if wrong:
        raise LungSRADError(f"sensitivity {wrong[0]}: expected a percentage above 0 and up to 100")
    positive, scores = findings(table)["abnormal"]
    falling = np.sort(scores[positive])[::-1]
    if not len(falling):
        raise LungSRADError("no abnormal cycle to choose a threshold on; use validation cycles that have some")
    # The share that is needed may miss a whole number by rounding alone.
    needed = [math.ceil(sensitivity / 100 * len(falling) - 1e-9) for sensitivity in sensitivities]
    return [
        OperatingPoint(float(sensitivity), float(falling[n - 1]))
        for sensitivity, n in zip(sensitivities, needed, strict=True)
    ]


def apply_operating_points(points, table, resamples=10_000, confidence=95.0, seed=0):
    """Return what each threshold does on these cycles, with patient-clustered bootstrap intervals.

    Arguments
    ---------
    points : sequence of OperatingPoint
        Chosen on other cycles.
    table : PredictionTable
        Such as the test cycles.
    resamples, confidence, seed
        As in ``bootstrap``.

    Returns
    -------
    list of dict
        For each point ``wanted_sensitivity``, ``threshold``, and as ``Interval`` in percent: ``sensitivity`` (any
        abnormal), ``specificity``, ``ppv``, ``npv`` (predictive values, at these cycles' share of abnormal ones) and
        ``flagged``, the share called abnormal.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> answers = [[0.1, 0.9], [0.4, 0.6], [0.7, 0.3], [0.3, 0.7]]
    >>> table = make_table("abcd", ["yes", "yes", "yes", "no"], answers, ("no", "yes"), {"patient": "1122"})
    >>> row = apply_operating_points([OperatingPoint(90.0, 0.5)], table, resamples=100)[0]
    >>> round(row["sensitivity"].value, 1), row["specificity"].value, row["flagged"].value
    (66.7, 0.0, 75.0)
    """
    positive, scores = findings(table)["abnormal"]

    def values_at(threshold):
        called = scores >= threshold

        def values(weights):
            hit, miss = weights @ (called & positive), weights @ (~called & positive)
            alarm, rest = weights @ (called & ~positive), weights @ (~called & ~positive)
            return {
                "sensitivity": percent(hit, hit + miss),
                "specificity": percent(rest, rest + alarm),
                "ppv": percent(hit, hit + alarm),
                "npv": percent(rest, rest + miss),
                "flagged": percent(hit + alarm, weights.sum(-1)),
            }

        return values

    return [
        {
            "wanted_sensitivity": point.wanted_sensitivity,
            "threshold": point.threshold,
            **bootstrap(values_at(point.threshold), table.patients(), resamples, confidence, seed),
        }
        for point in points
    ]
