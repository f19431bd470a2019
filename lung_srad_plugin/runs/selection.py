"""The rules that select epochs of a run: on validation cycles, the last one, or on test cycles."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RULES = ("valid", "last", "test")
"""In the order in which results list them; the first is the main one."""

TRAINING_VERSION = 2
"""Of how a run orders its cycles and selects its epochs. 1 is version 0.1's way, which a run begun by it keeps."""

METRICS = {"score": "Score", "balanced_accuracy": "balanced accuracy", "auroc": "AUROC of abnormal"}
"""What ``select_by`` may be, with its name in texts."""


SELECTED_BY = (*METRICS, "sensitivity")
"""What the checkpoint of an epoch keeps of its scores on a part of the data."""

OVER = ("cycles", "datasets")
"""What ``select_over`` may be: a metric of all cycles of a part, or its mean over the data sets in it."""


@dataclass(frozen=True)
class EpochSelection:
    """How a run selects its best epoch.

    An epoch whose sensitivity is above ``min_sensitivity`` is better than any that is not: a model that calls every
    cycle normal has a Score of 50 by definition. Between two such epochs, and between two that are not, the higher
    ``select_by`` decides; of equal epochs the first is selected. So where no epoch reaches the minimum, the best of
    them all is selected, and ``text`` says so.

    Arguments
    ---------
    select_by : str
        A key of ``METRICS``.
    min_sensitivity : float or None
        In percent, of the strict class as in the Score; None for no minimum.
    first : bool
        Whether the first of equal epochs is selected. Version 0.1 selected the last.
    over : str
        One of ``OVER``: ``"datasets"`` takes the means over data sets, of the sensitivity too, so that a data set of
        many cycles does not decide alone.

    Example
    -------
    >>> selection = EpochSelection()
    >>> meta = {"epoch": 1, "valid_score": 50.0, "valid_sensitivity": 0.0}
    >>> other = {"epoch": 2, "valid_score": 43.0, "valid_sensitivity": 21.0}
    >>> max([meta, other], key=lambda meta: selection.rank(meta, "valid"))["epoch"]
    2
    """

    select_by: str = "score"
    min_sensitivity: float | None = 5.0
    first: bool = True
    over: str = "cycles"

    @classmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> "EpochSelection":
        """Return the selection that the settings of a run ask for; version 0.1 had none of these keys."""
        return cls(
            settings.get("select_by", "score"),
            settings.get("min_sensitivity"),
            first=settings.get("training_version", 1) >= TRAINING_VERSION,
            over=settings.get("select_over", "cycles"),
        )

    def rank(self, meta: Mapping[str, Any], rule: str) -> tuple:
        """Return what sorts epochs: the selected one has the highest rank.

        Arguments
        ---------
        meta : Mapping
            Of an epoch's checkpoint: ``epoch`` and, as ``metrics_of_part`` names them, the metrics of ``rule``.
        rule : str
            One of ``RULES``.
        """
        if not self.applies_to(meta, rule):
            return (-1, -math.inf, -math.inf)
        if rule == "last":
            return (1, meta["epoch"], 0)
        return (
            int(self.reaches_minimum(meta.get(self._key(rule, "sensitivity"), math.nan))),
            meta[self._key(rule, self.select_by)],
            -meta["epoch"] if self.first else meta["epoch"],
        )

    def applies_to(self, meta: Mapping[str, Any], rule: str) -> bool:
        """Return whether a checkpoint is one of a whole epoch that has what ``rule`` selects by."""
        return "epoch" in meta and (rule == "last" or self._key(rule, self.select_by) in meta)

    def _key(self, rule, metric):
        return f"{rule}_{metric}" + (_OVER_DATA_SETS if self.over == "datasets" else "")

    def sensitivity(self, stats: Mapping[str, Any]) -> float:
        """Return the sensitivity that must reach the minimum, of what is logged of ``valid`` or ``test``."""
        return (stats["over_data_sets"] if self.over == "datasets" else stats)["sensitivity"]

    def reaches_minimum(self, sensitivity: float) -> bool:
        """Return whether a sensitivity is above the minimum; without a minimum each is."""
        return self.min_sensitivity is None or sensitivity > self.min_sensitivity

    def text(self, rule: str, valid_is_test: bool = False, reached: bool = True) -> str:
        """Return the rule in the words that stand wherever its numbers do.

        Arguments
        ---------
        rule : str
            One of ``RULES``.
        valid_is_test : bool
            Whether the validation cycles are the test cycles.
        reached : bool
            Whether the selected epoch reaches the minimal sensitivity.

        Example
        -------
        >>> EpochSelection().text("valid")
        'first epoch with the best Score on the validation cycles among those with a sensitivity above 5 %'
        >>> EpochSelection("auroc").text("valid", reached=False)
        'first epoch with the best AUROC of abnormal on the validation cycles; NO epoch had a sensitivity above 5 %'
        """
        if rule == "last":
            return "last epoch"
        order = "first" if self.first else "last"
        mean = " (mean over data sets)" if self.over == "datasets" else ""
        text = f"{order} epoch with the best {METRICS[self.select_by]}{mean} on the {_PARTS[rule]} cycles"
        if self.min_sensitivity is not None:
            text += f"{_REACHED if reached else _MISSED} {self.min_sensitivity:g} %"
        if rule == "valid" and valid_is_test:
            return f"{text}; the validation cycles are the test cycles, as in the paper: the test set chose this epoch"
        return f"{text} (optimistic: the test set chose it)" if rule == "test" else text


_OVER_DATA_SETS = "_over_data_sets"
_PARTS = {"valid": "validation", "test": "test"}
_REACHED = " among those with a sensitivity above"
_MISSED = "; NO epoch had a sensitivity above"


def without_outcome(text: str) -> str:
    """Return the ``text`` of a rule as it is for all runs, whether their epochs reach the minimum or not.

    Example
    -------
    >>> selection = EpochSelection()
    >>> without_outcome(selection.text("valid", reached=False)) == selection.text("valid", reached=True)
    True
    """
    return text.replace(_MISSED, _REACHED)


def metrics_of_part(part: str, stats: Mapping[str, Any]) -> dict[str, float]:
    """Return what the checkpoint of an epoch keeps of its metrics on ``valid`` or ``test``, for ``rank``.

    Example
    -------
    >>> metrics_of_part("valid", {"score": 60.0, "sensitivity": 40.0, "balanced_accuracy": 50.0, "auroc": 0.8})
    {'valid_score': 60.0, 'valid_balanced_accuracy': 50.0, 'valid_auroc': 0.8, 'valid_sensitivity': 40.0}
    """
    found = {f"{part}_{name}": stats[name] for name in SELECTED_BY}
    means = stats.get("over_data_sets", {})
    return found | {f"{part}_{name}{_OVER_DATA_SETS}": value for name, value in means.items() if value is not None}
