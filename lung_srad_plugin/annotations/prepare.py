"""Recordings of one's own with annotations beside them: from a folder to manifests, and to train, valid and test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from lung_srad_plugin.annotations.classes import CURE, find_classes
from lung_srad_plugin.annotations.files import BESIDE, find_annotation, parse_annotations
from lung_srad_plugin.audio.bounds import check_bounds
from lung_srad_plugin.audio.endings import AUDIO_ENDINGS
from lung_srad_plugin.datasets.folder import audio_seconds, equal_files, files_below
from lung_srad_plugin.datasets.manifests import format_manifest
from lung_srad_plugin.datasets.patient_split import count_by_patient, divide_patients
from lung_srad_plugin.datasets.problems import LISTED, Problem, describe_left_out, raise_problems, sort_problems
from lung_srad_plugin.datasets.summary import count_rows, print_summary, sha256_of, shared_patients, write_preparation
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES
from lung_srad_plugin.version import __version__

# Whose a recording is, by its path: what its name has before the first underscore, its folder, or nobody else's.
PATIENTS = ("name", "folder", "recording")
SPLITS = ("patients", "none")
PARTS = ("train", "valid", "test")
ALL = "all"


@dataclass(frozen=True)
class PreparedOwn:
    """Where a preparation has been written.

    Arguments
    ---------
    manifest : pathlib.Path
        ``all.csv``: a row for each annotated event.
    data_root : pathlib.Path
        What ``{data_root}`` in the manifests stands for.
    summary : pathlib.Path
        Counts, options, what was left out and why, as JSON.
    train, valid, test : pathlib.Path or None
        The manifests of the parts; None with ``split="none"``.
    """

    manifest: Path
    data_root: Path
    summary: Path
    train: Path | None = None
    valid: Path | None = None
    test: Path | None = None


def prepare_own(
    data_folder: str | Path,
    save_folder: str | Path,
    patients: str,
    labels_map: Mapping[str, str | None] | None = None,
    split: str = "patients",
    valid_fraction: float = 0.2,
    test_fraction: float = 0.2,
    seed: int = 1986,
    strict: bool = True,
    quiet: bool = False,
) -> PreparedOwn:
    """Write manifests of recordings that have an annotation beside them, in any format of ``read_annotations``.

    What is annotated becomes a row; what is not is not taken as normal. Labels become the four classes.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The recordings, anywhere in it, each with an annotation of its name.
    save_folder : str or pathlib.Path
        Where to write ``all.csv``, ``summary.json`` and the parts; made if missing.
    patients : str
        Whose a recording is: ``"name"``, what its name has before the first underscore; ``"folder"``, the folder that
        it lies in; ``"recording"``, each of another patient.
    labels_map : dict, optional
        Labels to classes, or to None for what is left out; others are taken in their usual spellings.
    split : str
        ``"patients"``: also ``train.csv``, ``valid.csv`` and ``test.csv``, no patient in two of them; or ``"none"``.
    valid_fraction, test_fraction : float
        The shares of all patients, in each class as nearly as possible.
    seed : int
        Decides which patients are drawn.
    strict : bool
        Whether anything faulty is an error; else it is left out and listed.
    quiet : bool
        Print nothing.

    Returns
    -------
    PreparedOwn

    Raises
    ------
    LungSRADError
        Where the folder holds no recording, an option does not exist, or, all together, for recordings without
        annotation, faulty annotations, unknown labels, and equal recordings.

    Example
    -------
    >>> prepare_own("no/such/folder", "prepared", patients="name")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: data_folder 'no/such/folder' does not exist; ...
    """
    _check_options(patients, split, valid_fraction, test_fraction, labels_map)
    root = Path(data_folder).expanduser()
    if not root.is_dir():
        raise LungSRADError(f"data_folder {str(data_folder)!r} does not exist; pass the folder of your recordings")
    recordings = [path for path in files_below(root) if path.suffix.lower() in AUDIO_ENDINGS]
    if not recordings:
        raise LungSRADError(f"{root}: no recording is there; expected audio files with annotations beside them")
    rows, problems, empty = _read_rows(root, recordings, patients, labels_map)
    if strict:
        cures = [CURE] if any("unknown label" in problem.message for problem in problems) else []
        cures.append(
            "Leave out exactly what is faulty, and list it in summary.json, with strict=False (--strict false)."
        )
        raise_problems(sort_problems(problems), str(root), " ".join(cures))
    if not rows:
        raise LungSRADError(f"{root}: nothing is annotated that could become a row")
    parts: dict[str, list[dict[str, Any]]] = {ALL: rows}
    if split == "patients":
        shares = [1 - valid_fraction - test_fraction, valid_fraction, test_fraction]
        part_of = divide_patients(count_by_patient((row["patient"], row["label"]) for row in rows), shares, seed)
        parts |= {part: [row for row in rows if PARTS[part_of[row["patient"]]] == part] for part in PARTS}
    counts = {part: count_rows(of_part) for part, of_part in parts.items()}
    summary = {
        "version": __version__,
        "protocol": "patients divided" if split == "patients" else "not divided",
        "valid_is_test": False,
        "split": {
            "source": "drawn by patient" if split == "patients" else "none",
            "sha256": sha256_of("".join(f"{row['ID']}\t{part}\n" for part in parts for row in parts[part])),
        },
        "recordings": len({row["recording"] for row in rows}),
        "parts": counts,
        "patients_shared": shared_patients({part: counts[part] for part in parts if part != ALL}),
        "notes": _notes(rows, patients, empty),
        "left_out": describe_left_out(sort_problems(problems)),
        "options": {
            **{"patients": patients, "labels_map": None if labels_map is None else dict(labels_map), "split": split},
            **{"valid_fraction": valid_fraction, "test_fraction": test_fraction, "seed": seed, "strict": strict},
        },
    }
    texts = {f"{part}.csv": format_manifest(of_part) for part, of_part in parts.items()}
    paths = write_preparation(save_folder, texts, summary)
    if not quiet:
        print_summary(summary, "own recordings")
    written = {part: paths[f"{part}.csv"] for part in parts if part != ALL}
    return PreparedOwn(paths["all.csv"], root, paths["summary.json"], **written)


def _check_options(patients, split, valid_fraction, test_fraction, labels_map):
    for name, value, choices in (("patients", patients, PATIENTS), ("split", split, SPLITS)):
        if value not in choices:
            raise LungSRADError(f"{name}={value!r}; expected one of {', '.join(choices)}")
    if not (valid_fraction > 0 and test_fraction > 0 and valid_fraction + test_fraction < 1):
        raise LungSRADError(
            f"valid_fraction={valid_fraction!r}, test_fraction={test_fraction!r}; expected shares above 0 that leave "
            "some of the patients to train"
        )
    unknown = sorted({name for name in (labels_map or {}).values() if name is not None and name not in CLASSES})
    if unknown:
        raise LungSRADError(f"labels_map: unknown classes {', '.join(unknown)}; expected {', '.join(CLASSES)} or null")


def _read_rows(root: Path, recordings: Sequence[Path], patients: str, labels_map: Mapping[str, str | None] | None):
    """Return the rows of all recordings, the problems of what is left out, and the recordings that give no row."""
    rows: list[dict[str, Any]] = []
    empty: list[str] = []
    problems: list[Problem] = []
    again: set[Path] = set()
    for same in equal_files(recordings):
        first = same[0].relative_to(root).as_posix()
        for copy in same[1:]:
            again.add(copy)
            name = copy.relative_to(root).as_posix()
            message = f"the same recording as {first}; two patients would share it, or one have it twice"
            problems.append(Problem(name, message, left_out="recording", group="{count} recordings are copies"))
    for path in recordings:
        if path not in again:
            found, faults = _rows_of(path, root, patients, labels_map)
            rows += found
            problems += faults
            if not found and not faults:
                empty.append(path.relative_to(root).as_posix())
    return rows, problems, empty


def _rows_of(path, root, patients, labels_map):
    """Return the rows of a recording, and the problems of what is left out of it."""
    name = path.relative_to(root).as_posix()
    try:
        annotation = find_annotation(path)
        if not annotation.is_file():
            message = f"no annotation beside it; expected its name with {', '.join(BESIDE)}"
            group = f"{{count}} recordings have no annotation beside them ({', '.join(BESIDE)})"
            return [], [Problem(name, message, left_out="recording", group=group)]
        beside = annotation.relative_to(root).as_posix()
        events, problems = parse_annotations(annotation)
    except LungSRADError as error:
        return [], [Problem(name, str(error), left_out="recording")]
    seconds, fault = audio_seconds(path)
    if seconds is None:
        return [], [Problem(name, fault, left_out="recording")]
    mapped, faults = find_classes(events, beside, labels_map)
    problems += faults
    recording = name.removesuffix(path.suffix)
    rows = []
    for event, label in mapped:
        try:
            check_bounds(event.start_s, event.end_s, seconds, beside)
        except LungSRADError as error:
            problems.append(Problem(beside, str(error).removeprefix(f"{beside}: "), left_out="event"))
            continue
        start, stop = round(event.start_s, 6), round(min(event.end_s, seconds), 6)
        rows.append(
            {
                "ID": f"{recording}_{len(rows) + 1:03d}",
                "duration": round(stop - start, 6),
                "wav": "{data_root}/" + name,
                "start": start,
                "stop": stop,
                "label": event.label,
                "patient": _patient(path, recording, root, patients),
                "recording": recording,
                "original_label": label,
            }
        )
    return rows, problems


def _patient(path, recording, root, patients):
    if patients == "folder":
        return path.parent.relative_to(root).as_posix()
    return path.stem.partition("_")[0] if patients == "name" else recording


def _count_conflicts(rows):
    """Return how many rows begin before a row of another class in the same recording ends."""
    count = 0
    for _, of_recording in groupby(
        sorted(rows, key=lambda row: (row["recording"], row["start"])), lambda row: row["recording"]
    ):
        ends: dict[str, float] = {}
        for row in of_recording:
            count += any(label != row["label"] and row["start"] < end for label, end in ends.items())
            ends[row["label"]] = max(row["stop"], ends.get(row["label"], 0.0))
    return count


def _notes(rows, patients, empty):
    """What a reader of the numbers should know, in sentences."""
    notes = []
    if empty:
        shown = ", ".join(empty[:LISTED]) + (", ..." if len(empty) > LISTED else "")
        notes.append(f"recordings without a row, as their annotation has no event that is kept: {len(empty)} ({shown})")
    if (count := _count_conflicts(rows)) > 0:
        notes.append(
            f"events that overlap one of another class: {count}; the same sound is in rows of both classes, so where a "
            "crackle and a wheeze sound together, annotate one event, both"
        )
    if not any(row["label"] == CLASSES[0] for row in rows):
        notes.append("no event is normal: what is not annotated is not taken as normal; annotate normal breaths too")
    if patients == "recording":
        notes.append("each recording counts as a patient of its own: two of one patient may be in different parts")
    return notes
