"""Temperature scaling: one number, fitted on validation cycles, that corrects confidence and changes no prediction.

Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.predictions import PredictionTable
from lung_srad_plugin.metrics.probabilistic import brier_score, calibration_error, log_loss

LOWEST, HIGHEST = 0.05, 20.0

# A log loss this much higher than before is rounding, not harm.
ROUNDING = 1e-6

# Two log losses closer than this are equal.
FLAT = 1e-9

# A probability of 0 has no logarithm. It stands for one too small for float32, whose smallest is this.
SMALLEST = np.finfo(np.float32).tiny

NOT_FITTED = (
    "its run had no validation cycles apart from the test cycles, or was not evaluated before the model was exported"
)


@dataclass(frozen=True)
class Calibration:
    """A fitted temperature, or the reason why there is none.

    Arguments
    ---------
    temperature : float or None
        Divides the log-probabilities: above 1 softens, below 1 sharpens. None where there is none.
    reason : str or None
        Why there is no temperature; None where there is one.
    before, after : dict or None
        ``log_loss``, ``ece`` and ``brier`` on the cycles it was fitted on; ``after`` only where there is a temperature.
    """

    temperature: float | None
    reason: str | None = None
    before: dict[str, float] | None = None
    after: dict[str, float] | None = None


def fit_temperature(table: PredictionTable) -> Calibration:
    """Find the temperature with the lowest log loss on a table, which must be of validation cycles.

    The loss is convex in the inverse temperature, so the minimum is the only one. It is searched from 0.05 to 20. A
    minimum at an end of that range means that the cycles do not determine it: all predictions are right, or they are
    worth nothing. Such a temperature would do harm on other cycles and is not kept, nor is one that leaves the log loss
    of these very cycles worse than before.

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
    >>> fit_temperature(table.rows([0, 1, 2])).reason
    'the best temperature on the 3 validation cycles, 0.05, is the end of the searched range, 0.05 to 20: ...'
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    logits = _logits(table.probabilities)
    of_target = logits[np.arange(len(table)), table.targets]

    def loss(inverse: float) -> float:
        # From logits, as probabilities of a sharp temperature reach 0.
        return (logsumexp(inverse * logits, axis=1) - inverse * of_target).mean()

    low, high = 1 / HIGHEST, 1 / LOWEST
    inverse = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-8})
    inverse = float(inverse.x)
    before = quality(table)
    # Towards an end, a loss near its limit is flat: then the search stops short of that end, which is as good.
    end = min((low, high), key=loss)
    if not low * 1.001 < inverse < high * 0.999 or abs(loss(end) - loss(inverse)) < FLAT:
        return Calibration(None, _reason_at_bound(1 / end, f"the {len(table)} validation cycles"), before)
    after = quality(scale_table(table, 1 / inverse))
    if after["log_loss"] > before["log_loss"] + ROUNDING:
        return Calibration(None, _reason_of_harm(1 / inverse, before, after), before)
    return Calibration(1 / inverse, None, before, after)


def read_calibration(stored: Mapping[str, Any] | None) -> Calibration:
    """Return the calibration that results or a model's ``config.json`` hold.

    What version 0.1 stored is judged by today's rule: a temperature at the end of its range, or one that made the log
    loss of its own cycles worse, is none.

    Arguments
    ---------
    stored : dict or None
        As ``dataclasses.asdict`` of a ``Calibration``; None where nothing was fitted.

    Returns
    -------
    Calibration

    Raises
    ------
    LungSRADError
        Where the temperature is neither a positive number nor absent.

    Example
    -------
    >>> read_calibration(None).temperature
    >>> stored = {"temperature": 0.05, "at_bound": True, "before": {"log_loss": 0.1}, "after": {"log_loss": 0.05}}
    >>> read_calibration(stored).reason
    'the best temperature on the validation cycles, 0.05, is the end of the searched range, 0.05 to 20: ...'
    """
    if stored is None:
        return Calibration(None, NOT_FITTED)
    temperature, before, after = stored.get("temperature"), stored.get("before"), stored.get("after")
    if temperature is None:
        return Calibration(None, stored.get("reason") or NOT_FITTED, before)
    if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 < temperature < np.inf:
        raise LungSRADError(f"calibration: temperature {temperature!r}; expected a number above 0, or null for none")
    if stored.get("at_bound"):
        return Calibration(None, _reason_at_bound(temperature, "the validation cycles"), before)
    known = before and after and None not in (before.get("log_loss"), after.get("log_loss"))
    if before and after and known and after["log_loss"] > before["log_loss"] + ROUNDING:
        return Calibration(None, _reason_of_harm(temperature, before, after), before)
    return Calibration(float(temperature), None, before, after)


def _reason_at_bound(temperature: float, cycles: str) -> str:
    return (
        f"the best temperature on {cycles}, {temperature:.3g}, is the end of the searched range, {LOWEST:g} to "
        f"{HIGHEST:g}: the cycles do not determine it, because the model is right on all of them or no better than "
        "chance"
    )


def _reason_of_harm(temperature: float, before: Mapping[str, float], after: Mapping[str, float]) -> str:
    return (
        f"the temperature {temperature:.3g} makes the log loss of the validation cycles worse: "
        f"{after['log_loss']:.3g} instead of {before['log_loss']:.3g}"
    )


def scale_table(table: PredictionTable, temperature: float) -> PredictionTable:
    """Return the table with its probabilities at another temperature; the predicted classes stay.

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
    from scipy.special import softmax

    if not (np.isfinite(temperature) and temperature > 0):
        raise LungSRADError(f"temperature={temperature}: expected a number above 0")
    return replace(table, probabilities=softmax(_logits(table.probabilities) / temperature, axis=1))


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, SMALLEST))


def quality(table: PredictionTable) -> dict[str, float]:
    """Return ``log_loss``, ``ece`` and ``brier`` of a table.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> table = make_table("ab", ["no", "yes"], [[0.75, 0.25]] * 2, labels=("no", "yes"))
    >>> {name: round(value, 3) for name, value in quality(table).items()}
    {'log_loss': 0.837, 'ece': 0.25, 'brier': 0.625}
    """
    metrics = {"log_loss": log_loss, "ece": calibration_error, "brier": brier_score}
    return {name: float(value(table.targets, table.probabilities)) for name, value in metrics.items()}
