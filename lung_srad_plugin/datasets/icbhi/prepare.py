"""ICBHI 2017 respiratory sounds: from the downloaded folder to train, valid and test manifests."""

from dataclasses import dataclass
from pathlib import Path

from lung_srad_plugin.datasets.icbhi.layout import find_layout
from lung_srad_plugin.datasets.icbhi.patients import Patient, parse_demographics, parse_diagnosis
from lung_srad_plugin.datasets.icbhi.recording_name import NameIndex, parse_name
from lung_srad_plugin.datasets.icbhi.recordings import read_recordings
from lung_srad_plugin.datasets.icbhi.splits import (
    assign_sides,
    correct_split,
    leave_device_out,
    official_split,
    parse_split,
    patients_on_both_sides,
)
from lung_srad_plugin.datasets.manifests import format_manifest
from lung_srad_plugin.datasets.patient_split import count_by_patient, divide_patients, draw_valid_patients
from lung_srad_plugin.datasets.problems import Problem, describe_left_out, raise_problems, sort_problems
from lung_srad_plugin.datasets.summary import count_rows, print_summary, sha256_of, shared_patients, write_preparation
from lung_srad_plugin.datasets.synthetic.marker import is_synthetic
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.version import __version__

COLUMNS = (
    *("ID", "duration", "wav", "start", "stop", "label", "crackle", "wheeze"),
    *("patient", "recording", "device", "location", "mode", "age", "sex", "diagnosis"),
)
SPLITS = ("official", "corrected", "kfold", "device")
DRAWN = ("kfold", "device")  # not read from a list of recordings
VALIDS = ("patients", "test")


@dataclass(frozen=True)
class PreparedICBHI:
    """Where a preparation has been written.

    Arguments
    ---------
    train, valid, test : pathlib.Path
        The CSV manifests.
    summary : pathlib.Path
        Counts, options, what was left out and why, as JSON.
    data_root : pathlib.Path
        What ``{data_root}`` in the manifests stands for.
    """

    train: Path
    valid: Path
    test: Path
    summary: Path
    data_root: Path


def prepare_icbhi(
    data_folder: str | Path,
    save_folder: str | Path,
    split: str = "official",
    valid: str = "patients",
    valid_fraction: float = 0.2,
    folds: int = 5,
    fold: int = 0,
    test_device: str | None = None,
    seed: int = 1986,
    strict: bool = True,
    quiet: bool = False,
) -> PreparedICBHI:
    """Write ``train.csv``, ``valid.csv``, ``test.csv`` and ``summary.json`` for ICBHI 2017.

    One row is one breathing cycle; its ID is the recording's name and the line of its annotation. Only headers and
    annotations are read, which takes seconds, so it is done anew each time; equal input and options give equal bytes.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The official download or its Kaggle mirror, unpacked, see ``find_layout``. Any part of it is enough.
    save_folder : str or pathlib.Path
        Where to write; made if missing.
    split : str
        ``"official"``: the 60/40 split in the data folder, or else the one that comes with this package.
        ``"corrected"``: the same without the train recordings of patients who are also in test (156 and 218).
        ``"kfold"``: patients divided into ``folds`` parts over all data; number ``fold`` is the test part.
        ``"device"``: all recordings of ``test_device`` are test, all others train, without the patients in test.
        Devices go by the file names, which are not reliable, see ``recording_name``.
    valid : str
        ``"patients"``: a part of the train patients, who are then no longer in train; patients who are also in test
        stay in train. ``"test"``: the test cycles, which is the published protocol; a model selected on them
        has seen the test set, and the summary says so.
    valid_fraction : float
        The share of train, in each class as nearly as possible, that ``valid="patients"`` takes.
    folds, fold : int
        Only for ``"kfold"``; folds are numbered from 0.
    test_device : str, optional
        Only for ``"device"``, which needs it: AKGC417L, LittC2SE, Litt3200 or Meditron.
    seed : int
        Decides which patients are drawn.
    strict : bool
        ``True``: any problem in the data is an error. ``False``: what has a problem, and nothing else, is left out, and
        the summary lists it.
    quiet : bool
        Show no progress and no table.

    Returns
    -------
    PreparedICBHI

    Raises
    ------
    LungSRADError
        For an option that does not exist, and, all together, for every problem found in the data. Nothing is written
        then, and nothing that was written before is lost.

    Example
    -------
    >>> prepare_icbhi("no/such/folder", "prepared")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: data_folder 'no/such/folder' does not exist. ...
    """
    _check_options(split, valid, valid_fraction, folds, fold, test_device)
    layout = find_layout(data_folder)
    recordings, names, problems = read_recordings(layout, quiet)
    tables, found = _read_tables(layout)
    problems += found
    sides, source = {}, "drawn by patient"
    if split not in DRAWN:
        sides, source = _find_split(layout, tables["split"])
        listed, missing = assign_sides(names, sides)
        message = f"is in no good line of the split ({source})"
        group = f"{{count}} recordings are in no good line of the split ({source})"
        problems += [Problem(name, message, left_out="recording", group=group) for name in missing]
        recordings = {name: recording for name, recording in recordings.items() if name in listed}
    patients, found = _describe_patients(layout, tables, names)
    problems = sort_problems(problems + found)
    _stop_at(problems, strict, data_folder)

    if split == "kfold":
        assigned = _draw_fold(recordings, folds, fold, seed)
    elif test_device is not None:
        assigned = leave_device_out(recordings, test_device)
        source = "device in the file names"
    else:
        assigned, _ = assign_sides(recordings, correct_split(sides) if split == "corrected" else sides)
    if valid == "patients":
        assigned = _carve_valid(recordings, assigned, valid_fraction, seed, patients_on_both_sides(sides))
    parts: dict[str, list[dict]] = {"train": [], "valid": [], "test": []}
    for name, part in assigned.items():
        parts[part] += _rows(recordings[name], layout, patients)
    if valid == "test":
        parts["valid"] = parts["test"]
    for part, rows in parts.items():
        if not rows:
            raise LungSRADError(f"{data_folder}: no cycle is left for {part}.csv with split='{split}', valid='{valid}'")

    synthetic = is_synthetic(data_folder)
    summary = {
        "version": __version__,
        "synthetic": synthetic,
        "protocol": _protocol(split, valid, folds, fold, test_device, synthetic),
        "options": {
            **{"split": split, "valid": valid, "valid_fraction": valid_fraction},
            **{"folds": folds, "fold": fold, "test_device": test_device, "seed": seed, "strict": strict},
        },
        "valid_is_test": valid == "test",
        "split": _describe_split(sides, source, names, recordings, assigned),
        "parts": {part: count_rows(rows) for part, rows in parts.items()},
    }
    summary["patients_shared"] = shared_patients(summary["parts"])
    summary["notes"] = _notes(layout, recordings, summary)
    summary["left_out"] = describe_left_out(problems)
    texts = {f"{part}.csv": format_manifest(rows) for part, rows in parts.items()}
    summary["files"] = {name: sha256_of(text) for name, text in texts.items()}
    paths = write_preparation(save_folder, texts, summary)
    if not quiet:
        print_summary(summary, "Synthetic stand-in for ICBHI" if synthetic else "ICBHI")
    train_file, valid_file, test_file, summary_file = paths.values()
    return PreparedICBHI(train_file, valid_file, test_file, summary_file, layout.root)


