"""Two models on the same patients, and one model over several seeds."""

import math
from dataclasses import dataclass

import numpy as np

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.bootstrap import bootstrap
from lung_srad_plugin.metrics.metrics import measure
from lung_srad_plugin.metrics.predictions import align


@dataclass(frozen=True)
class SeedSummary:
    """One measure over the runs of a model: ``mean``, ``sd`` (n - 1; NaN for one run) and each run's value by seed."""

    mean: float
    sd: float
    values: dict


def over_seeds(values):
    """Summarise the values of one measure over seeds.

    Arguments
    ---------
    values : dict
        The value by seed.

    Returns
    -------
    SeedSummary

    Raises
    ------
    LungSRADError
        Where there is no value.

    Example
    -------
    >>> over_seeds({0: 60.0, 1: 62.0})
    SeedSummary(mean=61.0, sd=1.4142135623730951, values={0: 60.0, 1: 62.0})
    """
    if not values:
        raise LungSRADError("no seeds to summarise")
    numbers = list(values.values())
    sd = float(np.std(numbers, ddof=1)) if len(numbers) > 1 else math.nan
    return SeedSummary(float(np.mean(numbers)), sd, dict(values))


def paired_difference(first, second, resamples=10_000, confidence=95.0, seed=0, harmonic=False, measures=measure):
    """Return, for every measure, how much the second model is above the first, with its interval.

    Both models are scored on the same resamples of patients, so what is hard about a patient cancels (paired,
    patient-clustered percentile bootstrap). Several runs of a model (its seeds) are averaged within each resample; the
    interval then speaks of that average on other patients, not of further seeds.

    Arguments
    ---------
    first, second : sequence of PredictionTable
        The runs of each model, one or more, all on the same cycles.
    resamples, confidence, seed
        As in ``bootstrap``.
    harmonic : bool
        As in ``measure``.
    measures : callable
        What to compare: ``measure``, or the faster ``measure_classes``.

    Returns
    -------
    dict
        ``Interval`` of ``second - first`` by measure, in the measure's unit.

    Raises
    ------
    LungSRADError
        Where a model has no run, or the runs are not of the same cycles, labels, targets and patients.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> def answers(*probabilities):
    ...     return make_table("ab", ["no", "yes"], probabilities, ("no", "yes"), {"patient": "12"})
    >>> differences = paired_difference([answers([1, 0], [1, 0])], [answers([1, 0], [0, 1])], resamples=100)
    >>> differences["sensitivity_any_abnormal"].value
    100.0
    """
    if not first or not second:
        raise LungSRADError(f"{len(first)} runs against {len(second)}: expected at least one run of each model")
    base = first[0]
    means = [_mean_measures(base, runs, measures, harmonic) for runs in (first, second)]

    def difference(weights):
        before, after = (mean(weights) for mean in means)
        return {name: after[name] - before[name] for name in before}

    return bootstrap(difference, base.patients(), resamples, confidence, seed)


def mean_with_intervals(runs, resamples=10_000, confidence=95.0, seed=0, harmonic=False, measures=measure):
    """Return the mean over runs of every measure, with its patient-clustered bootstrap interval.

    Each resample of patients is the same for all runs. The interval tells how the mean over these very runs would vary
    with other patients, not with further seeds.

    Arguments
    ---------
    runs : sequence of PredictionTable
        The runs of one model, one or more, all on the same cycles.
    resamples, confidence, seed, harmonic, measures
        As in ``paired_difference``.

    Returns
    -------
    dict
        ``Interval`` by measure.

    Raises
    ------
    LungSRADError
        Where there is no run, or the runs are not of the same cycles, labels, targets and patients.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> def answers(*probabilities):
    ...     return make_table("ab", ["no", "yes"], probabilities, ("no", "yes"), {"patient": "12"})
    >>> runs = [answers([1, 0], [1, 0]), answers([1, 0], [0, 1])]
    >>> mean_with_intervals(runs, resamples=100)["sensitivity_any_abnormal"].value
    50.0
    """
    if not runs:
        raise LungSRADError("no runs: expected at least one")
    means = _mean_measures(runs[0], runs, measures, harmonic)
    return bootstrap(means, runs[0].patients(), resamples, confidence, seed)


def _mean_measures(base, runs, measures, harmonic):
    """Return, as a function of weights, the mean of each measure over runs, their cycles in the order of ``base``."""
    runs = [align(base, run) for run in runs]

    def means(weights):
        values = [measures(run, weights, harmonic) for run in runs]
        return {name: sum(value[name] for value in values) / len(values) for name in values[0]}

    return means
