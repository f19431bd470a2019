"""Candidates for a person's review: what a model said of each stretch, neighbours of one class merged."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from lung_srad_plugin.inference.reliability import reached_score
from lung_srad_plugin.inference.result import Segment, summarize
from lung_srad_plugin.metrics.timeline import find_runs

LONGEST = 8.0  # seconds: the input length of most models here


@dataclass(frozen=True)
class Candidate:
    """A stretch of a recording that may be reviewed.

    Arguments
    ---------
    recording : Path
    segment : Segment
        Its times, and what the model said.
    model : str
        The id of the model.
    patient : str
        Blank where it is not known.
    annotated : str
        The label that it has already; blank where it has none.
    """

    recording: Path
    segment: Segment
    model: str
    patient: str = ""
    annotated: str = ""


def merge_segments(segments: Sequence[Segment], longest: float = LONGEST) -> list[Segment]:
    """Return the segments of a timeline with neighbours of one class merged.

    A merged segment has the means of probabilities and confidence, weighted by length. It is uncertain, or unlike the
    training sounds, where at least half of its length is.

    Arguments
    ---------
    segments : list of Segment
        By time; a gap between two is never bridged.
    longest : float
        Seconds that a merged segment may last; more of one class becomes several. A segment is never divided.

    Example
    -------
    >>> from lung_srad_plugin.inference.result import make_segment
    >>> rows = [(0.8, 0.2), (0.4, 0.6), (0.2, 0.8), (0.9, 0.1)]
    >>> timeline = [make_segment(2 * n, 2 * n + 2, ("normal", "crackle"), row) for n, row in enumerate(rows)]
    >>> [(one.start, one.end, one.label, round(one.probabilities["crackle"], 2)) for one in merge_segments(timeline)]
    [(0.0, 2.0, 'normal', 0.2), (2.0, 6.0, 'crackle', 0.7), (6.0, 8.0, 'normal', 0.1)]
    """
    merged = []
    for label in sorted({segment.label for segment in segments}):
        merged += _merge_runs(segments, [segment.label == label for segment in segments], longest)
    return sorted(merged, key=lambda segment: segment.start)


def merge_events(
    segments: Sequence[Segment], events: Iterable[tuple[float, float]], longest: float | None = LONGEST
) -> list[Segment]:
    """Return the segments of a timeline that lie within events, neighbours merged as by ``merge_segments``.

    Arguments
    ---------
    segments : list of Segment
        By time.
    events : list of (float, float)
        Start and end of each in seconds, at edges of segments; those that overlap or touch become one.
    longest : float or None
        As for ``merge_segments``; None merges nothing.

    Example
    -------
    >>> from lung_srad_plugin.inference.result import make_segment
    >>> rows = [(0.8, 0.2), (0.6, 0.4), (0.4, 0.6), (0.9, 0.1)]
    >>> timeline = [make_segment(2 * n, 2 * n + 2, ("normal", "crackle"), row) for n, row in enumerate(rows)]
    >>> [(one.start, one.end, one.label, round(one.abnormal, 2)) for one in merge_events(timeline, [(2.0, 6.0)])]
    [(2.0, 6.0, 'normal', 0.5)]
    """
    spans = list(events)
    inside = [any(start <= one.start and one.end <= end for start, end in spans) for one in segments]
    if longest is None:
        return [one for one, wanted in zip(segments, inside, strict=True) if wanted]
    return _merge_runs(segments, inside, longest)


def _merge_runs(segments: Sequence[Segment], wanted: Sequence[bool], longest: float) -> list[Segment]:
    """Merge those that are wanted and touch each other."""
    starts = [segment.start for segment in segments]
    ends = [segment.end for segment in segments]
    runs = find_runs(starts, ends, [float(one) for one in wanted], threshold=0.5)
    return [
        _merge(part)
        for first, last in zip(runs.first, runs.last, strict=True)
        for part in _divide(segments[first : last + 1], longest)
    ]


def _divide(run: Sequence[Segment], longest: float) -> list[list[Segment]]:
    parts: list[list[Segment]] = []
    for segment in run:
        if parts and segment.end - parts[-1][0].start <= longest + 1e-6:
            parts[-1].append(segment)
        else:
            parts.append([segment])
    return parts


def _merge(run: Sequence[Segment]) -> Segment:
    if len(run) == 1:
        return run[0]
    lengths = np.array([segment.end - segment.start for segment in run])
    confidences = [segment.confidence for segment in run]
    scores = [segment.unlike_training_score for segment in run]
    score = None if None in scores else reached_score(np.array(scores, dtype=float), lengths)
    uncertain = [segment.uncertain for segment in run]
    return replace(
        summarize(run, list(run[0].probabilities)),
        confidence=None if None in confidences else float(np.average(np.array(confidences, float), weights=lengths)),
        uncertain=None if None in uncertain else bool(lengths @ np.array(uncertain, float) >= lengths.sum() / 2),
        unlike_training_score=score,
        unlike_training=None if score is None else score > 1,
    )


def confidence_of(segment: Segment) -> float:
    """Return the calibrated probability of the class where there is one, else the probability as it is."""
    return max(segment.probabilities.values()) if segment.confidence is None else segment.confidence


def by_recording(candidates: Sequence[Candidate]) -> dict[Path, list[Candidate]]:
    """Return the candidates of each recording, by time."""
    ordered = sorted(candidates, key=lambda one: (str(one.recording), one.segment.start, one.segment.end))
    return {recording: list(group) for recording, group in groupby(ordered, key=lambda one: one.recording)}
