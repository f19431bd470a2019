"""How many annotated cycles a model gives the class that they are annotated with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lung_srad_plugin.annotations.classes import class_of_label
from lung_srad_plugin.annotations.event import AnnotatedEvent
from lung_srad_plugin.annotations.files import read_annotations
from lung_srad_plugin.inference.result import Classification


@dataclass(frozen=True)
class CycleAgreement:
    """The classes of an annotation beside those of a result.

    Arguments
    ---------
    annotated : tuple of (str or None)
        Of each segment of the result, the annotated class; None where the label is no class of the model.
    cycles, right : Counter
        By annotated class, how many segments there are, and how many of them the model gives that class.
    other_labels : Counter
        How many segments have each label that is no class of the model.
    """

    annotated: tuple[str | None, ...]
    cycles: Counter[str]
    right: Counter[str]
    other_labels: Counter[str]


def read_agreement(result: Classification, annotation: str | Path) -> CycleAgreement:
    """Compare a result of annotated cycles with their annotation.

    Arguments
    ---------
    result : Classification
        Of ``classify_file`` with this annotation as ``cycles``.
    annotation : str or Path

    Raises
    ------
    LungSRADError
        As ``read_annotations``.
    """
    return count_agreement(result, read_annotations(annotation))


def count_agreement(result: Classification, events: Sequence[AnnotatedEvent]) -> CycleAgreement:
    """Compare a result of annotated cycles with their events.

    Arguments
    ---------
    result : Classification
    events : sequence of AnnotatedEvent
        With labels that are classes of the model, or name one of the four classes in a usual spelling.

    Example
    -------
    >>> from lung_srad_plugin.inference.result import make_segment, summarize
    >>> from lung_srad_plugin.labels import CLASSES
    >>> rows = [(0.9, 0.1, 0, 0), (0.1, 0.9, 0, 0), (0.9, 0, 0.1, 0)]
    >>> segments = tuple(make_segment(index, index + 1, CLASSES, row) for index, row in enumerate(rows))
    >>> result = Classification("a.wav", 3.0, 4000, 1, "m", "cycles", segments, summarize(segments, CLASSES))
    >>> events = [AnnotatedEvent(1, 2, "fine crackles"), AnnotatedEvent(0, 1, "cough"), AnnotatedEvent(2, 3, "wheeze")]
    >>> agreement = count_agreement(result, events)
    >>> agreement.annotated, dict(agreement.right), dict(agreement.other_labels)
    ((None, 'crackle', 'wheeze'), {'crackle': 1}, {'cough': 1})
    """
    classes = tuple(result.summary.probabilities)
    labels = defaultdict(list)
    for event in events:
        labels[event.start_s, event.end_s].append(event.label)
    annotated: list[str | None] = []
    cycles: Counter[str] = Counter()
    right: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for segment in result.segments:  # silent cycles are not among them
        label = labels[segment.start, segment.end].pop(0)
        name = label if label in classes else class_of_label(label)
        if name is None or name not in classes:
            others[label] += 1
            annotated.append(None)
            continue
        annotated.append(name)
        cycles[name] += 1
        right[name] += segment.label == name
    return CycleAgreement(tuple(annotated), cycles, +right, others)
