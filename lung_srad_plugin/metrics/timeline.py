"""A predicted timeline against annotated events: by time, and by event.

Only annotated time counts: what a model answers where nothing is annotated is neither right nor wrong.

- By time, the timeline is read in the middle of each frame.
- By event, each annotated event or cycle is called positive where runs of positive answers cover at least half of it,
  and then it is right or wrong as a cycle is.
- By run, as in the intersection-based scores of PSDS (Bilen et al., "A framework for the robust evaluation of sound
  event detection", ICASSP 2020): a run is wrong unless at least half of its annotated time lies within events of the
  finding, and an event is found where runs that are not wrong cover at least half of it.

The third needs no normal events to be annotated. But it counts runs that are wrong beside events that are found: a
timeline that is positive all the time finds every cycle of a recording with many crackles, and is wrong once in one
without. So timelines of recordings whose normal cycles are annotated are compared by the second.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lung_srad_plugin.metrics.probabilistic import Weights, auroc

DETECTION_OVERLAP = 0.5  # of a run's annotated time, that must lie within events of the finding
EVENT_OVERLAP = 0.5  # of an event, that runs must cover

_TOLERANCE = 1e-7  # seconds: times come from sample counts at two rates and from texts with three decimals


class Coverage:
    """A set of stretches of time, which may overlap: how much of them lies between two times.

    Arguments
    ---------
    starts, ends : array (N,)
        In seconds, in any order.

    Example
    -------
    >>> cover = Coverage([0.0, 1.0, 5.0], [2.0, 3.0, 6.0])
    >>> cover.between([0.0, 2.5, 4.0], [10.0, 5.5, 4.5])
    array([4., 1., 0.])
    >>> cover.contains([0.0, 2.9, 3.0, 5.5])
    array([ True,  True, False,  True])
    """

    def __init__(self, starts: ArrayLike, ends: ArrayLike):
        starts, ends = np.asarray(starts, dtype=float), np.asarray(ends, dtype=float)
        order = np.argsort(starts, kind="stable")
        starts, reach = starts[order], np.maximum.accumulate(ends[order])
        opens = np.concatenate([[True], starts[1:] > reach[:-1]])[: len(starts)]
        closes = np.concatenate([opens[1:], [True]])[: len(starts)]
        self.starts, self.ends = starts[opens], reach[closes]
        self._edges = np.stack([self.starts, self.ends], axis=1).ravel()
        self._before = np.cumsum(np.stack([np.zeros(len(self.starts)), self.ends - self.starts], axis=1).ravel())

    def between(self, starts: ArrayLike, ends: ArrayLike) -> np.ndarray:
        """Return the covered seconds between each start and end."""
        starts, ends = np.asarray(starts, dtype=float), np.asarray(ends, dtype=float)
        if not len(self._edges):
            return np.zeros(starts.shape)
        return np.interp(ends, self._edges, self._before) - np.interp(starts, self._edges, self._before)

    def contains(self, times: ArrayLike) -> np.ndarray:
        """Return whether each time is covered; starts belong to a stretch, ends do not."""
        return np.searchsorted(self._edges, np.asarray(times, dtype=float), side="right") % 2 == 1


@dataclass(frozen=True)
class Runs:
    """Stretches in which a timeline reaches a threshold without a break.

    Arguments
    ---------
    first, last : numpy.ndarray
        (R,) indices of their first and last segments.
    starts, ends : numpy.ndarray
        (R,) in seconds.
    """

    first: np.ndarray
    last: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def find_runs(
    starts: ArrayLike, ends: ArrayLike, scores: ArrayLike, threshold: float, min_duration: float = 0.0
) -> Runs:
    """Return where a timeline reaches a threshold.

    Arguments
    ---------
    starts, ends, scores : array (S,)
        Of the segments, by time; a gap between two ends a run.
    threshold : float
        Segments that reach it are positive.
    min_duration : float
        Runs that are shorter, in seconds, are left out.

    Example
    -------
    >>> runs = find_runs([0, 1, 2, 5, 6], [1, 2, 3, 6, 7], [0.1, 0.5, 0.9, 0.8, 0.2], threshold=0.5, min_duration=0.5)
    >>> runs.starts.tolist(), runs.ends.tolist()
    ([1, 5], [3, 6])
    """
    starts, ends = np.asarray(starts), np.asarray(ends)
    positive = np.flatnonzero(np.asarray(scores) >= threshold)
    before, after = positive[:-1], positive[1:]
    breaks = (after - before > 1) | (starts[after] - ends[before] > _TOLERANCE)
    first = positive[np.concatenate([[True], breaks])[: len(positive)]]
    last = positive[np.concatenate([breaks, [True]])[: len(positive)]]
    long = ends[last] - starts[first] >= min_duration - _TOLERANCE
    first, last = first[long], last[long]
    return Runs(first, last, starts[first], ends[last])


def sample_timeline(starts: ArrayLike, ends: ArrayLike, scores: ArrayLike, times: ArrayLike) -> np.ndarray:
    """Return what a timeline says at each time; 0 where it has a gap, because silence has no finding.

    Arguments
    ---------
    starts, ends, scores : array (S,)
        Of the segments, by time.
    times : array (T,)

    Example
    -------
    >>> sample_timeline([0, 1, 5], [1, 2, 6], [0.25, 0.5, 0.75], [0.0, 1.0, 3.0, 5.5])
    array([0.25, 0.5 , 0.  , 0.75])
    """
    starts, ends, scores = np.asarray(starts), np.asarray(ends), np.asarray(scores, dtype=float)
    index = np.searchsorted(starts, times, side="right") - 1
    within = (index >= 0) & (np.asarray(times) < ends[index])
    return np.where(within, scores[index], 0.0)


@dataclass(frozen=True)
class EventMatches:
    """Which annotated events were found, and which runs are wrong.

    Arguments
    ---------
    found : numpy.ndarray
        (E,) bool, of the events of the finding.
    wrong : numpy.ndarray
        (R,) bool, of the runs.
    judged : numpy.ndarray
        (R,) bool: whether there is annotated time in the run; else it counts for nothing.
    """

    found: np.ndarray
    wrong: np.ndarray
    judged: np.ndarray


def match_events(
    event_starts: ArrayLike,
    event_ends: ArrayLike,
    run_starts: ArrayLike,
    run_ends: ArrayLike,
    annotated: Coverage,
    of_finding: Coverage | None = None,
) -> EventMatches:
    """Compare runs of positive answers with the annotated events of a finding.

    Arguments
    ---------
    event_starts, event_ends : array (E,)
        The events that have the finding, in seconds.
    run_starts, run_ends : array (R,)
        The runs, which do not overlap.
    annotated : Coverage
        All annotated time.
    of_finding : Coverage, optional
        Of these events, where it is known already.

    Example
    -------
    >>> annotated = Coverage([0.0, 6.0], [4.0, 10.0])
    >>> matches = match_events([1.0, 6.0], [2.0, 7.0], [0.5, 4.5, 6.0], [2.0, 5.5, 9.0], annotated)
    >>> matches.found.tolist(), matches.wrong.tolist(), matches.judged.tolist()
    ([True, False], [False, False, True], [True, False, True])
    """
    event_starts, event_ends = np.asarray(event_starts, dtype=float), np.asarray(event_ends, dtype=float)
    run_starts, run_ends = np.asarray(run_starts, dtype=float), np.asarray(run_ends, dtype=float)
    of_finding = Coverage(event_starts, event_ends) if of_finding is None else of_finding
    seconds = annotated.between(run_starts, run_ends)
    judged = seconds > _TOLERANCE
    right = judged & (of_finding.between(run_starts, run_ends) >= DETECTION_OVERLAP * seconds - _TOLERANCE)
    covered = Coverage(run_starts[right], run_ends[right]).between(event_starts, event_ends)
    found = covered >= EVENT_OVERLAP * (event_ends - event_starts) - _TOLERANCE
    return EventMatches(found, judged & ~right, judged)


def called_events(
    event_starts: ArrayLike, event_ends: ArrayLike, run_starts: ArrayLike, run_ends: ArrayLike
) -> np.ndarray:
    """Return which annotated events, of whatever class, are called positive: runs cover at least half of them.

    Arguments
    ---------
    event_starts, event_ends : array (E,)
        In seconds.
    run_starts, run_ends : array (R,)
        The runs, which do not overlap.

    Example
    -------
    >>> called_events([0.0, 2.0, 4.0], [2.0, 4.0, 6.0], [0.5, 5.5], [3.0, 6.0])
    array([ True,  True, False])
    """
    starts, ends = np.asarray(event_starts, dtype=float), np.asarray(event_ends, dtype=float)
    return Coverage(run_starts, run_ends).between(starts, ends) >= EVENT_OVERLAP * (ends - starts) - _TOLERANCE


def frame_metrics(
    positive: np.ndarray, scores: np.ndarray, threshold: float, weights: Weights | None = None
) -> dict[str, np.ndarray]:
    """Return AUROC, and sensitivity and specificity at a threshold, of frames; in percent but the AUROC.

    Arguments
    ---------
    positive : numpy.ndarray
        (F,) whether the frame lies within an event of the finding.
    scores : numpy.ndarray
        (F,) the probability of the finding there.
    threshold : float
    weights : optional
        (R, F) as of ``auroc``.

    Returns
    -------
    dict
        Arrays (R,), or (1,) without weights; NaN where there are no such frames.

    Example
    -------
    >>> frame_metrics(np.array([True, True, False, False]), np.array([0.9, 0.4, 0.4, 0.1]), threshold=0.5)
    {'auroc': array([0.875]), 'sensitivity': array([50.]), 'specificity': array([100.])}
    """
    weights = np.ones((1, len(positive))) if weights is None else weights
    called = scores >= threshold
    return {
        "auroc": auroc(positive, scores, weights),
        "sensitivity": 100 * _share(weights @ (positive & called), weights @ positive),
        "specificity": 100 * _share(weights @ (~positive & ~called), weights @ ~positive),
    }


def event_metrics(found: ArrayLike, missed: ArrayLike, wrong: ArrayLike) -> dict[str, np.ndarray]:
    """Return precision, recall and F1 of counts, in percent.

    Arguments
    ---------
    found, missed : array (...)
        Numbers of events that have the finding.
    wrong : array (...)
        Numbers of events that do not have it and were called positive, or of runs that are wrong.

    Returns
    -------
    dict
        NaN where there is nothing to count; an F1 without events is NaN, because a perfect one would be so too.

    Example
    -------
    >>> {name: float(value) for name, value in event_metrics(found=3, missed=1, wrong=3).items()}
    {'precision': 50.0, 'recall': 75.0, 'f1': 60.0}
    """
    found, missed, wrong = (np.asarray(count, dtype=float) for count in (found, missed, wrong))
    f1 = _share(2 * found, 2 * found + missed + wrong)
    return {
        "precision": 100 * _share(found, found + wrong),
        "recall": 100 * _share(found, found + missed),
        "f1": 100 * np.where(found + missed > 0, f1, np.nan),
    }


def _share(part, whole):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(whole) > 0, part / whole, np.nan)
