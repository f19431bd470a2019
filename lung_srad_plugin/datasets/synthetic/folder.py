"""A folder of synthetic lung sounds in the form of ICBHI, so that everything runs without any data set.

The folder has the layout, names, tables and annotation files of ICBHI 2017, and its sounds have crackles and wheezes
made as the literature describes them (``sounds.py`` beside this file). It is a stand-in for trying out and testing
software: the patients, their diagnoses and every sound are invented, and a score reached on it says nothing about
patients.
"""

import json
import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from lung_srad_plugin.datasets.icbhi.recording_name import LOCATIONS
from lung_srad_plugin.datasets.synthetic.marker import DESCRIPTION_FILE
from lung_srad_plugin.datasets.synthetic.sounds import breath_noise, crackle, heart_sounds, stethoscope, wheeze
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES, findings_of
from lung_srad_plugin.utils.files import explain_write_errors
from lung_srad_plugin.utils.progress import track
from lung_srad_plugin.version import __version__

FIRST_PATIENT = 901


@dataclass(frozen=True)
class _Device:
    name: str
    mode: str
    sample_rate: int
    subtype: str
    low_hz: float
    high_hz: float


# Sample rates and sample formats cover what a reader of ICBHI meets; the bands are plausible, not measured.
_DEVICES = {
    device.name: device
    for device in (
        _Device("Meditron", "sc", 10000, "PCM_16", 20, 4500),
        _Device("Litt3200", "sc", 4000, "PCM_16", 40, 1800),
        _Device("LittC2SE", "mc", 16000, "PCM_24", 60, 1200),
        _Device("AKGC417L", "mc", 44100, "PCM_16", 30, 12000),
    )
}
# Patients take devices and diagnoses in turn. The large files of the AKGC417L go to every sixth patient only.
_DEVICE_TURNS = ("Meditron", "Litt3200", "LittC2SE", "Meditron", "Litt3200", "AKGC417L")
_DIAGNOSIS_TURNS = ("COPD", "Healthy", "COPD", "Pneumonia", "COPD", "Asthma", "Healthy", "Bronchiectasis")
# Five patients are three with COPD, at least one on each side of the split: all classes occur on both.
_FEWEST_PATIENTS = 5


@dataclass(frozen=True)
class _Disease:
    shares: tuple  # of cycles, in the order of CLASSES
    fine_crackles: bool


# Chosen for a mix of classes like that of ICBHI, with the signs each disease is known for: Pasterkamp et al. (1997).
_DISEASES = {
    "COPD": _Disease((0.30, 0.25, 0.20, 0.25), fine_crackles=False),
    "Healthy": _Disease((1.00, 0.00, 0.00, 0.00), fine_crackles=True),
    "Pneumonia": _Disease((0.35, 0.50, 0.05, 0.10), fine_crackles=True),
    "Asthma": _Disease((0.40, 0.00, 0.60, 0.00), fine_crackles=True),
    "Bronchiectasis": _Disease((0.30, 0.45, 0.05, 0.20), fine_crackles=False),
}


@dataclass(frozen=True)
class _Patient:
    number: int
    diagnosis: str
    split: str
    device: _Device


