"""What reviewers decide: a CSV that only grows, one line a decision, on disk before the next segment is shown.

The columns are ``time`` (UTC), ``reviewer``, ``ID``, ``decision``, ``label``, ``predicted`` and ``blind``. A decision
is ``accept``, ``correct``, ``reject`` (unusable, without a label) or ``undo``, which takes back the latest decision of
that reviewer on that segment. Of several decisions on a segment the latest counts.
"""

import csv
import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.files import explain_write_errors
from lung_srad_plugin.utils.text import csv_text, printable

DECISIONS = "decisions.csv"
COLUMNS = ("time", "reviewer", "ID", "decision", "label", "predicted", "blind")
KINDS = ("accept", "correct", "reject", "undo")
UNUSABLE = "unusable"
"""What stands for the label of a rejected segment where reviewers are compared."""

LOCK = ".decisions.lock"
LONGEST_NAME = 60


@dataclass(frozen=True)
class Decision:
    """The decision of one reviewer on one segment.

    Arguments
    ---------
    reviewer, ID : str
    decision : str
        ``accept``, ``correct`` or ``reject``.
    label : str
        Blank where it was rejected.
    predicted : str
        What the model said.
    blind : bool
        Whether the reviewer did not see it.
    time : str
        ISO 8601, UTC.
    """

    reviewer: str
    ID: str
    decision: str
    label: str
    predicted: str
    blind: bool
    time: str


def check_reviewer(name: str) -> str:
    """Return the name of a reviewer, or refuse one that a table cannot hold.

    Example
    -------
    >>> check_reviewer(" A. Koch ")
    'A. Koch'
    """
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or printable(name) != name or csv_text(name) != name:
        raise LungSRADError(
            f"reviewer {printable(name)[:LONGEST_NAME]!r}: expected a name of 1 to {LONGEST_NAME} characters that does "
            "not begin with =, +, - or @; give one with --reviewer"
        )
    return name


