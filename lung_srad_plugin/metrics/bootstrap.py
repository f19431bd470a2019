"""Intervals from resampled patients.

Cycles of one patient are alike, so intervals that treat them as independent are too narrow. Patients are drawn with
replacement, each with all of its cycles, and every statistic is computed again on each such resample (Rutter,
"Bootstrap estimation of diagnostic accuracy with patient-clustered data", Academic Radiology 7, 2000; Efron and
Tibshirani, "An introduction to the bootstrap", 1993, chapter 13 for the percentiles).

The intervals say how a fixed model's result would vary with other patients of the same kind. They hold neither the
variation of training (its seeds) nor a shift to other hospitals, and are too narrow for fewer than some 20 patients.
"""

import math
from dataclasses import dataclass

import numpy as np

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.weights import PatientWeights

# Resamples times patients that are drawn at once: some 30 megabytes.
CHUNK = 1 << 22


@dataclass(frozen=True)
class Interval:
    """A value with its interval.

    Arguments
    ---------
    value : float
        On the cycles as they are.
    low, high : float
        Percentiles over the resamples; NaN where the value is undefined, or there is only one patient.
    undefined : int
        Resamples left out because the statistic is undefined on them (such as a recall without a cycle of its class).
        Where they are many, the interval says little.
    """

    value: float
    low: float
    high: float
    undefined: int = 0


def bootstrap(statistics, patients, resamples=10_000, confidence=95.0, seed=0):
    """Return each statistic with its patient-clustered percentile bootstrap interval.

    Arguments
    ---------
    statistics : callable
        From ``PatientWeights`` (R, N), how often each cycle counts in each of R resamples, to a dict of arrays (R,) by
        name.
    patients : sequence
        (N,) the patient of each cycle.
    resamples : int
    confidence : float
        In percent; 95 gives the percentiles 2.5 and 97.5.
    seed : int
        The same seed gives the same intervals.

    Returns
    -------
    dict
        ``Interval`` by name.

    Raises
    ------
    LungSRADError
        Where ``resamples`` or ``confidence`` is out of range, or there is no cycle.

    Example
    -------
    >>> values = np.array([1.0, 1.0, 0.0, 0.0])
    >>> mean = lambda weights: {"mean": weights @ values / weights.sum(-1)}
    >>> bootstrap(mean, patients=["a", "a", "b", "c"], resamples=1000)
    {'mean': Interval(value=0.5, low=0.0, high=1.0, undefined=0)}
    """
    if resamples < 1:
        raise LungSRADError(f"resamples={resamples}: expected at least 1")
    if not 0 < confidence < 100:
        raise LungSRADError(f"confidence={confidence}: expected a percentage between 0 and 100")
    if not len(patients):
        raise LungSRADError("no cycles to resample")
    names, patient_of = np.unique(np.asarray(patients), return_inverse=True)
    once = PatientWeights(np.ones((1, len(names))), patient_of)
    values = {name: float(value[0]) for name, value in statistics(once).items()}
    if len(names) < 2:
        return {name: Interval(value, math.nan, math.nan) for name, value in values.items()}
    rng = np.random.default_rng(seed)
    equal = np.full(len(names), 1 / len(names))
    chunk = max(1, CHUNK // len(names))
    draws = {name: [] for name in values}
    for done in range(0, resamples, chunk):
        counts = rng.multinomial(len(names), equal, size=min(chunk, resamples - done))
        for name, drawn in statistics(PatientWeights(counts, patient_of)).items():
            draws[name].append(drawn)
    return {name: _interval(values[name], np.concatenate(draws[name]), confidence) for name in values}


def _interval(value, draws, confidence):
    defined = draws[~np.isnan(draws)]
    undefined = len(draws) - len(defined)
    if math.isnan(value) or not len(defined):
        return Interval(value, math.nan, math.nan, undefined)
    tail = (100 - confidence) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return Interval(value, float(low), float(high), undefined)
