"""Growing sound through a model: a window each step, the timeline so far, and how long an answer takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from lung_srad_plugin.audio.cycles import FADE_SECONDS, shape_cycle
from lung_srad_plugin.audio.quality import MIN_SECONDS
from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.inference.predict import BatchPredictions, Clip, predict
from lung_srad_plugin.inference.recording import CutRecording, assemble_result
from lung_srad_plugin.inference.windows import WindowRule, place_windows
from lung_srad_plugin.live.pipe import BLOCK_SECONDS
from lung_srad_plugin.live.sound_so_far import SoundSoFar

if TYPE_CHECKING:
    from lung_srad_plugin.inference.classifier import LungSoundClassifier
    from lung_srad_plugin.inference.result import Classification, Segment

MOST_AT_ONCE = 8  # windows that go through the model together when it is behind


@dataclass(frozen=True)
class Latency:
    """How long answers take, and whether the model keeps up.

    Arguments
    ---------
    window, hop : float
        Seconds of a window, and from one to the next.
    mean, longest : float
        Seconds of computing for a window, as measured.
    windows, overruns : int
        Windows that were computed, and those among them whose computing took longer than the step.
    """

    window: float
    hop: float
    mean: float
    longest: float
    windows: int
    overruns: int

    @property
    def first_answer(self) -> float:
        """Seconds after a sound until a window that holds it is answered, at most."""
        return self.hop + FADE_SECONDS + BLOCK_SECONDS + self.longest

    @property
    def final_answer(self) -> float:
        """Seconds after a sound until no later window changes its answer, at most."""
        return self.window + self.first_answer

    def describe(self) -> str:
        """Return the latency in a sentence."""
        return (
            f"A window of {self.window:g} s every {self.hop:g} s, computed in {self.mean:.3f} s on average and "
            f"{self.longest:.3f} s at most: a sound is first answered within {self.first_answer:.2f} s and its answer "
            f"is final within {self.final_answer:.2f} s, besides what the sound card or the pipe holds back."
        )


class LiveSession:
    """Windows of growing sound, each through the model as soon as it is complete.

    The windows, the merging and the result are those of ``LungSoundClassifier.classify_file``.

    Arguments
    ---------
    classifier : LungSoundClassifier
    sound : SoundSoFar
        At the classifier's rate.
    rule : WindowRule
    temperature : float
        Divides the log-probabilities.
    """

    def __init__(self, classifier: LungSoundClassifier, sound: SoundSoFar, rule: WindowRule, temperature: float = 1.0):
        self.classifier, self.sound, self.rule, self.temperature = classifier, sound, rule, temperature
        rate = classifier.sample_rate
        self._window, self._hop = round(rule.window * rate), round(rule.hop * rate)
        self._spans: list[tuple[int, int]] = []
        self._answers: list[BatchPredictions] = []  # one for each span
        self._seconds: list[float] = []
        self._overruns = 0
        self._final = 0  # sample up to which segments were returned by final_segments
        self._finished = False

    @property
    def windows(self) -> int:
        """How many windows were computed."""
        return len(self._spans)

    def add(self, block: np.ndarray) -> int:
        """Take the next samples (N, channels), and run what windows they complete; return how many.

        Raises
        ------
        LungSRADError
            Where samples or the model's results are not finite.
        """
        self.sound.add(block)
        spans, begin = [], self._next_begin()
        while begin + self._window <= self.sound.samples:
            spans.append((begin, begin + self._window))
            begin += self._hop
        self._run(spans)
        return len(spans)

    def finish(self) -> None:
        """Take the end of the sound, and run what windows are left: the last one ends with it."""
        self.sound.finish()
        self._finished = True
        if self.sound.duration < MIN_SECONDS:  # as of files
            return
        self._run(place_windows(self.sound.samples, self._window, self._hop)[len(self._spans) :])

    def warm_up(self) -> None:
        """Run a window of noise, so that what the first one takes longer is over before sound comes."""
        noise = torch.randn(self._window, generator=torch.Generator().manual_seed(0))
        clip = Clip("noise", shape_cycle(0.1 * noise, self.classifier.window, self.classifier.sample_rate))
        list(predict(self.classifier, [clip], 1))

    def _next_begin(self):
        return len(self._spans) * self._hop

    def _run(self, spans):
        for first in range(0, len(spans), MOST_AT_ONCE):
            group = spans[first : first + MOST_AT_ONCE]
            started = time.perf_counter()
            clips = [self._clip(*span) for span in group]
            for answers in predict(self.classifier, clips, len(clips)):
                for index in range(len(group)):
                    self._answers.append(_row(answers, index))
            each = (time.perf_counter() - started) / len(group)
            self._seconds += [each] * len(group)
            self._overruns += len(group) if each > self.rule.hop else 0
            self._spans += group
        # A last window that ends with the sound may begin before the next one of the grid would.
        self.sound.drop(self._next_begin() - self._hop)

    def _clip(self, begin, end):
        rate = self.classifier.sample_rate
        name = f"{self.sound.name}, {begin / rate:.2f} to {end / rate:.2f} s"
        return Clip(name, shape_cycle(self.sound.part(begin, end), self.classifier.window, rate))

    def result(self) -> Classification:
        """Return the result of all sound so far.

        Raises
        ------
        LungSRADError
            Where there was no window, or no sound in any.
        """
        return self._assemble(0)

    def recent(self, seconds: float) -> Classification | None:
        """Return the result of the last seconds alone; None where there is no window yet or no sound in any."""
        oldest = self.sound.samples - round(seconds * self.classifier.sample_rate)
        first = next((index for index, (_, end) in enumerate(self._spans) if end > oldest), len(self._spans))
        return self._try_assemble(first)

    def final_segments(self) -> list[Segment]:
        """Return the segments that became final since the last call: no later window covers them."""
        rate = self.classifier.sample_rate
        # The windows that end where the latest segment ended give the edge from which on segments are new.
        first = next((index for index, (_, end) in enumerate(self._spans) if end >= self._final), len(self._spans))
        result = self._try_assemble(first)
        # The window that ends with the sound will begin after the newest one, wherever that is.
        limit = self.sound.samples if self._finished else self._next_begin() - self._hop
        found = [
            segment
            for segment in (() if result is None else result.segments)
            if round(segment.start * rate) >= self._final and round(segment.end * rate) <= limit
        ]
        if found:
            self._final = round(found[-1].end * rate)
        return found

    def _try_assemble(self, first):
        try:
            return self._assemble(first) if self._spans[first:] else None
        except LungSRADError:  # no sound in any of these windows
            return None

    def _assemble(self, first):
        spans, rate = self._spans[first:], self.classifier.sample_rate
        if not spans:
            raise LungSRADError(
                f"{self.sound.name}: {self.sound.duration:.2f} s of sound hold no window; listen longer"
            )
        times = [(begin / rate, end / rate) for begin, end in spans]
        answers = BatchPredictions.join(self._answers[first:])
        return assemble_result(
            self.classifier, CutRecording(self.sound, spans, times, self.rule), answers, self.temperature
        )

    def latency(self) -> Latency:
        """Return how long answers take, as measured so far."""
        seconds = self._seconds or [0.0]
        mean = sum(seconds) / len(seconds)
        return Latency(self.rule.window, self.rule.hop, mean, max(seconds), len(self._seconds), self._overruns)


def _row(answers, index):
    """Return one answer of a batch, without its embedding: hours of them would fill the memory."""
    part = slice(index, index + 1)
    novelty = None if answers.novelty is None else answers.novelty[part]
    return BatchPredictions(answers.embeddings[part, :0], answers.log_probs[part], novelty)
