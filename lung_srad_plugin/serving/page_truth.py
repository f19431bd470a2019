"""What an annotation file says of a recording, and how far a timeline agrees with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lung_srad_plugin.annotations.classes import find_classes
from lung_srad_plugin.annotations.event import AnnotatedEvent
from lung_srad_plugin.annotations.files import BESIDE, parse_annotations
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.result import Classification
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.timeline import Coverage, called_events, find_runs, frame_metrics, sample_timeline

ENDINGS = frozenset(f".{ending.rsplit('.', 1)[-1].lower()}" for ending in BESIDE)
FRAME = 0.1  # seconds, as of lung-srad check-timeline
THRESHOLD = 0.5  # of a finding, where the model recommends none
SHOWN = 5  # problems of one file


@dataclass(frozen=True)
class Truth:
    """The annotation of a recording.

    Arguments
    ---------
    name : str
        Of the file.
    events : tuple of AnnotatedEvent
        With classes as labels, by time.
    left_out : tuple of str
        Why some of the file was left out, a sentence each.
    """

    name: str
    events: tuple[AnnotatedEvent, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Agreement:
    """How far a timeline agrees with the annotation in one finding.

    Arguments
    ---------
    finding : str
    threshold : float
        Of its probability.
    events, found : int
        Annotated events that have it, and how many of them are called so: at least half of their time.
    others, wrong : int
        Annotated events without it, and how many of them are called so.
    sensitivity, specificity : float or None
        Percent of the annotated time with it that is called so, and of the time without it that is not; None where
        there is no such time.
    """

    finding: str
    threshold: float
    events: int
    found: int
    others: int
    wrong: int
    sensitivity: float | None
    specificity: float | None


def is_annotation(name: str) -> bool:
    """Return whether a file is an annotation by its ending.

    Example
    -------
    >>> is_annotation("a.TextGrid"), is_annotation("a.wav")
    (True, False)
    """
    return Path(name).suffix.lower() in ENDINGS


def belongs_to(annotation: str, recording: str) -> bool:
    """Return whether an annotation is that of a recording by its name.

    Example
    -------
    >>> belongs_to("a.Table.1.selections.txt", "a.wav"), belongs_to("b.txt", "a.wav")
    (True, False)
    """
    stem = Path(recording).stem
    return any(annotation.lower() == f"{stem}{ending}".lower() for ending in BESIDE)


def read_truth(path: Path, name: str) -> Truth:
    """Read an annotation file; what is no event, or has no class, is left out and told.

    Arguments
    ---------
    path : Path
    name : str
        What messages call it.

    Raises
    ------
    LungSRADError
        Where it cannot be read, or holds no event with a class.
    """
    try:
        events, problems = parse_annotations(path)
    except LungSRADError as error:
        raise LungSRADError(str(error).replace(str(path), name)) from None
    classified, unknown = find_classes(events, name)
    found = tuple(sorted((event for event, _ in classified), key=lambda event: (event.start_s, event.end_s)))
    reasons = [str(problem).replace(str(path), name) for problem in (*problems, *unknown)]
    if len(reasons) > SHOWN:
        reasons = [*reasons[:SHOWN], f"{name}: {len(reasons) - SHOWN} more of its lines were left out"]
    if not found:
        why = f": {'; '.join(reasons)}" if reasons else ""
        raise LungSRADError(
            f"{name}: no annotated events{why}; expected start, end and one of {', '.join(CLASSES)} for each, as "
            "ICBHI, SPRSound, Audacity, Raven or Praat write it"
        )
    return Truth(name, found, tuple(reasons))


def find_agreement(result: Classification, events: Sequence[AnnotatedEvent]) -> list[Agreement]:
    """Compare a timeline with annotated events, for each finding; time without annotation counts for nothing.

    Arguments
    ---------
    result : Classification
    events : sequence of AnnotatedEvent
        With classes as labels.

    Example
    -------
    >>> from lung_srad_plugin.inference.result import make_segment, summarize
    >>> rows = [(0.9, 0.1, 0, 0), (0.1, 0.9, 0, 0), (0.2, 0, 0.8, 0)]
    >>> segments = tuple(make_segment(2 * index, 2 * index + 2, CLASSES, row) for index, row in enumerate(rows))
    >>> result = Classification("a.wav", 6.0, 4000, 1, "m", "timeline", segments, summarize(segments, CLASSES))
    >>> events = [AnnotatedEvent(0, 2, "normal"), AnnotatedEvent(2, 4, "crackle"), AnnotatedEvent(4, 6, "normal")]
    >>> for one in find_agreement(result, events):
    ...     print(one.finding, one.found, "of", one.events, one.wrong, "of", one.others, round(one.specificity, 1))
    abnormal 1 of 1 1 of 2 50.0
    crackle 1 of 1 0 of 2 100.0
    wheeze 0 of 0 1 of 3 66.7
    """
    starts = np.array([segment.start for segment in result.segments])
    ends = np.array([segment.end for segment in result.segments])
    event_starts = np.array([event.start_s for event in events])
    event_ends = np.array([event.end_s for event in events])
    annotated = Coverage(event_starts, event_ends)
    frames = (np.arange(int(np.ceil(result.duration / FRAME))) + 0.5) * FRAME
    frames = frames[annotated.contains(frames)]
    rule = result.windows
    found = []
    for finding in findings_of_result(result):
        threshold = THRESHOLD if rule is None else rule.thresholds.get(finding, THRESHOLD)
        scores = np.array([getattr(segment, finding) for segment in result.segments])
        runs = find_runs(starts, ends, scores, threshold, 0.0 if rule is None else rule.min_duration)
        has = np.array([_has(event.label, finding) for event in events])
        called = called_events(event_starts, event_ends, runs.starts, runs.ends)
        positive = Coverage(event_starts[has], event_ends[has]).contains(frames)
        by_time = frame_metrics(positive, sample_timeline(starts, ends, scores, frames), threshold)
        found.append(
            Agreement(
                finding,
                threshold,
                int(has.sum()),
                int((has & called).sum()),
                int((~has).sum()),
                int((~has & called).sum()),
                *(_defined(by_time[name]) for name in ("sensitivity", "specificity")),
            )
        )
    return found


def findings_of_result(result: Classification) -> tuple[str, ...]:
    """Return the findings that a result has probabilities of."""
    return ("abnormal",) if result.summary.crackle is None else ("abnormal", "crackle", "wheeze")


def _has(label: str, finding: str) -> bool:
    return label != CLASSES[0] if finding == "abnormal" else label in (finding, "both")


def _defined(values: np.ndarray) -> float | None:
    return None if np.isnan(values[0]) else float(values[0])
