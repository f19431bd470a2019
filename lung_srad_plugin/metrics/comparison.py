"""Two models on the same patients, and one model over several seeds."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.bootstrap import Bootstrap, Interval
from lung_srad_plugin.metrics.predictions import PredictionTable, align
from lung_srad_plugin.metrics.table_metrics import compute_metrics

Metrics = Callable[..., dict]
"""``compute_metrics``, or the faster ``compute_class_metrics``."""


@dataclass(frozen=True)
class SeedSummary:
    """One metric over the runs of a model: ``mean``, ``sd`` (n - 1; NaN for one run) and each run's value by seed."""

    mean: float
    sd: float
    values: dict[Hashable, float]


def over_seeds(values: Mapping[Hashable, float]) -> SeedSummary:
    """Summarise the values of one metric over seeds.

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


def paired_difference(
    first: Sequence[PredictionTable],
    second: Sequence[PredictionTable],
    bootstrap: Bootstrap | None = None,
    harmonic: bool = False,
    metrics: Metrics = compute_metrics,
) -> dict[str, Interval]:
    """Return, for every metric, how much the second model is above the first, with its interval.

    Both models are scored on the same resamples of patients, so what is hard about a patient cancels (paired,
    patient-clustered percentile bootstrap). Several runs of a model (its seeds) are averaged within each resample; the
    interval then speaks of that average on other patients, not of further seeds.

    Arguments
    ---------
    first, second : sequence of PredictionTable
        The runs of each model, one or more, all on the same cycles.
    bootstrap : Bootstrap, optional
        How the intervals are made.
    harmonic : bool
        As in ``compute_metrics``.
    metrics : callable
        What to compare: ``compute_metrics``, or the faster ``compute_class_metrics``.

    Returns
    -------
    dict
        ``Interval`` of ``second - first`` by metric, in the metric's unit.

    Raises
    ------
    LungSRADError
        Where a model has no run, or the runs are not of the same cycles, labels, targets and patients.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> def table(*probabilities):
    ...     return make_table("ab", ["no", "yes"], probabilities, ("no", "yes"), {"patient": "12"})
    >>> differences = paired_difference([table([1, 0], [1, 0])], [table([1, 0], [0, 1])], Bootstrap(resamples=100))
    >>> differences["sensitivity_any_abnormal"].value
    100.0
    """
    if not first or not second:
        raise LungSRADError(f"{len(first)} runs against {len(second)}: expected at least one run of each model")
    base = first[0]
    means = [_mean_metrics(base, runs, metrics, harmonic) for runs in (first, second)]

    def difference(weights):
        before, after = (mean(weights) for mean in means)
        return {name: after[name] - before[name] for name in before}

    return (bootstrap or Bootstrap()).intervals(difference, base.patients())


def mean_with_intervals(
    runs: Sequence[PredictionTable],
    bootstrap: Bootstrap | None = None,
    harmonic: bool = False,
    metrics: Metrics = compute_metrics,
) -> dict[str, Interval]:
    """Return the mean over runs of every metric, with its patient-clustered bootstrap interval.

    Each resample of patients is the same for all runs. The interval says how the mean over these very runs would vary
    with other patients, not with further seeds.

    Arguments
    ---------
    runs : sequence of PredictionTable
        The runs of one model, one or more, all on the same cycles.
    bootstrap, harmonic, metrics
        As in ``paired_difference``.

    Returns
    -------
    dict
        ``Interval`` by metric.

    Raises
    ------
    LungSRADError
        Where there is no run, or the runs are not of the same cycles, labels, targets and patients.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> def table(*probabilities):
    ...     return make_table("ab", ["no", "yes"], probabilities, ("no", "yes"), {"patient": "12"})
    >>> runs = [table([1, 0], [1, 0]), table([1, 0], [0, 1])]
    >>> mean_with_intervals(runs, Bootstrap(resamples=100))["sensitivity_any_abnormal"].value
    50.0
    """
    if not runs:
        raise LungSRADError("no runs: expected at least one")
    means = _mean_metrics(runs[0], runs, metrics, harmonic)
    return (bootstrap or Bootstrap()).intervals(means, runs[0].patients())


def _mean_metrics(base, runs, metrics, harmonic):
    """Return, as a function of weights, the mean of each metric over runs, their cycles in the order of ``base``."""
    runs = [align(base, run) for run in runs]

    def means(weights):
        values = [metrics(run, weights, harmonic) for run in runs]
        return {name: sum(value[name] for value in values) / len(values) for name in values[0]}

    return means
