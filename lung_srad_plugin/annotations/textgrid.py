"""Praat's TextGrid, read and written by praatio: tiers of intervals with a label each; a blank one is no event."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from lung_srad_plugin.annotations.event import AnnotatedEvent
from lung_srad_plugin.datasets.problems import Problem
from lung_srad_plugin.errors import LungSRADError

TIER = "lung sounds"
_DECIMALS = 6


def _import_praatio():
    try:
        from praatio import textgrid
    except ImportError:
        raise LungSRADError(
            'Praat TextGrids need praatio, which is not installed; pip install "lung-srad[formats]"'
        ) from None
    return textgrid


def parse_textgrid(path: Path, file: str) -> tuple[list[AnnotatedEvent], list[Problem]]:
    """Return the events of all tiers of a TextGrid, and the problems of what is none.

    Arguments
    ---------
    path : Path
        A TextGrid in Praat's long or short form, UTF-8 or UTF-16.
    file : str
        What to call the file in problems.

    Raises
    ------
    LungSRADError
        Where praatio is not installed or cannot read the file.
    """
    textgrid = _import_praatio()
    try:
        grid = textgrid.openTextgrid(
            str(path), includeEmptyIntervals=False, reportingMode="silence", duplicateNamesMode="rename"
        )
    except Exception as error:  # whatever a damaged file makes praatio stumble over
        raise LungSRADError(f"{file}: cannot be read as a TextGrid ({type(error).__name__}: {error})") from error
    events, problems = [], []
    for tier in grid.tiers:
        for index, entry in enumerate(tier.entries, 1):
            where = f"tier {tier.name!r}, entry {index}"
            if isinstance(tier, textgrid.PointTier):
                fault = f"{where}: a point at {entry.time:g} s has no length; mark an interval"
                problems.append(Problem(file, fault, left_out="event"))
                continue
            try:
                events.append(AnnotatedEvent(float(entry.start), float(entry.end), entry.label.strip()))
            except LungSRADError as error:
                problems.append(Problem(file, f"{where}: {error}", left_out="event"))
    return sorted(events, key=lambda event: (event.start_s, event.end_s)), problems


def format_textgrid(events: Sequence[AnnotatedEvent], duration: float | None = None) -> str:
    """Return the text of a TextGrid; events that overlap go to further tiers.

    Arguments
    ---------
    events : sequence of AnnotatedEvent
        Without frequencies, and with a label each.
    duration : float, optional
        Of the recording in seconds; the end of the last event where left out.

    Raises
    ------
    LungSRADError
        Where praatio is not installed, a label is blank, or there is neither an event nor a duration.
    """
    textgrid = _import_praatio()
    blank = [event for event in events if not event.label]
    if blank:
        raise LungSRADError(
            f"{len(blank)} events have no label, the first at {blank[0].start_s:g} s; in a TextGrid they would be gaps"
        )
    spans = sorted((round(event.start_s, _DECIMALS), round(event.end_s, _DECIMALS), event.label) for event in events)
    end = max([0.0 if duration is None else round(duration, _DECIMALS), *(stop for _, stop, _ in spans)])
    if end == 0:
        raise LungSRADError("a TextGrid without events needs the duration of its recording")
    grid = textgrid.Textgrid(0.0, end)
    for number, tier in enumerate(_divide(spans), 1):
        name = TIER if number == 1 else f"{TIER} {number}"
        grid.addTier(textgrid.IntervalTier(name, [textgrid.constants.Interval(*span) for span in tier], 0.0, end))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.TextGrid")
        grid.save(str(path), format="short_textgrid", includeBlankSpaces=True, minimumIntervalLength=None)
        # Praat's form has words of its own: a label that holds one would be read as something else.
        if _read_spans(path) != spans:
            raise LungSRADError("a label holds a word of the TextGrid form, such as IntervalTier; use another label")
        return path.read_text(encoding="utf-8")


def _read_spans(path):
    try:
        events, _ = parse_textgrid(path, "the TextGrid")
    except LungSRADError:
        return None
    return sorted((event.start_s, event.end_s, event.label) for event in events)


def _divide(spans):
    """Return tiers of spans that do not overlap; at least one, which may be empty."""
    tiers: list[list[tuple[float, float, str]]] = [[]]
    for span in spans:
        tier = next((tier for tier in tiers if not tier or tier[-1][1] <= span[0]), None)
        if tier is None:
            tiers.append([span])
        else:
            tier.append(span)
    return tiers
