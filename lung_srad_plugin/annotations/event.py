"""One annotated event: when, what, and optionally at which frequencies."""

import math
import unicodedata
from dataclasses import dataclass

from lung_srad_plugin.datasets.problems import Problem
from lung_srad_plugin.errors import LungSRADError

MIN_SECONDS = 1e-6  # files state times in microseconds


@dataclass(frozen=True)
class AnnotatedEvent:
    """A stretch of a recording with a label.

    Arguments
    ---------
    start_s, end_s : float
        Seconds from the beginning of the recording; at least a microsecond apart.
    label : str
        As annotated, on one line, without spaces around it; blank where the annotation has none.
    low_hz, high_hz : float or None
        The frequencies between which it lies, where the annotation bounds them.

    Raises
    ------
    LungSRADError
        Where a value is impossible.

    Example
    -------
    >>> AnnotatedEvent(0.5, 2.0, "wheeze", low_hz=200.0, high_hz=450.0).label
    'wheeze'
    >>> AnnotatedEvent(2.0, 0.5, "wheeze")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: event 'wheeze': start 2 s is not before end 0.5 s
    """

    start_s: float
    end_s: float
    label: str
    low_hz: float | None = None
    high_hz: float | None = None

    def __post_init__(self):
        fault = _find_fault(self)
        if fault:
            raise LungSRADError(f"event {self.label!r}: {fault}")


def _find_fault(event):
    """Return what is wrong with the values of an event; None where nothing is."""
    start, end, label, low, high = event.start_s, event.end_s, event.label, event.low_hz, event.high_hz
    if not (math.isfinite(start) and math.isfinite(end)):
        return "start and end are finite numbers of seconds"
    if start < 0:
        return f"start {start:g} s is negative"
    if start == end:
        return f"start and end are both {start:g} s: a point has no length; mark a region"
    if start > end:
        return f"start {start:g} s is not before end {end:g} s"
    if end - start < MIN_SECONDS / 2:
        return f"from {start:g} to {end:g} s it is shorter than a microsecond"
    if label != label.strip() or any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in label):
        return "a label is text on one line without spaces around it and without tabs"
    for name, value in (("low", low), ("high", high)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            return f"{name} frequency {value:g} is no frequency in Hz"
    if low is not None and high is not None and low > high:
        return f"low frequency {low:g} Hz is above high frequency {high:g} Hz"
    return None


def make_event(
    times: tuple[str, str], label: str, bounds: tuple[float | None, float | None], file: str, line: int
) -> tuple[AnnotatedEvent | None, Problem | None]:
    """Return an event from the text of a file, or the problem with it.

    Arguments
    ---------
    times : (str, str)
        Start and end in seconds.
    label : str
        Spaces around it are removed.
    bounds : (float or None, float or None)
        Low and high frequency in Hz.
    file : str
        What to call the file.
    line : int
        Of the file, counted from 1.

    Example
    -------
    >>> make_event(("0.5", "2"), "wheeze", (None, None), "a.txt", 1)[0].end_s
    2.0
    >>> print(make_event(("0,5", "2"), "wheeze", (None, None), "a.txt", 1)[1])
    a.txt, line 1: start '0,5', end '2'; expected seconds, with a decimal point
    """
    try:
        start, end = (float(time) for time in times)
    except ValueError:
        fault = f"start {times[0]!r}, end {times[1]!r}; expected seconds, with a decimal point"
        return None, Problem(file, fault, line=line, left_out="event")
    try:
        return AnnotatedEvent(start, end, label.strip(), *bounds), None
    except LungSRADError as error:
        return None, Problem(file, str(error), line=line, left_out="event")
