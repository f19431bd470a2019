"""Intervals from resampled patients.

Cycles of one patient are alike, so intervals that treat them as independent are too narrow. Patients are drawn with
replacement, each with all of its cycles, and every statistic is computed again on each such resample (Rutter,
"Bootstrap estimation of diagnostic accuracy with patient-clustered data", Academic Radiology 7, 2000; Efron and
Tibshirani, "An introduction to the bootstrap", 1993, chapter 13 for the percentiles).

The intervals say how a fixed model's result would vary with other patients of the same kind. They hold neither the
variation of training (its seeds) nor a shift to other hospitals, and are too narrow for fewer than some 20 patients.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.weights import PatientWeights

# Resamples times patients that are drawn at once: some 30 megabytes.
CHUNK = 1 << 22

# A multinomial draw takes 0.15 microseconds for each patient, counting drawn patients 0.004. Below this number the
# first is quick enough, and gives the intervals of version 0.1 to the last digit.
MULTINOMIAL_PATIENTS = 2048

Statistics = Callable[[PatientWeights], Mapping[str, Any]]


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


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: patient-clustered percentile bootstrap.

    Arguments
    ---------
    resamples : int
        How many resamples of patients are drawn.
    confidence : float
        In percent; 95 gives the percentiles 2.5 and 97.5.
    seed : int
        The same seed gives the same intervals.
    progress : callable, optional
        Called as ``progress(finished, patients)`` with the number of resamples finished since the last call, and how
        many patients were resampled.

    Raises
    ------
    LungSRADError
        Where a number is out of range.

    Example
    -------
    >>> values = np.array([1.0, 1.0, 0.0, 0.0])
    >>> mean = lambda weights: {"mean": weights @ values / weights.sum(-1)}
    >>> Bootstrap(resamples=1000).intervals(mean, patients=["a", "a", "b", "c"])
    {'mean': Interval(value=0.5, low=0.0, high=1.0, undefined=0)}
    """

    resamples: int = 10_000
    confidence: float = 95.0
    seed: int = 0
    progress: Callable[[int, int], None] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self):
        if self.resamples < 1:
            raise LungSRADError(f"resamples={self.resamples}: expected at least 1")
        if not 0 < self.confidence < 100:
            raise LungSRADError(f"confidence={self.confidence}: expected a percentage between 0 and 100")
        if self.seed < 0:
            raise LungSRADError(f"seed={self.seed}: expected a whole number from 0 up")

    def describe(self) -> dict[str, str | int | float]:
        """Return how the intervals were made, as reports hold it."""
        return {
            "clusters": "patient",
            "resamples": self.resamples,
            "confidence": self.confidence,
            "seed": self.seed,
        }

    def intervals(self, statistics: Statistics, patients: Sequence[str]) -> dict[str, Interval]:
        """Return each statistic with its interval.

        Arguments
        ---------
        statistics : callable
            From ``PatientWeights`` (R, N), how often each cycle counts in each of R resamples, to a dict of arrays (R,)
            by name. It is called for some of the resamples at a time.
        patients : sequence of str
            (N,) the patient of each cycle.

        Returns
        -------
        dict
            ``Interval`` by name.

        Raises
        ------
        LungSRADError
            Where there is no cycle.
        """
        if not len(patients):
            raise LungSRADError("no cycles to resample")
        names, patient_of = np.unique(np.asarray(patients), return_inverse=True)
        once = PatientWeights(np.ones((1, len(names))), patient_of)
        values = {name: float(value[0]) for name, value in statistics(once).items()}
        if len(names) < 2:
            return {name: Interval(value, math.nan, math.nan) for name, value in values.items()}
        rng = np.random.default_rng(self.seed)
        chunk = max(1, CHUNK // len(names))
        draws: dict[str, list[np.ndarray]] = {name: [] for name in values}
        for done in range(0, self.resamples, chunk):
            counts = _draw_patients(rng, len(names), min(chunk, self.resamples - done))
            for name, drawn in statistics(PatientWeights(counts, patient_of)).items():
                draws[name].append(drawn)
            if self.progress is not None:
                self.progress(len(counts), len(names))
        return {name: _interval(values[name], np.concatenate(draws[name]), self.confidence) for name in values}


def _draw_patients(rng, patients, resamples):
    """Return how often each patient is drawn in each resample, (resamples, patients)."""
    if patients <= MULTINOMIAL_PATIENTS:
        return rng.multinomial(patients, np.full(patients, 1 / patients), size=resamples)
    return np.stack([np.bincount(rng.integers(0, patients, patients), minlength=patients) for _ in range(resamples)])


def _interval(value, draws, confidence):
    defined = draws[~np.isnan(draws)]
    undefined = len(draws) - len(defined)
    if math.isnan(value) or not len(defined):
        return Interval(value, math.nan, math.nan, undefined)
    tail = (100 - confidence) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return Interval(value, float(low), float(high), undefined)
