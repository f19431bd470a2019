"""What probabilities are worth: ranking (AUROC, AUPRC) and calibration (ECE, Brier), for weighted cycles.

Every function takes ``weights`` (..., N): how often each cycle counts, one row for each weighting. A resample of
patients is such a row, so the same definition gives a value and its interval. Resamples come as ``PatientWeights``; the
two areas have faster ways for these, beside the definition: one for few patients, one for many (``ranking.py``).
"""

import numpy as np

from lung_srad_plugin.metrics.weights import PatientWeights

Weights = np.ndarray | PatientWeights

CALIBRATION_BINS = 15

# Above this number of patients times cycles, the areas of resamples are computed cycle by cycle: the tables of the
# other way would take more than 32 megabytes each.
MANY = 1 << 22

# Resamples times scores that are held at once: a megabyte, to stay in the processor's cache.
CHUNK = 1 << 17


def auroc(positive: np.ndarray, scores: np.ndarray, weights: Weights | None = None) -> np.ndarray:
    """Area under the ROC curve: the chance that a positive cycle scores above a negative one, ties counting half.

    This is the Mann-Whitney statistic (Hanley and McNeil, Radiology 143, 1982).

    Arguments
    ---------
    positive : numpy.ndarray
        (N,) bool.
    scores : numpy.ndarray
        (N,), higher for positive.
    weights : numpy.ndarray, optional
        (..., N); all 1 when None.

    Returns
    -------
    numpy.ndarray
        (...), 0 to 1; NaN where positives or negatives are absent.

    Example
    -------
    >>> float(auroc(np.array([True, False, True, False]), np.array([0.9, 0.8, 0.8, 0.1])))
    0.875
    """
    if isinstance(weights, PatientWeights):
        return _auroc_of_patients(positive, scores, weights)
    right, wrong = _found_by_score(positive, scores, weights)
    # The trapezoid between two scores counts the ties at the lower one half.
    area = (np.diff(wrong) * (right[..., 1:] + right[..., :-1])).sum(-1) / 2
    return _ratio(area, right[..., -1] * wrong[..., -1])


def average_precision(positive: np.ndarray, scores: np.ndarray, weights: Weights | None = None) -> np.ndarray:
    """Area under the precision-recall curve as a sum of steps: precision at each score times the recall it adds.

    No interpolation, as in scikit-learn's ``average_precision_score`` (Davis and Goadrich, ICML 2006, say why). Chance
    level is the share of positives, so values of sets with other shares do not compare.

    Arguments
    ---------
    positive, scores, weights
        As in ``auroc``.

    Returns
    -------
    numpy.ndarray
        (...), 0 to 1; NaN where positives are absent.

    Example
    -------
    >>> float(average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7])))  # (1 + 2/3) / 2
    0.8333333333333333
    """
    if isinstance(weights, PatientWeights):
        return _average_precision_of_patients(positive, scores, weights)
    right, wrong = _found_by_score(positive, scores, weights)
    flagged = right[..., 1:] + wrong[..., 1:]
    # Where nothing is flagged yet, no recall is added either.
    precision = right[..., 1:] / np.where(flagged > 0, flagged, 1)
    return _ratio((np.diff(right) * precision).sum(-1), right[..., -1])


def brier_score(targets: np.ndarray, probabilities: np.ndarray, weights: Weights | None = None) -> np.ndarray:
    """Mean over cycles of the squared distance between the probabilities and the target, summed over classes.

    0 is perfect, 2 is certain and wrong; this is the original definition (Brier, Monthly Weather Review 78, 1950). Some
    write half of it.

    Arguments
    ---------
    targets : numpy.ndarray
        (N,) class indices.
    probabilities : numpy.ndarray
        (N, C).
    weights : numpy.ndarray, optional
        (..., N); all 1 when None.

    Returns
    -------
    numpy.ndarray
        (...)

    Example
    -------
    >>> round(float(brier_score(np.array([0, 1]), np.array([[1.0, 0.0], [0.6, 0.4]]))), 6)  # (0 + 0.36 + 0.36) / 2
    0.36
    """
    hit = np.eye(probabilities.shape[1])[targets]
    return _mean(((probabilities - hit) ** 2).sum(1), weights)


def log_loss(targets: np.ndarray, probabilities: np.ndarray, weights: Weights | None = None) -> np.ndarray:
    """Mean over cycles of minus the natural logarithm of the target's probability; infinite where that is 0.

    Arguments
    ---------
    targets, probabilities, weights
        As in ``brier_score``.

    Returns
    -------
    numpy.ndarray
        (...)

    Example
    -------
    >>> round(float(log_loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.5, 0.5]]))), 4)
    0.6931
    """
    with np.errstate(divide="ignore"):
        return _mean(-np.log(probabilities[np.arange(len(targets)), targets]), weights)


def calibration_error(
    targets: np.ndarray, probabilities: np.ndarray, weights: Weights | None = None, bins: int = CALIBRATION_BINS
) -> np.ndarray:
    """Expected calibration error (ECE) of the most probable class.

    Cycles are put into equal bins of confidence, the highest probability; the ECE is the mean over cycles of their
    bin's ``|accuracy - confidence|`` (Guo et al., "On calibration of modern neural networks", ICML 2017, eq. 3). It
    depends on the number of bins, and is biased upwards for few cycles.

    Arguments
    ---------
    targets, probabilities, weights
        As in ``brier_score``.
    bins : int

    Returns
    -------
    numpy.ndarray
        (...), 0 to 1.

    Example
    -------
    >>> targets, probabilities = np.array([0, 0]), np.array([[0.75, 0.25], [0.25, 0.75]])
    >>> float(calibration_error(targets, probabilities))  # one bin: half are right at a confidence of 0.75
    0.25
    """
    weights = np.ones(len(targets)) if weights is None else weights
    confidence, right, member = _binned(targets, probabilities, bins)
    gaps = weights @ (member * (right - confidence)[:, None])
    return _ratio(np.abs(gaps).sum(-1), weights.sum(-1))


