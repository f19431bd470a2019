"""The scores of a report of ``lung-srad evaluate``, for a model card."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.export.model_config import ModelConfig

# By the key of the report: the name in the card, and the decimals.
METRICS = {
    "specificity": ("Specificity (Sp), %", 1),
    "sensitivity_strict_class": ("Sensitivity (Se), exact class, %", 1),
    "score_strict_class": ("Score, exact class, %", 1),
    "score_any_abnormal": ("Score, any abnormal class, %", 1),
    "auroc_abnormal": ("AUROC abnormal", 3),
    "auroc_crackle": ("AUROC crackle", 3),
    "auroc_wheeze": ("AUROC wheeze", 3),
}


@dataclass(frozen=True)
class ReportedScores:
    """The scores of a model on one test set.

    Arguments
    ---------
    cycles, patients : int
    scores : list of (str, str)
        Name of the metric, and its value with the interval of resampled patients as text.
    """

    cycles: int
    patients: int
    scores: list[tuple[str, str]]


def read_report(path: str | Path, config: ModelConfig) -> ReportedScores:
    """Return the scores of a report, which must be of this model.

    Arguments
    ---------
    path : str or Path
        A ``report.json``.
    config : ModelConfig
        Of the model that the scores shall be of.

    Raises
    ------
    LungSRADError
        Where the file is no report, or one of another model.

    Example
    -------
    >>> path = getfixture("tmp_path") / "report.json"
    >>> _ = path.write_text('{"title": "other"}')
    >>> read_report(path, ModelConfig.model_construct(model="starter-1a2b"))
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: ...report.json: a report on 'other'; expected one on starter-1a2b
    """
    path = Path(path)
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        if report["title"] != config.model:
            raise LungSRADError(f"{path}: a report on {report['title']!r}; expected one on {config.model}")
        evaluation = report["evaluation"]
        measures = evaluation["measures"]
        scores = [(name, _text(measures[key], digits)) for key, (name, digits) in METRICS.items() if key in measures]
        return ReportedScores(evaluation["cycles"], evaluation["patients"], scores)
    except LungSRADError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LungSRADError(
            f"{path}: not the report.json of lung-srad evaluate ({type(error).__name__}: {error})"
        ) from None


def _text(measure: dict[str, Any], digits: int) -> str:
    value, low, high = (measure[key] for key in ("value", "low", "high"))
    if value is None:
        return "undefined"
    return f"{value:.{digits}f}" + ("" if low is None else f" ({low:.{digits}f} to {high:.{digits}f})")
