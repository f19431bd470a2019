"""A linear classifier on embeddings: logistic regression whose strength is chosen by patient cross-validation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from lung_srad_plugin.datasets.patient_split import count_by_patient, divide_patients
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.nn.losses import class_weights
from lung_srad_plugin.runs.selection import METRICS
from lung_srad_plugin.training.predictions import Predictions
from lung_srad_plugin.training.state import prediction_stats

ITERATIONS = 5000
TOLERANCE = 1e-7  # of the gradient; scikit-learn's own, 1e-4, leaves probabilities open by as much
IMPOSSIBLE = -1000.0  # the log-probability of a class that a fold cannot predict


@dataclass(frozen=True)
class LinearProbe:
    """A linear layer on embeddings (N, D), with log-probabilities of C classes.

    Arguments
    ---------
    weight : numpy.ndarray
        (C, D) float64.
    bias : numpy.ndarray
        (C,) float64.
    converged : bool
        Whether the fit ended before the limit of iterations.
    """

    weight: np.ndarray
    bias: np.ndarray
    converged: bool = True

    def log_probs(self, embeddings: np.ndarray) -> np.ndarray:
        """Return the log-probabilities (N, C) of embeddings (N, D).

        Example
        -------
        >>> LinearProbe(np.array([[0.0], [1.0]]), np.zeros(2)).log_probs(np.array([[0.0]])).round(4)
        array([[-0.6931, -0.6931]])
        """
        return log_softmax(np.asarray(embeddings, dtype=np.float64) @ self.weight.T + self.bias, axis=1)


def fit_linear_probe(
    embeddings: np.ndarray,
    targets: np.ndarray,
    labels: Sequence[str],
    c: float,
    class_weighting: str = "none",
    log_shares: np.ndarray | None = None,
) -> LinearProbe:
    """Fit scikit-learn's logistic regression on standardised embeddings; return it as one linear layer.

    The standardisation, ``(x - mean) / deviation`` of each feature, is part of the layer's weight and bias.

    Arguments
    ---------
    embeddings : numpy.ndarray
        (N, D).
    targets : numpy.ndarray
        (N,) class indices.
    labels : sequence of str
        (C,) class names.
    c : float
        The inverse strength of the penalty on the weights, scikit-learn's ``C``.
    class_weighting : str
        As in ``class_weights``.
    log_shares : numpy.ndarray, optional
        (C,) subtracted from the log-probabilities up to a constant, as in ``prior_correction.log_shares``.

    Raises
    ------
    LungSRADError
        Where a class has no cycle.

    Example
    -------
    >>> probe = fit_linear_probe(np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1]), ["no", "yes"], c=1.0)
    >>> probe.log_probs(np.array([[0.0], [3.0]])).argmax(axis=1)
    array([0, 1])
    """
    counts = {label: int((targets == index).sum()) for index, label in enumerate(labels)}
    empty = [label for label, count in counts.items() if count == 0]
    if empty:
        raise LungSRADError(
            f"the cycles to fit a probe on have none labelled {', '.join(empty)}; leave the class out of `labels`, or "
            "take other cycles"
        )
    weights = dict(enumerate(class_weights(counts, class_weighting).tolist()))
    embeddings = np.asarray(embeddings, dtype=np.float64)
    scaler = StandardScaler().fit(embeddings)
    model = LogisticRegression(C=c, class_weight=weights, max_iter=ITERATIONS, tol=TOLERANCE)
    model.fit(scaler.transform(embeddings), targets)
    coefficients, intercept = model.coef_, model.intercept_
    if len(labels) == 2:  # scikit-learn keeps the second class alone; the first is its negation, at 0 here
        coefficients = np.vstack([np.zeros_like(coefficients), coefficients])
        intercept = np.array([0.0, intercept[0]])
    if log_shares is not None:
        intercept = intercept - log_shares
    weight = coefficients / scaler.scale_
    return LinearProbe(weight, intercept - weight @ scaler.mean_, bool(model.n_iter_.max() < ITERATIONS))


@dataclass(frozen=True)
class ChosenStrength:
    """What cross-validation chose.

    Arguments
    ---------
    c : float
        The inverse strength with the best metric; of equal ones the smallest, which is the strongest penalty.
    metrics : dict
        By inverse strength, the metric of the predictions of all folds together.
    """

    c: float
    metrics: dict[float, float]


def choose_strength(
    embeddings: np.ndarray,
    targets: np.ndarray,
    patients: Sequence[str],
    labels: Sequence[str],
    strengths: Sequence[float],
    folds: int = 5,
    class_weighting: str = "none",
    select_by: str = "score",
    seed: int = 0,
    progress: Callable[[int, int], object] | None = None,
    log_shares: np.ndarray | None = None,
) -> ChosenStrength:
    """Choose ``C`` by cross-validation over patients: each is predicted by a probe that was fitted without it.

    Arguments
    ---------
    embeddings, targets, labels, class_weighting, log_shares
        As for ``fit_linear_probe``.
    patients : sequence of str
        (N,) of the cycles.
    strengths : sequence of float
        The values of ``C`` to choose from.
    folds : int
        Number of parts that the patients are divided into, each with nearly equal shares of every class.
    select_by : str
        A key of ``METRICS``, on the predictions of all folds together.
    seed : int
        Of the division.
    progress : callable, optional
        Called as ``progress(done, total)`` after each fit.

    Raises
    ------
    LungSRADError
        Where a cycle has no patient, there are fewer patients than folds, or the rest of a fold has only one class.

    Example
    -------
    >>> embeddings = np.array([[0.0], [0.1], [1.0], [1.2]] * 2)
    >>> chosen = choose_strength(embeddings, np.array([0, 0, 1, 1] * 2), list("aaaabbbb"), ["no", "yes"], [0.1, 1], 2)
    >>> chosen.c, chosen.metrics
    (0.1, {0.1: 100.0, 1: 100.0})
    """
    part = divide_cycles(patients, targets, folds, seed)
    metrics: dict[float, float] = {}
    for c in sorted(strengths):
        log_probs = np.full((len(targets), len(labels)), IMPOSSIBLE)
        for fold in range(folds):
            rest = part != fold
            # A class of few patients may be absent from the rest; it cannot be predicted then.
            known, present = np.unique(targets[rest], return_inverse=True)
            if len(known) < 2:
                raise LungSRADError(
                    f"the patients of all folds but one have only cycles labelled {labels[known[0]]}; lower probe_folds"
                )
            of_known = [labels[index] for index in known]
            shares = None if log_shares is None else log_shares[known]
            probe = fit_linear_probe(embeddings[rest], present, of_known, c, class_weighting, shares)
            log_probs[np.ix_(~rest, known)] = probe.log_probs(embeddings[~rest])
            if progress is not None:
                progress(len(metrics) * folds + fold + 1, len(strengths) * folds)
        stats = prediction_stats(Predictions([], targets, log_probs), labels)
        metrics[c] = float(stats[select_by])
    return ChosenStrength(max(metrics, key=lambda c: (metrics[c], -c)), metrics)


def divide_cycles(patients: Sequence[str], targets: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the fold (N,) of each cycle: all cycles of a patient are in one.

    Raises
    ------
    LungSRADError
        Where a cycle has no patient, or there are fewer patients than folds.

    Example
    -------
    >>> divide_cycles(["a", "a", "b"], np.array([0, 1, 0]), folds=2, seed=0).tolist() in ([0, 0, 1], [1, 1, 0])
    True
    """
    blank = sum(not patient.strip() for patient in patients)
    if blank:
        raise LungSRADError(
            f"{blank} of {len(patients)} cycles have no patient; cross-validation over patients needs a column "
            "`patient` without blanks in the training manifest"
        )
    counts = count_by_patient(zip(patients, map(str, targets), strict=True))
    if len(counts) < folds:
        raise LungSRADError(f"probe_folds: {folds}, but the training cycles are of {len(counts)} patients; use fewer")
    of_patient = divide_patients(counts, [1 / folds] * folds, seed)
    return np.array([of_patient[patient] for patient in patients])


def describe_strength(chosen: ChosenStrength, folds: int, select_by: str) -> str:
    """Return in words how the strength was chosen, with a note where it is the first or last of its grid.

    Example
    -------
    >>> describe_strength(ChosenStrength(0.1, {0.1: 60.0, 1.0: 50.0}), 5, "score")
    'C = 0.1 has the best Score of 2 values in a cross-validation over 5 folds of the training patients; it is ...'
    """
    text = (
        f"C = {chosen.c:g} has the best {METRICS[select_by]} of {len(chosen.metrics)} values in a cross-validation "
        f"over {folds} folds of the training patients"
    )
    if len(chosen.metrics) > 1 and chosen.c in (min(chosen.metrics), max(chosen.metrics)):
        text += f"; it is the {'smallest' if chosen.c == min(chosen.metrics) else 'largest'} of them"
    return text