def synthesize_icbhi(
    folder: str | os.PathLike, patients: int = 24, recordings: int = 4, seed: int = 0, progress: bool = True
) -> dict[str, Any]:
    """Write a folder of synthetic lung sounds in the form of ICBHI.

    The same settings give the same bytes (with the same versions of this package and of NumPy). The folder appears when
    it is complete; a complete one of the same settings and version is left as it is.

    Arguments
    ---------
    folder : str or Path
        Where to write; absent or empty.
    patients : int
        Number of patients, at least 5. They are split 60/40 into train and test, each diagnosis alike.
    recordings : int
        Recordings of each patient, at different locations of the chest, 1 to 7. Each lasts 14 to 17 s, some 5 cycles.
    seed : int
        Of everything random, 0 or more.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    dict
        The content of ``SYNTHETIC.json`` in the folder: ``note``, ``settings``, and ``cycles``, which counts the cycles
        of each class in train and test.

    Raises
    ------
    LungSRADError
        Where the folder holds something else or cannot be written, or a setting is out of range.

    Example
    -------
    >>> folder = getfixture("tmp_path") / "synthetic"
    >>> description = synthesize_icbhi(folder, patients=5, recordings=1, progress=False)
    >>> sorted(path.name for path in folder.iterdir())[1:]
    ['ICBHI_Challenge_diagnosis.txt', 'ICBHI_challenge_train_test.txt', 'ICBHI_final_database', 'SYNTHETIC.json']
    """
    if patients < _FEWEST_PATIENTS:
        raise LungSRADError(
            f"patients={patients}: expected at least {_FEWEST_PATIENTS}, for all classes in both splits"
        )
    if not 1 <= recordings <= len(LOCATIONS):
        raise LungSRADError(
            f"recordings={recordings}: expected 1 to {len(LOCATIONS)}, one for each location of the chest"
        )
    if seed < 0:
        raise LungSRADError(f"seed={seed}: expected a whole number from 0 on")
    folder = Path(os.fspath(folder))
    settings = {"patients": patients, "recordings": recordings, "seed": seed, "version": __version__}
    present = _present(folder, settings)
    if present is not None:
        return present

    with explain_write_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            description = _write_folder(partial, settings, progress)
            partial.chmod(0o755)
            if folder.exists():
                folder.rmdir()
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return description


def _present(folder, settings):
    """The description of a folder that is already there with these settings; None where there is nothing yet."""
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise LungSRADError(f"{folder} is a file; expected a folder that is absent or empty")
    if not any(folder.iterdir()):
        return None
    description_file = folder / DESCRIPTION_FILE
    if not description_file.is_file():
        raise LungSRADError(
            f"{folder} is not empty and holds no synthetic sounds; choose another folder or empty this one"
        )
    description = json.loads(description_file.read_text(encoding="utf-8"))
    if description.get("settings") != settings:
        raise LungSRADError(
            f"{folder} holds synthetic sounds of other settings, {description.get('settings')} instead of {settings}; "
            "choose another folder or delete this one"
        )
    return description


def _write_folder(folder, settings, progress):
    database = folder / "ICBHI_final_database"
    database.mkdir()
    members = _enrol(settings["patients"])
    split_lines, demographics, diagnoses = [], [], []
    cycles = {"train": Counter(), "test": Counter()}
    for patient in track(members, "Synthesizing lung sounds", show=progress):
        rng = np.random.default_rng((settings["seed"], patient.number))
        demographics.append(_demographics(patient, rng))
        diagnoses.append(f"{patient.number}\t{patient.diagnosis}")
        for name, samples, annotation in _record(patient, settings["recordings"], rng):
            _write_wav(database / f"{name}.wav", samples, patient.device)
            rows = [
                "\t".join([f"{start:.3f}", f"{stop:.3f}", *map(str, findings_of(label))])
                for start, stop, label in annotation
            ]
            _write_lines(database / f"{name}.txt", rows)
            split_lines.append(f"{name}\t{patient.split}")
            cycles[patient.split].update(label for _, _, label in annotation)
    _write_lines(folder / "ICBHI_challenge_train_test.txt", split_lines)
    _write_lines(folder / "ICBHI_Challenge_demographic_information.txt", demographics)
    _write_lines(folder / "ICBHI_Challenge_diagnosis.txt", diagnoses)
    description = {
        "note": "Synthetic lung sounds of invented patients, for trying out software. Not medical data.",
        "settings": settings,
        "cycles": {split: {label: counts[label] for label in CLASSES} for split, counts in cycles.items()},
    }
    (folder / DESCRIPTION_FILE).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return description


