"""HF_Lung V1 and V2: from the downloaded folders to train, valid and test manifests of breath phases."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lung_srad_plugin.datasets.catalogue import check_data_folder, refuse_empty_folder, refuse_other_data_set
from lung_srad_plugin.datasets.folder import audio_seconds, files_below
from lung_srad_plugin.datasets.hf_lung.annotation import PHASES, Interval, parse_annotation
from lung_srad_plugin.datasets.hf_lung.classes import Stretch, classify_intervals
from lung_srad_plugin.datasets.hf_lung.record import HF_LUNG
from lung_srad_plugin.datasets.hf_lung.recording_name import FORM, RecordingName, parse_name
from lung_srad_plugin.datasets.manifests import format_manifest
from lung_srad_plugin.datasets.names import index_by_name
from lung_srad_plugin.datasets.patient_split import count_by_patient, draw_valid_patients
from lung_srad_plugin.datasets.problems import Problem, describe_left_out, raise_problems, sort_problems
from lung_srad_plugin.datasets.summary import count_rows, print_summary, sha256_of, shared_patients, write_preparation
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import findings_of
from lung_srad_plugin.utils.progress import track
from lung_srad_plugin.version import __version__

LABEL_ENDING = "_label"
SIDES = ("train", "test")
_CURE = "Correct them, or leave out exactly what they concern with strict=False (--strict false)."


@dataclass(frozen=True)
class PreparedHFLung:
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


@dataclass(frozen=True)
class _Recording:
    id: str
    name: RecordingName
    side: str
    wav: Path
    stretches: list[Stretch]
    uncertain: list[Interval]


def prepare_hf_lung(
    data_folder: str | Path,
    save_folder: str | Path,
    valid_fraction: float = 0.2,
    seed: int = 1986,
    strict: bool = True,
    quiet: bool = False,
) -> PreparedHFLung:
    """Write ``train.csv``, ``valid.csv``, ``test.csv`` and ``summary.json`` for HF_Lung.

    One row is one breath phase, or one adventitious sound that is in no phase; ``hf_lung.classes`` has the rule that
    gives the classes. The parts are the folders ``train`` and ``test`` of the download. The data set does not state
    patients: ``patient`` is the session's prefix and date, and validation is drawn by date, so that whoever was
    recorded with both devices on one day is in one part. Dates that are in test too stay in train.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        V1, or V1 and HF_Lung_V1_IP side by side, which together are V2.
    save_folder : str or pathlib.Path
        Where to write; made if missing.
    valid_fraction : float
        The share of train, in each class as nearly as possible, that becomes valid.
    seed : int
        Decides which dates are drawn.
    strict : bool
        ``True``: any problem in the data is an error. ``False``: what has a problem, and nothing else, is left out, and
        the summary lists it.
    quiet : bool
        Show no progress and no table.

    Returns
    -------
    PreparedHFLung

    Raises
    ------
    LungSRADError
        With every problem found in the data. Nothing is written then, and nothing that was written before is lost.

    Example
    -------
    >>> prepare_hf_lung("no/such/folder", "prepared")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: data_folder 'no/such/folder' does not exist. Get it from https://gitlab.com/...
    """
    root = check_data_folder(data_folder, HF_LUNG)
    recordings, problems = _read_recordings(root, data_folder, quiet)
    problems = sort_problems(problems)
    if strict:
        raise_problems(problems, str(data_folder), _CURE)
    part_of_date = _draw_valid(recordings, valid_fraction, seed)
    parts: dict[str, list[dict]] = {"train": [], "valid": [], "test": []}
    for recording in recordings:
        parts[_part_of(recording, part_of_date)] += _rows(recording, root)
    for part, rows in parts.items():
        if not rows:
            raise LungSRADError(f"{data_folder}: no breath phase is left for {part}.csv")
    summary = _summarize(recordings, parts, part_of_date)
    summary["options"] = {"valid_fraction": valid_fraction, "seed": seed, "strict": strict}
    summary["left_out"] = describe_left_out(problems)
    texts = {f"{part}.csv": format_manifest(rows) for part, rows in parts.items()}
    paths = write_preparation(save_folder, texts, summary)
    if not quiet:
        print_summary(summary, "HF_Lung")
    train_file, valid_file, test_file, summary_file = paths.values()
    return PreparedHFLung(train_file, valid_file, test_file, summary_file, root)


def _read_recordings(root, data_folder, quiet):
    """The recordings that can be used, in the order of their names, and the problems of all others."""
    files = files_below(root)
    wavs = [path for path in files if path.suffix.lower() == ".wav"]
    texts = [path for path in files if path.suffix.lower() == ".txt" and path.stem.endswith(LABEL_ENDING)]
    refuse_other_data_set([path for path in files if path.suffix.lower() in (".wav", ".flac")], HF_LUNG, data_folder)
    if not wavs:
        refuse_empty_folder(data_folder, ".wav file", HF_LUNG)

    def alike(one, other):
        return _side_of(one, root) == _side_of(other, root)

    audio, doubtful, problems = index_by_name(wavs, root, _name_of, FORM, "recording", alike)
    labels, more_doubtful, found = index_by_name(
        texts, root, _name_of, f"<recording>{LABEL_ENDING}.txt", "annotation", alike
    )
    problems += found
    recordings = []
    names = sorted(audio.keys() | labels.keys())
    for name in track(names, "Reading recordings", show=not quiet):
        recording, found = _read(name, audio.get(name), labels.get(name), root)
        problems += found
        if recording and name not in doubtful | more_doubtful:
            recordings.append(recording)
    return recordings, problems


def _name_of(path):
    stem = path.stem.removesuffix(LABEL_ENDING)
    return stem if parse_name(stem) else None


def _side_of(path, root):
    """The official part by the nearest folder named train or test; ``None`` where there is none."""
    folders = [root.name, *path.relative_to(root).parts[:-1]]
    return next((folder.lower() for folder in reversed(folders) if folder.lower() in SIDES), None)


def _read(name, wav, label_file, root):
    """A recording, or ``None``, and the problems of its files."""
    if wav is None:
        message, group = f"label file without its recording {name}.wav", "{count} label files have no recording"
        file = label_file.relative_to(root).as_posix()
        return None, [Problem(file, message, left_out="recording", group=group)]
    file = wav.relative_to(root).as_posix()
    if label_file is None:
        message = f"recording without its label file {name}{LABEL_ENDING}.txt"
        group = "{count} recordings have no label file"
        return None, [Problem(file, message, left_out="recording", group=group)]
    seconds, fault = audio_seconds(wav)
    problems = [Problem(file, fault, left_out="recording")] if fault else []
    side = _side_of(wav, root)
    if side is None:
        problems.append(Problem(file, "no folder above it is named train or test", left_out="recording"))
    file = label_file.relative_to(root).as_posix()
    try:
        text = label_file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return None, [*problems, Problem(file, "is not text in UTF-8", left_out="recording")]
    except OSError as error:
        return None, [*problems, Problem(file, f"cannot be opened: {error.strerror}", left_out="recording")]
    intervals, found = parse_annotation(text, file, seconds)
    if problems:
        return None, problems + found
    return _Recording(name, parse_name(name), side, wav, *classify_intervals(intervals)), found


def _draw_valid(recordings, fraction, seed):
    """Date to ``"valid"``, for the dates of train that are drawn."""
    labelled = [
        (recording.name.date, stretch.label)
        for recording in recordings
        if recording.side == "train"
        for stretch in recording.stretches
    ]
    in_test = {recording.name.date for recording in recordings if recording.side == "test"}
    return dict.fromkeys(draw_valid_patients(count_by_patient(labelled), fraction, seed, keep=in_test), "valid")


def _part_of(recording, part_of_date):
    return "test" if recording.side == "test" else part_of_date.get(recording.name.date, "train")


def _rows(recording, root):
    """The manifest rows of a recording's stretches."""
    for stretch in recording.stretches:
        interval, (crackle, wheeze) = stretch.interval, findings_of(stretch.label)
        yield {
            "ID": f"{recording.id}_{interval.line:03d}",
            "duration": round(interval.stop - interval.start, 6),
            "wav": "{data_root}/" + recording.wav.relative_to(root).as_posix(),
            "start": interval.start,
            "stop": interval.stop,
            "label": stretch.label,
            "crackle": crackle,
            "wheeze": wheeze,
            "patient": recording.name.group,
            "recording": recording.id,
            "device": recording.name.device,
            "location": recording.name.location,
            "phase": interval.label if interval.label in PHASES else "",
            "sounds": "+".join(stretch.sounds),
        }