def _check_options(split, valid, valid_fraction, folds, fold, test_device):
    if split not in SPLITS:
        raise LungSRADError(f"split={split!r}; expected one of {', '.join(SPLITS)}")
    if valid not in VALIDS:
        raise LungSRADError(f"valid={valid!r}; expected one of {', '.join(VALIDS)}")
    if not 0 < valid_fraction < 1:
        raise LungSRADError(f"valid_fraction={valid_fraction!r}; expected a share between 0 and 1, for example 0.2")
    if folds < 2 or not 0 <= fold < folds:
        raise LungSRADError(f"fold={fold!r} of folds={folds!r}; expected 2 folds or more, numbered from 0")
    if (split == "device") != (test_device is not None):
        raise LungSRADError(
            f"split={split!r} with test_device={test_device!r}; the split by device needs one, and no other does"
        )


def _read_tables(layout):
    """The content of split, demographics and diagnosis, ``None`` where the folder has none, and the problems."""
    parsers = {"split": parse_split, "demographics": parse_demographics, "diagnosis": parse_diagnosis}
    tables, problems = {}, []
    for kind, paths in layout.tables.items():
        tables[kind] = None
        for path in paths:
            file = layout.relative(path)
            try:
                text = path.read_text(encoding="utf-8-sig", errors="replace")
            except OSError as error:
                problems.append(Problem(file, f"cannot be opened: {error.strerror}"))
                continue
            table, found = parsers[kind](text, file)
            if path is paths[0]:
                tables[kind] = table
                problems += found
            elif table != tables[kind]:
                problems.append(Problem(file, f"contradicts {layout.relative(paths[0])}; keep one of them"))
    return tables, problems


def _find_split(layout, in_folder):
    """The sides of the recordings, and where they come from."""
    if in_folder is None:
        return official_split(), f"official split shipped with lung-srad {__version__}"
    return in_folder, layout.relative(layout.tables["split"][0])


def _describe_patients(layout, tables, names):
    """Patient number to Patient, and the patients that a table does not list; a folder may be without tables."""
    blank = {"demographics": ("", ""), "diagnosis": ""}
    patients, problems = {}, []
    for number in sorted({parse_name(name).patient for name in names}):
        values = {}
        for kind, unknown in blank.items():
            values[kind] = unknown if tables[kind] is None else tables[kind].get(number)
            if values[kind] is None:
                values[kind] = unknown
                file = layout.relative(layout.tables[kind][0])
                message = f"patient {number} is in no good line"
                group = f"{{count}} patients are in no good line of {file}"
                problems.append(Problem(file, message, left_out=f"{kind} of patient {number}", group=group))
        patients[number] = Patient(*values["demographics"], values["diagnosis"])
    return patients, problems


