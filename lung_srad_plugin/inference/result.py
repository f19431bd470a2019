"""The result of a recording, typed, with the formats people open it in."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from lung_srad_plugin.annotations.audacity import format_audacity
from lung_srad_plugin.annotations.event import AnnotatedEvent
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.rows import csv_lines
from lung_srad_plugin.labels import CLASSES, abnormal_probability
from lung_srad_plugin.metrics.operating_points import OperatingPoint
from lung_srad_plugin.utils.files import write_together
from lung_srad_plugin.utils.text import json_text, printable

if TYPE_CHECKING:
    from lung_srad_plugin.inference.timeline_events import Event
    from lung_srad_plugin.inference.windows import WindowRule


@dataclass(frozen=True)
class Segment:
    """One stretch of a recording and its class probabilities.

    Arguments
    ---------
    start, end : float
        Seconds from the beginning of the recording.
    label : str
        The most probable class, the rule of the 4-class scores. It can be the normal one where ``abnormal`` is above
        0.5, because the abnormal classes share that probability; to look for anything abnormal, use
        ``abnormal`` and a threshold.
    probabilities : dict
        Class name to probability; they sum to 1.
    crackle, wheeze : float or None
        Probability that the finding is present, alone or with the other; None where the classes are not normal,
        crackle, wheeze and both.
    abnormal : float
        ``1 - p(normal)``; the normal class is the first.
    confidence : float or None
        Probability of the most probable class, calibrated where the model has a temperature, whether or not
        ``probabilities`` are; None where it was not computed.
    uncertain : bool or None
        Whether the confidence is below the model's limit.
    unlike_training_score : float or None
        How unlike the training sounds it is, in units of the limit; of a whole recording the score that half of it
        reaches. None where the model has no detector.
    unlike_training : bool or None
        Whether the score is above 1: then the class means nothing.

    Example
    -------
    >>> segment = make_segment(0.0, 8.0, ("normal", "crackle", "wheeze", "both"), (0.4, 0.2, 0.3, 0.1))
    >>> segment.label, segment.abnormal
    ('normal', 0.6)
    """

    start: float
    end: float
    label: str
    probabilities: dict
    crackle: float | None
    wheeze: float | None
    abnormal: float
    confidence: float | None = None
    uncertain: bool | None = None
    unlike_training_score: float | None = None
    unlike_training: bool | None = None


def make_segment(start, end, labels, probabilities):
    """Return the ``Segment`` of some class probabilities.

    Arguments
    ---------
    start, end : float
        In seconds.
    labels : sequence of str
        The class names, the normal class first.
    probabilities : sequence of float
        One for each class.

    Returns
    -------
    Segment

    Example
    -------
    >>> segment = make_segment(0.0, 8.0, ("normal", "crackle", "wheeze", "both"), (0.1, 0.2, 0.3, 0.4))
    >>> segment.label, round(segment.crackle, 6), round(segment.wheeze, 6), segment.abnormal
    ('both', 0.6, 0.7, 0.9)
    """
    by_label = dict(zip(labels, (float(value) for value in probabilities), strict=True))
    crackle = wheeze = None
    if set(by_label) == set(CLASSES):
        crackle = by_label["crackle"] + by_label["both"]
        wheeze = by_label["wheeze"] + by_label["both"]
    return Segment(
        start=float(start),
        end=float(end),
        label=max(by_label, key=by_label.get),
        probabilities=by_label,
        crackle=crackle,
        wheeze=wheeze,
        abnormal=float(abnormal_probability([by_label[label] for label in labels])),
    )


@dataclass(frozen=True)
class Classification:
    """The result of one recording.

    Arguments
    ---------
    file : str
        The recording, as it was given.
    duration : float
        Its length in seconds.
    sample_rate : int
        Its own sample rate in Hz, before resampling.
    channels : int
        Its number of channels; they were averaged.
    model : str
        Which model was used: the id in its ``config.json``.
    kind : str
        ``"cycles"`` where the segments are the cycles that were asked for, ``"timeline"`` where they are the merged
        windows.
    segments : tuple of Segment
        In the order of time.
    summary : Segment
        The whole recording: the mean of the segments' probabilities, each counting by its length. A short finding in a
        long recording hardly shows in a mean: look at the segments too.
    flaws : tuple of Flaw
        What the input checks found. Empty where they found nothing, which does not mean that it is a lung sound.
    operating_point : OperatingPoint or None
        The threshold for calling a segment abnormal, where ``sensitivity`` asked for one; see ``called_abnormal``.
    trained_on_synthetic : bool
        Whether the model was trained on synthetic sounds: then the result says nothing about a patient.
    windows : WindowRule or None
        How the windows of a timeline were placed and merged; None where it was not recorded, and of cycles.
    events : tuple of Event
        Where the timeline reaches the thresholds of ``windows``, in the order of time; empty where there are none.
    confidence_calibrated : bool
        Whether the ``confidence`` of segments and summary is calibrated: whether the model has a temperature.

    Example
    -------
    >>> labels = ("normal", "crackle", "wheeze", "both")
    >>> segments = (make_segment(0, 4, labels, (1, 0, 0, 0)), make_segment(4, 8, labels, (0, 1, 0, 0)))
    >>> result = Classification("a.wav", 8.0, 4000, 1, "demo", "timeline", segments, summarize(segments, labels))
    >>> result.summary.crackle
    0.5
    >>> print(result.to_audacity(), end="")
    0.000	4.000	normal 1.00
    4.000	8.000	crackle 1.00
    """

    file: str
    duration: float
    sample_rate: int
    channels: int
    model: str
    kind: str
    segments: tuple
    summary: Segment
    flaws: tuple = ()
    operating_point: OperatingPoint | None = None
    trained_on_synthetic: bool = False
    windows: WindowRule | None = None
    events: tuple[Event, ...] = ()
    confidence_calibrated: bool = False

    def called_abnormal(self, segment: Segment) -> bool:
        """Return whether a segment reaches the threshold of ``operating_point``.

        Raises
        ------
        LungSRADError
            Where the recording was classified without a threshold.
        """
        if self.operating_point is None:
            raise LungSRADError("no threshold was applied; classify with sensitivity=90, for example")
        return segment.abnormal >= self.operating_point.threshold

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dicts, lists, strings and numbers.

        A threshold, synthetic sounds and windows are there only where given, and events only where they have
        thresholds.
        """
        result = {**asdict(self), "segments": [], "flaws": [asdict(flaw) for flaw in self.flaws]}
        for segment in self.segments:
            called = {} if self.operating_point is None else {"called_abnormal": self.called_abnormal(segment)}
            result["segments"].append({**asdict(segment), **called})
        if self.operating_point is None:
            del result["operating_point"]
        if not self.trained_on_synthetic:
            del result["trained_on_synthetic"]
        if self.windows is None:
            del result["windows"]
        if self.windows is None or not self.windows.thresholds:
            del result["events"]
        return result

    def to_json(self, indent: int | None = None) -> str:
        """Return ``to_dict`` as the text of a JSON file; one line where ``indent`` is None.

        Raises
        ------
        LungSRADError
            Where ``indent`` is not a number of spaces.
        """
        if indent is not None and (isinstance(indent, bool) or not isinstance(indent, int)):
            raise LungSRADError(f"to_json(indent={indent!r}) returns text; to write a file, call save_json(path)")
        return json_text(json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False))

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat dict for each segment: the columns of the table and of the CSV."""
        return [
            {
                "file": self.file,
                "start": segment.start,
                "end": segment.end,
                "label": segment.label,
                **{f"p_{label}": value for label, value in segment.probabilities.items()},
                # A class and a finding may share a name: "crackle alone" is not "any crackle".
                "any_crackle": segment.crackle,
                "any_wheeze": segment.wheeze,
                "abnormal": segment.abnormal,
                **({} if self.operating_point is None else {"called_abnormal": self.called_abnormal(segment)}),
                "flaws": " ".join(sorted({flaw.kind for flaw in self.flaws if _touches(flaw, segment)})),
                "model": self.model,
                **({"trained_on": "SYNTHETIC sounds"} if self.trained_on_synthetic else {}),
                "confidence": segment.confidence,
                "uncertain": segment.uncertain,
                "unlike_training_score": segment.unlike_training_score,
                "unlike_training": segment.unlike_training,
            }
            for segment in self.segments
        ]

    def to_csv(self, header: bool = True) -> str:
        """Return the segments as the text of a CSV file, one row each; probabilities have six decimals.

        Text that a spreadsheet would compute, such as the file name ``=1+1.wav``, gets an apostrophe in front.

        Raises
        ------
        LungSRADError
            Where ``header`` is not True or False.
        """
        if not isinstance(header, bool):
            raise LungSRADError(f"to_csv(header={header!r}) returns text; to write a file, call save_csv(path)")
        rows = self.rows()
        head = [{name: name for name in rows[0]}] if header else []
        return csv_lines([*head, *rows])

    def save_json(self, path: str | os.PathLike) -> None:
        """Write ``to_json`` to a file.

        Raises
        ------
        LungSRADError
            Where another program wrote the file that is there.
        OSError
            Where it cannot be written.
        """
        write_together({path: self.to_json(indent=2) + "\n"})

    def save_csv(self, path: str | os.PathLike) -> None:
        """Write ``to_csv`` to a file; raises as ``save_json``."""
        write_together({path: self.to_csv()})

    def save_audacity(self, path: str | os.PathLike) -> None:
        """Write ``to_audacity`` to a file; raises as ``save_json``."""
        write_together({path: self.to_audacity()})

    def to_dataframe(self) -> Any:
        """Return the segments as a ``pandas.DataFrame``, one row each.

        Raises
        ------
        LungSRADError
            Where pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise LungSRADError(
                "to_dataframe() needs pandas, which is not installed; pip install pandas, or use to_csv()"
            ) from None
        return pandas.DataFrame(self.rows())

    def to_audacity(self) -> str:
        """Return the text of a label track for Audacity (File, Import, Labels): start, end and label, tabs between.

        Neighbouring segments of one class become one label, with their mean probability of that class.
        """
        return format_audacity(self.to_annotations(), decimals=3)

    def to_annotations(self) -> list[AnnotatedEvent]:
        """Return the segments as events for ``write_annotations``: the class with its mean probability as label.

        Neighbouring segments of one class become one event.
        """
        events = []
        for run in _runs(self.segments):
            length = sum(segment.end - segment.start for segment in run)
            mass = sum((segment.end - segment.start) * segment.probabilities[segment.label] for segment in run)
            label = f"{printable(run[0].label)} {mass / length:.2f}".strip()
            events.append(AnnotatedEvent(run[0].start, run[-1].end, label))
        return events


def summarize(segments, labels):
    """Return one ``Segment`` from the first start to the last end: the mean, weighted by length.

    Arguments
    ---------
    segments : sequence of Segment
        At least one.
    labels : sequence of str
        The class names, the normal class first.
    """
    lengths = [segment.end - segment.start for segment in segments]
    mean = [
        sum(length * segment.probabilities[label] for length, segment in zip(lengths, segments, strict=True))
        / sum(lengths)
        for label in labels
    ]
    return make_segment(min(s.start for s in segments), max(s.end for s in segments), labels, mean)


def _touches(flaw, segment):
    return flaw.start is None or (flaw.start < segment.end and flaw.end > segment.start)


def _runs(segments):
    """Group neighbours of one label that touch each other; a gap starts a new group."""
    groups, gaps, previous = [], 0, None
    for segment in segments:
        gaps += previous is not None and segment.start != previous.end
        groups.append((gaps, segment.label, segment))
        previous = segment
    return [[item[2] for item in run] for _, run in groupby(groups, key=lambda item: item[:2])]
