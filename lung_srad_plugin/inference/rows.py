"""Results of many recordings as one table: its columns, and the row of each segment.

``Classification.rows`` has columns only where the result of one recording fills them. Here every row of a model has the
same columns, so that one file can hold all recordings: what does not apply is blank.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.text import csv_text, json_text

if TYPE_CHECKING:
    import pyarrow

    from lung_srad_plugin.inference.result import Classification

Value = str | float | int | bool | None


@dataclass(frozen=True)
class Column:
    """A column of a table of results.

    Arguments
    ---------
    name : str
    kind : str
        ``"text"``, ``"number"``, ``"count"`` or ``"yes or no"``.
    text : str
        What it holds.
    blank : str
        When a row has no value there; empty where every row has one.
    """

    name: str
    kind: Literal["text", "number", "count", "yes or no"]
    text: str
    blank: str = ""


@dataclass(frozen=True)
class SegmentRow:
    """One row: a segment of a recording, which is a stretch of the timeline or an annotated cycle.

    ``row_columns`` says what each column holds. ``probabilities`` has one value for each class and becomes one column
    for each, ``p_normal`` and so on.

    Example
    -------
    >>> from lung_srad_plugin.inference.result import Classification, make_segment, summarize
    >>> labels = ("normal", "abnormal")
    >>> segments = (make_segment(0, 4, labels, (0.75, 0.25)),)
    >>> result = Classification("a.wav", 4.0, 8000, 1, "demo", "timeline", segments, summarize(segments, labels))
    >>> row = segment_rows(result)[0].to_dict()
    >>> row["file"], row["end"], row["label"], row["p_abnormal"], row["any_crackle"]
    ('a.wav', 4.0, 'normal', 0.25, None)
    >>> list(row) == [column.name for column in row_columns(labels)]
    True
    """

    file: str
    start: float
    end: float
    label: str
    probabilities: Mapping[str, float]
    any_crackle: float | None
    any_wheeze: float | None
    abnormal: float
    called_abnormal: bool | None
    confidence: float | None
    uncertain: bool | None
    unlike_training_score: float | None
    unlike_training: bool | None
    flaws: str
    kind: str
    model: str
    trained_on: str | None

    def to_dict(self) -> dict[str, Value]:
        """Return the row by column, in the order of ``row_columns``."""
        row: dict[str, Value] = {}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if name == "probabilities":
                row |= {f"p_{label}": probability for label, probability in value.items()}
            else:
                row[name] = value
        return row


def segment_rows(result: Classification) -> list[SegmentRow]:
    """Return the rows of a recording, in the order of time.

    Arguments
    ---------
    result : Classification
    """
    rows = []
    for segment, values in zip(result.segments, result.rows(), strict=True):
        known: dict[str, Any] = {
            name: values.get(name) for name in SegmentRow.__dataclass_fields__ if name not in _NOT_IN_RESULT
        }
        rows.append(SegmentRow(**known, probabilities=dict(segment.probabilities), kind=result.kind))
    return rows


def class_columns(labels: Sequence[str], of: str) -> tuple[Column, ...]:
    """Return the columns with the probabilities: of each class, of findings, and of anything abnormal.

    Arguments
    ---------
    labels : sequence of str
        The class names of the model, the normal class first.
    of : str
        What they are probabilities of, such as "the segment".
    """
    no_findings = "where the classes are not normal, crackle, wheeze and both"
    return (
        Column("label", "text", f"the most probable class of {of}"),
        *(Column(f"p_{label}", "number", f"probability of the class {label}") for label in labels),
        Column("any_crackle", "number", "probability of crackles, alone or with wheezes", no_findings),
        Column("any_wheeze", "number", "probability of wheezes, alone or with crackles", no_findings),
        Column("abnormal", "number", f"1 - p_{labels[0]}"),
        Column("called_abnormal", "yes or no", "whether `abnormal` reaches the threshold", "without `--sensitivity`"),
    )


def reliability_columns(of: str) -> tuple[Column, ...]:
    """Return the columns that say what a reader may rely on; ``of`` as for ``class_columns``."""
    no_detector = "where the model has no detector"
    return (
        Column("confidence", "number", "probability of the most probable class, calibrated where the model can"),
        Column("uncertain", "yes or no", "whether `confidence` is below the model's limit"),
        Column("unlike_training_score", "number", f"how unlike the training sounds {of} is", no_detector),
        Column("unlike_training", "yes or no", "whether that exceeds 1: then the class means nothing", no_detector),
    )


def origin_columns() -> tuple[Column, ...]:
    """Return the columns that say what was classified with which model."""
    return (
        Column("kind", "text", "`timeline`: stretches between edges of windows; `cycles`: cycles of the annotation"),
        Column("model", "text", "id of the model"),
        Column("trained_on", "text", "`SYNTHETIC sounds`: the result says nothing about a patient", "of real sounds"),
    )


def row_columns(labels: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns of the table of segments.

    Arguments
    ---------
    labels : sequence of str
        The class names of the model, the normal class first.

    Example
    -------
    >>> [column.name for column in row_columns(("normal", "abnormal"))][:6]
    ['file', 'start', 'end', 'label', 'p_normal', 'p_abnormal']
    """
    return (
        Column("file", "text", "path of the recording, as it was given or found"),
        Column("start", "number", "begin of the segment, in seconds from the begin of the recording"),
        Column("end", "number", "end of the segment, in seconds"),
        *class_columns(labels, "the segment"),
        *reliability_columns("the segment"),
        Column("flaws", "text", "what the input checks found in the segment, such as `clipping`, with spaces between"),
        *origin_columns(),
    )


