"""SPRSound: from the downloaded folder to manifests of train, valid and each test set, for each task."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lung_srad_plugin.datasets.manifests import format_manifest
from lung_srad_plugin.datasets.patient_split import count_by_patient, draw_valid_patients
from lung_srad_plugin.datasets.problems import describe_left_out, raise_problems, sort_problems
from lung_srad_plugin.datasets.sprsound.layout import find_layout
from lung_srad_plugin.datasets.sprsound.recordings import read_recordings
from lung_srad_plugin.datasets.sprsound.tasks import FOUR_CLASSES, find_task
from lung_srad_plugin.datasets.summary import count_rows, print_summary, sha256_of, shared_patients, write_preparation
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import findings_of
from lung_srad_plugin.version import __version__

DEVICE = "Yunting II"
_CURE = "Correct them, or leave out exactly what they concern with strict=False (--strict false)."


@dataclass(frozen=True)
class PreparedSPRSound:
    """Where a preparation has been written.

    Arguments
    ---------
    train, valid : pathlib.Path or None
        The CSV manifests; ``None`` where the folder has no training part.
    tests : dict
        Name of each test set, ``"test_intra"``, ``"test_inter"`` or ``"test_2023"`` and its like, to its manifest.
    labels_map : pathlib.Path
        The event types to normal, crackle, wheeze and both, as JSON.
    summary : pathlib.Path
        Counts, options, what was left out and why, as JSON.
    data_root : pathlib.Path
        What ``{data_root}`` in the manifests stands for.
    """

    train: Path | None
    valid: Path | None
    tests: dict[str, Path]
    labels_map: Path
    summary: Path
    data_root: Path


def prepare_sprsound(
    data_folder: str | Path,
    save_folder: str | Path,
    task: str = "4class",
    valid_fraction: float = 0.2,
    seed: int = 1986,
    strict: bool = True,
    quiet: bool = False,
) -> PreparedSPRSound:
    """Write ``train.csv``, ``valid.csv``, one manifest for each test set, ``labels_map.json`` and ``summary.json``.

    The official parts stay as they are, and test sets are never pooled. ``valid.csv`` holds patients drawn from train,
    who are then no longer in ``train.csv``; the draw does not depend on the task. All patients of the intra test are in
    train or valid: that is its definition.

    Arguments
    ---------
    data_folder : str or pathlib.Path
        The download, unpacked, see ``sprsound.layout``; recordings as wav or flac.
    save_folder : str or pathlib.Path
        Where to write; made if missing.
    task : str
        ``"4class"``: events as normal, crackle (fine, coarse), wheeze (wheeze, rhonchi, stridor) and both. ``"1-1"``,
        ``"1-2"``: events, normal or adventitious, and the seven types. ``"2-1"``, ``"2-2"``: whole recordings, three
        and five classes, poor quality among them. A part without recording labels, as of 2024 and 2025, has no
        manifest for these.
    valid_fraction : float
        The share of train, in each event type as nearly as possible, that becomes valid.
    seed : int
        Decides which patients are drawn.
    strict : bool
        ``True``: any problem in the data is an error. ``False``: what has a problem, and nothing else, is left out, and
        the summary lists it.
    quiet : bool
        Show no progress and no table.

    Returns
    -------
    PreparedSPRSound

    Raises
    ------
    LungSRADError
        For an option that does not exist, and, all together, for every problem found in the data. Nothing is written
        then, and nothing that was written before is lost.

    Example
    -------
    >>> prepare_sprsound("no/such/folder", "prepared")
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: data_folder 'no/such/folder' does not exist. ...
    """
    chosen = find_task(task)
    layout = find_layout(data_folder)
    recordings, same_audio, problems = read_recordings(layout, quiet)
    problems = sort_problems(problems)
    if strict:
        raise_problems(problems, str(data_folder), _CURE)
    if not recordings:
        raise LungSRADError(f"{data_folder}: no recording is left; see the problems with strict=True (--strict true)")
    assigned = _assign(recordings.values(), valid_fraction, seed)
    parts, notes = {}, []
    for part in sorted(set(assigned.values()), key=_order):
        of_part = [recordings[stem] for stem in sorted(recordings) if assigned[stem] == part]
        rows = [row for recording in of_part for row in _rows(recording, chosen, layout)]
        if rows:
            parts[part] = rows
        elif chosen.unit == "recording" and not any(recording.annotation.record_label for recording in of_part):
            notes.append(f"the recordings of {part} have no label, so task {task} has no {part}.csv")
        else:
            raise LungSRADError(f"{data_folder}: nothing is left for {part}.csv with task {task!r}")
    summary = {
        "version": __version__,
        "protocol": f"official parts; valid: patients drawn from train; task {task}",
        "options": {"task": task, "valid_fraction": valid_fraction, "seed": seed, "strict": strict},
        "valid_is_test": False,
        "split": {"source": "folders of the data set", "sha256": _split_sha256(assigned)},
        "found": _count_found(recordings.values()),
        "parts": {part: count_rows(rows, chosen.labels) for part, rows in parts.items()},
    }
    summary["patients_shared"] = shared_patients(summary["parts"])
    summary["notes"] = notes + _notes(recordings, same_audio, summary)
    summary["left_out"] = describe_left_out(problems)
    texts = {f"{part}.csv": format_manifest(rows) for part, rows in parts.items()}
    summary["files"] = {name: sha256_of(text) for name, text in texts.items()}
    texts["labels_map.json"] = json.dumps(dict(FOUR_CLASSES), indent=1) + "\n"
    paths = write_preparation(save_folder, texts, summary)
    if not quiet:
        print_summary(summary, "SPRSound")
    tests = {part: paths[f"{part}.csv"] for part in parts if part.startswith("test_")}
    return PreparedSPRSound(
        *(paths.get("train.csv"), paths.get("valid.csv"), tests),
        *(paths["labels_map.json"], paths["summary.json"], layout.root),
    )


def _order(part):
    return {"train": 0, "valid": 1, "test_intra": 2, "test_inter": 3}.get(part, 4), part


def _assign(recordings, valid_fraction, seed):
    """Recording to its part, some patients of train moved to valid."""
    recordings = list(recordings)
    assigned = {recording.id: recording.part for recording in recordings}
    train = [recording for recording in recordings if recording.part == "train"]
    if train:
        # Recordings without events count too, under their own label: a patient may have nothing else.
        counts = count_by_patient(
            (recording.name.patient, kind)
            for recording in train
            for kind in [event.type for event in recording.annotation.events] or ["no events"]
        )
        # Unknown patients may be any others, so nothing would show that valid is of other patients.
        unknown = [recording.name.patient for recording in train if not recording.name.has_patient]
        drawn = draw_valid_patients(counts, valid_fraction, seed, keep=unknown)
        assigned |= {recording.id: "valid" for recording in train if recording.name.patient in drawn}
    return assigned


def _rows(recording, task, layout):
    """The manifest rows of a recording: its events, or the recording itself where it has a label."""
    if task.unit == "recording":
        if recording.annotation.record_label:
            label = task.label_of[recording.annotation.record_label]
            yield _row(recording, layout, recording.id, 0.0, round(recording.seconds, 6), label)
        return
    for event in recording.annotation.events:
        crackle, wheeze = findings_of(FOUR_CLASSES[event.type])
        row = _row(
            recording, layout, f"{recording.id}_{event.index:03d}", event.start, event.stop, task.label_of[event.type]
        )
        yield row | {"event": event.type, "crackle": crackle, "wheeze": wheeze}


def _row(recording, layout, row_id, start, stop, label):
    return {
        "ID": row_id,
        "duration": round(stop - start, 6),
        "wav": "{data_root}/" + layout.relative(recording.audio),
        "start": start,
        "stop": stop,
        "label": label,
        "patient": recording.name.patient,
        "recording": recording.id,
        "recording_label": recording.annotation.record_label,
        "device": DEVICE,
        "location": recording.name.location,
        "age": recording.name.age,
        "sex": recording.name.sex,
    }


def _split_sha256(assigned):
    return sha256_of("".join(sorted(f"{stem}\t{part}\n" for stem, part in assigned.items())))


def _count_found(recordings):
    """By official part, what the data folder holds, whatever the task."""
    found = {}
    for part in sorted({recording.part for recording in recordings}, key=_order):
        of_part = [recording for recording in recordings if recording.part == part]
        events = Counter(event.type for recording in of_part for event in recording.annotation.events)
        labels = Counter(recording.annotation.record_label or "without label" for recording in of_part)
        found[part] = {
            "recordings": len(of_part),
            "patients": len({recording.name.patient for recording in of_part}),
            "without_events": sum(not recording.annotation.events for recording in of_part),
            "events": dict(sorted(events.items())) | {"total": events.total()},
            "recording_labels": dict(sorted(labels.items())),
        }
    return found


def _notes(recordings, same_audio, summary):
    """What a reader of the numbers should know, in sentences."""
    notes = []
    if "train" not in summary["parts"]:
        notes.append("the data folder has no training part: there is no train.csv and no valid.csv")
    elif "test_intra" in summary["parts"]:
        notes.append("the patients of the intra test are in train or valid, by the definition of that test set")
    for train, test in same_audio:
        notes.append(f"{train} of train and {test} of the intra test are the same file; both are kept")
    unlabelled = Counter(recording.part for recording in recordings.values() if not recording.annotation.record_label)
    for part, count in unlabelled.items():
        notes.append(f"{count} recordings of {part} have no recording label")
    unknown = sum(not recording.name.has_patient for recording in recordings.values())
    if unknown:
        notes.append(f"{unknown} recordings state no patient; those of one age and sex count as one patient")
    for part, found in summary["found"].items():
        if found["without_events"]:
            notes.append(f"{found['without_events']} recordings of {part} have no events")
    return notes
