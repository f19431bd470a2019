"""The result of a recording as text on standard output, as a file, and as a picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from lung_srad_plugin.annotations.files import format_annotations
from lung_srad_plugin.cli.reliability_notes import describe_segment
from lung_srad_plugin.utils.files import RESULT_MARK, write_together
from lung_srad_plugin.utils.text import rich_text

if TYPE_CHECKING:
    from lung_srad_plugin.inference.result import Classification
    from lung_srad_plugin.reporting.map_figure import RecordingMap

# Formats, and what their files end in after RESULT_MARK: "a.txt" alone would be the annotation of "a.wav".
ENDINGS = {
    "table": ".txt",
    "json": ".json",
    "csv": ".csv",
    "audacity": ".txt",
    "raven": ".txt",
    "textgrid": ".TextGrid",
}
ONE_RECORDING = ("audacity", "raven", "textgrid")  # formats whose file cannot say which recording it is of
FILE_WIDTH = 100  # characters of a table that is not printed on a terminal
# Printed where a reader would wonder.
RULE = (
    "The class is the most probable one: it can be normal where P(abnormal) exceeds 0.5, which several classes share."
)


def result_path(folder: Path, name: Path, format: str) -> Path:
    """Return the file of a result, whose ``name`` has no ending.

    Example
    -------
    >>> result_path(Path("results"), Path("101_1b1_Al_sc_Meditron"), "audacity").name
    '101_1b1_Al_sc_Meditron.lung-srad.txt'
    """
    return folder / name.with_name(f"{name.name}{RESULT_MARK}{ENDINGS[format]}")


def picture_path(folder: Path, name: Path) -> Path:
    """Return the file of the picture of a result, whose ``name`` has no ending."""
    return folder / name.with_name(f"{name.name}{RESULT_MARK}.png")


def print_result(result: Classification, format: str, file: TextIO, first: bool = True) -> None:
    """Print a result; the header of CSV with the ``first`` only."""
    if format == "table":
        print_table(result, file)
    else:
        texts = {"json": _json_line, "csv": lambda result: result.to_csv(header=first), "audacity": _audacity}
        file.write(texts[format](result) if format in texts else _annotation(result, format))
    file.flush()


def write_result(result: Classification, format: str, path: Path) -> None:
    """Write a result file.

    Raises
    ------
    LungSRADError
        Where it cannot be written, or would overwrite what lung-srad did not write.
    """
    text = io.StringIO()
    if format == "json":
        text.write(result.to_json(indent=2) + "\n")
    else:
        print_result(result, format, text)
    write_together({path: text.getvalue()})


def write_picture(result: Classification, recording: Path, path: Path, explanation: RecordingMap | None = None) -> None:
    """Write the picture of a result, with a map of where its decisions come from where one is given.

    Raises
    ------
    LungSRADError
        As ``write_result``.
    """
    from lung_srad_plugin.inference.figure import plot_timeline
    from lung_srad_plugin.reporting.figures import save_figure

    save_figure(plot_timeline(result, recording, explanation), path)


def print_table(result: Classification, file: TextIO) -> None:
    """Print a result as a table with a title, and below it the threshold and what else a reader must know."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from lung_srad_plugin.inference.segment_rows import segment_rows

    console = Console(file=file)
    if not console.is_terminal:
        console = Console(file=file, width=FILE_WIDTH)
    title = f"{result.file}  ({result.duration:.1f} s, {result.sample_rate} Hz)"
    console.print(rich_text(title, "bold"), soft_wrap=True)
    point = result.operating_point
    table = Table()
    for name in ("start", "end"):
        table.add_column(f"{name} (s)", justify="right")
    table.add_column("class")
    shown = ("crackle", "wheeze", "abnormal") if result.summary.crackle is not None else ("abnormal",)
    for name in shown:
        table.add_column(f"P({name})", justify="right")
    if point is not None:
        table.add_column("called abnormal")
    segments = segment_rows(result)
    remarks = [describe_segment(part.unlike_training, part.uncertain) for part in (*segments, result.summary)]
    if any(remarks):
        table.add_column("remark")
    for segment, remark in zip(segments, remarks[:-1], strict=True):
        called = () if point is None else ("yes" if result.called_abnormal(segment) else "no",)
        table.add_row(*_cells(segment, shown), *called, *([remark] if any(remarks) else ()))
    table.add_section()
    count = sum(map(result.called_abnormal, segments)) if point is not None else 0
    called = () if point is None else (f"{count} of {len(segments)}",)
    last = (*called, *(remarks[-1:] if any(remarks) else ()))
    table.add_row("all", "", *_cells(result.summary, shown)[2:], *last, style="bold")
    console.print(table)
    if point is not None:
        console.print(_describe_threshold(point), soft_wrap=True, highlight=False)
    for line in _describe_events(result):
        console.print(line, soft_wrap=True, highlight=False)
    if any(_normal_though_abnormal(segment) for segment in (*result.segments, result.summary)):
        console.print(RULE, soft_wrap=True, highlight=False)
    for flaw in result.flaws:
        console.print(Text.assemble((f"{flaw.kind}: ", "yellow"), rich_text(flaw.message)), soft_wrap=True)


def _json_line(result):
    return result.to_json() + "\n"


def _audacity(result):
    return result.to_audacity()


def _annotation(result, format):
    return format_annotations(result.to_annotations(), format, result.duration)


def _cells(segment, shown):
    probabilities = [f"{getattr(segment, name):.2f}" for name in shown]
    return f"{segment.start:.2f}", f"{segment.end:.2f}", rich_text(segment.label), *probabilities


def _describe_threshold(point):
    temperature = "" if point.temperature == 1 else f" at temperature {point.temperature:.4g}"
    return (
        f"Called abnormal where P(abnormal) is at least {point.threshold:.4g}, which was fitted on single validation "
        f"cycles for a sensitivity of {point.wanted_sensitivity:g} %{temperature}; other recordings may give another."
    )


def _describe_events(result):
    """Yield a line for each finding that the timeline has thresholds for."""
    if result.windows is None:
        return
    for finding, threshold in result.windows.thresholds.items():
        if getattr(result.summary, finding) is None:
            continue
        found = [event for event in result.events if event.finding == finding]
        times = ", ".join(f"{event.start:.2f} to {event.end:.2f} s ({event.probability:.2f})" for event in found)
        yield f"{finding}, P at least {threshold:g}: {times or 'nowhere'}"


def _normal_though_abnormal(segment):
    return segment.label == next(iter(segment.probabilities)) and segment.abnormal > 0.5
