"""CSV manifests, one row a breathing cycle: written whole, read back, and validated before anything trains on them.

A manifest is UTF-8 without a byte order mark, separated by commas, with a header. ``ID``, ``duration``, ``wav``,
``start``, ``stop`` and ``label`` are needed; further columns are free, and ``patient`` is used where it is there. The
``wav`` column holds absolute paths or begins with ``{data_root}`` (``$data_root`` as SpeechBrain writes it is the
same), which is replaced when the manifest is read. Rows are counted from 1, the header being row 1.
"""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

import soundfile

from lung_srad_plugin.datasets.problems import Problem, raise_problems
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.files import write_together

REQUIRED = ("ID", "duration", "wav", "start", "stop", "label")
SECONDS = ("duration", "start", "stop")

# Times written with three decimals may lie half a millisecond past the last sample.
END_TOLERANCE = 0.001

_SHOWN = 50
_PLACEHOLDERS = ("{data_root}", "$data_root")


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
    labels: dict
    patients: tuple | None
    rows: list


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
    shared_patients: dict
    valid_is_test: bool


def format_manifest(rows):
    """Return the text of a manifest.

    Arguments
    ---------
    rows : list of dict
        At least one; all with the same keys in the same order, which become the columns.

    Returns
    -------
    str

    Raises
    ------
    LungSRADError
        Without rows, or where the keys of a row differ from those of the first or a needed one is missing.

    Example
    -------
    >>> row = {"ID": "a", "duration": 1.5, "wav": "{data_root}/a.wav", "start": 0.0, "stop": 1.5, "label": "normal"}
    >>> format_manifest([row])
    'ID,duration,wav,start,stop,label\\na,1.5,{data_root}/a.wav,0.0,1.5,normal\\n'
    """
    if not rows:
        raise LungSRADError("a manifest needs at least one row")
    columns = list(rows[0])
    if missing := [name for name in REQUIRED if name not in columns]:
        raise LungSRADError(f"row 2 of the manifest has no {', '.join(missing)}; needed are {', '.join(REQUIRED)}")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for number, row in enumerate(rows, 2):
        if list(row) != columns:
            raise LungSRADError(f"row {number} of the manifest has the columns {list(row)}; expected {columns}")
        writer.writerow(row.values())
    return text.getvalue()


def write_manifest(path, rows):
    """Write a manifest; on an error, what stood there before stays.

    Arguments
    ---------
    path : str or pathlib.Path
        Where to write; folders are made if missing.
    rows : list of dict
        See ``format_manifest``.

    Raises
    ------
    LungSRADError
        See ``format_manifest``.

    Example
    -------
    >>> path = getfixture("tmp_path") / "train.csv"
    >>> row = {"ID": "a", "duration": 1.5, "wav": "{data_root}/a.wav", "start": 0.0, "stop": 1.5, "label": "normal"}
    >>> write_manifest(path, [row])
    >>> read_manifest(path, data_root="/data")[0]["wav"]
    '/data/a.wav'
    """
    write_together({path: format_manifest(rows)})


def read_manifest(path, data_root=None):
    """Return the rows of a manifest, checked for its form but neither for its labels nor for its audio.

    Arguments
    ---------
    path : str or pathlib.Path
        The manifest.
    data_root : str or pathlib.Path, optional
        What ``{data_root}`` stands for.

    Returns
    -------
    list of dict
        Column to value, in the order of the file: ``duration``, ``start`` and ``stop`` as float, ``wav`` with
        ``{data_root}`` replaced, the rest as str.

    Raises
    ------
    LungSRADError
        With every problem, see ``validate_manifest``.
    """
    rows, problems = _read(path, data_root)
    raise_problems(problems, str(path), limit=_SHOWN)
    return [row for _, row in rows]


def validate_manifest(path, labels, data_root=None, check_files=True):
    """Check a manifest and say in one error everything that is wrong with it.

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
    raise_problems(problems, str(path), limit=_SHOWN)
    return summary


def validate_manifests(train, valid, test, labels, data_root=None, check_files=True):
    """Check three manifests, each by itself and against each other.

    A cycle of train may be neither in valid nor in test, be it under the same ID or as the same stretch of the same
    file. Valid and test may have cycles in common, as in the published protocol of ICBHI; the answer says so. Patients
    in common are no error, since the official split of ICBHI has two; the answer names them.

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
    >>> folder = getfixture("tmp_path")
    >>> for number, name in enumerate(("train", "valid", "test")):
    ...     row = {"ID": name, "duration": 1.0, "wav": "/data/a.wav", "start": number, "stop": number + 1.0}
    ...     write_manifest(folder / f"{name}.csv", [{**row, "label": "normal", "patient": "101"}])
    >>> paths = [folder / f"{name}.csv" for name in ("train", "valid", "test")]
    >>> summary = validate_manifests(*paths, labels=("normal", "crackle"), check_files=False)
    >>> summary.shared_patients["train_test"]
    ('101',)
    """
    summaries, numbered, problems = {}, {}, []
    for name, path in (("train", train), ("valid", valid), ("test", test)):
        summaries[name], numbered[name], found = _validate(path, labels, data_root, check_files)
        problems += found
    for name, path in (("valid", valid), ("test", test)):
        problems += _common_cycles(train, numbered["train"], path, numbered[name])
    raise_problems(problems, f"{train}, {valid}, {test}", limit=_SHOWN)
    test_cycles = set(map(_stretch, summaries["test"].rows))
    shared = {
        f"{one}_{other}": tuple(sorted({*(summaries[one].patients or ())} & {*(summaries[other].patients or ())}))
        for one, other in (("train", "valid"), ("train", "test"), ("valid", "test"))
    }
    return ManifestsSummary(
        **summaries,
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
            problems.append(Problem(str(other), message, row=number, column="ID"))
        elif _stretch(row) in stretches:
            message = f"the same stretch of audio is row {stretches[_stretch(row)]} of {train}"
            problems.append(Problem(str(other), message, row=number, column="wav"))
    return problems


def _validate(path, labels, data_root, check_files):
    """The summary, the rows with their numbers, and the problems of a manifest."""
    numbered, problems = _read(path, data_root)
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
    """Problems of a row's audio; ``lengths`` keeps what is known of a file, which is looked at once."""
    wav = row["wav"]
    if wav not in lengths:
        lengths[wav] = _examine(wav)
    seconds, fault = lengths[wav]
    if fault:
        return [Problem(file, fault, row=number, column="wav")]
    # A start at the very end leaves nothing to hear; it is the one thing to say of such a row.
    late_start = row["start"] is not None and row["start"] >= seconds
    late_stop = row["stop"] is not None and row["stop"] > seconds + END_TOLERANCE
    if not late_start and not late_stop:
        return []
    column = "start" if late_start else "stop"
    message = f"{row[column]} s is past the end of {wav}, which lasts {seconds:.3f} s"
    return [Problem(file, message, row=number, column=column)]


