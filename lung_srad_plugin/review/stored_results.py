"""Results that ``lung-srad classify`` wrote earlier: JSON, CSV or Parquet read, checked, and the recordings found."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError, model_validator

from lung_srad_plugin.datasets.problems import Problem, raise_problems
from lung_srad_plugin.inference.result import Segment, make_segment
from lung_srad_plugin.inference.rows import import_pyarrow
from lung_srad_plugin.utils.files import RESULT_MARK

ENDINGS = (".json", ".jsonl", ".csv", ".parquet")
_COLUMNS = ("file", "start", "end", "label", "model")
SHOWN = 50


class StoredSegment(BaseModel):
    """A segment as results store it; what else they say of it is not needed here."""

    start: float
    end: float
    label: str
    probabilities: dict[str, float]
    confidence: float | None = None
    uncertain: bool | None = None
    unlike_training_score: float | None = None
    unlike_training: bool | None = None

    @model_validator(mode="after")
    def _check(self):
        if not 0 <= self.start < self.end:
            raise ValueError(f"start {self.start:g} and end {self.end:g}; expected 0 <= start < end")
        if self.label not in self.probabilities:
            raise ValueError(f"label {self.label!r} is none of {', '.join(self.probabilities)}")
        return self

    def segment(self) -> Segment:
        """Return it as classification gives it."""
        made = make_segment(self.start, self.end, list(self.probabilities), list(self.probabilities.values()))
        flags = self.model_dump(
            include={"label", "confidence", "uncertain", "unlike_training_score", "unlike_training"}
        )
        return replace(made, **flags)


class StoredEvent(BaseModel):
    """An event as results store it: where a finding reaches its threshold."""

    finding: str
    start: float
    end: float


class StoredResult(BaseModel):
    """The result of a recording as it was stored.

    ``kind`` is ``"cycles"`` or ``"timeline"``; the CSV of a single recording does not say it, and counts as a timeline.
    ``events`` is None where they were not stored: JSON has them, where the model has thresholds.
    """

    file: str
    model: str
    kind: str = "timeline"
    segments: list[StoredSegment]
    events: list[StoredEvent] | None = None


def is_result_file(path: Path) -> bool:
    """Return whether a file has the name of a result that can be read here.

    Example
    -------
    >>> is_result_file(Path("a.lung-srad.json")), is_result_file(Path("a.lung-srad.txt"))
    (True, False)
    """
    return path.suffix.lower() in ENDINGS and path.stem.endswith(RESULT_MARK)


def read_results(paths: Iterable[Path]) -> list[StoredResult]:
    """Read result files: JSON of a recording, or lines of JSON, CSV and Parquet of any number of recordings.

    Raises
    ------
    LungSRADError
        With everything that is wrong with any of them.
    """
    results: list[StoredResult] = []
    problems: list[Problem] = []
    for path in paths:
        found, faults = _read_file(path)
        results += found
        problems += faults
    raise_problems(problems, "results of lung-srad classify", limit=SHOWN)
    return results


def find_audio(results: Sequence[StoredResult], root: Path | None = None) -> list[Path]:
    """Return the recording of each result.

    It is looked for where the result says it is, then below ``root`` by that path, then below ``root`` by its name,
    which must be there once.

    Raises
    ------
    LungSRADError
        Naming the recordings that are not there, or there more than once.
    """
    named: dict[str, list[Path]] = {}
    if root is not None:
        for path in sorted(root.rglob("*")):
            named.setdefault(path.name, []).append(path)
    found, problems = [], []
    for result in results:
        places = [Path(result.file)] if root is None else [Path(result.file), root / result.file]
        there = [path for path in places if path.is_file()][:1] or named.get(Path(result.file).name, [])
        if len(there) == 1:
            found.append(there[0].absolute())
            continue
        what = "is not there" if not there else f"is there {len(there)} times below {root}"
        group = "{count} recordings of the results are not there" if not there else None
        problems.append(Problem(result.file, what, group=group))
    cure = "Give the folder of the recordings with --data-root, or run the command in the folder of the classification."
    raise_problems(problems, "recordings of the results", cure, limit=SHOWN)
    return found


def _read_file(path):
    ending = path.suffix.lower()
    if ending == ".parquet":
        return _read_parquet(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        return [], [Problem(str(path), f"cannot be opened: {error.strerror}")]
    except UnicodeDecodeError:
        return [], [Problem(str(path), "is not UTF-8 text")]
    return _read_csv(path, text) if ending == ".csv" else _read_json(path, text)


def _read_json(path, text):
    try:
        return _parse([(None, json.loads(text))], path)
    except json.JSONDecodeError as whole:
        entries = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            try:
                entries.append((number, json.loads(line)))
            except json.JSONDecodeError as error:
                return [], [Problem(str(path), f"is not JSON ({error.msg})", line=number if entries else whole.lineno)]
        of_segments = all(isinstance(entry, dict) and "segments" not in entry for _, entry in entries)
        return _of_rows(path, entries, "line") if of_segments else _parse(entries, path)


def _read_csv(path, text):
    rows = list(enumerate(csv.DictReader(io.StringIO(text, newline="")), 2))
    # A header again, where files were joined, is no row.
    return _of_rows(path, [(number, row) for number, row in rows if row.get("file") != "file"], "row")


def _read_parquet(path):
    pyarrow = import_pyarrow()
    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        return [], [Problem(str(path), f"cannot be read as Parquet ({error})")]
    return _of_rows(path, list(enumerate(rows, 1)), "row")


def _of_rows(path, rows, counted):
    """Return results from rows that are segments, those of a recording one after another."""
    if not rows:
        return [], [Problem(str(path), "has no rows; expected a result of lung-srad classify")]
    header = list(rows[0][1])
    missing = [name for name in _COLUMNS if name not in header]
    labels = [name[2:] for name in header if name.startswith("p_")]
    if missing or not labels:
        wanted = ", ".join([*missing, *([] if labels else ["p_<class>"])])
        return [], [Problem(str(path), f"has no {wanted}; expected a result of lung-srad classify", row=1)]
    entries = []
    for file, group in groupby(rows, key=lambda row: row[1]["file"]):
        of_file = list(group)
        number, first = of_file[0]
        kind = {"kind": first["kind"]} if first.get("kind") else {}
        segments = [_segment(row, labels) for _, row in of_file]
        entries.append((number, {"file": _unquote(file), "model": first["model"], "segments": segments, **kind}))
    return _parse(entries, path, counted)


def _segment(row, labels) -> dict[str, Any]:
    optional = {name: _known(row.get(name)) for name in ("confidence", "unlike_training_score")}
    flags = {name: _known(row.get(name)) for name in ("uncertain", "unlike_training")}
    times = {name: row.get(name) for name in ("start", "end", "label")}
    return {**times, "probabilities": {label: row.get(f"p_{label}") for label in labels}, **optional, **flags}


def _known(value):
    return None if value == "" else value


def _unquote(name):
    """Return a name without the apostrophe that keeps spreadsheets from computing it."""
    return name[1:] if name[:1] == "'" and name[1:2] in ("=", "+", "-", "@", "\t", "\r") else name


def _parse(entries, path, counted="line"):
    results, problems = [], []
    for number, entry in entries:
        try:
            results.append(StoredResult.model_validate(entry))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or "result"
            problems.append(Problem(str(path), f"{key}: {first['msg']}", **{counted: number}))
    return results, problems