def _summarize(recordings, parts, part_of_date):
    counts = {part: count_rows(rows) for part, rows in parts.items()}
    lines = [f"{recording.id}\t{_part_of(recording, part_of_date)}\n" for recording in recordings]
    sides = Counter(recording.side for recording in recordings)
    dates = {side: {r.name.date for r in recordings if r.side == side} for side in SIDES}
    notes = [
        f"folder train: {sides['train']} recordings, folder test: {sides['test']}",
        "patients are not stated: patient is the session's prefix and date, and validation is drawn by date",
    ]
    if both := dates["train"] & dates["test"]:
        notes.append(f"{len(both)} dates have recordings in train and in test; they stay in train")
    if uncertain := sum(len(recording.uncertain) for recording in recordings):
        notes.append(f"{uncertain} breath phases were left out: sounds overlap them by less than half")
    if empty := sum(not recording.stretches and not recording.uncertain for recording in recordings):
        notes.append(f"{empty} recordings have no labelled interval")
    return {
        "version": __version__,
        "protocol": "folders train and test; valid: dates drawn from train",
        "valid_is_test": False,
        "split": {"source": "folders of the data set", "sha256": sha256_of("".join(sorted(lines)))},
        "parts": counts,
        "patients_shared": shared_patients(counts),
        "notes": notes,
    }
