"""Raven's selection tables: text with a header, tabs between, a row for each selection in each view.

Read and written by Python's ``csv``: the reader of crowsetta needs pandas, pandera and SciPy, some 200 MB, takes no
selection without frequencies, and counts a selection twice that was exported from two views. Tests compare the two.
"""

import csv
import io
from collections.abc import Sequence

from lung_srad_plugin.annotations.event import AnnotatedEvent, make_event
from lung_srad_plugin.datasets.problems import Problem
from lung_srad_plugin.errors import LungSRADError

START, END, LOW, HIGH = "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"
# The column of labels is the user's own in Raven; these are usual, the first that is there counts.
LABEL_COLUMNS = ("Annotation", "Label", "Species", "Class", "Type", "Sound Type")
COLUMNS = ("Selection", "View", "Channel", START, END, LOW, HIGH, LABEL_COLUMNS[0])
# A selection in a waveform has all frequencies. Its row needs numbers: these lie within every recording.
_WAVEFORM, _SPECTROGRAM = "Waveform 1", "Spectrogram 1"
_ALL_HZ = (0.0, 2000.0)


def is_raven(line: str) -> bool:
    """Return whether a line is the header of a selection table."""
    return {START, END} <= {name.strip() for name in line.split("\t")}


def parse_raven(text: str, file: str) -> tuple[list[AnnotatedEvent], list[Problem]]:
    r"""Return the events of a selection table, and the problems of the rows that are none.

    Of a selection that stands in several rows, one for each view, the row with frequencies counts.

    Arguments
    ---------
    text : str
    file : str
        What to call the file in problems.

    Example
    -------
    >>> text = "Selection\tView\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies\n"
    >>> text += "1\tWaveform 1\t0.5\t2.0\t0.0\t2000.0\twheeze\n1\tSpectrogram 1\t0.5\t2.0\t200.0\t450.0\twheeze\n"
    >>> parse_raven(text, "a.selections.txt")[0]
    [AnnotatedEvent(start_s=0.5, end_s=2.0, label='wheeze', low_hz=200.0, high_hz=450.0)]
    """
    reader = csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
    names = [name.strip() for name in next(reader, [])]
    missing = [name for name in (START, END) if name not in names]
    if missing:
        return [], [Problem(file, f"no column {', '.join(missing)}; expected a selection table of Raven", line=1)]
    by_letters = {name.casefold(): name for name in names}
    label_column = next((by_letters[name.casefold()] for name in LABEL_COLUMNS if name.casefold() in by_letters), None)
    if label_column is None:
        fault = f"no column of labels among {', '.join(names)}; expected one named {', '.join(LABEL_COLUMNS)}"
        return [], [Problem(file, fault, line=1)]
    rows: list[tuple[int, dict[str, str]]] = []
    problems: list[Problem] = []
    for fields in reader:
        line = reader.line_num
        if not any(field.strip() for field in fields):
            continue
        if len(fields) > len(names):
            fault = f"{len(fields)} fields, the header has {len(names)}"
            problems.append(Problem(file, fault, line=line, left_out="event"))
            continue
        # Raven leaves out the tabs behind the last field of a row that is not blank.
        rows.append((line, dict(zip(names, [*fields, *[""] * (len(names) - len(fields))], strict=True))))
    events = []
    for line, row in _without_second_views(rows):
        bounds, fault = _bounds(row)
        if fault:
            problems.append(Problem(file, fault, line=line, left_out="event"))
            continue
        event, problem = make_event((row[START], row[END]), row[label_column], bounds, file, line)
        if event is not None:
            events.append(event)
        if problem is not None:
            problems.append(problem)
    return events, problems


def _is_waveform(row):
    return row.get("View", "").startswith("Waveform")


def _without_second_views(rows):
    """Return one row of each selection, that of a spectrogram where there is one."""
    kept: dict[object, tuple[int, dict[str, str]]] = {}
    for line, row in rows:
        number = row.get("Selection", "").strip()
        key = (number, row[START], row[END]) if number else line
        if key not in kept or (_is_waveform(kept[key][1]) and not _is_waveform(row)):
            kept[key] = (line, row)
    return kept.values()


def _bounds(row):
    """Return low and high frequency of a row, and what is wrong with them."""
    if _is_waveform(row):
        return (None, None), None
    texts = [row.get(name, "").strip() for name in (LOW, HIGH)]
    try:
        low, high = (float(text) if text else None for text in texts)
    except ValueError:
        return (None, None), f"{LOW} {texts[0]!r}, {HIGH} {texts[1]!r}; expected Hz, with a decimal point"
    return (low, high), None


def format_raven(events: Sequence[AnnotatedEvent]) -> str:
    r"""Return the text of a selection table; events without frequencies become selections in the waveform.

    Raises
    ------
    LungSRADError
        Where an event has one frequency bound and not the other.

    Example
    -------
    >>> print(format_raven([AnnotatedEvent(0.5, 2.0, "wheeze", 200.0, 450.0)]).replace("\t", " "), end="")
    Selection View Channel Begin Time (s) End Time (s) Low Freq (Hz) High Freq (Hz) Annotation
    1 Spectrogram 1 1 0.500000 2.000000 200.000000 450.000000 wheeze
    """
    half = [event for event in events if (event.low_hz is None) != (event.high_hz is None)]
    if half:
        raise LungSRADError(
            f"{len(half)} events have a low or a high frequency and not both, the first at {half[0].start_s:g} s; a "
            "selection in Raven has both or none"
        )
    lines = ["\t".join(COLUMNS)]
    for number, event in enumerate(events, 1):
        bounds = None if event.low_hz is None or event.high_hz is None else (event.low_hz, event.high_hz)
        view = _WAVEFORM if bounds is None else _SPECTROGRAM
        numbers = (event.start_s, event.end_s, *(_ALL_HZ if bounds is None else bounds))
        lines.append("\t".join([str(number), view, "1", *(f"{value:.6f}" for value in numbers), event.label]))
    return "\n".join(lines) + "\n"
