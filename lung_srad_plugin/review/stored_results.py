"""Results that ``lung-srad classify`` wrote earlier, as JSON or CSV: read, checked, and their recordings found."""

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
from lung_srad_plugin.utils.files import RESULT_MARK

ENDINGS = (".json", ".jsonl", ".csv")
_COLUMNS = ("file", "start", "end", "label", "model")
_FLAGS = {"True": True, "False": False, "": None}
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


class StoredResult(BaseModel):
    """The result of a recording as it was stored.

    ``kind`` is ``"cycles"`` or ``"timeline"``; CSV does not say it, and counts as a timeline.
    """

    file: str
    model: str
    kind: str = "timeline"
    segments: list[StoredSegment]


def is_result_file(path: Path) -> bool:
    """Return whether a file has the name of a result that can be read here.

    Example
    -------
    >>> is_result_file(Path("a.lung-srad.json")), is_result_file(Path("a.lung-srad.txt"))
    (True, False)
    """
    return path.suffix.lower() in ENDINGS and path.stem.endswith(RESULT_MARK)


def read_results(paths: Iterable[Path]) -> list[StoredResult]:
    """Read result files: JSON of one recording, lines of JSON, or CSV of any number of recordings.

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
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        return [], [Problem(str(path), f"cannot be opened: {error.strerror}")]
    except UnicodeDecodeError:
        return [], [Problem(str(path), "is not UTF-8 text")]
    return _read_csv(path, text) if path.suffix.lower() == ".csv" else _read_json(path, text)


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
        return _parse(entries, path)


def _read_csv(path, text):
    reader = csv.DictReader(io.StringIO(text, newline=""))
    header = reader.fieldnames or []
    missing = [name for name in _COLUMNS if name not in header]
    labels = [name[2:] for name in header if name.startswith("p_")]
    if missing or not labels:
        wanted = ", ".join([*missing, *([] if labels else ["p_<class>"])])
        return [], [Problem(str(path), f"has no {wanted}; expected a result of lung-srad classify", row=1)]
    rows = [row for row in enumerate(reader, 2) if row[1]["file"] != "file"]  # a header again where files were joined
    entries = []
    for file, group in groupby(rows, key=lambda row: row[1]["file"]):
        of_file = list(group)
        segments = [_csv_segment(row, labels) for _, row in of_file]
        entries.append((of_file[0][0], {"file": _unquote(file), "model": of_file[0][1]["model"], "segments": segments}))
    return _parse(entries, path, counted="row")


def _csv_segment(row, labels) -> dict[str, Any]:
    optional = {name: row.get(name) or None for name in ("confidence", "unlike_training_score")}
    flags = {name: _FLAGS.get(row.get(name) or "", row.get(name)) for name in ("uncertain", "unlike_training")}
    times = {name: row[name] for name in ("start", "end", "label")}
    return {**times, "probabilities": {label: row[f"p_{label}"] for label in labels}, **optional, **flags}


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
