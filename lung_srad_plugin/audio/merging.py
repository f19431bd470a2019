"""From the probabilities of windows that overlap to those of each stretch of time."""

import numpy as np
from numpy.typing import ArrayLike

MERGING = ("mean", "max", "median", "nearest")


def merge_probabilities(
    windows: ArrayLike, probabilities: ArrayLike, merging: str = "mean"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the stretches between the edges of windows, and the probabilities of each.

    Arguments
    ---------
    windows : array (N, 2) of int
        Begin and end of each, both ascending.
    probabilities : array (N, C)
        Of each window, the normal class first.
    merging : str
        One of ``MERGING``: the ``"mean"`` of the probabilities of the windows that cover a stretch; their ``"median"``,
        brought to a sum of 1 (the mean where it is 0 for all classes); the probabilities of the one that is the most
        abnormal (``"max"``), or of the one whose middle is ``"nearest"`` to that of the stretch.

    Returns
    -------
    stretches : numpy.ndarray
        (S, 2) begin and end.
    merged : numpy.ndarray
        (S, C)

    Example
    -------
    >>> windows, abnormal = [(0, 3), (1, 4), (2, 5)], np.array([0.0, 1.0, 0.5])
    >>> for merging in MERGING:
    ...     stretches, merged = merge_probabilities(windows, np.stack([1 - abnormal, abnormal], axis=1), merging)
    ...     print(merging, merged[:, 1].tolist())
    mean [0.0, 0.5, 0.5, 0.75, 0.5]
    max [0.0, 1.0, 1.0, 1.0, 0.5]
    median [0.0, 0.5, 0.5, 0.75, 0.5]
    nearest [0.0, 0.0, 1.0, 0.5, 0.5]
    """
    windows, probabilities = np.asarray(windows), np.asarray(probabilities, dtype=np.float64)
    edges = np.unique(windows)
    # The windows that cover a stretch are neighbours, because begins and ends ascend.
    first = np.searchsorted(windows[:, 1], edges[:-1], side="right")
    count = np.searchsorted(windows[:, 0], edges[1:], side="left") - first
    covered = count > 0
    stretches = np.stack([edges[:-1], edges[1:]], axis=1)[covered]
    first, count = first[covered], count[covered]
    merged = np.empty((len(stretches), probabilities.shape[1]))
    for covering in np.unique(count):
        rows = np.flatnonzero(count == covering)
        members = first[rows, None] + np.arange(covering)
        merged[rows] = _MERGE[merging](
            probabilities[members], windows[members].sum(axis=2), stretches[rows].sum(axis=1)
        )
    return stretches, merged


# Each takes the probabilities (S, K, C) of the K windows that cover each of S stretches, twice the middles of these
# windows, and twice the middles of the stretches.


def _mean(probabilities, middles, here):
    del middles, here
    return probabilities.sum(axis=1) / probabilities.shape[1]


def _median(probabilities, middles, here):
    del middles, here
    median = np.median(probabilities, axis=1)
    total = median.sum(axis=1, keepdims=True)
    # Windows that are certain of different classes may have a median of 0 for each.
    return np.where(total > 0, median / np.where(total > 0, total, 1), _mean(probabilities, None, None))


def _max(probabilities, middles, here):
    del middles, here
    most = probabilities[:, :, 0].argmin(axis=1)
    return probabilities[np.arange(len(most)), most]


def _nearest(probabilities, middles, here):
    distance = np.abs(middles - here[:, None])
    near = distance == distance.min(axis=1, keepdims=True)
    return np.where(near[:, :, None], probabilities, 0).sum(axis=1) / near.sum(axis=1, keepdims=True)


_MERGE = {"mean": _mean, "max": _max, "median": _median, "nearest": _nearest}
