"""Pearson's and Spearman's correlation over runs, with intervals by resampling the runs."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.bootstrap import Bootstrap, Interval

FEWEST = 3
"""Two points lie on a line whatever they are."""


def correlate(
    x: np.ndarray, y: np.ndarray, runs: Sequence[str], bootstrap: Bootstrap | None = None
) -> dict[str, Interval]:
    """Correlate two figures of checkpoints, with intervals from resampling the runs that they are of.

    Points where one of the two is undefined are left out. Checkpoints of one run are drawn together, since they are not
    independent; runs of one row over seeds are drawn apart.

    Arguments
    ---------
    x, y : numpy.ndarray
        (N,) one number for each checkpoint, NaN where undefined.
    runs : sequence of str
        (N,) the run of each checkpoint.
    bootstrap : Bootstrap, optional
        How many resamples, and of which confidence.

    Returns
    -------
    dict
        ``pearson`` and ``spearman``: ``Interval`` of the coefficient. NaN where there are fewer than three runs, or one
        of the figures is the same for all; the bounds are NaN where there is no resample in which it is defined.

    Raises
    ------
    LungSRADError
        Where the lengths differ.

    Example
    -------
    >>> found = correlate(np.arange(5.0), np.arange(5.0) ** 3, runs=list("abcde"))
    >>> round(found["pearson"].value, 3), found["spearman"].value
    (0.906, 1.0)
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if not len(x) == len(y) == len(runs):
        raise LungSRADError(f"{len(x)} and {len(y)} figures of {len(runs)} checkpoints: expected one of each")
    defined = ~(np.isnan(x) | np.isnan(y))
    x, y, runs = x[defined], y[defined], [run for run, kept in zip(runs, defined, strict=True) if kept]
    if len(set(runs)) < FEWEST:
        return dict.fromkeys(("pearson", "spearman"), Interval(np.nan, np.nan, np.nan, 0))

    def coefficients(weights):
        counts = np.asarray(weights)
        return {
            "pearson": _pearson(counts, x[None], y[None]),
            "spearman": _pearson(counts, _ranks(counts, x), _ranks(counts, y)),
        }

    return (bootstrap or Bootstrap()).intervals(coefficients, runs)


def _pearson(counts, x, y):
    """Return the coefficient of each resample (R,); points count (R,N) times, x and y are (R,N) or (1,N)."""
    total = counts.sum(axis=1, keepdims=True)
    x = x - (counts * x).sum(axis=1, keepdims=True) / total
    y = y - (counts * y).sum(axis=1, keepdims=True) / total
    product, squares = (counts * x * y).sum(axis=1), (counts * x * x).sum(axis=1) * (counts * y * y).sum(axis=1)
    # What is left of a constant after rounding is no variation.
    scale = (counts * (x * x + y * y)).sum(axis=1) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(squares > 1e-24 * np.maximum(scale, 1e-300), product / np.sqrt(squares), np.nan)


def _ranks(counts, values):
    """Return the mean rank of each point in each resample, (R,N), where each counts as often as it was drawn."""
    level = rankdata(values, method="dense").astype(int) - 1  # SciPy 1.18 returns whole numbers as float
    of_level = np.zeros((len(counts), level.max() + 1))
    for point, index in enumerate(level):
        of_level[:, index] += counts[:, point]
    ranks = np.cumsum(of_level, axis=1) - (of_level - 1) / 2
    return ranks[:, level]
