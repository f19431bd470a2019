"""The rolling timeline on a terminal: a strip of the last minute, the newest answer, and the latency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from lung_srad_plugin.utils.text import rich_text

if TYPE_CHECKING:
    from lung_srad_plugin.inference.result import Classification, Segment
    from lung_srad_plugin.live.session import LiveSession

SECONDS = 60.0  # of the strip, a character each
# Blue, orange and vermilion are told apart by colour-blind readers; the letters say the same.
STYLES = ("bright_black", "blue", "yellow", "red")
NOTHING = "·"


def draw_timeline(session: LiveSession, note: str = "") -> Group:
    """Return the timeline of the last minute for ``rich.live.Live``.

    Arguments
    ---------
    session : LiveSession
    note : str
        What else a reader must know now, such as lost sound.
    """
    labels = list(session.classifier.labels)
    recent = session.recent(SECONDS)
    grid = Table.grid(padding=(0, 2))
    grid.add_row(Text(f"{session.sound.duration:.1f} s", "bold"), draw_strip(recent, labels, session.sound.duration))
    if recent is not None:
        grid.add_row(Text("now"), _describe(recent.segments[-1], labels))
    latency = session.latency()
    if latency.windows:
        grid.add_row(
            Text("latency"),
            Text(
                f"first answer {latency.first_answer:.2f} s, final {latency.final_answer:.2f} s; computing "
                f"{latency.mean:.3f} s for each step of {latency.hop:g} s"
            ),
        )
    if note:
        grid.add_row(Text("note", "yellow"), rich_text(note, "yellow"))
    legend = Text("  ".join(f"{_letter(index, labels)} {label}" for index, label in enumerate(labels)), "dim")
    return Group(grid, legend)


def draw_strip(recent: Classification | None, labels: Sequence[str], now: float) -> Text:
    """Return a character for each second of the last minute: the letter of the class, or a dot where nothing is known.

    Arguments
    ---------
    recent : Classification or None
    labels : sequence of str
        Of the model.
    now : float
        Seconds of sound so far.

    Example
    -------
    >>> draw_strip(None, ("normal", "crackle"), 3.0).plain
    '···'
    """
    seconds = min(int(SECONDS), int(now))
    begin = int(now) - seconds
    text = Text()
    for second in range(begin, begin + seconds):
        label = _label_at(recent, second + 0.5)
        if label is None:
            text.append(NOTHING, "dim")
        else:
            index = list(labels).index(label)
            text.append(_letter(index, labels), STYLES[min(index, len(STYLES) - 1)])
    return text


def _label_at(recent, time):
    if recent is None:
        return None
    return next((segment.label for segment in recent.segments if segment.start <= time < segment.end), None)


def _letter(index, labels):
    """The first letter of a label, large for abnormal ones."""
    letter = labels[index][:1]
    return letter.lower() if index == 0 else letter.upper()


def _describe(segment: Segment, labels: Sequence[str]) -> Text:
    values = "  ".join(f"{label} {segment.probabilities[label]:.2f}" for label in labels)
    text = Text.assemble((f"{segment.label}", "bold"), f"  {values}  abnormal {segment.abnormal:.2f}")
    if segment.unlike_training:
        text.append("  unlike the training sounds", "yellow")
    return text


def describe_segment_line(segment: Segment) -> str:
    """Return a segment on one line, for output that is no terminal.

    Example
    -------
    >>> from lung_srad_plugin.inference.result import make_segment
    >>> describe_segment_line(make_segment(0.5, 1.0, ("normal", "wheeze"), (0.25, 0.75)))
    '0.50 to 1.00 s: wheeze 0.75, abnormal 0.75'
    """
    remark = ", unlike the training sounds" if segment.unlike_training else ""
    probability = segment.probabilities[segment.label]
    return (
        f"{segment.start:.2f} to {segment.end:.2f} s: {segment.label} {probability:.2f}, "
        f"abnormal {segment.abnormal:.2f}{remark}"
    )
