"""Events of a timeline: where it reaches the threshold of a finding without a break."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lung_srad_plugin.inference.result import Segment
from lung_srad_plugin.metrics.timeline import find_runs


@dataclass(frozen=True)
class Event:
    """A stretch of a recording in which a finding reaches its threshold.

    Arguments
    ---------
    finding : str
        ``"crackle"``, ``"wheeze"`` or ``"abnormal"``.
    start, end : float
        Seconds from the beginning of the recording.
    probability : float
        Of the finding, the mean over the event.
    """

    finding: str
    start: float
    end: float
    probability: float


def find_events(
    segments: Sequence[Segment], thresholds: Mapping[str, float], min_duration: float = 0.0
) -> tuple[Event, ...]:
    """Return the events of a timeline, in the order of time.

    Arguments
    ---------
    segments : sequence of Segment
        By time.
    thresholds : dict
        By finding, the probability from which it is called present; findings that the segments do not know are left
        out.
    min_duration : float
        The shortest event in seconds.

    Example
    -------
    >>> from lung_srad_plugin.inference.result import make_segment
    >>> labels = ("normal", "crackle", "wheeze", "both")
    >>> rows = [(0.8, 0.2, 0, 0), (0.2, 0.8, 0, 0), (0.2, 0.5, 0, 0.3)]
    >>> segments = [make_segment(index, index + 1, labels, row) for index, row in enumerate(rows)]
    >>> find_events(segments, {"crackle": 0.5, "wheeze": 0.5})
    (Event(finding='crackle', start=1.0, end=3.0, probability=0.8),)
    """
    events = []
    starts = np.array([segment.start for segment in segments])
    ends = np.array([segment.end for segment in segments])
    for finding, threshold in thresholds.items():
        values = [getattr(segment, finding, None) for segment in segments]
        if None in values:
            continue
        scores = np.array(values, dtype=float)
        runs = find_runs(starts, ends, scores, threshold, min_duration)
        for first, last in zip(runs.first, runs.last, strict=True):
            part = slice(first, last + 1)
            probability = float(np.average(scores[part], weights=(ends - starts)[part]))
            events.append(Event(finding, float(starts[first]), float(ends[last]), probability))
    return tuple(sorted(events, key=lambda event: (event.start, event.end, event.finding)))
