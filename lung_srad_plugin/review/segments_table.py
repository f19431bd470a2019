"""The table of a folder of segments, ``segments.csv``: what was cut out, where from, and what the model said of it."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lung_srad_plugin.datasets.problems import Problem, raise_problems
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.text import printable

TABLE, CLIPS = "segments.csv", "clips"


class CutSegment(BaseModel):
    """A row: one segment.

    ``recording`` is an absolute path; ``start`` and ``end`` are the segment's times in it, ``clip_start`` and
    ``clip_end`` those of its file ``clip``, which has context around it. ``patient`` and ``annotated`` are blank where
    they are not known; the others are what the model said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ID: str
    clip: str
    recording: str
    start: float
    end: float
    clip_start: float
    clip_end: float
    predicted: str
    confidence: float
    uncertain: bool | None
    unlike_training_score: float | None
    unlike_training: bool | None
    patient: str
    annotated: str
    model: str
    probabilities: dict[str, float]


_COLUMNS = tuple(name for name in CutSegment.model_fields if name != "probabilities")
_MAY_BE_BLANK = ("uncertain", "unlike_training_score", "unlike_training")


def format_segments(rows: Sequence[CutSegment]) -> str:
    """Return the text of the table; the probabilities ``p_<class>`` come last.

    Raises
    ------
    LungSRADError
        Where the name of a recording is not UTF-8.

    Example
    -------
    >>> row = CutSegment(ID="a_1", clip="clips/a_1.wav", recording="/a.wav", start=1, end=2, clip_start=0.5,
    ...     clip_end=2.5, predicted="normal", confidence=0.75, uncertain=False, unlike_training_score=None,
    ...     unlike_training=None, patient="", annotated="", model="demo",
    ...     probabilities={"normal": 0.75, "wheeze": 0.25})
    >>> format_segments([row]).splitlines()[1]
    'a_1,clips/a_1.wav,/a.wav,1.0,2.0,0.5,2.5,normal,0.75,False,,,,,demo,0.75,0.25'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    labels = list(rows[0].probabilities)
    writer.writerow([*_COLUMNS, *(f"p_{label}" for label in labels)])
    for row in rows:
        cells = [getattr(row, name) for name in _COLUMNS]
        writer.writerow([*("" if cell is None else cell for cell in cells), *row.probabilities.values()])
        if printable(row.recording) != row.recording:
            raise LungSRADError(f"{printable(row.recording)}: has characters that no table can hold; rename it")
    return text.getvalue()


def read_segments(folder: Path) -> list[CutSegment]:
    """Read the table of a folder, and check that its clips are there.

    Raises
    ------
    LungSRADError
        With everything that is wrong with it.
    """
    path = folder / TABLE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LungSRADError(f"{path}: no such file; lung-srad segments writes a folder that has one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LungSRADError(f"{path}: cannot be read ({error})") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    header = reader.fieldnames or []
    labels = [name for name in header if name.startswith("p_")]
    if missing := [name for name in (*_COLUMNS, *([] if labels else ["p_<class>"])) if name not in header]:
        raise LungSRADError(f"{path}, header: no {', '.join(missing)}; expected a table of lung-srad segments")
    rows, problems, seen = [], [], set()
    for number, cells in enumerate(reader, 2):
        try:
            row = _row(cells, labels)
        except ValidationError as error:
            faults = {str(fault["loc"][0]): fault["msg"] for fault in error.errors()}
            problems += [Problem(str(path), text, row=number, column=column) for column, text in faults.items()]
            continue
        if row.ID in seen:
            problems.append(Problem(str(path), f"{row.ID!r} is there twice", row=number, column="ID"))
        seen.add(row.ID)
        # A table that somebody changed must not lead out of its folder.
        inside = (folder / row.clip).resolve().is_relative_to(folder.resolve())
        if not inside or not (folder / row.clip).is_file():
            problems.append(Problem(str(path), f"there is no clip {row.clip} in the folder", row=number, column="clip"))
        rows.append(row)
    raise_problems(problems, str(path), limit=50)
    if not rows:
        raise LungSRADError(f"{path}: has no rows")
    return rows


def _row(cells, labels):
    values = {name: cells[name] or None if name in _MAY_BE_BLANK else cells[name] for name in _COLUMNS}
    return CutSegment(**values, probabilities={name[2:]: cells[name] for name in labels})
