"""KAUH lung sounds: from the downloaded folder to a manifest of whole recordings, each with one label.

Fraiwan et al., "A dataset of lung sounds recorded from the chest wall using an electronic stethoscope", Data in Brief
35 (2021) 106913: 112 subjects at the King Abdullah University Hospital, each recorded once and stored under the three
filters of the stethoscope. Names are ``{B|D|E}P<n>_<diagnosis>,<sound>,<location>,<age>,<sex>.wav``.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import soundfile
from rich.console import Console

from lung_srad_plugin.datasets.manifests import format_manifest
from lung_srad_plugin.datasets.problems import Problem, raise_problems
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.utils.files import write_together

FORM = "{B|D|E}P<n>_<diagnosis>,<sound>,<location>,<age>,<sex>.wav, for example BP1_Asthma,I E W,P L L,70,M.wav"
FILTERS = {"B": "bell", "D": "diaphragm", "E": "extended"}

# Sounds to classes. I inspiratory, E expiratory, W wheeze, C crackle, Crep crepitation, which is crackle, B bronchial.
SOUNDS = {
    "N": "normal",
    "E W": "wheeze",
    "I E W": "wheeze",
    "C": "crackle",
    "I C": "crackle",
    "Crep": "crackle",
}
# Neither a crackle alone nor for certain both: the user decides.
MIXED = ("I C B", "I C E W")
MIXED_CHOICES = ("both", "leave_out")

_PATTERN = re.compile(
    r"(?P<filter>[BDE])P(?P<subject>\d+)_(?P<diagnosis>[^,]+),(?P<sound>[^,]+),(?P<location>[^,]+),(?P<age>[^,]+),"
    r"(?P<sex>[^,]+)"
)
_DIAGNOSES = {"n": "Healthy", "bron": "Bronchitis", "copd": "COPD", "plueral effusion": "Pleural effusion"}


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
        What ``{data_root}`` in the manifest stands for.
    """

    manifest: Path
    labels_map: Path
    data_root: Path


def prepare_kauh(data_folder, save_folder, mixed, quiet=False):
    """Write ``kauh.csv`` and ``labels_map.json`` for evaluation on KAUH.

    A subject's three recordings are one sound under three filters, so ``patient`` is the subject: intervals resample
    subjects, not files.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The unpacked download; the recordings may lie anywhere in it.
    save_folder : str or pathlib.Path
        Where to write; made if missing.
    mixed : str
        What recordings of I C B and I C E W are: ``"both"`` (crackle and wheeze) or ``"leave_out"``.
    quiet : bool
        Print nothing.

    Returns
    -------
    PreparedKAUH

    Raises
    ------
    LungSRADError
        Where there is no recording or the choice does not exist, and, all together, for every recording with another
        form of name, an unknown sound or unreadable audio.

    Example
    -------
    >>> prepare_kauh("no/such/folder", "prepared", mixed="both")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: data_folder 'no/such/folder' does not exist; ...
    """
    if mixed not in MIXED_CHOICES:
        raise LungSRADError(f"mixed={mixed!r}; expected one of {', '.join(MIXED_CHOICES)}")
    root = Path(data_folder).expanduser()
    if not root.is_dir():
        raise LungSRADError(f"data_folder {str(data_folder)!r} does not exist; unpack the download and pass its folder")
    wavs = sorted(path for path in root.rglob("*") if path.suffix.lower() == ".wav" and path.is_file())
    if not wavs:
        raise LungSRADError(f"{root}: no .wav file; expected names of the form {FORM}")
    rows, problems = [], []
    for wav in wavs:
        row, problem = _row(wav, root)
        if problem:
            problems.append(Problem(wav.relative_to(root).as_posix(), problem))
        else:
            rows.append(row)
    seen = {}
    for row in rows:
        if seen.setdefault(row["ID"], row["wav"]) != row["wav"]:
            message = f"the same subject and filter as {seen[row['ID']]}"
            problems.append(Problem(row["wav"], message, group="{count} files have subject and filter of another file"))
    raise_problems(problems, str(root))
    rows.sort(key=lambda row: (int(row["patient"]), row["filter"]))
    labels_map = SOUNDS | dict.fromkeys(MIXED, "both" if mixed == "both" else None)
    save_folder = Path(save_folder).expanduser()
    paths = PreparedKAUH(save_folder / "kauh.csv", save_folder / "labels_map.json", root)
    write_together({paths.manifest: format_manifest(rows), paths.labels_map: json.dumps(labels_map, indent=1) + "\n"})
    if not quiet:
        subjects = len({row["patient"] for row in rows})
        Console().print(f"{paths.manifest}: {len(rows)} recordings of {subjects} subjects", highlight=False)
    return paths


def parse_kauh_name(name):
    """Return the parts of a recording's name, or None where it does not have the form.

    Arguments
    ---------
    name : str
        File name without its ending.

    Returns
    -------
    dict or None
        ``filter``, ``subject``, ``diagnosis``, ``sound``, ``location``, ``age`` and ``sex``; spaces at the ends are
        left out, and diagnoses have one spelling.

    Example
    -------
    >>> parse_kauh_name("DP23_lung fibrosis,Crep,P R L ,50,M")["diagnosis"]
    'Lung fibrosis'
    >>> parse_kauh_name("101_1b1_Al_sc_Meditron")
    """
    match = _PATTERN.fullmatch(name)
    if match is None:
        return None
    parts = {key: " ".join(value.split()) for key, value in match.groupdict().items()}
    diagnosis = parts["diagnosis"].lower()
    return {**parts, "diagnosis": _DIAGNOSES.get(diagnosis, diagnosis.capitalize().replace("copd", "COPD"))}


def _row(wav, root):
    """Return a recording's row, or None and what is wrong with it."""
    parts = parse_kauh_name(wav.stem)
    if parts is None:
        return None, f"the name is not of the KAUH form; expected {FORM}"
    if parts["sound"] not in (*SOUNDS, *MIXED):
        return None, f"unknown sound {parts['sound']!r}; expected one of {', '.join((*SOUNDS, *MIXED))}"
    try:
        info = soundfile.info(str(wav))
    except RuntimeError as error:  # the base of all soundfile errors
        return None, f"cannot be read as audio: {error}"
    if info.frames == 0:
        return None, "holds no samples"
    seconds = round(info.frames / info.samplerate, 6)
    return {
        "ID": f"{parts['filter']}P{parts['subject']}",
        "duration": seconds,
        "wav": "{data_root}/" + wav.relative_to(root).as_posix(),
        "start": 0.0,
        "stop": seconds,
        "label": parts["sound"],
        "patient": parts["subject"],
        "recording": f"{parts['filter']}P{parts['subject']}",
        "location": parts["location"],
        "age": parts["age"],
        "sex": parts["sex"],
        "diagnosis": parts["diagnosis"],
        "filter": FILTERS[parts["filter"]],
    }, None
