"""Which temperature and which threshold a classification uses, of those that were fitted on validation cycles."""

from __future__ import annotations

from collections.abc import Sequence

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.calibration import Calibration
from lung_srad_plugin.metrics.operating_points import OperatingPoint, select_operating_point


def select_temperature(calibration: Calibration, calibrated: bool, model: str) -> float:
    """Return what the log-probabilities are divided by: 1 where they are not to be calibrated.

    Arguments
    ---------
    calibration : Calibration
        Of the model.
    calibrated : bool
    model : str
        What messages call the model.

    Raises
    ------
    LungSRADError
        Where the model has no temperature, with the reason.

    Example
    -------
    >>> select_temperature(Calibration(2.0), calibrated=True, model="demo")
    2.0
    """
    if not isinstance(calibrated, bool):
        raise LungSRADError(f"calibrated={calibrated!r}; expected True or False")
    if not calibrated:
        return 1.0
    if calibration.temperature is None:
        raise LungSRADError(f"{model} has no temperature: {calibration.reason}; classify without calibrated")
    return calibration.temperature


def select_threshold(
    points: Sequence[OperatingPoint], sensitivity: float | None, temperature: float
) -> OperatingPoint | None:
    """Return the threshold that was fitted for a sensitivity at a temperature, None where no sensitivity is given.

    Arguments
    ---------
    points : sequence of OperatingPoint
        Of the model.
    sensitivity : float or None
        In percent.
    temperature : float
        Of the probabilities that it is applied to.

    Raises
    ------
    LungSRADError
        Where none was fitted for this sensitivity, or none at this temperature, naming those there are.
    """
    if sensitivity is None:
        return None
    if isinstance(sensitivity, bool) or not isinstance(sensitivity, (int, float)):
        raise LungSRADError(f"sensitivity={sensitivity!r}; expected a number in percent")
    return select_operating_point(points, sensitivity, temperature)
