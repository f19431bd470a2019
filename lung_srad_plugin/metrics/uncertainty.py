"""When an answer is called uncertain: the most probable class has less than a stated, calibrated probability."""

from typing import Any

import numpy as np

from lung_srad_plugin.metrics.calibration import Calibration, scale_table
from lung_srad_plugin.metrics.predictions import PredictionTable

# A calibrated answer of probability 0.6 is wrong in four of ten cases, and those below it more often: with the starter,
# half of the validation answers below 0.6 were wrong, and one in twelve of the others. A fixed number says the same of
# every model whose probabilities are calibrated, with two classes as with seven.
UNCERTAIN_BELOW = 0.6


def is_uncertain(confidence: float, below: float = UNCERTAIN_BELOW) -> bool:
    """Return whether the probability of the most probable class is too low to rely on.

    Example
    -------
    >>> is_uncertain(0.59), is_uncertain(0.6)
    (True, False)
    """
    return confidence < below


def measure_uncertainty(table: PredictionTable | None, calibration: Calibration) -> dict[str, Any]:
    """Return the limit, and what share of validation cycles is uncertain and wrong.

    Arguments
    ---------
    table : PredictionTable or None
        Validation cycles with the model's own probabilities; None where they are not known.
    calibration : Calibration
        Of the model; without a temperature the probabilities stay as they are.

    Returns
    -------
    dict
        ``below``, ``share``, ``wrong`` and ``wrong_otherwise``; None for what is not known.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> answers = [[0.55, 0.45], [0.5, 0.5], [0.9, 0.1], [0.8, 0.2]]
    >>> table = make_table("abcd", ["yes", "no", "no", "no"], answers, labels=("no", "yes"))
    >>> measure_uncertainty(table, Calibration(None, "none"))
    {'below': 0.6, 'share': 0.5, 'wrong': 0.5, 'wrong_otherwise': 0.0}
    """
    if table is None or not len(table):
        return {"below": UNCERTAIN_BELOW, "share": None, "wrong": None, "wrong_otherwise": None}
    if calibration.temperature is not None:
        table = scale_table(table, calibration.temperature)
    uncertain = table.probabilities.max(axis=1) < UNCERTAIN_BELOW
    wrong = table.probabilities.argmax(axis=1) != table.targets
    return {
        "below": UNCERTAIN_BELOW,
        "share": float(uncertain.mean()),
        "wrong": _mean(wrong[uncertain]),
        "wrong_otherwise": _mean(wrong[~uncertain]),
    }


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
