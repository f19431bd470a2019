"""What a model answers for the windows of recordings, of several rules at once: each recording is read once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.audio.stream import RecordingStream
from lung_srad_plugin.evaluation.timeline.recordings import AnnotatedRecording
from lung_srad_plugin.inference.classifier import LungSoundClassifier
from lung_srad_plugin.inference.recording import CutRecording, run_recording, sort_by_sound
from lung_srad_plugin.inference.windows import WindowRule, place_windows


@dataclass(frozen=True)
class RecordingAnswers:
    """The probabilities of a recording's windows and annotated cycles.

    Arguments
    ---------
    samples : int
        Length of the recording at the model's rate.
    probabilities : dict
        (C,) by (begin, end) in samples; silent windows are left out, as when classifying.
    """

    samples: int
    probabilities: dict[tuple[int, int], np.ndarray]


def rule_spans(rule: WindowRule, samples: int, sample_rate: int) -> list[tuple[int, int]]:
    """Return (begin, end) in samples of the windows of a rule, the same as in ``cut_recording``."""
    return place_windows(samples, round(rule.window * sample_rate), round(rule.hop * sample_rate))


def cycle_spans(recording: AnnotatedRecording, samples: int, sample_rate: int) -> list[tuple[int, int]]:
    """Return (begin, end) in samples of the annotated cycles or events, the same as in ``cut_cycle``."""
    bounds = zip(recording.starts, recording.ends, strict=True)
    return [(int(start * sample_rate), min(int(end * sample_rate), samples)) for start, end in bounds]


def classify_windows(
    classifier: LungSoundClassifier,
    recordings: Sequence[AnnotatedRecording],
    rules: Sequence[WindowRule],
    batch_size: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[RecordingAnswers]:
    """Run a model over the windows of several rules and over the annotated cycles of recordings.

    Windows that two rules share are classified once.

    Arguments
    ---------
    classifier : LungSoundClassifier
    recordings : list of AnnotatedRecording
    rules : list of WindowRule
    batch_size : int
        Windows that go through the model at once.
    progress : callable, optional
        Called as ``progress(done, total)`` after each recording.

    Returns
    -------
    list of RecordingAnswers
        In the order of the recordings.
    """
    answers = []
    for done, recording in enumerate(recordings, 1):
        answers.append(_classify(classifier, recording, rules, batch_size))
        if progress is not None:
            progress(done, len(recordings))
    return answers


def _classify(classifier, recording, rules, batch_size):
    rate = classifier.sample_rate
    stream = RecordingStream(audio_source(recording.wav), rate, classifier.mods.compute_features.level)
    wanted = set(cycle_spans(recording, stream.samples, rate))
    wanted.update(span for rule in rules for span in rule_spans(rule, stream.samples, rate))
    spans = sorted(wanted)
    times = [(begin / rate, end / rate) for begin, end in spans]
    log_probs = run_recording(classifier, CutRecording(stream, spans, times, None), batch_size, None).log_probs
    probabilities = log_probs.double().softmax(dim=-1).numpy()
    with_sound, _ = sort_by_sound(spans, stream)
    return RecordingAnswers(stream.samples, {spans[index]: probabilities[index] for index in with_sound})
