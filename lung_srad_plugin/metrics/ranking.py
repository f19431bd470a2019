"""The two areas for many resamples of many patients: one pass over the cycles for each resample, compiled by numba.

For few patients, ``probabilistic.py`` compares the patients pair by pair, which is quicker; its memory and time grow
with the square of their number. These loops need no memory beyond the counts. Both give the area as the definitions in
``probabilistic.py`` do.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def weighted_auroc(counts, patient, positive, last):  # pragma: no cover - compiled
    """Return the AUROC of each resample, NaN where positives or negatives are absent.

    Arguments
    ---------
    counts : numpy.ndarray
        (R, P) how often each patient was drawn.
    patient, positive, last : numpy.ndarray
        (N,) of the cycles by falling score: index of the patient, whether positive, and whether the next cycle scores
        lower.

    Returns
    -------
    numpy.ndarray
        (R,)
    """
    areas = np.empty(len(counts))
    for r in range(len(counts)):
        area, right, wrong, right_here, wrong_here = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(len(patient)):
            weight = counts[r, patient[i]]
            if positive[i]:
                right_here += weight
            else:
                wrong_here += weight
            if last[i]:
                # The trapezoid between two scores counts the ties at the lower one half.
                area += wrong_here * (right + right_here / 2)
                right, wrong = right + right_here, wrong + wrong_here
                right_here, wrong_here = 0.0, 0.0
        areas[r] = area / (right * wrong) if right * wrong > 0 else np.nan
    return areas


@njit(cache=True, nogil=True)
def weighted_average_precision(counts, patient, positive, last):  # pragma: no cover - compiled
    """Return the average precision of each resample, NaN where positives are absent; arguments as above."""
    areas = np.empty(len(counts))
    for r in range(len(counts)):
        area, right, flagged, right_here = 0.0, 0.0, 0.0, 0.0
        for i in range(len(patient)):
            weight = counts[r, patient[i]]
            flagged += weight
            if positive[i]:
                right_here += weight
            if last[i] and right_here > 0:
                right += right_here
                area += right_here * right / flagged
                right_here = 0.0
        areas[r] = area / right if right > 0 else np.nan
    return areas