def reliability_bins(
    targets: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS
) -> list[dict[str, float]]:
    """Return what a reliability diagram shows: a row for each bin of confidence that has cycles.

    Arguments
    ---------
    targets, probabilities, bins
        As in ``calibration_error``.

    Returns
    -------
    list of dict
        ``low`` and ``high`` (the bin, open below and closed above), ``cycles``, mean ``confidence``, and ``accuracy``.

    Example
    -------
    >>> reliability_bins(np.array([0, 0]), np.array([[0.75, 0.25], [0.25, 0.75]]), bins=2)
    [{'low': 0.5, 'high': 1.0, 'cycles': 2, 'confidence': 0.75, 'accuracy': 0.5}]
    """
    confidence, right, member = _binned(targets, probabilities, bins)
    rows = []
    for b in range(bins):
        inside = member[:, b] > 0
        if inside.any():
            means = {"confidence": float(confidence[inside].mean()), "accuracy": float(right[inside].mean())}
            rows.append({"low": b / bins, "high": (b + 1) / bins, "cycles": int(inside.sum()), **means})
    return rows


def _binned(targets, probabilities, bins):
    """Return confidence (N,), whether the most probable class is right (N,), and the bin as (N, bins) of 0 and 1."""
    confidence = probabilities.max(1)
    right = (probabilities.argmax(1) == targets).astype(float)
    index = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    return confidence, right, np.eye(bins)[index]


def _found_by_score(positive, scores, weights):
    """Return the weight of positives, and of negatives, that score at least as high as each distinct score, falling.

    Both (..., S + 1); the first column is 0, for a threshold above all scores, and the last column the total.
    """
    weights = np.ones(len(scores)) if weights is None else np.asarray(weights)
    order = np.argsort(-scores, kind="stable")
    last_of_score = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    ordered, positive = weights[..., order], positive[order]
    found = []
    for chosen in (positive, ~positive):
        total = np.zeros((*weights.shape[:-1], len(last_of_score) + 1))
        total[..., 1:] = np.cumsum(ordered * chosen, axis=-1)[..., last_of_score]
        found.append(total)
    return found


def _auroc_of_patients(positive, scores, weights):
    """The area as pairs won: between each patient's positives and each patient's negatives, counted once for all."""
    if weights.counts.shape[1] * len(scores) > MANY:
        from lung_srad_plugin.metrics.ranking import weighted_auroc

        return weighted_auroc(weights.counts, *_by_falling_score(positive, scores, weights))
    negative = ~positive
    _, score_of = np.unique(scores, return_inverse=True)
    negatives = np.zeros((weights.counts.shape[1], score_of.max() + 2))
    np.add.at(negatives, (weights.patient_of[negative], score_of[negative] + 1), 1)
    below = np.cumsum(negatives, axis=1)  # of each patient, negatives below each distinct score
    won = (below[:, :-1] + below[:, 1:]) / 2  # ties count half
    pairs = weights.by_patient(won[:, score_of].T * positive[:, None])  # [p, q]: positives of p against negatives of q
    area = ((weights.counts @ pairs) * weights.counts).sum(-1)
    return _ratio(area, (weights @ positive) * (weights @ negative))


def _average_precision_of_patients(positive, scores, weights):
    """The sum over positives alone: elsewhere no recall is added."""
    if weights.counts.shape[1] * len(scores) > MANY:
        from lung_srad_plugin.metrics.ranking import weighted_average_precision

        return weighted_average_precision(weights.counts, *_by_falling_score(positive, scores, weights))
    _, falling = np.unique(-scores, return_inverse=True)
    at, index = np.unique(falling[positive], return_inverse=True)  # the distinct scores that some positive has
    patients = weights.counts.shape[1]
    flagged = np.zeros((patients, falling.max() + 1))
    np.add.at(flagged, (weights.patient_of, falling), 1)
    flagged = np.cumsum(flagged, axis=1)[:, at]
    added = np.zeros((patients, len(at)))
    np.add.at(added, (weights.patient_of[positive], index), 1)
    areas = np.zeros(len(weights.counts))
    chunk = max(1, CHUNK // max(1, len(at)))
    for begin in range(0, len(areas), chunk):
        counts = weights.counts[begin : begin + chunk]
        recalled = counts @ added
        precision = np.cumsum(recalled, axis=1) / np.maximum(counts @ flagged, 1)
        areas[begin : begin + chunk] = (recalled * precision).sum(-1)
    return _ratio(areas, weights @ positive)


def _by_falling_score(positive, scores, weights):
    """Return patient, whether positive, and whether the next cycle scores lower, of the cycles by falling score."""
    order = np.argsort(-scores, kind="stable")
    return weights.patient_of[order], positive[order], np.diff(scores[order], append=-np.inf) != 0


def _mean(values, weights):
    weights = np.ones(len(values)) if weights is None else weights
    return _ratio(weights @ values, weights.sum(-1))


def _ratio(part, whole):
    """Return ``part / whole``, NaN where ``whole`` is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole == 0, np.nan, part / whole)
