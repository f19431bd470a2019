"""Temperature scaling: one number, fitted on validation cycles, makes probabilities honest and leaves answers alone.

Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2.
"""

from dataclasses import dataclass, replace

import numpy as np

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.probabilistic import brier_score, calibration_error, log_loss

LOWEST, HIGHEST = 0.05, 20.0

# A probability of 0 has no logarithm. It stands for one too small for float32, whose smallest is this.
SMALLEST = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class Calibration:
    """A fitted temperature, and what it did.

    Arguments
    ---------
    temperature : float
        Divides the log-probabilities: above 1 softens, below 1 sharpens.
    at_bound : bool
        True where the best temperature lies outside the range that is searched. The validation cycles do not
        determine it then: all are answered right, or the answers say nothing.
    before, after : dict
        ``log_loss``, ``ece`` and ``brier`` on the cycles it was fitted on.
    """

    temperature: float
    at_bound: bool
    before: dict
    after: dict


def fit_temperature(table):
    """Find the temperature with the lowest log loss on a table, which must be of validation cycles.

    The loss is convex in the inverse temperature, so the minimum is the only one. It is searched from 0.05 to 20.

    Arguments
    ---------
    table : PredictionTable
        Cycles that neither trained the model nor will be reported on.

    Returns
    -------
    Calibration

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> sure = [[0.99, 0.01]] * 4  # right in three of four cases
    >>> table = make_table("abcd", ["no", "no", "no", "yes"], sure, labels=("no", "yes"))
    >>> calibration = fit_temperature(table)
    >>> round(calibration.temperature, 2), scale_table(table, calibration.temperature).probabilities[0].round(2)
    (4.18, array([0.75, 0.25]))
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    logits = _logits(table.probabilities)
    of_target = logits[np.arange(len(table)), table.targets]

    def loss(inverse):
        # From logits, as probabilities of a sharp temperature reach 0.
        return (logsumexp(inverse * logits, axis=1) - inverse * of_target).mean()

    low, high = 1 / HIGHEST, 1 / LOWEST
    inverse = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-8})
    inverse = float(inverse.x)
    at_bound = not low * 1.001 < inverse < high * 0.999
    scaled = scale_table(table, 1 / inverse)
    return Calibration(1 / inverse, at_bound, quality(table), quality(scaled))


def scale_table(table, temperature):
    """Return the table with its probabilities at another temperature; answers and their order stay.

    Arguments
    ---------
    table : PredictionTable
    temperature : float
        Above 0.

    Returns
    -------
    PredictionTable

    Raises
    ------
    LungSRADError
        Where the temperature is not a positive number.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> table = make_table(["a"], ["no"], [[0.8, 0.2]], labels=("no", "yes"))
    >>> scale_table(table, 0.5).probabilities.round(3)  # 0.64 : 0.04
    array([[0.941, 0.059]])
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise LungSRADError(f"temperature={temperature}: expected a number above 0")
    return replace(table, probabilities=_scale(table.probabilities, temperature))


def _logits(probabilities):
    return np.log(np.maximum(probabilities, SMALLEST))


def _scale(probabilities, temperature):
    logits = _logits(probabilities) / temperature
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def quality(table):
    """Return ``log_loss``, ``ece`` and ``brier`` of a table.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> table = make_table("ab", ["no", "yes"], [[0.75, 0.25]] * 2, labels=("no", "yes"))
    >>> {name: round(value, 3) for name, value in quality(table).items()}
    {'log_loss': 0.837, 'ece': 0.25, 'brier': 0.625}
    """
    measures = {"log_loss": log_loss, "ece": calibration_error, "brier": brier_score}
    return {name: float(value(table.targets, table.probabilities)) for name, value in measures.items()}
