"""KAUH: from the downloaded folder to a manifest of whole recordings, and to train, valid and test by subject.

Fraiwan et al., "A dataset of lung sounds recorded from the chest wall using an electronic stethoscope", Data in Brief
35 (2021) 106913: 112 subjects at the King Abdullah University Hospital, each recorded once and stored under the three
filters of the stethoscope.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from lung_srad_plugin.datasets.catalogue import refuse_other_data_set
from lung_srad_plugin.datasets.folder import audio_seconds, equal_files, files_below
from lung_srad_plugin.datasets.kauh.record import KAUH
from lung_srad_plugin.datasets.kauh.recording_name import FILTERS, FORM, parse_kauh_name
from lung_srad_plugin.datasets.manifests import format_manifest
from lung_srad_plugin.datasets.patient_split import count_by_patient, divide_patients
from lung_srad_plugin.datasets.problems import Problem, raise_problems
from lung_srad_plugin.datasets.summary import count_rows, print_summary, sha256_of, shared_patients, write_preparation
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.version import __version__

# Sounds to classes. I inspiratory, E expiratory, W wheeze, C crackle, Crep crepitation, which is crackle, B bronchial.
SOUNDS = {
    "N": "normal",
    "E W": "wheeze",
    "I E W": "wheeze",
    "C": "crackle",
    "I C": "crackle",
    "Crep": "crackle",
    "Bronchial": None,  # bronchial breathing is not normal, and neither crackle nor wheeze
}
# Neither a crackle alone nor for certain both: the user decides.
MIXED = ("I C B", "I C E W")
MIXED_CHOICES = ("both", "leave_out")
SPLITS = ("none", "patients")
PARTS = ("train", "valid", "test")

_SOUND_OF = {sound.lower(): sound for sound in (*SOUNDS, *MIXED)}


@dataclass(frozen=True)
class PreparedKAUH:
    """Where a preparation has been written.

    Arguments
    ---------
    manifest : pathlib.Path
        One row a recording, with the data set's own labels.
    labels_map : pathlib.Path
        These labels to normal, crackle, wheeze and both, or to null for what is left out.
    data_root : pathlib.Path
        What ``{data_root}`` in the manifests stands for.
    summary : pathlib.Path
        Counts, options, what was left out and why, as JSON.
    train, valid, test : pathlib.Path or None
        The manifests of the parts, with the four classes; ``None`` with ``split="none"``.
    """

    manifest: Path
    labels_map: Path
    data_root: Path
    summary: Path
    train: Path | None = None
    valid: Path | None = None
    test: Path | None = None


def prepare_kauh(
    data_folder: str | Path,
    save_folder: str | Path,
    mixed: str,
    split: str = "none",
    valid_fraction: float = 0.2,
    test_fraction: float = 0.2,
    seed: int = 1986,
    quiet: bool = False,
) -> PreparedKAUH:
    """Write ``kauh.csv`` and ``labels_map.json`` for evaluation on KAUH, and its parts for training.

    A subject's three recordings are one sound under three filters, so ``patient`` is the subject: intervals resample
    subjects, and parts divide them. The published data have the same file under two subjects, with different labels.
    Which label is right cannot be known, so the parts for training leave such recordings out; with the same label, they
    keep the one of the lowest subject. Subjects with a file in common are in one part. ``kauh.csv`` holds every
    recording as published. ``summary.json`` lists what is left out.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The unpacked download; the recordings may lie anywhere in it.
    save_folder : str or pathlib.Path
        Where to write; made if missing.
    mixed : str
        What recordings of I C B and I C E W are: ``"both"`` (crackle and wheeze) or ``"leave_out"``.
    split : str
        ``"none"``, or ``"patients"``: also ``train.csv``, ``valid.csv`` and ``test.csv``, no subject in two of them.
        The data set has no official split.
    valid_fraction, test_fraction : float
        The shares of all subjects, in each class as nearly as possible.
    seed : int
        Decides which subjects are drawn.
    quiet : bool
        Print nothing.

    Returns
    -------
    PreparedKAUH

    Raises
    ------
    LungSRADError
        Where there is no recording or an option does not exist, and, all together, for every recording with another
        form of name, an unknown sound or unreadable audio.

    Example
    -------
    >>> prepare_kauh("no/such/folder", "prepared", mixed="both")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: data_folder 'no/such/folder' does not exist; ...
    """
    _check_options(mixed, split, valid_fraction, test_fraction)
    root = Path(data_folder).expanduser()
    if not root.is_dir():
        raise LungSRADError(f"data_folder {str(data_folder)!r} does not exist; unpack the download and pass its folder")
    rows, left_out, linked = _read_rows(root, data_folder)
    labels_map = SOUNDS | dict.fromkeys(MIXED, "both" if mixed == "both" else None)
    parts = {}
    if split == "patients":
        shares = [1 - valid_fraction - test_fraction, valid_fraction, test_fraction]
        parts = _divide(rows, labels_map, left_out, linked, shares, seed)
        for part, of_part in parts.items():
            if not of_part:
                raise LungSRADError(f"{data_folder}: no recording is left for {part}.csv; raise its share")
    summary = _summarize(rows, parts, left_out, linked)
    summary["options"] = {
        **{"mixed": mixed, "split": split, "valid_fraction": valid_fraction},
        **{"test_fraction": test_fraction, "seed": seed},
    }
    texts = {"kauh.csv": format_manifest(rows), "labels_map.json": json.dumps(labels_map, indent=1) + "\n"}
    texts |= {f"{part}.csv": format_manifest(of_part) for part, of_part in parts.items()}
    paths = write_preparation(save_folder, texts, summary)
    if not quiet:
        _print(paths["kauh.csv"], rows, summary)
    return PreparedKAUH(
        *(paths["kauh.csv"], paths["labels_map.json"], root, paths["summary.json"]),
        **{part: paths[f"{part}.csv"] for part in parts},
    )


def _check_options(mixed, split, valid_fraction, test_fraction):
    for name, value, choices in (("mixed", mixed, MIXED_CHOICES), ("split", split, SPLITS)):
        if value not in choices:
            raise LungSRADError(f"{name}={value!r}; expected one of {', '.join(choices)}")
    if not (valid_fraction > 0 and test_fraction > 0 and valid_fraction + test_fraction < 1):
        raise LungSRADError(
            f"valid_fraction={valid_fraction!r}, test_fraction={test_fraction!r}; expected shares above 0 that leave "
            "some of the subjects to train"
        )


def _read_rows(root, data_folder):
    """The rows of all recordings, what parts leave out, and subject to the lowest one with a file in common."""
    files = files_below(root)
    wavs = [path for path in files if path.suffix.lower() == ".wav"]
    refuse_other_data_set([path for path in files if path.suffix.lower() in (".wav", ".flac")], KAUH, data_folder)
    if not wavs:
        raise LungSRADError(f"{root}: no .wav file; expected names of the form {FORM}")
    rows, problems, seen = {}, [], {}
    for wav in wavs:
        row, problem, group = _row(wav, root)
        if problem:
            problems.append(Problem(wav.relative_to(root).as_posix(), problem, group=group))
        elif seen.setdefault(row["ID"], row["wav"]) != row["wav"]:
            message = f"the same subject and filter as {seen[row['ID']]}"
            problems.append(Problem(row["wav"], message, group="{count} files have subject and filter of another file"))
        else:
            rows[wav] = row
    raise_problems(problems, str(root))
    left_out, linked = _resolve_equal_files(rows)
    return sorted(rows.values(), key=lambda row: (int(row["patient"]), row["filter"])), left_out, linked


def _row(wav, root):
    """Return a recording's row, or None, what is wrong with it, and the message for many such files."""
    parts = parse_kauh_name(wav.stem)
    if parts is None:
        return None, f"the name is not of the KAUH form; expected {FORM}", None
    sound = _SOUND_OF.get(parts["sound"].lower())
    if sound is None:
        return None, f"unknown sound {parts['sound']!r}; expected one of {', '.join(_SOUND_OF.values())}", None
    seconds, fault = audio_seconds(wav)
    if fault:
        return None, fault, "{count} recordings cannot be read as audio" if "cannot be read" in fault else None
    recording, seconds = f"{parts['filter']}P{parts['subject']}", round(seconds, 6)
    return (
        {
            "ID": recording,
            "duration": seconds,
            "wav": "{data_root}/" + wav.relative_to(root).as_posix(),
            "start": 0.0,
            "stop": seconds,
            "label": sound,
            "patient": parts["subject"],
            "recording": recording,
            "location": parts["location"],
            "age": parts["age"],
            "sex": parts["sex"],
            "diagnosis": parts["diagnosis"],
            "filter": FILTERS[parts["filter"]],
        },
        None,
        None,
    )


