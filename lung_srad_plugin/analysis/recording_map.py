"""One map over the time of a whole recording, of where the decisions about its windows or cycles come from."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lung_srad_plugin.analysis.clip_maps import clip_cells, run_clip
from lung_srad_plugin.analysis.decision import ABNORMAL, Decision, target_classes
from lung_srad_plugin.analysis.explain import METHOD_TITLES, METHODS, check_methods, map_of
from lung_srad_plugin.analysis.map_cells import divide_features
from lung_srad_plugin.audio.feature_axes import FeatureAxes, feature_axes
from lung_srad_plugin.audio.source import AudioSource, audio_source
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.recording import cut_recording, recording_clips
from lung_srad_plugin.reporting.map_figure import RecordingMap

COLUMN_SECONDS = 0.1
RECORDING_ROWS = 16


def explain_recording(
    classifier: LungSoundClassifier,
    recording: str | Path | AudioSource,
    cycles: str | Path | Iterable[tuple[float, float]] | None = None,
    window: float | None = None,
    hop: float | None = None,
    method: str = METHODS[0],
    target: str = ABNORMAL,
    progress: Callable[[int, int], Any] | None = None,
) -> RecordingMap:
    """Explain the decisions about the windows or cycles of a recording by one map over its time.

    Where windows overlap, it is their mean. What a clip adds where its cycle is repeated counts for the cycle.

    Arguments
    ---------
    classifier : LungSoundClassifier
    recording : str, Path or AudioSource
        What ``audio_source`` takes.
    cycles, window, hop, progress
        As for ``LungSoundClassifier.classify_file``.
    method : str
        One of ``METHODS``.
    target : str
        As for ``target_classes``; one for all windows, so that one colour means one thing.

    Returns
    -------
    RecordingMap

    Raises
    ------
    LungSRADError
        Where the encoder has no SS2D layer for ``"mixing"``, captum is not installed for another method, or the
        recording cannot be read.
    """
    check_methods([method], classifier.mods.embedding_model)
    cut = cut_recording(classifier, audio_source(recording), cycles, classifier.select_rule(window, hop))
    axes = feature_axes(classifier.mods.compute_features)
    cells = clip_cells(classifier)
    rows = min(RECORDING_ROWS, classifier.mods.compute_features.fbank.n_mels)
    columns = max(1, math.ceil(cut.stream.duration / COLUMN_SECONDS))
    sums, counts = np.zeros((rows, columns)), np.zeros(columns)
    frame = (axes.stop - axes.start) / classifier.mods.compute_features.shape[0]
    # Frames are divided into steps far shorter than a column, so that each column gets its share of them.
    steps = math.ceil(frame / COLUMN_SECONDS * 10)
    rate = classifier.sample_rate
    for number, ((begin, end), clip) in enumerate(zip(cut.spans, recording_clips(classifier, cut), strict=True), 1):
        _, normalised, probabilities = run_clip(classifier, clip)
        chosen = target_classes(target, classifier.labels, probabilities)
        decision = Decision(classifier.mods.embedding_model, classifier.mods.classifier, chosen)
        found = map_of(method, decision, normalised, cells).cpu()
        by_frame = divide_features(len(found), found.shape[1], rows, len(found)).sum(found).numpy()
        by_step = np.repeat(by_frame / steps, steps, axis=1)
        seconds = _step_times(axes, by_step.shape[1])
        length = min((end - begin) / rate, classifier.window)
        column = ((begin / rate + seconds % length) / COLUMN_SECONDS).astype(int).clip(max=columns - 1)
        np.add.at(sums.T, column, by_step.T)
        np.add.at(counts, column[seconds < length], 1)
        if progress is not None:
            progress(number, len(cut.spans))
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.where(counts > 0, sums / counts * COLUMN_SECONDS * steps / frame, np.nan)
    return RecordingMap(values, columns * COLUMN_SECONDS, axes.bottom, axes.top, target, METHOD_TITLES[method])


def _step_times(axes: FeatureAxes, steps: int) -> np.ndarray:
    """Return the seconds of the clip in the middle of each step."""
    return axes.start + (np.arange(steps) + 0.5) * (axes.stop - axes.start) / steps