def _write_wav(path, samples, device):
    # Through memory, because libsndfile does not report a full disk as such.
    content = BytesIO()
    soundfile.write(content, samples, device.sample_rate, format="WAV", subtype=device.subtype)
    path.write_bytes(content.getvalue())


def _write_lines(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _enrol(patients):
    """Patients with their diagnosis, side of the split and device.

    Those of one diagnosis stand together, and the split goes through them in steps of 0.6: any three neighbours are on
    both sides, and of every five three are in train.
    """
    diagnoses = sorted(_DIAGNOSIS_TURNS[number % len(_DIAGNOSIS_TURNS)] for number in range(patients))
    return [
        _Patient(
            number=FIRST_PATIENT + index,
            diagnosis=diagnosis,
            split="train" if 3 * (index + 1) // 5 > 3 * index // 5 else "test",
            device=_DEVICES[_DEVICE_TURNS[index % len(_DEVICE_TURNS)]],
        )
        for index, diagnosis in enumerate(diagnoses)
    ]


def _demographics(patient, rng):
    """Patient, age, sex, body-mass index, and a child's weight and height: all are adults."""
    age, index = rng.integers(30, 85), rng.normal(26, 4)
    return f"{patient.number}\t{age}\t{rng.choice(['F', 'M'])}\t{index:.1f}\tNA\tNA"


def _record(patient, recordings, rng):
    """Yield name, samples and annotation, a list of (start, stop, label), of each recording of a patient."""
    breath = rng.uniform(2.2, 3.2)
    anatomy = {
        "corner": rng.uniform(150, 260),  # of the spectrum of breath sounds, Hz
        "heart_rate": rng.uniform(58, 95),  # per minute
        # Loudness, where breath sounds at the height of inspiration have a root mean square of 1.
        "heart": rng.uniform(0.1, 0.4),
        "expiration": rng.uniform(0.3, 0.6),
        "ambient": 10 ** rng.uniform(-2.3, -1.6),
        "wheeze_hz": np.exp(rng.uniform(np.log(250), np.log(700))),
    }
    times = [_breathe(breath, rng) for _ in range(recordings)]
    labels = _share_out(sum(map(len, times)), _DISEASES[patient.diagnosis].shares, rng)
    locations = rng.permutation(list(LOCATIONS))[:recordings]
    for index, (cycles, location) in enumerate(zip(times, locations, strict=True), start=1):
        annotation = [(start, stop, labels.pop()) for start, stop in cycles]
        # One after the other: one index for all. At the same time, which these are not: an index for each.
        record = "1b1" if patient.device.mode == "sc" else f"{index}b1"
        name = f"{patient.number}_{record}_{location}_{patient.device.mode}_{patient.device.name}"
        yield name, _sound(annotation, patient, location, anatomy, rng), annotation


def _breathe(breath, rng):
    """Times of the cycles of one recording, to the millisecond: each starts where the last one ends."""
    ends = np.cumsum([rng.uniform(0.1, 0.6), *(breath * rng.uniform(0.85, 1.15, size=20))])
    ends = np.round(ends[ends < rng.uniform(14, 17)], 3)
    return list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))


def _share_out(cycles, shares, rng):
    """Labels of a patient's cycles, in these shares as nearly as whole numbers allow, in random order."""
    bounds = np.round(np.cumsum([0, *shares]) * cycles).astype(int)
    labels = [label for label, count in zip(CLASSES, np.diff(bounds), strict=True) for _ in range(count)]
    return [labels[position] for position in rng.permutation(cycles)]