def _resolve_equal_files(rows):
    """Which recordings the rule on equal files leaves out, and each subject's lowest subject with a file in common."""
    left_out, linked = [], {}
    for group in equal_files(rows):
        same = sorted((rows[path] for path in group), key=lambda row: (int(row["patient"]), row["ID"]))
        names = ", ".join(f"{row['ID']} ({row['label']})" for row in same)
        subjects = {row["patient"] for row in same}
        if len(subjects) > 1:
            conflict = len({row["label"] for row in same}) > 1
            why = f"{names} are the same file with different labels" if conflict else f"{names} are the same file"
            left_out += [{"recording": row["ID"], "why": why} for row in (same if conflict else same[1:])]
            roots = {_first(linked, subject) for subject in subjects}
            linked |= dict.fromkeys(roots, min(roots, key=int))
    return left_out, {subject: _first(linked, subject) for subject in linked}


def _first(linked, subject):
    while linked.get(subject, subject) != subject:
        subject = linked[subject]
    return subject


def _divide(rows, labels_map, left_out, linked, shares, seed):
    """The rows of train, valid and test, with the four classes; linked subjects are divided as one."""
    not_used = {entry["recording"] for entry in left_out}
    labelled = [
        row | {"label": labels_map[row["label"]], "original_label": row["label"]}
        for row in rows
        if labels_map[row["label"]] is not None and row["ID"] not in not_used
    ]
    counts = count_by_patient((linked.get(row["patient"], row["patient"]), row["label"]) for row in labelled)
    part_of = divide_patients(counts, shares, seed)
    parts = {part: [] for part in PARTS}
    for row in labelled:
        parts[PARTS[part_of[linked.get(row["patient"], row["patient"])]]].append(row)
    return parts


