"""Classifying many recordings: decoded ahead of the model, which gets full batches across recordings."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lung_srad_plugin.audio.source import audio_source
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.decoding import CutClips, Decoded, decode_ahead
from lung_srad_plugin.inference.predict import BatchPredictions, Clip, predict_batch
from lung_srad_plugin.inference.recording import assemble_result, cut_recording, recording_clips
from lung_srad_plugin.inference.result import Classification
from lung_srad_plugin.inference.settings import ClassifySettings
from lung_srad_plugin.inference.thresholds import select_temperature

if TYPE_CHECKING:
    from lung_srad_plugin.inference.classifier import LungSoundClassifier


class Outcome(NamedTuple):
    """What became of one recording.

    Arguments
    ---------
    path : Path
    result : Classification or None
    error : Exception or None
        Why there is no result.
    decoding_seconds, model_seconds : float
        What each took; of a batch with other recordings, the share of this one.
    """

    path: Path
    result: Classification | None
    error: Exception | None
    decoding_seconds: float
    model_seconds: float


@dataclass
class _Begun:
    """A recording of which clips are on the way through the model."""

    decoded: Decoded[Path]
    parts: list[BatchPredictions] = field(default_factory=list)
    waiting: int = 0
    is_read: bool = False
    error: Exception | None = None
    seconds: float = 0.0

    @property
    def is_done(self) -> bool:
        return self.is_read and self.waiting == 0


class _Batches:
    """Puts clips of one recording after the other into batches, and their predictions back to the recordings."""

    def __init__(self, classifier: LungSoundClassifier, size: int):
        self._classifier = classifier
        self._size = size
        self._clips: list[Clip] = []
        self._owners: list[_Begun] = []

    def add(self, clip: Clip, owner: _Begun) -> None:
        owner.waiting += 1
        self._clips.append(clip)
        self._owners.append(owner)
        if len(self._clips) == self._size:
            self.run()

    def run(self) -> None:
        clips, owners = self._clips, self._owners
        self._clips, self._owners = [], []
        if not clips:
            return
        begun = time.perf_counter()
        try:
            batch = predict_batch(self._classifier, clips)
            begin = 0
            for owner, end in _ends(owners):
                owner.parts.append(batch.part(begin, end))
                begin = end
        except LungSRADError:
            # A result is not finite: alone, each clip shows whose it is.
            for clip, owner in zip(clips, owners, strict=True):
                self._run_alone(clip, owner)
        seconds = (time.perf_counter() - begun) / len(clips)
        for owner in owners:
            owner.waiting -= 1
            owner.seconds += seconds

    def _run_alone(self, clip, owner):
        try:
            owner.parts.append(predict_batch(self._classifier, [clip]))
        except LungSRADError as error:
            owner.error = owner.error or error


def classify_many(
    classifier: LungSoundClassifier,
    paths: Iterable[Path],
    settings: ClassifySettings | None = None,
    batch_size: int = 8,
    decoding_threads: int = 1,
    find_cycles: Callable[[Path], Path] | None = None,
) -> Iterator[Outcome]:
    """Classify recordings, those that cannot be classified among them, in their order.

    Each result equals that of ``classify_file`` but for rounding: which clips go through the model together changes
    the last digits of its float32 results.

    Arguments
    ---------
    classifier : LungSoundClassifier
    paths : iterable of Path
        Taken one by one, a few recordings ahead of the model.
    settings : ClassifySettings, optional
    batch_size : int
        Cycles or windows that go through the model at once, of several recordings where they are short.
    decoding_threads : int
        How many recordings are decoded at once while the model computes.
    find_cycles : callable, optional
        Gives the annotation of a recording, whose cycles are classified; without it windows slide over each.

    Yields
    ------
    Outcome

    Raises
    ------
    LungSRADError
        Where a setting is wrong; of a recording, its ``Outcome`` says so.

    Example
    -------
    >>> from lung_srad_plugin.inference.classifier import LungSoundClassifier
    >>> outcomes = list(classify_many(LungSoundClassifier.from_hparams(), [Path("absent.wav")]))
    >>> outcomes[0].error
    LungSRADError('absent.wav: no such audio file')
    """
    settings = ClassifySettings() if settings is None else settings
    rule = classifier.select_rule(settings.window, settings.hop, settings.merging, settings.calibrated)
    temperature = select_temperature(classifier.calibration, settings.calibrated, classifier.model_id)
    operating_point = classifier.select_threshold(settings.sensitivity, settings.calibrated)

    def open_recording(path: Path) -> CutClips:
        cycles = None if find_cycles is None else find_cycles(path)
        recording = cut_recording(classifier, audio_source(path), cycles, rule)
        return CutClips(recording, recording_clips(classifier, recording))

    def finish(begun: _Begun) -> Outcome:
        error, result, decoded = begun.error, None, begun.decoded
        if error is None and decoded.recording is not None:
            try:
                predictions = BatchPredictions.join(begun.parts)
                result = assemble_result(classifier, decoded.recording, predictions, temperature, operating_point)
            except Exception as raised:  # for example silence from beginning to end
                error = raised
        return Outcome(decoded.item, result, error, decoded.seconds, begun.seconds)

    batches = _Batches(classifier, batch_size)
    line: deque[_Begun] = deque()
    for decoded in decode_ahead(paths, open_recording, decoding_threads):
        begun = _Begun(decoded)
        line.append(begun)
        try:
            for clip in decoded.clips():
                batches.add(clip, begun)
        except Exception as error:
            begun.error = error
        begun.is_read = True
        while line and line[0].is_done:
            yield finish(line.popleft())
    batches.run()
    yield from map(finish, line)


def _ends(owners: list[_Begun]) -> Iterator[tuple[_Begun, int]]:
    """Yield each owner and where its clips end; those of one lie together."""
    for index, owner in enumerate(owners, start=1):
        if index == len(owners) or owners[index] is not owner:
            yield owner, index
