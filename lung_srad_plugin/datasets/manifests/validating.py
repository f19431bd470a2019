"""Validating manifests: labels, audio files, and what train, valid and test have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lung_srad_plugin.audio.bounds import END_TOLERANCE
from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.datasets.manifests.reading import SHOWN, read_rows
from lung_srad_plugin.datasets.problems import Problem, raise_problems
from lung_srad_plugin.errors import LungSRADError


@dataclass(frozen=True)
class ManifestSummary:
    """What a valid manifest holds.

    Arguments
    ---------
    path : pathlib.Path
        The manifest.
    labels : dict
        Label to its number of rows, in the order of the labels asked for.
    patients : tuple of str or None
        Sorted patients, ``None`` without a ``patient`` column.
    rows : list of dict
        The rows as ``read_manifest`` returns them.
    """

    path: Path
    labels: dict[str, int]
    patients: tuple[str, ...] | None
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class ManifestsSummary:
    """What three manifests hold together.

    Arguments
    ---------
    train, valid, test : ManifestSummary
        Each by itself.
    shared_patients : dict
        ``"train_valid"``, ``"train_test"``, ``"valid_test"`` to a sorted tuple of patients; empty without a ``patient``
        column in both.
    valid_is_test : bool
        Whether valid and test have cycles in common, so that whatever is selected on valid has seen the test set.
    """

    train: ManifestSummary
    valid: ManifestSummary
    test: ManifestSummary
    shared_patients: dict[str, tuple[str, ...]]
    valid_is_test: bool


@dataclass(frozen=True)
class PartsSummary:
    """What the manifests of a training run hold together, where it may have several test sets.

    Arguments
    ---------
    parts : dict of ManifestSummary
        ``train``, ``valid`` and the test sets, by name.
    shared_patients : dict
        As in ``ManifestsSummary``, for train and valid, and for each of them and each test set.
    valid_is_test : bool
        Whether valid and a test set have cycles in common.
    """

    parts: dict[str, ManifestSummary]
    shared_patients: dict[str, tuple[str, ...]]
    valid_is_test: bool


def validate_manifest(
    path: str | Path, labels: Sequence[str], data_root: str | Path | None = None, check_files: bool = True
) -> ManifestSummary:
    """Check a manifest and report everything that is wrong with it in one error.

    Refused are: an absent, empty or unreadable file, a byte order mark, missing columns, blank and ragged rows, blank
    or repeated IDs, times that are no numbers, negative or not in order, unknown labels, a ``{data_root}`` that stays
    unresolved, relative paths, absent or unreadable audio, and times past the end of the audio.

    Arguments
    ---------
    path : str or pathlib.Path
        The manifest.
    labels : sequence of str
        The labels that may occur, in the order of the classes.
    data_root : str or pathlib.Path, optional
        What ``{data_root}`` stands for.
    check_files : bool
        Look at the header of each audio file.

    Returns
    -------
    ManifestSummary

    Raises
    ------
    LungSRADError
        With the number of problems and the first 50 of them, each with file, row and column.

    Example
    -------
    >>> path = getfixture("tmp_path") / "train.csv"
    >>> _ = path.write_text("ID,duration,wav,start,stop,label\\na,1.5,/data/a.wav,0.0,1.5,rhonchi\\n")
    >>> validate_manifest(path, labels=("normal", "crackle"), check_files=False)
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: ...train.csv: 1 problem
      ...train.csv, row 2, column 'label': unknown label 'rhonchi'; expected one of normal, crackle
    """
    summary, _, problems = _validate(path, labels, data_root, check_files)
    raise_problems(problems, str(path), limit=SHOWN)
    return summary


def validate_manifests(
    train: str | Path,
    valid: str | Path,
    test: str | Path,
    labels: Sequence[str],
    data_root: str | Path | None = None,
    check_files: bool = True,
) -> ManifestsSummary:
    """Check three manifests, each by itself and against each other.

    A cycle of train may be neither in valid nor in test, neither under the same ID nor as the same stretch of the same
    file. Valid and test may have cycles in common, as in the published protocol of ICBHI; the summary says so. Patients
    in common are no error, since the official split of ICBHI has two; the summary names them.

    Arguments
    ---------
    train, valid, test : str or pathlib.Path
        The manifests.
    labels : sequence of str
        The labels that may occur, in the order of the classes.
    data_root : str or pathlib.Path, optional
        What ``{data_root}`` stands for.
    check_files : bool
        Look at the header of each audio file.

    Returns
    -------
    ManifestsSummary

    Raises
    ------
    LungSRADError
        With the number of problems and the first 50 of them, each with file, row and column.

    Example
    -------
    >>> from lung_srad_plugin import write_manifest
    >>> folder = getfixture("tmp_path")
    >>> for number, name in enumerate(("train", "valid", "test")):
    ...     row = {"ID": name, "duration": 1.0, "wav": "/data/a.wav", "start": number, "stop": number + 1.0}
    ...     write_manifest(folder / f"{name}.csv", [{**row, "label": "normal", "patient": "101"}])
    >>> paths = [folder / f"{name}.csv" for name in ("train", "valid", "test")]
    >>> summary = validate_manifests(*paths, labels=("normal", "crackle"), check_files=False)
    >>> summary.shared_patients["train_test"]
    ('101',)
    """
    found = validate_parts(train, valid, {"test": test}, labels, data_root, check_files)
    return ManifestsSummary(**found.parts, shared_patients=found.shared_patients, valid_is_test=found.valid_is_test)


def validate_parts(
    train: str | Path,
    valid: str | Path,
    tests: Mapping[str, str | Path],
    labels: Sequence[str],
    data_root: str | Path | None = None,
    check_files: bool = True,
) -> PartsSummary:
    """Check the manifests of a training run as ``validate_manifests`` does, where it may have several test sets.

    Test sets may have cycles in common, since each is evaluated by itself.

    Arguments
    ---------
    tests : Mapping
        The manifest of each test set by its name.
    train, valid, labels, data_root, check_files
        As in ``validate_manifests``.

    Raises
    ------
    LungSRADError
        As ``validate_manifests``.
    """
    paths = {"train": train, "valid": valid, **tests}
    summaries, numbered, problems = {}, {}, []
    for name, path in paths.items():
        summaries[name], numbered[name], found = _validate(path, labels, data_root, check_files)
        problems += found
    for name in ("valid", *tests):
        problems += _common_cycles(train, numbered["train"], paths[name], numbered[name])
    raise_problems(problems, ", ".join(map(str, paths.values())), limit=SHOWN)
    test_cycles = {_stretch(row) for name in tests for row in summaries[name].rows}
    pairs = [("train", "valid"), *((part, name) for part in ("train", "valid") for name in tests)]
    shared = {
        f"{one}_{other}": tuple(sorted({*(summaries[one].patients or ())} & {*(summaries[other].patients or ())}))
        for one, other in pairs
    }
    return PartsSummary(
        summaries,
        shared_patients=shared,
        valid_is_test=any(_stretch(row) in test_cycles for row in summaries["valid"].rows),
    )


def _stretch(row):
    return row["wav"], row["start"], row["stop"]


def _common_cycles(train, train_rows, other, other_rows):
    """Problems of the cycles of another manifest that are in train too."""
    ids = {row["ID"]: number for number, row in train_rows}
    stretches = {_stretch(row): number for number, row in train_rows if None not in _stretch(row)}
    problems = []
    for number, row in other_rows:
        if row["ID"] in ids:
            message = f"{row['ID']!r} is row {ids[row['ID']]} of {train} too; train may share no cycle with it"
            group = f"{{count}} rows have an ID that is in {train} too; train may share no cycle with it"
            problems.append(Problem(str(other), message, row=number, column="ID", group=group))
        elif _stretch(row) in stretches:
            message = f"the same stretch of audio is row {stretches[_stretch(row)]} of {train}"
            group = f"{{count}} rows are a stretch of audio that is in {train} too; train may share no cycle with it"
            problems.append(Problem(str(other), message, row=number, column="wav", group=group))
    return problems


def _validate(path, labels, data_root, check_files):
    """The summary, the rows with their numbers, and the problems of a manifest."""
    numbered, problems = read_rows(path, data_root)
    labels = tuple(labels)
    lengths = {}
    for number, row in numbered:
        if row["label"] not in labels:
            message = f"unknown label {row['label']!r}; expected one of {', '.join(labels)}"
            problems.append(Problem(str(path), message, row=number, column="label"))
        if check_files and row["wav"] is not None:
            problems += _check_audio(row, lengths, str(path), number)
    problems.sort(key=lambda problem: problem.row or 0)
    rows = [row for _, row in numbered]
    patients = None
    if rows and "patient" in rows[0]:
        patients = tuple(sorted({row["patient"] for row in rows} - {""}))
    names = [row["label"] for row in rows]
    return (
        ManifestSummary(Path(path), {label: names.count(label) for label in labels}, patients, rows),
        numbered,
        problems,
    )


def _check_audio(row, lengths, file, number):
    """Problems of a row's audio. ``lengths`` holds what is known of each file, so that a header is read once."""
    wav = row["wav"]
    if wav not in lengths:
        lengths[wav] = _examine(wav)
    seconds, fault, group = lengths[wav]
    if fault:
        return [Problem(file, fault, row=number, column="wav", group=group)]
    # A start at the very end leaves no audio, so the stop is not reported as well.
    late_start = row["start"] is not None and row["start"] >= seconds
    late_stop = row["stop"] is not None and row["stop"] > seconds + END_TOLERANCE
    if not late_start and not late_stop:
        return []
    column = "start" if late_start else "stop"
    message = f"{row[column]} s is past the end of {wav}, which lasts {seconds:.3f} s"
    group = "{count} rows reach past the end of their audio"
    return [Problem(file, message, row=number, column=column, group=group)]


def _examine(wav):
    """The length of an audio file in seconds, or what is wrong with it and with all like it."""
    if not Path(wav).is_file():
        return None, f"{wav} does not exist", "{count} rows name an audio file that does not exist"
    try:
        with audio_source(wav).open_audio() as file:
            return file.frames / file.samplerate, None, None
    except LungSRADError as error:
        return None, str(error), "{count} rows name a file that cannot be read as audio"
