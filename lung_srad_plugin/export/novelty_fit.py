"""Fitting the detector of unlike sounds on the recordings of a run: statistics of training, limit of validation.

Measured with a starter model (SPRSound and ICBHI, 8 kHz, 4 s), the limit set at 2 % of 2,359 validation sounds of 57
patients:

- flagged of the validation sounds: 2.0 % of the cycles and 0.9 % of the windows; of SPRSound 1.7 and 0.0 %, of ICBHI
  4.5 and 8.0 %, but no whole recording of either. Of KAUH, from which nothing was fitted: 0.3 % of the stretches, no
  recording of 66;
- flagged of the sounds of ``datasets.synthetic.other_sounds``, 20 recordings of each kind: all;
- flagged of synthesised speech in five voices: 19 of 19 stretches; of two recordings of speech: one; of music: 2 of 2.

The embeddings of the encoder were tried instead, with the same distance and rate: they flagged no white or pink noise,
20 % of the windows of KAUH, and, fitted on SPRSound alone, 99 % of ICBHI. They know the device better than the sound.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lung_srad_plugin.audio.cycles import shape_cycle
from lung_srad_plugin.audio.features import CycleFeatures
from lung_srad_plugin.audio.quality import STILL
from lung_srad_plugin.audio.reading import load_recording
from lung_srad_plugin.audio.sound_statistics import STATISTICS, frame_step, sound_statistics, statistics_bands
from lung_srad_plugin.datasets.manifests import read_manifest
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.metrics.novelty import FALSE_ALARM_RATE, NoveltyDetector, fit_novelty
from lung_srad_plugin.utils.progress import track
from lung_srad_plugin.utils.provenance import file_sha256

MOST_RECORDINGS = 1500  # of a part: more make the fit slower and hardly better
BATCH = 32
KINDS = ("cycles", "windows")
PARTS = ("train", "valid")


@dataclass(frozen=True)
class NoveltyFit:
    """A detector with what it was fitted on, or the reason why there is none.

    Arguments
    ---------
    detector : NoveltyDetector or None
    stored : dict
        What ``config.json`` says of it under ``novelty``; see ``StoredNovelty``.
    """

    detector: NoveltyDetector | None
    stored: dict[str, Any]


@dataclass(frozen=True)
class Sounds:
    """The statistics of many sounds.

    Arguments
    ---------
    statistics : numpy.ndarray
        (N, S)
    kinds, data_sets : list of str
        Of each sound: "cycles" or "windows", and the data set, blank where the manifest does not name it.
    recordings : int
        That they were cut out of.
    """

    statistics: np.ndarray
    kinds: list[str]
    data_sets: list[str]
    recordings: int

    def rows(self, kind: str | None = None, data_set: str | None = None) -> np.ndarray:
        """Return the statistics of a kind and of a data set; None for any."""
        keep = [
            kind in (None, of_kind) and data_set in (None, of_set)
            for of_kind, of_set in zip(self.kinds, self.data_sets, strict=True)
        ]
        return self.statistics[np.array(keep, dtype=bool)]


def fit_for_export(
    features: CycleFeatures,
    settings: Mapping[str, Any],
    protocol: Mapping[str, Any],
    manifests: Mapping[str, str | Path] | None = None,
) -> NoveltyFit:
    """Fit the detector of a run that is exported, or return why it has none.

    Arguments
    ---------
    features : CycleFeatures
        The front end of the run.
    settings : Mapping
        Of the run, which name its manifests.
    protocol : Mapping
        As for ``fit_on_run``.
    manifests : Mapping, optional
        Where the manifests ``train`` and ``valid`` lie by now. Where one is named, a detector that cannot be fitted is
        an error.

    Example
    -------
    >>> fit_for_export(CycleFeatures(), {}, {}).stored
    {'reason': "the run's settings name no manifests of training and validation"}
    """
    found = {part: settings[f"{part}_csv"] for part in PARTS if settings.get(f"{part}_csv")} | dict(manifests or {})
    if set(found) != set(PARTS):
        return NoveltyFit(None, {"reason": "the run's settings name no manifests of training and validation"})
    return fit_on_run(features, found, settings.get("data_folder"), protocol, strict=bool(manifests))


def fit_on_run(
    features: CycleFeatures,
    manifests: Mapping[str, str | Path],
    data_root: str | Path | None,
    protocol: Mapping[str, Any],
    strict: bool = False,
) -> NoveltyFit:
    """Fit the detector on the recordings of a run, as far as they are still there.

    Arguments
    ---------
    features : CycleFeatures
        The front end of the run.
    manifests : Mapping
        Paths of the manifests ``train`` and ``valid``.
    data_root : str or Path, optional
        What ``{data_root}`` in them stands for.
    protocol : Mapping
        Of the run's results: SHA-256 of its manifests, and whether its validation cycles are the test cycles.
    strict : bool
        Whether it is an error, instead of a reason to have no detector, where recordings or manifests are not those of
        the run or not there.

    Raises
    ------
    LungSRADError
        With ``strict`` only.

    Example
    -------
    >>> missing = {"train": "no/train.csv", "valid": "no/valid.csv"}
    >>> fit_on_run(CycleFeatures(), missing, None, {}).stored["reason"]
    'train.csv: no such file; ...'
    """
    try:
        if protocol.get("valid_is_test"):
            raise LungSRADError("the validation cycles were the test cycles, which nothing may be fitted on")
        sounds = {
            part: measure_sounds(features, _rows_of_run(manifests[part], part, data_root, protocol, strict), part)
            for part in PARTS
        }
        valid = {kind: sounds["valid"].rows(kind) for kind in KINDS}
        detector = fit_novelty(sounds["train"].statistics, valid)
    except LungSRADError as error:
        if strict:
            raise
        return NoveltyFit(None, {"reason": str(error)})
    return NoveltyFit(detector, _describe(detector, sounds["train"], sounds["valid"]))


def measure_sounds(features: CycleFeatures, rows: Sequence[Mapping[str, Any]], part: str = "sounds") -> Sounds:
    """Return the statistics of the cycles of a manifest, and of the windows of its recordings, side by side.

    Both are shaped as for the classifier: what is shorter than its input is repeated. Of more than 1,500 recordings
    that many are drawn, always the same.

    Arguments
    ---------
    features : CycleFeatures
    rows : list of dict
        With ``wav``, ``start``, ``stop`` and, as far as known, ``dataset``.
    part : str
        What the progress bar calls them.

    Raises
    ------
    LungSRADError
        Where a recording is absent or cannot be read.
    """
    by_recording = {wav: list(group) for wav, group in groupby(sorted(rows, key=_by_time), key=lambda row: row["wav"])}
    names = list(by_recording)
    if len(names) > MOST_RECORDINGS:
        names = sorted(random.Random(0).sample(names, MOST_RECORDINGS))
    bands, step = statistics_bands(features), frame_step(features)
    found: list[np.ndarray] = []
    kinds: list[str] = []
    data_sets: list[str] = []
    clips = (
        clip
        for name in track(names, f"Statistics of {part} sounds")
        for clip in _clips_of_recording(features, name, by_recording[name])
    )
    with torch.no_grad():
        while batch := list(islice(clips, BATCH)):
            waveforms, of_kinds, of_sets = zip(*batch, strict=True)
            found.append(sound_statistics(features.fbank(torch.stack(waveforms)), bands, step).double().numpy())
            kinds += of_kinds
            data_sets += of_sets
    statistics = np.concatenate(found) if found else np.zeros((0, len(STATISTICS)))
    return Sounds(statistics, kinds, data_sets, len(names))


def _clips_of_recording(
    features: CycleFeatures, name: str, rows: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[torch.Tensor, str, str]]:
    """Yield the waveform, kind and data set of each cycle, and of the windows that lie side by side."""
    recording = features.prepare(load_recording(name, features.sample_rate), name=name)
    window = round(features.duration * features.sample_rate)
    parts = [(features.cut(recording, row["start"], row["stop"], name=name), "cycles", row) for row in rows]
    for begin in range(0, max(1, len(recording) - window + 1), window):
        part = shape_cycle(recording[begin : begin + window], features.duration, features.sample_rate)
        parts.append((part, "windows", rows[0]))
    for part, kind, row in parts:
        if part.max() - part.min() > STILL:  # silence is not classified either
            yield part, kind, row.get("dataset") or ""


def _rows_of_run(
    manifest: str | Path, part: str, data_root: str | Path | None, protocol: Mapping[str, Any], strict: bool
) -> list[dict[str, Any]]:
    """Return the rows of a manifest, which must be the one of the run, with all recordings there."""
    manifest = Path(manifest)
    # A reason is kept in the model folder, where no path of this machine belongs.
    shown = str if strict else (lambda path: Path(path).name)
    if not manifest.is_file():
        raise LungSRADError(f"{shown(manifest)}: no such file; name the manifests with --train-csv and --valid-csv")
    expected = (protocol.get("sha256") or {}).get(part)
    if expected is not None and file_sha256(manifest) != expected:
        raise LungSRADError(f"{shown(manifest)}: not the {part} manifest of the run (its SHA-256 differs)")
    rows = read_manifest(manifest, data_root)
    absent = sorted({row["wav"] for row in rows if not Path(row["wav"]).is_file()})
    if absent:
        raise LungSRADError(
            f"{shown(manifest)}: {len(absent)} of its recordings are not here, for example {shown(absent[0])}"
        )
    return rows


def _describe(detector: NoveltyDetector, train: Sounds, valid: Sounds) -> dict[str, Any]:
    def rate(**of):
        scores = detector.scores(valid.rows(**of))
        return {"sounds": len(scores), "false_alarms": float((scores > 1).mean()) if len(scores) else 0.0}

    named = sorted({name for name in valid.data_sets if name})
    return {
        "statistics": list(STATISTICS),
        "wanted_false_alarm_rate": FALSE_ALARM_RATE,
        "training_sounds": len(train.statistics),
        "training_recordings": train.recordings,
        "validation_sounds": len(valid.statistics),
        "validation_recordings": valid.recordings,
        "false_alarms": {
            **{kind: rate(kind=kind) for kind in KINDS},
            **{f"{kind} of {name}": rate(kind=kind, data_set=name) for name in named for kind in KINDS},
        },
    }


def _by_time(row):
    return row["wav"], row["start"]
