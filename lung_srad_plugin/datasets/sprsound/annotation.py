"""SPRSound annotation files: JSON with the recording's label and its events, times in milliseconds."""

import json
import re
from dataclasses import dataclass, replace

from lung_srad_plugin.audio.bounds import END_TOLERANCE
from lung_srad_plugin.datasets.problems import Problem
from lung_srad_plugin.datasets.sprsound.tasks import EVENT_TYPES, RECORD_LABELS, find_label, record_label_of

RECORD_KEYS = ("record_annotation", "recording_annotation")
EVENTS_KEY = "event_annotation"
EVENT_KEYS = ("start", "end", "type")


@dataclass(frozen=True)
class Event:
    """One annotated event.

    Arguments
    ---------
    index : int
        Position in the annotation file, counted from 1.
    start, stop : float
        Seconds from the beginning of the recording.
    type : str
        One of ``EVENT_TYPES``.
    """

    index: int
    start: float
    stop: float
    type: str


@dataclass(frozen=True)
class Annotation:
    """The annotation of a recording.

    Arguments
    ---------
    record_label : str
        One of ``RECORD_LABELS``, or blank where the file has none, as those of 2024 and 2025.
    events : tuple of Event
        In time order.
    """

    record_label: str
    events: tuple[Event, ...]


def parse_annotation(text: str, file: str, seconds: float | None = None) -> tuple[Annotation | None, list[Problem]]:
    """Return an annotation and the problems of what is left out of it.

    Arguments
    ---------
    text : str
        Content of the annotation file.
    file : str
        What to call the file in problems.
    seconds : float, optional
        Length of the audio. Events may reach past it by ``END_TOLERANCE``, and are then cut at its end.

    Returns
    -------
    annotation : Annotation or None
        ``None`` where the recording cannot be used.
    problems : list of Problem

    Example
    -------
    >>> text = '{"record_annotation": "CAS", "event_annotation": [{"start": "342", "end": "2515", "type": "Wheeze"}]}'
    >>> parse_annotation(text, "a.json")[0].events
    (Event(index=1, start=0.342, stop=2.515, type='wheeze'),)
    """
    try:
        tree = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        return None, [Problem(file, f"is not JSON: {error}", left_out="recording")]
    record_label, fault = _record_label(tree)
    if fault:
        return None, [Problem(file, fault, left_out="recording")]
    events, problems = [], []
    for index, entry in enumerate(tree[EVENTS_KEY], 1):
        event, fault, group = _parse_event(entry, index, seconds)
        if fault:
            problems.append(Problem(file, f"event {index}: {fault}", left_out="event", group=group))
        else:
            events.append(event)
    events.sort(key=lambda event: (event.start, event.stop))
    events, overlapping = _without_overlaps(events, file)
    problems += overlapping
    if record_label and not problems and (fault := _contradiction(record_label, events)):
        group = "{count} recordings have a label that contradicts their events"
        return None, [Problem(file, fault, left_out="recording", group=group)]
    return Annotation(record_label, tuple(events)), problems


def _record_label(tree):
    """The recording's label, blank where there is none, and what is wrong with the annotation as a whole."""
    if not isinstance(tree, dict) or not isinstance(tree.get(EVENTS_KEY), list):
        return None, f"expected an object with a list {EVENTS_KEY!r}"
    unknown = [key for key in tree if key not in (EVENTS_KEY, *RECORD_KEYS)]
    if unknown:
        return None, f"unknown keys {', '.join(map(repr, unknown))}; expected {EVENTS_KEY!r} and {RECORD_KEYS[0]!r}"
    texts = [tree[key] for key in RECORD_KEYS if key in tree]
    labels = [find_label(text, RECORD_LABELS) for text in texts]
    if None in labels:
        return (
            None,
            f"unknown recording label {texts[labels.index(None)]!r}; expected one of {', '.join(RECORD_LABELS)}",
        )
    if len(set(labels)) > 1:
        return None, f"{RECORD_KEYS[0]} is {labels[0]!r}, {RECORD_KEYS[1]} is {labels[1]!r}"
    return labels[0] if labels else "", None


def _parse_event(entry, index, seconds):
    """An event, or ``None``, what is wrong with it, and the message for many such files."""
    if not isinstance(entry, dict) or set(entry) != set(EVENT_KEYS):
        return None, f"{entry!r}; expected start, end and type", "{count} events are not start, end and type"
    times = [_milliseconds(entry[key]) for key in ("start", "end")]
    if None in times:
        fault = f"start {entry['start']!r}, end {entry['end']!r}; expected whole milliseconds from 0"
        return None, fault, "{count} events have a start or end that is no whole number of milliseconds from 0"
    start, stop = (time / 1000 for time in times)
    event_type = find_label(entry["type"], EVENT_TYPES)
    if event_type is None:
        fault = f"unknown type {entry['type']!r}; expected one of {', '.join(EVENT_TYPES)}"
        return None, fault, f"{{count}} events have the unknown type {entry['type']!r}"
    if start >= stop:
        return None, f"start {times[0]} is not before end {times[1]}", "{count} events do not start before they end"
    if seconds is not None and (start >= seconds or stop > seconds + END_TOLERANCE):
        fault = f"from {start} to {stop} s reaches past the end of the audio, which lasts {seconds:.3f} s"
        return None, fault, "{count} events reach past the end of their audio"
    event = Event(index, start, stop, event_type)
    return (event if seconds is None else replace(event, stop=min(stop, seconds))), None, None


def _milliseconds(value):
    """A time as whole milliseconds, or ``None``; files hold numbers or strings of digits."""
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return None


def _without_overlaps(events, file):
    kept, problems = [], []
    for event in events:
        if kept and event.start < kept[-1].stop:
            message = f"event {event.index}: starts at {event.start} s, before event {kept[-1].index} ends"
            group = "{count} events start before the one before them ends"
            problems.append(Problem(file, message, left_out="event", group=group))
        else:
            kept.append(event)
    return kept, problems


def _contradiction(record_label, events):
    """What is wrong with a recording's label beside its events; a recording may have no events."""
    if not events:
        return None
    expected = record_label_of({event.type for event in events})
    if record_label == expected:
        return None
    return f"the recording is labelled {record_label!r}, its events make it {expected!r}"
