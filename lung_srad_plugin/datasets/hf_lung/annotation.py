"""HF_Lung label files: one interval a line, ``label start stop``, times as ``HH:MM:SS.mmm``."""

import re
from dataclasses import dataclass, replace

from lung_srad_plugin.audio.bounds import END_TOLERANCE
from lung_srad_plugin.datasets.problems import Problem

PHASES = ("I", "E")  # inspiration, expiration
SOUNDS = {"D": "crackle", "Wheeze": "wheeze", "Stridor": "wheeze", "Rhonchi": "wheeze"}  # D: discontinuous

_TIME = r"(\d{2}):([0-5]\d):([0-5]\d(?:\.\d{1,6})?)"
_LABELS = {label.lower(): label for label in (*PHASES, *SOUNDS)}


@dataclass(frozen=True)
class Interval:
    """One annotated interval.

    Arguments
    ---------
    line : int
        Line of the label file, counted from 1.
    label : str
        One of ``PHASES`` or ``SOUNDS``.
    start, stop : float
        Seconds from the beginning of the recording.
    """

    line: int
    label: str
    start: float
    stop: float


def parse_annotation(text: str, file: str, seconds: float | None = None) -> tuple[list[Interval], list[Problem]]:
    """Return the intervals of a label file and the problems of the lines that are none.

    Intervals may overlap: sounds lie within breath phases. A file may be empty: nothing is annotated then.

    Arguments
    ---------
    text : str
        Content of the label file.
    file : str
        What to call the file in problems.
    seconds : float, optional
        Length of the audio. Intervals may reach past it by ``END_TOLERANCE``, and are then cut at its end.

    Returns
    -------
    intervals : list of Interval
        In the order of the file.
    problems : list of Problem
        One for each line that is left out.

    Example
    -------
    >>> text = "I 00:00:00.000 00:00:02.000\\nWheeze 00:00:01 00:00:00\\n"
    >>> intervals, problems = parse_annotation(text, "a_label.txt")
    >>> intervals
    [Interval(line=1, label='I', start=0.0, stop=2.0)]
    >>> print(problems[0])
    a_label.txt, line 2: start 1.0 is not before stop 0.0
    """
    intervals, problems = [], []
    seen: dict[tuple[str, float, float], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        interval, fault, group = _parse_line(line, number, seconds)
        if interval and (first := seen.setdefault((interval.label, interval.start, interval.stop), number)) != number:
            fault, group = f"the same as line {first}", "{count} lines are the same as another line"
        if fault:
            problems.append(Problem(file, fault, line=number, left_out="interval", group=group))
        else:
            intervals.append(interval)
    return intervals, problems


def _parse_line(line, number, seconds):
    """An interval, or ``None``, what is wrong with the line, and the message for many such lines."""
    match = re.fullmatch(rf"\s*(\S+)\s+{_TIME}\s+{_TIME}\s*", line)
    if match is None:
        fault = f"malformed: {line!r}; expected 'label HH:MM:SS.mmm HH:MM:SS.mmm'"
        return None, fault, "{count} lines are not 'label HH:MM:SS.mmm HH:MM:SS.mmm'"
    label = _LABELS.get(match[1].lower())
    if label is None:
        fault = f"unknown label {match[1]!r}; expected one of {', '.join(_LABELS.values())}"
        return None, fault, f"{{count}} lines have the unknown label {match[1]!r}"
    start, stop = (round(int(match[i]) * 3600 + int(match[i + 1]) * 60 + float(match[i + 2]), 6) for i in (2, 5))
    if start >= stop:
        return None, f"start {start} is not before stop {stop}", "{count} intervals do not start before they stop"
    if seconds is not None and (start >= seconds or stop > seconds + END_TOLERANCE):
        fault = f"from {start} to {stop} s reaches past the end of the audio, which lasts {seconds:.3f} s"
        return None, fault, "{count} intervals reach past the end of their audio"
    interval = Interval(number, label, start, stop)
    return (interval if seconds is None else replace(interval, stop=min(stop, seconds))), None, None
