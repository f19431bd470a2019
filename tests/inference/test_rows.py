"""The table of the segments of many recordings."""

import csv
import io
import json

import pytest

from lung_srad_plugin.audio.quality import Flaw
from lung_srad_plugin.inference.result import Classification, make_segment, summarize
from lung_srad_plugin.inference.rows import (
    arrow_schema,
    csv_header,
    csv_lines,
    json_lines,
    row_columns,
    segment_rows,
)
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.metrics.operating_points import OperatingPoint


def classification(labels=CLASSES, **changes):
    shares = (0.1, 0.2, 0.3, 0.4)[: len(labels) - 1]
    segments = tuple(make_segment(start, start + 2, labels, (1 - sum(shares), *shares)) for start in (0, 2))
    flaws = (Flaw("clipping", "2.5 s clipped", 2.5, 3.0),)
    fields = {"kind": "timeline", "segments": segments, "summary": summarize(segments, labels), "flaws": flaws}
    return Classification("a/=b.wav", 4.0, 4000, 1, "demo", **(fields | changes))


@pytest.mark.parametrize("labels", [CLASSES, ("normal", "abnormal")])
@pytest.mark.parametrize("threshold", [None, OperatingPoint(90.0, 0.05, 1.0)])
@pytest.mark.parametrize("synthetic", [False, True])
def test_every_row_of_a_model_has_the_same_columns_whatever_the_result_has(labels, threshold, synthetic):
    rows = segment_rows(classification(labels, operating_point=threshold, trained_on_synthetic=synthetic))
    names = [column.name for column in row_columns(labels)]
    assert [list(row.to_dict()) for row in rows] == [names, names]
    assert [row.called_abnormal for row in rows] == ([None] * 2 if threshold is None else [True, True])
    assert rows[0].trained_on == ("SYNTHETIC sounds" if synthetic else None)
    assert [row.flaws for row in rows] == ["", "clipping"]


def test_rows_have_the_values_of_a_results_own_rows():
    result = classification()
    for row, own in zip(segment_rows(result), result.rows(), strict=True):
        assert {name: row.to_dict()[name] for name in own} == own


def test_csv_and_json_lines_hold_the_rows():
    rows = [row.to_dict() for row in segment_rows(classification())]
    table = list(csv.DictReader(io.StringIO(csv_header(row_columns(CLASSES)) + csv_lines(rows))))
    assert [float(row["start"]) for row in table] == [0.0, 2.0]
    assert table[0]["called_abnormal"] == "" and table[1]["flaws"] == "clipping"
    assert [json.loads(line) for line in json_lines(rows).splitlines()] == rows


def test_parquet_takes_the_rows():
    arrow = pytest.importorskip("pyarrow")
    rows = [row.to_dict() for row in segment_rows(classification())]
    table = arrow.Table.from_pylist(rows, schema=arrow_schema(row_columns(CLASSES)))
    assert table.to_pylist() == rows
