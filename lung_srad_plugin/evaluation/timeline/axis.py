"""Many recordings one after the other on one axis of time, so that all of them are measured at once."""

from collections.abc import Sequence

import numpy as np

from lung_srad_plugin.audio.merging import merge_probabilities
from lung_srad_plugin.evaluation.timeline.answers import RecordingAnswers, cycle_spans, rule_spans
from lung_srad_plugin.evaluation.timeline.recordings import AnnotatedRecording
from lung_srad_plugin.inference.windows import WindowRule
from lung_srad_plugin.metrics.findings import finding_members, finding_probability
from lung_srad_plugin.metrics.timeline import Coverage, Runs, called_events, match_events, sample_timeline

GAP = 1.0  # seconds between two recordings, more than an annotation may exceed its recording


class Axis:
    """Annotated recordings on one axis of time, with what a model answered for their windows.

    Arguments
    ---------
    recordings : list of AnnotatedRecording
    answers : list of RecordingAnswers
        Of these.
    sample_rate : int
        The model's, in Hz.
    labels : sequence of str
        The model's, the normal class first.
    frame : float
        Seconds from one frame to the next.

    Attributes
    ----------
    findings : dict
        (C,) bool by name of a finding: which classes have it.
    offsets : numpy.ndarray
        (R,) where each recording starts, in seconds.
    starts, ends, targets, event_recording : numpy.ndarray
        (E,) times and classes of the annotated events, and the index of their recording.
    frames, frame_recording : numpy.ndarray
        (F,) middles of the frames that are annotated, and the index of their recording.
    annotated : Coverage
        All events.
    of_finding : dict
        By finding, the ``Coverage`` of its events.
    """

    def __init__(
        self,
        recordings: Sequence[AnnotatedRecording],
        answers: Sequence[RecordingAnswers],
        sample_rate: int,
        labels: Sequence[str],
        frame: float = 0.1,
    ):
        self.recordings, self.answers, self.sample_rate = recordings, answers, sample_rate
        self.findings = finding_members(labels)
        gap = round(GAP * sample_rate)
        self._offsets = np.cumsum([0, *(answer.samples + gap for answer in answers)])[:-1]
        self.offsets = self._offsets / sample_rate
        self.starts = _shift([recording.starts for recording in recordings], self.offsets)
        self.ends = _shift([recording.ends for recording in recordings], self.offsets)
        self.targets = np.concatenate([recording.targets for recording in recordings])
        self.event_recording = np.repeat(np.arange(len(recordings)), [len(each.starts) for each in recordings])
        self.annotated = Coverage(self.starts, self.ends)
        self.of_finding = {
            name: Coverage(self.starts[has[self.targets]], self.ends[has[self.targets]])
            for name, has in self.findings.items()
        }
        counts = [int(np.ceil(answer.samples / sample_rate / frame)) for answer in answers]
        middles = _shift([(np.arange(count) + 0.5) * frame for count in counts], self.offsets)
        within = self.annotated.contains(middles)
        self.frames = middles[within]
        self.frame_recording = np.repeat(np.arange(len(recordings)), counts)[within]

    def merge(self, rule: WindowRule) -> "Timeline":
        """Return the timeline that a rule gives, of all recordings."""
        spans = [rule_spans(rule, answer.samples, self.sample_rate) for answer in self.answers]
        windows, probabilities = self._gather(spans)
        stretches, merged = merge_probabilities(windows, probabilities, rule.merging)
        return Timeline(stretches / self.sample_rate, merged, self.findings)

    def cycles(self) -> "Timeline":
        """Return the answers for the annotated cycles themselves: what training and ``evaluate`` know."""
        pairs = zip(self.recordings, self.answers, strict=True)
        spans = [sorted(cycle_spans(each, answer.samples, self.sample_rate)) for each, answer in pairs]
        windows, probabilities = self._gather(spans)
        return Timeline(windows / self.sample_rate, probabilities, self.findings)

    def _gather(self, spans):
        """Return windows (N, 2) on the axis, and their probabilities (N, C)."""
        windows, probabilities = [], []
        for offset, answer, some in zip(self._offsets, self.answers, spans, strict=True):
            for begin, end in some:
                if (begin, end) in answer.probabilities:
                    windows.append((offset + begin, offset + end))
                    probabilities.append(answer.probabilities[begin, end])
        return np.array(windows), np.array(probabilities)

    def positive_frames(self, finding: str) -> np.ndarray:
        """Return (F,) whether each frame lies within an event of the finding."""
        return self.of_finding[finding].contains(self.frames)

    def count_events(self, finding: str, runs: Runs, groups: np.ndarray, size: int) -> tuple[np.ndarray, ...]:
        """Return how many events of a finding were called positive and how many not, and how many others were.

        Arguments
        ---------
        finding, runs, groups, size
            As of ``count_runs``.

        Returns
        -------
        found, missed, wrong : numpy.ndarray
            (size,) by group of recordings.
        """
        has = self.findings[finding][self.targets]
        called = called_events(self.starts, self.ends, runs.starts, runs.ends)
        group = groups[self.event_recording]
        kinds = (called & has, ~called & has, called & ~has)
        return tuple(np.bincount(group[kind], minlength=size) for kind in kinds)

    def count_runs(self, finding: str, runs: Runs, groups: np.ndarray, size: int) -> tuple[np.ndarray, ...]:
        """Return how many events were found and missed, and how many runs are wrong, in each group of recordings.

        Arguments
        ---------
        finding : str
        runs : Runs
            Where a timeline reaches the threshold of the finding.
        groups : numpy.ndarray
            (R,) the index of each recording's group.
        size : int
            The number of groups.

        Returns
        -------
        found, missed, wrong : numpy.ndarray
            (size,) by group of recordings.
        """
        has = self.findings[finding][self.targets]
        matches = match_events(
            self.starts[has], self.ends[has], runs.starts, runs.ends, self.annotated, self.of_finding[finding]
        )
        event_group = groups[self.event_recording[has]]
        run_group = groups[np.searchsorted(self.offsets, runs.starts + 1e-6, side="right") - 1]
        return (
            np.bincount(event_group[matches.found], minlength=size),
            np.bincount(event_group[~matches.found], minlength=size),
            np.bincount(run_group[matches.wrong], minlength=size),
        )


class Timeline:
    """The probabilities of all recordings over time.

    Arguments
    ---------
    stretches : numpy.ndarray
        (S, 2) start and end in seconds.
    probabilities : numpy.ndarray
        (S, C)
    findings : dict
        (C,) bool by finding.
    """

    def __init__(self, stretches: np.ndarray, probabilities: np.ndarray, findings: dict[str, np.ndarray]):
        self.starts, self.ends = stretches[:, 0], stretches[:, 1]
        self.scores = {name: finding_probability(name, member, probabilities) for name, member in findings.items()}

    def at(self, times: np.ndarray, finding: str) -> np.ndarray:
        """Return the probability of a finding at each time (T,); 0 where the timeline has a gap."""
        return sample_timeline(self.starts, self.ends, self.scores[finding], times)


def _shift(parts, offsets):
    return np.concatenate([np.asarray(part) + offset for part, offset in zip(parts, offsets, strict=True)])
