"""Thresholds for calling a cycle abnormal: chosen for a sensitivity on validation cycles, then applied to others.

A threshold belongs to the temperature of the probabilities it was chosen on: at another one, the same threshold gives
another sensitivity. So each threshold is stored with its temperature, and is only applied at that one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.bootstrap import Bootstrap, Interval
from lung_srad_plugin.metrics.calibration import scale_table
from lung_srad_plugin.metrics.findings import findings
from lung_srad_plugin.metrics.icbhi_score import percent
from lung_srad_plugin.metrics.predictions import PredictionTable

SENSITIVITIES = (80.0, 90.0, 95.0)


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold: a cycle is called abnormal where ``1 - p(normal)`` is at least ``threshold``.

    Arguments
    ---------
    wanted_sensitivity : float
        In percent, any abnormal: what the threshold was chosen for.
    threshold : float
    temperature : float
        Of the probabilities that it was chosen on, and the only one it may be applied at; 1 for a model's own.
    """

    wanted_sensitivity: float
    threshold: float
    temperature: float = 1.0


def fit_operating_points(
    table: PredictionTable, sensitivities: Sequence[float] = SENSITIVITIES, temperature: float = 1.0
) -> list[OperatingPoint]:
    """Choose, for each wanted sensitivity, the highest threshold that reaches it on these cycles.

    Arguments
    ---------
    table : PredictionTable
        Validation cycles, with the model's own probabilities.
    sensitivities : sequence of float
        In percent, above 0 and up to 100: the share of abnormal cycles called abnormal.
    temperature : float
        What the probabilities are brought to first, as of ``scale_table``.

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
    positive, scores = _abnormal_at(table, temperature)
    falling = np.sort(scores[positive])[::-1]
    if not len(falling):
        raise LungSRADError("no abnormal cycle to choose a threshold on; use validation cycles that have some")
    # The share that is needed may miss a whole number by rounding alone.
    needed = [math.ceil(sensitivity / 100 * len(falling) - 1e-9) for sensitivity in sensitivities]
    return [
        OperatingPoint(float(sensitivity), float(falling[n - 1]), float(temperature))
        for sensitivity, n in zip(sensitivities, needed, strict=True)
    ]


def read_operating_points(stored: Sequence[Mapping[str, Any]] | None) -> list[OperatingPoint]:
    """Return the operating points that results or a model's ``config.json`` hold.

    Version 0.1 stored no temperature: its thresholds were chosen on the model's own probabilities, temperature 1.

    Arguments
    ---------
    stored : list of dict or None
        As ``dataclasses.asdict`` of each ``OperatingPoint``; None where nothing was fitted.

    Returns
    -------
    list of OperatingPoint

    Example
    -------
    >>> read_operating_points([{"wanted_sensitivity": 90.0, "threshold": 0.25}])
    [OperatingPoint(wanted_sensitivity=90.0, threshold=0.25, temperature=1.0)]
    """
    return [
        OperatingPoint(
            float(point["wanted_sensitivity"]), float(point["threshold"]), float(point.get("temperature", 1.0))
        )
        for point in stored or ()
    ]


def select_operating_point(
    points: Sequence[OperatingPoint], sensitivity: float, temperature: float = 1.0
) -> OperatingPoint:
    """Return the operating point of a sensitivity, fitted at the temperature of the probabilities in use.

    Arguments
    ---------
    points : sequence of OperatingPoint
        Those of a model.
    sensitivity : float
        In percent, as it was wanted when the point was fitted.
    temperature : float
        Of the probabilities that the threshold is to be applied to; 1 for a model's own.

    Returns
    -------
    OperatingPoint

    Raises
    ------
    LungSRADError
        Where there are no points, none for this sensitivity, or none at this temperature, naming those there are.

    Example
    -------
    >>> points = [OperatingPoint(90.0, 0.25), OperatingPoint(90.0, 0.4, temperature=2.0)]
    >>> select_operating_point(points, 90, temperature=2.0).threshold
    0.4
    """
    if not points:
        raise LungSRADError(
            "the model has no thresholds: they are fitted on validation cycles when its run ends; train with "
            "validation cycles apart from the test cycles (valid: patients), and export the run again"
        )
    fitted = [point for point in points if math.isclose(point.wanted_sensitivity, sensitivity)]
    if not fitted:
        known = ", ".join(f"{wanted:g}" for wanted in sorted({point.wanted_sensitivity for point in points}))
        raise LungSRADError(f"sensitivity {sensitivity:g}: no threshold was fitted for it; expected one of {known}")
    for point in fitted:
        if math.isclose(point.temperature, temperature):
            return point
    known = ", ".join(f"{point.temperature:.4g}" for point in fitted)
    raise LungSRADError(
        f"sensitivity {sensitivity:g}: its threshold was fitted at temperature {known} and means nothing at "
        f"{temperature:.4g}; leave the probabilities uncalibrated, or export the run again with this version"
    )


def apply_operating_points(
    points: Sequence[OperatingPoint], table: PredictionTable, bootstrap: Bootstrap | None = None
) -> list[dict[str, float | Interval]]:
    """Return what each threshold does on these cycles, with patient-clustered bootstrap intervals.

    Arguments
    ---------
    points : sequence of OperatingPoint
        Chosen on other cycles.
    table : PredictionTable
        Such as the test cycles, with the model's own probabilities; each point brings them to its temperature.
    bootstrap : Bootstrap, optional
        How the intervals are made.

    Returns
    -------
    list of dict
        For each point ``wanted_sensitivity``, ``threshold``, ``temperature``, and as ``Interval`` in percent:
        ``sensitivity`` (any abnormal), ``specificity``, ``ppv``, ``npv`` (predictive values, at these cycles' share of
        abnormal ones) and ``flagged``, the share called abnormal.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> answers = [[0.1, 0.9], [0.4, 0.6], [0.7, 0.3], [0.3, 0.7]]
    >>> table = make_table("abcd", ["yes", "yes", "yes", "no"], answers, ("no", "yes"), {"patient": "1122"})
    >>> row = apply_operating_points([OperatingPoint(90.0, 0.5)], table, Bootstrap(100))[0]
    >>> round(row["sensitivity"].value, 1), row["specificity"].value, row["flagged"].value
    (66.7, 0.0, 75.0)
    """

    def values_at(point):
        positive, scores = _abnormal_at(table, point.temperature)
        called = scores >= point.threshold

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
            "temperature": point.temperature,
            **(bootstrap or Bootstrap()).intervals(values_at(point), table.patients()),
        }
        for point in points
    ]


def _abnormal_at(table, temperature):
    """Return which cycles are abnormal, and ``1 - p(normal)`` of each at a temperature."""
    return findings(table if temperature == 1 else scale_table(table, temperature))["abnormal"]
