"""A whole recording through a model: cut into cycles or windows, run, and put together as one result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from lung_srad_plugin.audio.cycles import shape_cycle
from lung_srad_plugin.audio.merging import merge_probabilities
from lung_srad_plugin.audio.quality import Flaw
from lung_srad_plugin.audio.source import AudioSource
from lung_srad_plugin.audio.stream import RecordingStream
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.cycles import cycle_spans, read_cycles
from lung_srad_plugin.inference.predict import BatchPredictions, Clip, predict
from lung_srad_plugin.inference.reliability import add_reliability, merge_scores
from lung_srad_plugin.inference.result import Classification, make_segment, summarize
from lung_srad_plugin.inference.timeline_events import find_events
from lung_srad_plugin.inference.windows import WindowRule, merge_windows, place_windows
from lung_srad_plugin.metrics.operating_points import OperatingPoint

if TYPE_CHECKING:
    from lung_srad_plugin.inference.classifier import LungSoundClassifier


class FileEmbeddings(NamedTuple):
    """The embeddings of a recording.

    Arguments
    ---------
    spans : list of (float, float)
        Start and end of each cycle or window, in seconds.
    vectors : torch.Tensor
        (N, D), on the CPU, one for each span.
    flaws : tuple of Flaw
        What the input checks found.
    """

    spans: list
    vectors: torch.Tensor
    flaws: tuple


class CutRecording(NamedTuple):
    """A recording and what of it goes through the model.

    Arguments
    ---------
    stream : RecordingStream
    spans : list of (int, int)
        Begin and end of each cycle or window in samples, sorted.
    times : list of (float, float)
        The same in seconds; of cycles, as they were given.
    rule : WindowRule or None
        How the windows were placed; None where these are cycles that were asked for.
    """

    stream: RecordingStream
    spans: list
    times: list
    rule: WindowRule | None


def cut_recording(
    classifier: LungSoundClassifier,
    source: AudioSource,
    cycles: str | Path | Iterable | None,
    rule: WindowRule,
) -> CutRecording:
    """Open a recording and decide which parts of it go through the model.

    Only its header is read, and the whole of it once where the model brings recordings to one level.

    Arguments
    ---------
    classifier : LungSoundClassifier
    source : AudioSource
    cycles
        As for ``LungSoundClassifier.classify_file``.
    rule : WindowRule
        For windows, where there are no cycles.

    Raises
    ------
    LungSRADError
        Where the recording cannot be read, or cycles do not fit it.
    """
    rate = classifier.sample_rate
    times = None if cycles is None else read_cycles(cycles)
    stream = RecordingStream(source, rate, classifier.mods.compute_features.level)
    if times is not None:
        longest = round(classifier.window * rate)
        return CutRecording(stream, cycle_spans(times, stream.samples, rate, longest, stream.name), times, None)
    spans = place_windows(stream.samples, round(rule.window * rate), round(rule.hop * rate))
    return CutRecording(stream, spans, [(begin / rate, end / rate) for begin, end in spans], rule)


def run_recording(
    classifier: LungSoundClassifier, recording: CutRecording, batch_size: int, progress: Callable | None
) -> BatchPredictions:
    """Return what the model computes for a recording's cycles or windows, all of them as one batch.

    Arguments
    ---------
    classifier : LungSoundClassifier
    recording : CutRecording
    batch_size, progress
        As for ``LungSoundClassifier.classify_file``.
    """
    total = len(recording.spans)
    report = None if progress is None else (lambda done: progress(done, total))
    return BatchPredictions.join(list(predict(classifier, recording_clips(classifier, recording), batch_size, report)))


def classify_recording(
    classifier: LungSoundClassifier,
    recording: CutRecording,
    batch_size: int,
    progress: Callable | None,
    temperature: float,
    operating_point: OperatingPoint | None = None,
) -> Classification:
    """Classify the cycles or windows of a recording.

    Arguments
    ---------
    classifier : LungSoundClassifier
    recording : CutRecording
    batch_size, progress
        As for ``LungSoundClassifier.classify_file``.
    temperature : float
        Divides the log-probabilities.
    operating_point : OperatingPoint, optional
        A threshold fitted at that temperature.

    Raises
    ------
    LungSRADError
        Where the samples cannot be decoded, or there is no sound in any cycle.
    """
    predictions = run_recording(classifier, recording, batch_size, progress)
    return assemble_result(classifier, recording, predictions, temperature, operating_point)


def assemble_result(
    classifier: LungSoundClassifier,
    recording: CutRecording,
    predictions: BatchPredictions,
    temperature: float,
    operating_point: OperatingPoint | None = None,
) -> Classification:
    """Return the result of a recording from what the model computed for its cycles or windows.

    Arguments
    ---------
    classifier : LungSoundClassifier
    recording : CutRecording
        Read to its end.
    predictions : BatchPredictions
        Of all of its clips.
    temperature, operating_point
        As for ``classify_recording``.

    Raises
    ------
    LungSRADError
        Where there is no sound in any cycle.
    """
    stream = recording.stream
    flaws = stream.flaws()
    with_sound, silent = sort_by_sound(recording.spans, stream)
    if not with_sound:
        raise LungSRADError(f"{stream.name}: every cycle is silent or constant; expected cycles with sound in them")
    log_probs = predictions.log_probs[with_sound].double()
    probabilities = (log_probs / temperature).softmax(dim=-1).tolist()
    calibrated = (log_probs / (classifier.calibration.temperature or 1.0)).softmax(dim=-1).numpy()
    scores = None if predictions.novelty is None else predictions.novelty[with_sound].numpy()
    times, labels, rule = recording.times, classifier.labels, recording.rule
    if rule is None:
        segments = [
            make_segment(times[index][0], times[index][1], labels, row)
            for index, row in zip(with_sound, probabilities, strict=True)
        ]
        flaws += tuple(_silent_cycle(*times[index]) for index in silent)
    else:
        spans = [recording.spans[index] for index in with_sound]
        segments = merge_windows(spans, probabilities, classifier.sample_rate, labels, rule.merging)
        calibrated = merge_probabilities(spans, calibrated, rule.merging)[1]
        scores = None if scores is None else merge_scores(spans, scores)
    marked, summary = add_reliability(
        segments, summarize(segments, labels), calibrated, scores, classifier.uncertain_below
    )
    return Classification(
        file=stream.name,
        duration=stream.duration,
        sample_rate=stream.native_rate,
        channels=stream.channels,
        model=classifier.model_id,
        kind="cycles" if rule is None else "timeline",
        segments=marked,
        summary=summary,
        flaws=flaws,
        operating_point=operating_point,
        trained_on_synthetic=classifier.trained_on_synthetic,
        windows=rule,
        events=() if rule is None else find_events(segments, rule.thresholds, rule.min_duration),
        confidence_calibrated=classifier.calibration.temperature is not None,
    )


def recording_clips(classifier: LungSoundClassifier, recording: CutRecording) -> Iterator[Clip]:
    """Yield the clip of each cycle or window of a recording, as the model gets it."""
    parts = recording.stream.cut(recording.spans)
    for (start, end), part in zip(recording.times, parts, strict=True):
        name = f"{recording.stream.name}, {start:.2f} to {end:.2f} s"
        yield Clip(name, shape_cycle(part, classifier.window, classifier.sample_rate))


def _silent_cycle(start, end):
    message = f"the cycle from {start:g} to {end:g} s has no sound and was not classified"
    return Flaw("silence", message, start, end)


def sort_by_sound(spans: Sequence[tuple[int, int]], stream: RecordingStream) -> tuple[list[int], list[int]]:
    """Return the indices of the spans with sound in them, and of those that lie within silence or a constant.

    Arguments
    ---------
    spans : list of (int, int)
        In samples.
    stream : RecordingStream
        Of the recording, read to its end.
    """
    scale = stream.sample_rate / stream.native_rate
    stills = [(begin * scale, end * scale) for begin, end, _ in stream.checks.still_runs()]
    with_sound: list[int] = []
    silent: list[int] = []
    for index, (begin, end) in enumerate(spans):
        # One sample of tolerance: the two rates do not share every edge.
        still = any(start <= begin + 1 and end - 1 <= stop for start, stop in stills)
        (silent if still else with_sound).append(index)
    return with_sound, silent