def _sound(annotation, patient, location, anatomy, rng):
    """The samples of a recording, within -1 and 1."""
    rate, disease = patient.device.sample_rate, _DISEASES[patient.diagnosis]
    samples = int((annotation[-1][1] + rng.uniform(0.1, 0.5)) * rate)
    # Over the trachea sounds are harsher: the spectrum reaches 850 to 1600 Hz (Gavriely et al., 1981).
    corner = anatomy["corner"] * (1.6 if location == "Tc" else 1.0)
    inspiration = breath_noise(samples, rate, corner, rng.uniform(12.7, 15.2), rng)
    expiration = breath_noise(samples, rate, corner, rng.uniform(13.4, 20.3), rng)
    flow_in, flow_out = np.zeros(samples), np.zeros(samples)
    events = np.zeros(samples)
    for start, stop, label in annotation:
        turn = start + (stop - start) * rng.uniform(0.38, 0.46)
        rest = stop - (stop - start) * rng.uniform(0.05, 0.20)
        _add(flow_in, start, _swell(turn - start, rate), rate)
        _add(flow_out, turn, anatomy["expiration"] * _swell(rest - turn, rate), rate)
        has_crackle, has_wheeze = findings_of(label)
        if has_crackle:
            _add_crackles(events, start, turn, rest, disease.fine_crackles, rate, rng)
        if has_wheeze:
            _add_wheezes(events, start, turn, rest, anatomy["wheeze_hz"], rate, rng)
    heart = heart_sounds(samples, rate, anatomy["heart_rate"], rng.uniform(0, 0.8), rng)
    ambient = anatomy["ambient"] * rng.standard_normal(samples)
    chest = flow_in * inspiration + flow_out * expiration + events + anatomy["heart"] * heart
    recorded = stethoscope(chest + ambient, rate, patient.device.low_hz, patient.device.high_hz)
    # The gain does not depend on the events: scaled to one peak, a recording's level alone would show its classes.
    gain = np.exp(rng.uniform(np.log(0.01), np.log(0.03)))
    return recorded * min(gain, 0.95 / np.abs(recorded).max())


def _swell(duration, rate):
    """The rise and fall of the loudness of breath over one phase."""
    return np.sin(np.pi * np.linspace(0, 1, int(duration * rate))) ** 0.7


def _add(target, time, wave, rate):
    """Add a wave at a time in seconds; what would lie beyond the end is left out."""
    begin = int(time * rate)
    room = target[begin : begin + len(wave)]
    room += wave[: len(room)]


def _add_crackles(events, start, turn, rest, fine, rate, rng):
    """Fine crackles cluster late in inspiration, coarse ones early, with a few in expiration: Piirilä et al. (1995)."""
    if fine:
        times = start + (turn - start) * rng.uniform(0.5, 0.95, size=rng.integers(10, 18))
        widths = (0.5e-3, 0.9e-3), (4e-3, 6.5e-3)
    else:
        early = start + (turn - start) * rng.uniform(0.08, 0.5, size=rng.integers(7, 12))
        times = np.concatenate([early, turn + (rest - turn) * rng.uniform(0.1, 0.6, size=rng.integers(2, 5))])
        widths = (1.1e-3, 1.7e-3), (10.2e-3, 13e-3)
    for time in times:
        wave = crackle(rng.uniform(*widths[0]), rng.uniform(*widths[1]), rate)
        _add(events, time, rng.choice([-1, 1]) * rng.uniform(12.0, 24.0) * wave, rate)


def _add_wheezes(events, start, turn, rest, hertz, rate, rng):
    """One wheeze in expiration, and sometimes one in inspiration, both near the patient's own frequency."""
    phases = [(turn, rest)] if rng.uniform() < 0.7 else [(start, turn), (turn, rest)]
    for begin, end in phases:
        duration = (end - begin) * rng.uniform(0.55, 0.95)
        onset = begin + (end - begin - duration) * rng.uniform()
        first = hertz * rng.uniform(0.8, 1.25)
        wave = wheeze(first, first * rng.uniform(0.85, 1.1), duration, rate, phase=rng.uniform(0, 2 * np.pi))
        _add(events, onset, rng.uniform(2.0, 4.0) * wave, rate)
