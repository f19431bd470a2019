"""What is fitted on validation cycles and kept with a model: its temperature and its thresholds."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lung_srad_plugin.metrics.calibration import Calibration, fit_temperature, read_calibration
from lung_srad_plugin.metrics.operating_points import OperatingPoint, fit_operating_points, read_operating_points
from lung_srad_plugin.metrics.predictions import PredictionTable


@dataclass(frozen=True)
class ValidationFit:
    """A temperature, or the reason why there is none, and thresholds for chosen sensitivities.

    Arguments
    ---------
    calibration : Calibration
    operating_points : tuple of OperatingPoint
        At temperature 1 and, where there is a fitted one, at that too; empty where nothing was fitted.
    """

    calibration: Calibration
    operating_points: tuple[OperatingPoint, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return ``calibration`` and ``operating_points`` as results and a model's ``config.json`` hold them."""
        calibration = asdict(self.calibration)
        for part in ("before", "after"):
            # A log loss may be infinite, which JSON cannot say.
            if calibration[part] is not None:
                calibration[part] = {key: v if math.isfinite(v) else None for key, v in calibration[part].items()}
        return {"calibration": calibration, "operating_points": [asdict(point) for point in self.operating_points]}


def fit_on_validation(table: PredictionTable) -> ValidationFit:
    """Fit the temperature, and thresholds at temperature 1 and at the fitted one.

    Arguments
    ---------
    table : PredictionTable
        Validation cycles, which must not be those that are reported on.

    Returns
    -------
    ValidationFit

    Raises
    ------
    LungSRADError
        Where no cycle is abnormal.

    Example
    -------
    >>> from lung_srad_plugin.metrics.predictions import make_table
    >>> answers = [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]]
    >>> fit = fit_on_validation(make_table("abcd", ["no", "yes", "yes", "no"], answers, labels=("no", "yes")))
    >>> [(point.wanted_sensitivity, round(point.temperature, 2)) for point in fit.operating_points]
    [(80.0, 1.0), (90.0, 1.0), (95.0, 1.0), (80.0, 0.93), (90.0, 0.93), (95.0, 0.93)]
    """
    calibration = fit_temperature(table)
    points = fit_operating_points(table)
    if calibration.temperature is not None:
        points += fit_operating_points(table, temperature=calibration.temperature)
    return ValidationFit(calibration, tuple(points))


def nothing_fitted(reason: str) -> ValidationFit:
    """Return the fit of a model that has none, with the reason."""
    return ValidationFit(Calibration(None, reason))


def read_validation_fit(stored: Mapping[str, Any]) -> ValidationFit:
    """Return what results or a model's ``config.json`` hold of what was fitted on validation cycles.

    Arguments
    ---------
    stored : dict
        With ``calibration`` and ``operating_points``, which may be None or absent; of version 0.1 too.

    Returns
    -------
    ValidationFit

    Raises
    ------
    LungSRADError
        Where the temperature is not a positive number.

    Example
    -------
    >>> read_validation_fit({"calibration": None, "operating_points": None}).operating_points
    ()
    """
    return ValidationFit(
        read_calibration(stored.get("calibration")), tuple(read_operating_points(stored.get("operating_points")))
    )
