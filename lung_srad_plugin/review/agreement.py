"""How far reviewers agree with each other, and with the model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from lung_srad_plugin.review.decisions import UNUSABLE, Decision


@dataclass(frozen=True)
class Agreement:
    """How far two agree on the segments that both labelled.

    Arguments
    ---------
    first, second : str
    segments : int
    same : int
        To how many of these both gave one label.
    kappa : float or None
        Cohen's kappa: 1 is full agreement, 0 what chance gives; None where it is undefined.
    """

    first: str
    second: str
    segments: int
    same: int
    kappa: float | None

    def __str__(self):
        kappa = "undefined" if self.kappa is None else f"{self.kappa:.3f}"
        share = 100 * self.same / self.segments
        return (
            f"{self.first}, {self.second}: {self.same} of {self.segments} alike ({share:.1f} %), Cohen's kappa {kappa}"
        )


def measure_agreement(decisions: Sequence[Decision]) -> list[Agreement]:
    """Return the agreement of each two reviewers, and of each reviewer with the model.

    Between reviewers a rejected segment counts as labelled "unusable"; with the model, rejected ones are left out. So
    are pairs without a segment in common.

    Arguments
    ---------
    decisions : sequence of Decision
        As of ``DecisionLog.latest``.

    Example
    -------
    >>> def decide(reviewer, labels):
    ...     return [Decision(reviewer, str(n), "accept", label, "wheeze", False, "") for n, label in enumerate(labels)]
    >>> for pair in measure_agreement(decide("Koch", "nnwc") + decide("Lee", "nnww")):
    ...     print(pair)
    Koch, Lee: 3 of 4 alike (75.0 %), Cohen's kappa 0.600
    Koch, model: 0 of 4 alike (0.0 %), Cohen's kappa 0.000
    Lee, model: 0 of 4 alike (0.0 %), Cohen's kappa 0.000
    """
    by_reviewer: dict[str, dict[str, str]] = {}
    for one in decisions:
        by_reviewer.setdefault(one.reviewer, {})[one.ID] = one.label or UNUSABLE
    found = [
        _compare(first, second, by_reviewer[first], by_reviewer[second])
        for first, second in combinations(sorted(by_reviewer), 2)
    ]
    for reviewer in sorted(by_reviewer):
        labelled = {one.ID: one for one in decisions if one.reviewer == reviewer and one.label}
        own = {name: one.label for name, one in labelled.items()}
        found.append(_compare(reviewer, "model", own, {name: one.predicted for name, one in labelled.items()}))
    return [one for one in found if one is not None]


def _compare(first: str, second: str, labels: Mapping[str, str], others: Mapping[str, str]) -> Agreement | None:
    import warnings

    from sklearn.metrics import cohen_kappa_score

    both = sorted(set(labels) & set(others))
    if not both:
        return None
    one, other = [labels[name] for name in both], [others[name] for name in both]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where both gave one label to all, kappa is undefined
        kappa = float(cohen_kappa_score(one, other))
    same = sum(a == b for a, b in zip(one, other, strict=True))
    return Agreement(first, second, len(both), same, None if math.isnan(kappa) else kappa)
