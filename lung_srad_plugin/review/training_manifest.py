"""From decisions to a manifest that training reads: one row for each segment that has a label."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lung_srad_plugin.datasets.manifests import read_manifest
from lung_srad_plugin.datasets.problems import Problem, raise_problems
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.review.decisions import Decision
from lung_srad_plugin.review.segments_table import CutSegment

_CURE = "Give --manifest, a rule such as --patient-pattern '^([^_]+)_', or --no-patients."


@dataclass(frozen=True)
class LabelledSegments:
    """What was labelled, and what is left out of the manifest.

    Arguments
    ---------
    labels : dict
        By ID, the decision that counts.
    rejected, disputed, undecided : int
        Segments that were rejected; that reviewers do not agree on; that nobody decided.
    """

    labels: dict[str, Decision]
    rejected: int
    disputed: int
    undecided: int


def settle_labels(
    segments: Sequence[CutSegment], decisions: Sequence[Decision], reviewer: str | None = None
) -> LabelledSegments:
    """Return the label of each segment: that of one reviewer, or the one that all who decided gave.

    Arguments
    ---------
    segments : sequence of CutSegment
    decisions : sequence of Decision
        As of ``DecisionLog.latest``.
    reviewer : str, optional
        Whose decisions count; by default those of all.

    Raises
    ------
    LungSRADError
        Where the reviewer decided nothing.
    """
    known = sorted({one.reviewer for one in decisions})
    if reviewer is not None and reviewer not in known:
        raise LungSRADError(f"{reviewer}: has decided nothing here; decisions are of {', '.join(known) or 'nobody'}")
    by_segment: dict[str, list[Decision]] = {}
    for one in decisions:
        if reviewer is None or one.reviewer == reviewer:
            by_segment.setdefault(one.ID, []).append(one)
    labels: dict[str, Decision] = {}
    rejected = disputed = 0
    for identifier, given in by_segment.items():
        if len({one.label for one in given}) > 1:
            disputed += 1
        elif given[0].label:
            labels[identifier] = given[0]
        else:
            rejected += 1
    return LabelledSegments(labels, rejected, disputed, len(segments) - len(by_segment))


def manifest_rows(
    segments: Sequence[CutSegment],
    labels: Mapping[str, Decision],
    patients: Mapping[str, str] | None,
    data_root: Path | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of the manifest, in the order of recordings and times.

    They name the recordings themselves, not the clips: training reads the same stretch with the same fades as it does
    of any other cycle.

    Arguments
    ---------
    segments : sequence of CutSegment
    labels : mapping
        By ID.
    patients : mapping or None
        By recording; None for a manifest without patients.
    data_root : Path, optional
        Recordings below it are written with ``{data_root}``.

    Raises
    ------
    LungSRADError
        Naming recordings that are not there any more.
    """
    kept = sorted((row for row in segments if row.ID in labels), key=lambda row: (row.recording, row.start))
    if not kept:
        raise LungSRADError("no segment has a label yet; label some in the page that lung-srad review opens")
    gone = sorted({row.recording for row in kept if not Path(row.recording).is_file()})
    moved = [Problem(name, "is not there any more") for name in gone]
    raise_problems(
        moved, "recordings of the segments", "Put them back, or correct recording in segments.csv.", limit=50
    )
    return [
        {
            "ID": row.ID,
            "duration": round(row.end - row.start, 6),
            "wav": _wav(Path(row.recording), data_root),
            "start": row.start,
            "stop": row.end,
            "label": labels[row.ID].label,
            **({} if patients is None else {"patient": patients[row.recording]}),
            "predicted": row.predicted,
            "decision": labels[row.ID].decision,
        }
        for row in kept
    ]


def find_patients(
    segments: Sequence[CutSegment],
    manifest: Path | None = None,
    data_root: Path | None = None,
    pattern: str | None = None,
) -> dict[str, str]:
    """Return the patient of each recording.

    From ``segments.csv`` where it has one, which it has from the manifest that was cut; else from a manifest, by the
    path of the recording or, where that is elsewhere, its name; else from the name of the recording.

    Arguments
    ---------
    segments : sequence of CutSegment
    manifest : Path, optional
        With a column ``patient``.
    data_root : Path, optional
        What ``{data_root}`` in it stands for.
    pattern : str, optional
        Regular expression that is searched in the name of the recording without its ending: the patient is its first
        group, or all it matches where it has none.

    Raises
    ------
    LungSRADError
        Naming all recordings whose patient is not known.

    Example
    -------
    >>> row = CutSegment(ID="a", clip="a.wav", recording="/data/101_1b1.wav", start=1, end=2, clip_start=1, clip_end=2,
    ...     predicted="normal", confidence=1, uncertain=False, unlike_training_score=None, unlike_training=None,
    ...     patient="", annotated="", model="demo", probabilities={"normal": 1, "wheeze": 0})
    >>> find_patients([row], pattern="^([^_]+)_")
    {'/data/101_1b1.wav': '101'}
    """
    by_path, by_name = ({}, {}) if manifest is None else _patients_of(manifest, data_root)
    rule = _compile(pattern)
    patients: dict[str, str] = {}
    for row in segments:
        path = Path(row.recording)
        patients[row.recording] = (
            patients.get(row.recording, "")
            or row.patient
            or by_path.get(str(path.resolve()), "")
            or by_name.get(path.name, "")
            or _by_rule(rule, path)
        )
    unknown = [Problem(name, "its patient is not known") for name, patient in sorted(patients.items()) if not patient]
    raise_problems(unknown, "patients of the recordings", _CURE, limit=50)
    return patients


def _patients_of(manifest, data_root):
    """Return patients by path, and by name where recordings of one name have one patient."""
    rows = read_manifest(manifest, data_root)
    if "patient" not in rows[0]:
        raise LungSRADError(f"{manifest}: has no column 'patient'")
    by_path = {str(Path(row["wav"]).resolve()): row["patient"] for row in rows}
    of_name: dict[str, set] = {}
    for row in rows:
        of_name.setdefault(Path(row["wav"]).name, set()).add(row["patient"])
    return by_path, {name: next(iter(known)) for name, known in of_name.items() if len(known) == 1}


def _compile(pattern):
    try:
        return None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise LungSRADError(f"--patient-pattern {pattern!r}: no regular expression ({error})") from None


def _by_rule(rule, path):
    found = None if rule is None else rule.search(path.stem)
    return "" if found is None else (found.group(1) if rule.groups else found.group(0)) or ""


def _wav(recording, data_root):
    root = None if data_root is None else data_root.expanduser().absolute()
    if root is None or not recording.is_relative_to(root):
        return str(recording)
    return f"{{data_root}}/{recording.relative_to(root).as_posix()}"