def _summarize(rows, parts, left_out, linked):
    counts = {part: count_rows(of_part) for part, of_part in parts.items()}
    notes = [] if parts else ["kauh.csv is for evaluation; split='patients' (--split patients) divides it for training"]
    if linked:
        pairs = ", ".join(f"{subject} with {first}" for subject, first in sorted(linked.items()) if subject != first)
        notes.append(f"subjects who share a file are in one part: {pairs}")
    return {
        "version": __version__,
        "protocol": "subjects divided, no official split" if parts else "whole recordings",
        "valid_is_test": False,
        "split": {
            "source": "drawn by subject" if parts else "none",
            "sha256": sha256_of("".join(f"{row['ID']}\t{part}\n" for part in parts for row in parts[part])),
        },
        "recordings": len(rows),
        "parts": counts,
        "patients_shared": shared_patients(counts),
        "notes": notes,
        "same_file": list(dict.fromkeys(entry["why"] for entry in left_out)),
        "left_out": left_out if parts else [],
    }


def _print(manifest, rows, summary):
    console = Console()
    subjects = len({row["patient"] for row in rows})
    console.print(f"{manifest}: {len(rows)} recordings of {subjects} subjects", highlight=False, markup=False)
    effect = "left out of train, valid and test" if summary["parts"] else "kauh.csv holds them all"
    for why in summary["same_file"]:
        console.print(f"Note: {why}; {effect}", highlight=False, markup=False)
    if summary["parts"]:
        print_summary(summary, "KAUH")