def arrow_schema(columns: Sequence[Column]) -> pyarrow.Schema:
    """Return the types of the columns for Arrow and Parquet.

    Raises
    ------
    LungSRADError
        Where pyarrow is not installed.

    Example
    -------
    >>> arrow_schema(row_columns(("normal", "abnormal"))).field("start").type
    DataType(double)
    """
    arrow = import_pyarrow()
    types = {"text": arrow.string(), "number": arrow.float64(), "count": arrow.int64(), "yes or no": arrow.bool_()}
    return arrow.schema([arrow.field(column.name, types[column.kind]) for column in columns])


def import_pyarrow() -> Any:
    """Return the module pyarrow.

    Raises
    ------
    LungSRADError
        Where it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise LungSRADError(
            'Parquet needs pyarrow, which is not installed; pip install "lung-srad[parquet]", or choose .csv or .jsonl'
        ) from None
    return pyarrow


def csv_lines(rows: Iterable[Mapping[str, Value]]) -> str:
    """Return rows as lines of a CSV file without its header; numbers have six decimals.

    Text that a spreadsheet would compute gets an apostrophe in front.

    Example
    -------
    >>> csv_lines([{"file": "=1.wav", "start": 0.5, "uncertain": False, "any_wheeze": None}])
    "'=1.wav,0.500000,False,\\n"
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_csv_cell(value) for value in row.values()] for row in rows)
    return text.getvalue()


def csv_header(columns: Sequence[Column]) -> str:
    """Return the first line of a CSV file."""
    return csv_lines([{column.name: column.name for column in columns}])


def json_lines(rows: Iterable[Mapping[str, Value]]) -> str:
    """Return rows as lines of JSON, numbers to the last digit.

    Example
    -------
    >>> json_lines([{"file": "a.wav", "start": 0.5, "uncertain": False, "any_wheeze": None}])
    '{"file": "a.wav", "start": 0.5, "uncertain": false, "any_wheeze": null}\\n'
    """
    return "".join(json_text(json.dumps(row, ensure_ascii=False, allow_nan=False)) + "\n" for row in rows)


def _csv_cell(value):
    if isinstance(value, float):
        return f"{value:.6f}"
    return csv_text(value) if isinstance(value, str) else value


_NOT_IN_RESULT = frozenset({"probabilities", "kind"})