def _stop_at(problems, strict, data_folder):
    if strict:
        cure = "Correct them, or leave out exactly what they concern with strict=False (--strict false)."
        raise_problems(problems, str(data_folder), cure)
    raise_problems([problem for problem in problems if problem.left_out is None], str(data_folder))


def _count_by_patient(recordings, names):
    """Patient to the number of cycles in each class, over the named recordings."""
    chosen = [recordings[name] for name in names]
    return count_by_patient((r.name.patient, cycle.label) for r in chosen for cycle in r.cycles)


def _draw_fold(recordings, folds, fold, seed):
    parts = divide_patients(_count_by_patient(recordings, recordings), [1 / folds] * folds, seed)
    return {name: "test" if parts[r.name.patient] == fold else "train" for name, r in recordings.items()}


def _carve_valid(recordings, assigned, fraction, seed, also_in_test):
    """Move patients from train to valid; those who are also in test would make valid a part of the test."""
    train = [name for name, side in assigned.items() if side == "train"]
    valid = draw_valid_patients(_count_by_patient(recordings, train), fraction, seed, keep=also_in_test)
    return assigned | {name: "valid" for name in train if recordings[name].name.patient in valid}


def _rows(recording, layout, patients):
    """The manifest rows of a recording's cycles."""
    name, patient = recording.name, patients[recording.name.patient]
    for cycle in recording.cycles:
        values = (
            *(f"{name}_{cycle.line:03d}", round(cycle.stop - cycle.start, 6)),
            *("{data_root}/" + layout.relative(recording.wav), cycle.start, cycle.stop),
            *(cycle.label, cycle.crackle, cycle.wheeze),
            *(name.patient, str(name), name.device, name.location, name.mode),
            *(patient.age, patient.sex, patient.diagnosis),
        )
        yield dict(zip(COLUMNS, values, strict=True))


def _protocol(split, valid, folds, fold, test_device, synthetic):
    """What was trained and selected on what, in words; it accompanies every result."""
    special = {
        "kfold": f"fold {fold} of {folds}, patients divided",
        "device": f"device {test_device} left out of training, by the names of the files",
    }
    first = special.get(split, f"{split} split")
    if synthetic:
        first = f"SYNTHETIC sounds, {special.get(split, 'split as synthesized')}"
    selection = {"patients": "valid: patients drawn from train", "test": "valid: the TEST cycles, as published"}
    return f"{first}; {selection[valid]}"


def _describe_split(sides, source, names, recordings, assigned):
    """Where the split comes from, its hash, and how it fits the recordings that are there."""
    official, missing = assign_sides(names, official_split())
    listed, _ = assign_sides(names, sides)
    present = NameIndex(names)
    in_split = NameIndex(sides)
    # The device is left out of the hash, because copies of the data set differ in it.
    lines = sorted(f"{parse_name(name).without_device}\t{part}\n" for name, part in assigned.items())
    return {
        "source": source,
        "sha256": sha256_of("".join(lines)),
        "agrees_with_official": None if not sides else not missing and listed == official,
        "listed_without_recording": sum(present.find(name) is None for name in sides),
        "listed_for_another_device": {
            name: in_split.find(name) for name in sorted(listed) if in_split.find(name) != name
        },
        "dropped": sorted(set(recordings) - set(assigned)),
    }


def _notes(layout, recordings, summary):
    """What a reader of the numbers should know, in sentences."""
    split, notes = summary["split"], []
    for copy, folder in layout.copies.items():
        notes.append(f"folder {layout.relative(copy)} is a copy of {layout.relative(folder)} and was ignored")
    if summary["options"]["split"] not in DRAWN and not layout.tables["split"]:
        notes.append("the data folder has no split file; the official split shipped with lung-srad was used")
    if split["agrees_with_official"] is False and not summary["synthetic"]:
        notes.append(f"{split['source']} is not the official split; scores do not compare with published ones")
    if split["listed_without_recording"]:
        notes.append(
            f"{split['listed_without_recording']} recordings of the split are not in the data folder; scores on a part "
            "of the data do not compare with published ones"
        )
    for name, listed in split["listed_for_another_device"].items():
        notes.append(f"recording {name} was found in the split as {listed}")
    for name, recording in recordings.items():
        if recording.annotation.stem != name:
            notes.append(f"recording {name} was joined with annotation {recording.annotation.name}")
    for kind, columns in (("demographics", "age, sex"), ("diagnosis", "diagnosis")):
        if not layout.tables[kind]:
            notes.append(f"the data folder has no {kind} file; left blank: {columns}")
    if summary["valid_is_test"]:
        notes.append("valid.csv holds the test cycles: an epoch selected on it has seen the test set")
    if summary["options"]["split"] == "device":
        notes.append(
            "devices go by the names of the files, which are not reliable: the authors of the data published corrected "
            "names, and copies of the data disagree"
        )
        if split["dropped"]:
            notes.append(f"{len(split['dropped'])} train recordings were dropped: their patients are in test")
    return notes