def _examine(wav):
    """The length of an audio file in seconds, or what is wrong with it."""
    if not Path(wav).is_file():
        return None, f"{wav} does not exist"
    try:
        info = soundfile.info(wav)
    except RuntimeError as error:  # the base of all soundfile errors
        return None, f"{wav} cannot be read as audio: {error}"
    return info.frames / info.samplerate, None


def _read(path, data_root):
    """The rows of a manifest with their numbers, values that are wrong being ``None``, and the problems of its form.

    Blank and ragged rows are not among the rows.
    """
    file = str(path)
    text, fault = _read_text(path)
    if fault:
        return [], [Problem(file, fault)]
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        header, *body = list(reader) or [[]]
    except csv.Error as error:
        return [], [Problem(file, f"is not a CSV: {error}", line=reader.line_num)]
    if not header and not any(body):
        return [], [Problem(file, "is empty; expected a header and rows")]
    problems = _check_header(header, file)
    if problems:
        return [], problems
    if not body:
        return [], [Problem(file, "has a header and no rows")]
    rows, first_seen = [], {}
    for number, fields in enumerate(body, 2):
        row, found = _parse_row(fields, header, data_root)
        if row:
            rows.append((number, row))
            first = first_seen.setdefault(row["ID"], number)
            if row["ID"].strip() and first != number:
                found.append((f"{row['ID']!r} is the ID of row {first} too", "ID"))
        problems += [Problem(file, message, row=number, column=column) for message, column in found]
    return rows, problems


def _read_text(path):
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        return None, f"cannot be opened: {error.strerror}: {path}"
    if raw.startswith(b"\xef\xbb\xbf"):
        return None, "begins with a byte order mark (BOM), which becomes part of 'ID'; save it as UTF-8 without BOM"
    try:
        return raw.decode("utf-8"), None
    except UnicodeDecodeError:
        return None, "is not UTF-8; save it as UTF-8 without BOM"


def _check_header(header, file):
    problems = []
    missing = [name for name in REQUIRED if name not in header]
    for name in missing:
        message = f"the column is missing; needed are {', '.join(REQUIRED)}, found are {', '.join(header)}"
        problems.append(Problem(file, message, row=1, column=name))
    if len(missing) == len(REQUIRED) and len(header) == 1:
        problems.append(Problem(file, "only one column; columns are separated by commas, not by ';' or tabs", row=1))
    for name in sorted({name for name in header if header.count(name) > 1}):
        problems.append(Problem(file, "the column is there more than once", row=1, column=name))
    return problems


def _parse_row(fields, header, data_root):
    """A row by column, ``None`` where its form is lost, and (message, column) for each problem."""
    if not any(field.strip() for field in fields):
        return None, [("blank row; delete it", None)]
    if len(fields) != len(header):
        return None, [(f"{len(fields)} fields; the header has {len(header)}", None)]
    row = dict(zip(header, fields, strict=True))
    found = [] if row["ID"].strip() else [("blank", "ID")]
    for name in SECONDS:
        row[name], fault = _parse_seconds(row[name])
        if fault:
            found.append((fault, name))
    if None not in (row["start"], row["stop"]) and row["stop"] <= row["start"]:
        found.append((f"stop {row['stop']} is not after start {row['start']}", "stop"))
    if row["duration"] == 0:
        found.append(("a duration is above 0 s", "duration"))
    row["wav"], fault = _resolve(row["wav"], data_root)
    if fault:
        found.append((fault, "wav"))
    return row, found


def _parse_seconds(text):
    if not text.strip():
        return None, "blank; expected seconds"
    try:
        value = float(text)
    except ValueError:
        return None, f"{text!r} is not a number; expected seconds, with a decimal point"
    if not math.isfinite(value):
        return None, f"{text!r} is not a finite number of seconds"
    if value < 0:
        return None, f"{text} is negative"
    return value, None


def _resolve(wav, data_root):
    """The path with ``{data_root}`` replaced, or ``None`` and what is wrong with it."""
    if not wav.strip():
        return None, "blank; expected the path of an audio file"
    for placeholder in _PLACEHOLDERS:
        if wav.startswith(placeholder):
            if data_root is None:
                return None, f"{placeholder} is not resolved; pass data_root"
            return str(Path(data_root).expanduser()) + wav[len(placeholder) :], None
    if not Path(wav).is_absolute():
        return None, f"relative path {wav!r}; write '{{data_root}}/{wav}' or an absolute path"
    return wav, None
