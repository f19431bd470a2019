"""What a reader may rely on: whether a stretch is unlike the training sounds, and whether its class is uncertain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from lung_srad_plugin.audio.merging import merge_probabilities
from lung_srad_plugin.audio.sound_statistics import sound_statistics
from lung_srad_plugin.inference.result import Segment
from lung_srad_plugin.metrics.uncertainty import is_uncertain

if TYPE_CHECKING:
    from lung_srad_plugin.inference.classifier import LungSoundClassifier


def score_novelty(classifier: LungSoundClassifier, feats: torch.Tensor) -> torch.Tensor:
    """Return how unlike the training sounds each clip is: above 1 it is.

    Arguments
    ---------
    classifier : LungSoundClassifier
        One that has a detector.
    feats : torch.Tensor
        (B, T, F), log-mel features before normalisation.

    Returns
    -------
    torch.Tensor
        (B,), float64, on the CPU.
    """
    statistics = sound_statistics(feats, classifier.statistics_bands, classifier.frame_step)
    return torch.from_numpy(classifier.novelty.scores(statistics.double().cpu().numpy()))


def merge_scores(windows: Sequence[tuple[int, int]], scores: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the score of each stretch of a timeline: the mean of the windows that cover it, whatever the merging.

    Arguments
    ---------
    windows : list of (int, int)
        Begin and end of each, both ascending.
    scores : array (N,)

    Example
    -------
    >>> merge_scores([(0, 8), (4, 12)], [0.5, 2.0])
    array([0.5 , 1.25, 2.  ])
    """
    return merge_probabilities(windows, np.asarray(scores)[:, None], "mean")[1][:, 0]


def add_reliability(
    segments: Sequence[Segment],
    summary: Segment,
    probabilities: np.ndarray,
    scores: np.ndarray | None,
    below: float,
) -> tuple[tuple[Segment, ...], Segment]:
    """Return segments and summary with their confidence and with what is unlike the training sounds.

    The confidence of the summary is that of the mean of the probabilities, weighted by length. Its score is the one
    that the segments of half of the length reach: so it is unlike the training sounds where at least half of it is.

    Arguments
    ---------
    segments : sequence of Segment
    summary : Segment
    probabilities : numpy.ndarray
        (S, C), of each segment, calibrated where the model has a temperature.
    scores : numpy.ndarray or None
        (S,), of each segment; None where the model has no detector.
    below : float
        Confidence below which an answer is uncertain.

    Example
    -------
    >>> from lung_srad_plugin.inference.result import make_segment
    >>> parts = [make_segment(0, 6, ("normal", "abnormal"), (0.9, 0.1)),
    ...     make_segment(6, 8, ("normal", "abnormal"), (0.5, 0.5))]
    >>> found, whole = add_reliability(parts, parts[0], np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([0.4, 3.0]), 0.6)
    >>> [(segment.uncertain, segment.unlike_training) for segment in (*found, whole)]
    [(False, False), (True, True), (False, False)]
    """
    of_segments = [None] * len(segments) if scores is None else scores.tolist()
    found = tuple(
        _mark(segment, float(row.max()), score, below)
        for segment, row, score in zip(segments, probabilities, of_segments, strict=True)
    )
    lengths = np.array([segment.end - segment.start for segment in segments])
    mean = lengths @ probabilities / lengths.sum()
    return found, _mark(summary, float(mean.max()), None if scores is None else reached_score(scores, lengths), below)


def _mark(segment: Segment, confidence: float, score: float | None, below: float) -> Segment:
    return replace(
        segment,
        confidence=confidence,
        uncertain=is_uncertain(confidence, below),
        unlike_training_score=score,
        unlike_training=None if score is None else score > 1,
    )


def reached_score(scores: np.ndarray, lengths: np.ndarray) -> float:
    """Return the highest score that segments of at least half of the length reach.

    Arguments
    ---------
    scores, lengths : numpy.ndarray
        (S,)

    Example
    -------
    >>> reached_score(np.array([3.0, 0.2, 2.0]), np.array([1.0, 2.0, 1.0]))
    2.0
    """
    falling = np.argsort(-scores, kind="stable")
    covered = np.cumsum(lengths[falling])
    # Lengths are sums of decimals: half of them may be missed by rounding alone.
    return float(scores[falling][np.argmax(covered >= covered[-1] / 2 * (1 - 1e-9))])
