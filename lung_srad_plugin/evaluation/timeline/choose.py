"""Which windows, which merging and which thresholds agree best with the annotation of validation recordings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.evaluation.timeline.axis import Axis, Timeline
from lung_srad_plugin.inference.windows import WindowRule
from lung_srad_plugin.metrics.probabilistic import auroc
from lung_srad_plugin.metrics.timeline import event_metrics, find_runs

WINDOWS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
HOPS = (0.5, 1.0, 2.0)
THRESHOLDS = (0.01, 0.02, 0.03, *(round(0.05 * step, 2) for step in range(1, 20)))
MIN_DURATIONS = (0.0, 0.5, 1.0)

# Of two rules that differ by less, the one with fewer windows a second is taken: what the choice gains is noise.
MARGIN = 0.002


@dataclass(frozen=True)
class Candidate:
    """A rule with its best thresholds, and how well it agrees with the annotation.

    Arguments
    ---------
    rule : WindowRule
    auroc, f1 : float
        Of frames (0 to 1) and events (in percent), the means over findings and then data sets.
    by_set : dict
        By data set and finding: ``auroc`` and ``f1``.
    """

    rule: WindowRule
    auroc: float
    f1: float
    by_set: dict[str, dict[str, dict[str, float]]]

    @property
    def agreement(self) -> float:
        """The mean of AUROC and F1, from 0 to 1: what rules are compared by."""
        return (self.auroc + self.f1 / 100) / 2

    def describe(self) -> dict[str, Any]:
        """Return it as a row of a table."""
        rule = self.rule
        row = {"window": rule.window, "hop": rule.hop, "merging": rule.merging, "min_duration": rule.min_duration}
        row |= {f"threshold_{finding}": threshold for finding, threshold in rule.thresholds.items()}
        row |= {"agreement": self.agreement, "auroc": self.auroc, "f1": self.f1}
        for data_set, findings in self.by_set.items():
            for finding, values in findings.items():
                row |= {f"{data_set} {finding} {name}": value for name, value in values.items()}
        return row


def list_rules(
    duration: float, windows: Sequence[float], hops: Sequence[float], mergings: Sequence[str]
) -> list[WindowRule]:
    """Return the rules to be tried: every combination that is possible and makes a difference.

    Windows must not be longer than the model's duration, and hops not longer than the window; where windows do not
    overlap there is nothing to merge, so that only one merging is tried.

    Example
    -------
    >>> [(rule.window, rule.hop, rule.merging) for rule in list_rules(4.0, (1, 2, 8), (1, 2), ("mean", "max"))]
    [(1.0, 1.0, 'mean'), (2.0, 1.0, 'mean'), (2.0, 1.0, 'max'), (2.0, 2.0, 'mean')]
    """
    return [
        WindowRule(float(window), float(hop), merging)
        for window in windows
        for hop in hops
        for merging in (mergings if hop < window else mergings[:1])
        if hop <= window <= duration
    ]


def rate_rule(axis: Axis, rule: WindowRule) -> Candidate:
    """Return a rule with the thresholds and the shortest event that give the best F1, and how well it agrees.

    Thresholds and shortest event are the same for all data sets: a recording does not say which it is of.

    Arguments
    ---------
    axis : Axis
    rule : WindowRule

    Raises
    ------
    LungSRADError
        Where no data set has an event of any finding.
    """
    timeline = axis.merge(rule)
    names = list(dict.fromkeys(each.data_set for each in axis.recordings))
    groups = np.array([names.index(each.data_set) for each in axis.recordings])
    areas = {finding: _areas(axis, timeline, finding, groups, len(names)) for finding in axis.findings}
    # By shortest event, finding and threshold: F1 in each data set.
    tried = {
        minimum: {finding: _f1(axis, timeline, finding, minimum, groups, len(names)) for finding in axis.findings}
        for minimum in MIN_DURATIONS
    }
    best = max(
        tried, key=lambda minimum: np.nansum([_mean(values, axis=1).max() for values in tried[minimum].values()])
    )
    picked = {finding: int(np.nanargmax(_mean(values, axis=1))) for finding, values in tried[best].items()
              if not np.isnan(values).all()}  # fmt: skip
    if not picked:
        raise LungSRADError("the manifest has no abnormal event; thresholds cannot be chosen on it")
    thresholds = {finding: THRESHOLDS[index] for finding, index in picked.items()}
    by_set = {
        name: {
            finding: {
                "auroc": float(areas[finding][number]),
                "f1": float(tried[best][finding][picked[finding], number]),
            }
            for finding in picked
        }
        for number, name in enumerate(names)
    }
    means = {
        name: float(_mean([_mean([value[name] for value in each.values()]) for each in by_set.values()]))
        for name in ("auroc", "f1")
    }
    return Candidate(replace(rule, thresholds=thresholds, min_duration=best), means["auroc"], means["f1"], by_set)


def select_candidate(candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate that agrees best; of those within ``MARGIN`` of it the one with the fewest windows.

    Example
    -------
    >>> candidates = [Candidate(WindowRule(2.0, hop), auroc, 50.0, {}) for hop, auroc in ((0.5, 0.9), (1.0, 0.899))]
    >>> select_candidate(candidates).rule.hop
    1.0
    """
    best = max(candidate.agreement for candidate in candidates)
    close = [candidate for candidate in candidates if candidate.agreement >= best - MARGIN]
    return max(close, key=lambda candidate: (candidate.rule.hop, candidate.agreement))


def _areas(axis: Axis, timeline: Timeline, finding, groups, size):
    positive, scores = axis.positive_frames(finding), timeline.at(axis.frames, finding)
    group = groups[axis.frame_recording]
    return [float(auroc(positive[group == number], scores[group == number])) for number in range(size)]


def _f1(axis: Axis, timeline: Timeline, finding, minimum, groups, size):
    """Return the F1 (thresholds, data sets) of the events of a finding."""
    values = []
    for threshold in THRESHOLDS:
        runs = find_runs(timeline.starts, timeline.ends, timeline.scores[finding], threshold, minimum)
        values.append(event_metrics(*axis.count_events(finding, runs, groups, size))["f1"])
    return np.array(values)


def _mean(values, axis=None):
    """Return the mean of what is defined, NaN where nothing is."""
    values = np.asarray(values, dtype=float)
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0).sum(axis=axis)
    count = defined.sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