class DecisionLog:
    """The decisions in a folder of segments; other processes may add to them at the same time.

    Arguments
    ---------
    folder : Path
    predicted : mapping
        By ID of each segment of the folder, what the model said.

    Raises
    ------
    LungSRADError
        Where the file is no file of decisions, or has decisions on segments that are not in the folder.

    Example
    -------
    >>> log = DecisionLog(getfixture("tmp_path"), {"a": "normal", "b": "wheeze"})
    >>> _ = log.add("Koch", "a", "normal"), log.add("Koch", "b", "normal"), log.add("Lee", "b", None)
    >>> [(one.reviewer, one.ID, one.decision, one.label) for one in log.latest()]
    [('Koch', 'a', 'accept', 'normal'), ('Koch', 'b', 'correct', 'normal'), ('Lee', 'b', 'reject', '')]
    >>> log.undo("Koch"), len(log.latest())
    ('b', 2)
    """

    def __init__(self, folder: Path, predicted: Mapping[str, str]):
        self.path = folder / DECISIONS
        self.predicted = dict(predicted)
        self._lock = FileLock(folder / LOCK)
        self._read: bytes = b""
        self._stacks: dict[tuple[str, str], list[Decision]] = {}
        self._order: dict[str, list[str]] = {}
        self._refresh()

    def latest(self) -> list[Decision]:
        """Return the decision of each reviewer on each segment that counts, ordered by reviewer and segment."""
        self._refresh()
        return [stack[-1] for _, stack in sorted(self._stacks.items()) if stack]

    def of_reviewer(self, reviewer: str) -> dict[str, Decision]:
        """Return the decisions of one reviewer by the ID of the segment."""
        return {one.ID: one for one in self.latest() if one.reviewer == reviewer}

    def add(self, reviewer: str, identifier: str, label: str | None, blind: bool = False) -> Decision:
        """Write a decision to the disk, and return it.

        Arguments
        ---------
        reviewer : str
        identifier : str
            Of the segment.
        label : str or None
            None rejects the segment.
        blind : bool

        Raises
        ------
        LungSRADError
            Where there is no such segment, or the disk does not take it.
        """
        if identifier not in self.predicted:
            raise LungSRADError(f"{printable(identifier)}: no such segment")
        predicted = self.predicted[identifier]
        kind = "reject" if label is None else "accept" if label == predicted else "correct"
        return self._append(Decision(reviewer, identifier, kind, label or "", predicted, blind, _now()))

    def undo(self, reviewer: str) -> str | None:
        """Take back the latest decision of a reviewer, and return the ID of its segment; None where there is none."""
        with self._lock:
            self._refresh()
            order = self._order.get(reviewer, [])
            if not order:
                return None
            last = self._stacks[reviewer, order[-1]][-1]
            self._append(Decision(reviewer, last.ID, "undo", "", last.predicted, last.blind, _now()))
            return last.ID

    def _append(self, decision: Decision) -> Decision:
        cells = {**vars(decision), "blind": "yes" if decision.blind else "no"}
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow([cells[name] for name in COLUMNS])
        with explain_write_errors(self.path), self._lock:
            self._refresh()
            with self.path.open("ab") as file:
                start = file.tell()
                try:
                    if start == 0:
                        file.write((",".join(COLUMNS) + "\n").encode())
                    elif not self._read.endswith(b"\n"):  # a line that a stopped process did not finish
                        start = file.truncate(self._read.rfind(b"\n") + 1)
                    file.write(text.getvalue().encode("utf-8"))
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(start)
                    raise
        self._refresh()
        return decision

    def _refresh(self) -> None:
        """Read the file again where it has grown."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            content = b""
        except OSError as error:
            raise LungSRADError(f"{self.path}: cannot be read ({error.strerror})") from error
        if content == self._read and content:
            return
        self._read, self._stacks, self._order = content, {}, {}
        for decision in _parse(content, self.path, self.predicted):
            stack = self._stacks.setdefault((decision.reviewer, decision.ID), [])
            order = self._order.setdefault(decision.reviewer, [])
            if decision.decision != "undo":
                stack.append(decision)
                order.append(decision.ID)
            elif stack:
                stack.pop()
                del order[len(order) - 1 - order[::-1].index(decision.ID)]


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _parse(content: bytes, path: Path, segments: Iterable[str]) -> list[Decision]:
    if not content:
        return []
    complete = content[: content.rfind(b"\n") + 1]
    try:
        rows = list(csv.reader(io.StringIO(complete.decode("utf-8"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise LungSRADError(f"{path}: not a CSV of decisions ({error}); move it away, or restore it") from None
    if rows and tuple(rows[0]) != COLUMNS:
        raise LungSRADError(f"{path}, row 1: expected the columns {', '.join(COLUMNS)}; move the file away")
    decisions, faults = [], []
    for number, row in enumerate(rows[1:], 2):
        fault = _fault(row, segments)
        if fault:
            faults.append(f"row {number}: {fault}")
        else:
            values = dict(zip(COLUMNS, row, strict=True))
            decisions.append(Decision(**{**values, "blind": values["blind"] == "yes"}))  # type: ignore[arg-type]
    if faults:
        more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise LungSRADError(f"{path}: {'; '.join(faults[:5])}{more}")
    return decisions


def _fault(row, segments):
    if len(row) != len(COLUMNS):
        return f"{len(row)} cells; expected {len(COLUMNS)}"
    values = dict(zip(COLUMNS, row, strict=True))
    if values["decision"] not in KINDS:
        return f"decision {values['decision']!r}; expected one of {', '.join(KINDS)}"
    if values["ID"] not in segments:
        return f"segment {values['ID']!r} is not in segments.csv"
    if (values["label"] == "") != (values["decision"] in ("reject", "undo")):
        return f"label {values['label']!r} of a decision {values['decision']}"
    return None
