"""The tables of a screening as Arrow: rows by segment, recordings, and bad recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lung_srad_plugin.inference.rows import (
    Column,
    arrow_schema,
    class_columns,
    origin_columns,
    reliability_columns,
    row_columns,
    segment_rows,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from lung_srad_plugin.inference.result import Classification


def recording_columns(labels: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns of the table of recordings; ``labels`` as for ``row_columns``."""
    return (
        Column("file", "text", "path or address of the recording"),
        Column("duration", "number", "its length in seconds"),
        Column("sample_rate", "count", "its own, in Hz"),
        Column("channels", "count", "of its file; they were averaged"),
        Column("segments", "count", "rows of it in the table of segments"),
        *class_columns(labels, "the recording"),
        *reliability_columns("the recording"),
        Column("flaws", "text", "what the input checks found in the recording"),
        *origin_columns(),
    )


def bad_columns() -> tuple[Column, ...]:
    """Return the columns of the table of recordings that have no result."""
    return (
        Column("file", "text", "path or address of the recording"),
        Column("reason", "text", "why it has no result"),
    )


@dataclass(frozen=True)
class Tables:
    """The three tables of a model's results.

    Arguments
    ---------
    rows, recordings, bad : pyarrow.Schema
        Of segments, of recordings, and of recordings without a result.
    """

    rows: pa.Schema
    recordings: pa.Schema
    bad: pa.Schema

    @classmethod
    def of_model(cls, labels: Sequence[str]) -> Tables:
        """Return the tables of a model with these classes.

        Example
        -------
        >>> Tables.of_model(("normal", "abnormal")).bad.names
        ['file', 'reason']
        """
        columns = (row_columns(labels), recording_columns(labels), bad_columns())
        return cls(*map(arrow_schema, columns))

    @property
    def answers(self) -> pa.Schema:
        """What workers return: a row for each recording with all that is known of it.

        ``reason`` is null where there is a result; ``recording`` and ``rows`` are null where there is none.
        """
        import pyarrow as pa

        return pa.schema(
            [
                ("file", pa.string()),
                ("reason", pa.string()),
                ("recording", pa.struct(list(self.recordings))),
                ("rows", pa.list_(pa.struct(list(self.rows)))),
            ]
        )

    def join(self, answers: Sequence[dict[str, Any]]) -> pa.Table:
        """Return answers as a table."""
        import pyarrow as pa

        return pa.Table.from_pylist(list(answers), schema=self.answers)

    def split(self, answers: pa.Table) -> tuple[pa.Table, pa.Table, pa.Table]:
        """Return rows, recordings and bad recordings of answers."""
        import pyarrow.compute as pc

        is_bad = pc.is_valid(answers["reason"])
        good = answers.filter(pc.invert(is_bad))
        rows = _unpack(pc.list_flatten(good["rows"]), self.rows)
        return rows, _unpack(good["recording"], self.recordings), answers.filter(is_bad).select(self.bad.names)


def answer_of(result: Classification) -> dict[str, Any]:
    """Return the answer for a recording that has a result."""
    summary = segment_rows(replace(result, segments=(result.summary,)))[0].to_dict()
    known = {
        "duration": result.duration,
        "sample_rate": result.sample_rate,
        "channels": result.channels,
        "segments": len(result.segments),
    }
    rows = [row.to_dict() for row in segment_rows(result)]
    return {"file": result.file, "reason": None, "recording": summary | known, "rows": rows}


def bad_answer(file: str, reason: str) -> dict[str, Any]:
    """Return the answer for a recording that has no result."""
    return {"file": file, "reason": reason, "recording": None, "rows": None}


def _unpack(structs: pa.ChunkedArray, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    batches = [pa.RecordBatch.from_struct_array(chunk) for chunk in structs.chunks]
    return pa.Table.from_batches(batches, schema=schema)
