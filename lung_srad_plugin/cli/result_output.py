"""The result of a recording as text on standard output, as a file, and as a picture."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from lung_srad_plugin.cli.reliability_notes import describe_segment
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.result_formats import format_of_name, format_result
from lung_srad_plugin.utils.files import RESULT_MARK, write_together
from lung_srad_plugin.utils.text import printable, rich_text

if TYPE_CHECKING:
    from lung_srad_plugin.inference.cycle_agreement import CycleAgreement
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
# By what the name of one recording's file ends in, the formats that it can hold.
FILES = {".json": ("json",), ".textgrid": ("textgrid",), ".txt": ("audacity", "raven", "table")}
FILE_WIDTH = 100  # characters of a table that is not printed on a terminal
# Printed where a reader would wonder.
RULE = (
    "The class is the most probable one: it can be normal where P(abnormal) exceeds 0.5, which several classes share."
)


def check_format(output: Path, format: str | None, fitting: Mapping[str, Sequence[str]]) -> None:
    """Refuse a ``--format`` that is not among those that fit what the name of a file ends in.

    Raises
    ------
    LungSRADError
    """
    if format is not None and format not in fitting[output.suffix.lower()]:
        raise LungSRADError(f"--format {format} does not fit {output}, whose ending says what it is; leave one out")


def names_one_result(output: Path) -> bool:
    """Return whether ``--output`` means the file of one recording: by its ending, unless it is a folder.

    Example
    -------
    >>> names_one_result(Path("a.TextGrid")), names_one_result(Path("results"))
    (True, False)
    """
    return output.suffix.lower() in FILES and not output.is_dir()


def result_format(output: Path, format: str | None) -> str:
    """Return the format of the file of one recording: what is asked for, else what its name says.

    Raises
    ------
    LungSRADError
        Where the two do not fit each other.

    Example
    -------
    >>> result_format(Path("a.txt"), None), result_format(Path("a.txt"), "table")
    ('audacity', 'table')
    """
    check_format(output, format, FILES)
    return format or format_of_name(output)


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


def print_result(
    result: Classification,
    format: str,
    file: TextIO,
    first: bool = True,
    agreement: CycleAgreement | None = None,
) -> None:
    """Print a result; the header of CSV with the ``first`` only, the agreement with an annotation in tables only."""
    if format == "table":
        print_table(result, file, agreement)
    else:
        texts = {"json": _json_line, "csv": lambda result: result.to_csv(header=first)}
        file.write(texts[format](result) if format in texts else format_result(result, format))
    file.flush()


def write_result(result: Classification, format: str, path: Path, agreement: CycleAgreement | None = None) -> None:
    """Write a result file.

    Raises
    ------
    LungSRADError
        Where it cannot be written, or would overwrite what lung-srad did not write.
    """
    if format == "table":
        text = io.StringIO()
        print_table(result, text, agreement)
        write_together({path: text.getvalue()})
    else:
        write_together({path: format_result(result, format)})


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


def print_table(result: Classification, file: TextIO, agreement: CycleAgreement | None = None) -> None:
    """Print a result as a table with a title, and below it the threshold and what else a reader must know."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from lung_srad_plugin.inference.joined_segments import join_segments

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
    annotated: list[tuple[str, ...]] = [()] * (len(result.segments) + 1)
    if agreement is not None:
        table.add_column("annotated")
        right = f"{agreement.right.total()} of {agreement.cycles.total()}"
        annotated = [(name or "",) for name in (*agreement.annotated, right)]
    shown = ("crackle", "wheeze", "abnormal") if result.summary.crackle is not None else ("abnormal",)
    for name in shown:
        table.add_column(f"P({name})", justify="right")
    if point is not None:
        table.add_column("called abnormal")
    segments = join_segments(result)
    remarks = [describe_segment(part.unlike_training, part.uncertain) for part in (*segments, result.summary)]
    if any(remarks):
        table.add_column("remark")
    for index, (segment, remark) in enumerate(zip(segments, remarks[:-1], strict=True)):
        called = () if point is None else ("yes" if result.called_abnormal(segment) else "no",)
        table.add_row(*_cells(segment, shown, annotated[index]), *called, *([remark] if any(remarks) else ()))
    table.add_section()
    count = sum(map(result.called_abnormal, segments)) if point is not None else 0
    called = () if point is None else (f"{count} of {len(segments)}",)
    last = (*called, *(remarks[-1:] if any(remarks) else ()))
    table.add_row("all", "", *_cells(result.summary, shown, annotated[-1])[2:], *last, style="bold")
    console.print(table)
    if point is not None:
        console.print(_describe_threshold(point), soft_wrap=True, highlight=False)
    if agreement is not None:
        for line in describe_agreement(agreement):
            console.print(rich_text(line), soft_wrap=True)
    for line in _describe_events(result):
        console.print(line, soft_wrap=True, highlight=False)
    if any(_normal_though_abnormal(segment) for segment in (*result.segments, result.summary)):
        console.print(RULE, soft_wrap=True, highlight=False)
    for flaw in result.flaws:
        console.print(Text.assemble((f"{flaw.kind}: ", "yellow"), rich_text(flaw.message)), soft_wrap=True)


def _json_line(result):
    return result.to_json() + "\n"


def _cells(segment, shown, annotated):
    probabilities = [f"{getattr(segment, name):.2f}" for name in shown]
    return f"{segment.start:.2f}", f"{segment.end:.2f}", rich_text(segment.label), *annotated, *probabilities


def describe_agreement(agreement: CycleAgreement) -> Iterator[str]:
    """Yield how many annotated cycles have their class, and what was not counted.

    Example
    -------
    >>> from collections import Counter
    >>> from lung_srad_plugin.inference.cycle_agreement import CycleAgreement
    >>> counts = Counter(normal=2, wheeze=1), Counter(normal=1), Counter(cough=1)
    >>> for line in describe_agreement(CycleAgreement(("normal", None, "normal", "wheeze"), *counts)):
    ...     print(line)
    1 of 3 annotated cycles have their class: normal 1 of 2, wheeze 0 of 1
    not counted, as the label is no class of the model: 1 'cough'
    """
    cycles, right = agreement.cycles, agreement.right
    if cycles:
        by_class = ", ".join(f"{name} {right[name]} of {count}" for name, count in cycles.items())
        yield f"{right.total()} of {cycles.total()} annotated cycles have their class: {by_class}"
    if agreement.other_labels:
        labels = ", ".join(f"{count} {printable(label)!r}" for label, count in agreement.other_labels.most_common())
        yield f"not counted, as the label is no class of the model: {labels}"


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
