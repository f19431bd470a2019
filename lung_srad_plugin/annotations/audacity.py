"""Audacity's label tracks: a line of start, end and label for each region, tabs between; a second one of frequencies.

Audacity writes the second line, ``\\``, low and high frequency, where a label was drawn in a spectrogram with spectral
selection; -1 is a bound that was not drawn.
"""

from collections.abc import Sequence

from lung_srad_plugin.annotations.event import AnnotatedEvent, make_event
from lung_srad_plugin.datasets.problems import Problem


def parse_audacity(text: str, file: str) -> tuple[list[AnnotatedEvent], list[Problem]]:
    r"""Return the events of a label track, and the problems of the lines that are none.

    Arguments
    ---------
    text : str
    file : str
        What to call the file in problems.

    Example
    -------
    >>> events, problems = parse_audacity("0.5\t2.0\twheeze\n\\\t200.0\t450.0\n3.0\t3.0\tcough\n", "a.txt")
    >>> events
    [AnnotatedEvent(start_s=0.5, end_s=2.0, label='wheeze', low_hz=200.0, high_hz=450.0)]
    >>> print(problems[0])
    a.txt, line 3: event 'cough': start and end are both 3 s: a point has no length; mark a region
    """
    events: list[AnnotatedEvent] = []
    problems: list[Problem] = []
    lines = list(enumerate(text.splitlines(), 1))
    for index, (number, line) in enumerate(lines):
        if not line.strip() or _is_frequencies(line):
            before = lines[index - 1][1] if index else ""
            if line.strip() and (not before.strip() or _is_frequencies(before)):
                fault = "frequencies without the label that they belong to, which stands in the line above"
                problems.append(Problem(file, fault, line=number, left_out="event"))
            continue
        fields = line.split("\t")
        if len(fields) not in (2, 3):
            fault = f"malformed: {line!r}; expected start, end and label with tabs between"
            problems.append(Problem(file, fault, line=number, left_out="event"))
            continue
        following = lines[index + 1][1] if index + 1 < len(lines) else ""
        bounds: tuple[float | None, float | None] | None = (None, None)
        if _is_frequencies(following):
            bounds = _read_frequencies(following)
        if bounds is None:
            fault = f"malformed: {following!r}; expected a backslash, low and high frequency with tabs between"
            problems.append(Problem(file, fault, line=number + 1, left_out="event"))
            continue
        event, problem = make_event((fields[0], fields[1]), "".join(fields[2:]), bounds, file, number)
        if event is not None:
            events.append(event)
        if problem is not None:
            problems.append(problem)
    return events, problems


def _is_frequencies(line):
    return line.startswith("\\")


def _read_frequencies(line):
    """Return low and high frequency, None for what is not bounded; None where the line is malformed."""
    fields = line.split("\t")
    try:
        low, high = (float(field) for field in fields[1:])
    except ValueError:
        return None
    return (None if low < 0 else low, None if high < 0 else high)


def format_audacity(events: Sequence[AnnotatedEvent], decimals: int = 6) -> str:
    r"""Return the text of a label track, for File, Import, Labels.

    Arguments
    ---------
    events : sequence of AnnotatedEvent
    decimals : int
        Of the times; Audacity itself writes six.

    Example
    -------
    >>> format_audacity([AnnotatedEvent(0.5, 2.0, "wheeze", 200.0)], decimals=3)
    '0.500\t2.000\twheeze\n\\\t200.000000\t-1.000000\n'
    """
    lines = []
    for event in events:
        lines.append(f"{event.start_s:.{decimals}f}\t{event.end_s:.{decimals}f}\t{event.label}\n")
        if event.low_hz is not None or event.high_hz is not None:
            low, high = (-1.0 if bound is None else bound for bound in (event.low_hz, event.high_hz))
            lines.append(f"\\\t{low:.6f}\t{high:.6f}\n")
    return "".join(lines)
