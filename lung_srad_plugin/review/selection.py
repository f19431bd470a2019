"""Selecting which candidates a person shall review."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.stats import entropy

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.review.candidates import Candidate, confidence_of

ORDERS = ("least_confident", "most_confident", "most_uncertain", "most_unlike", "random", "time")


@dataclass(frozen=True)
class SegmentSelection:
    """Which segments are selected, and in which order.

    Arguments
    ---------
    labels : tuple of str
        Predicted classes; empty for all.
    uncertain, unlike_training : bool
        Only those that are marked so.
    wrong : bool
        Only those whose predicted class is not the annotated one.
    order : str
        One of ``ORDERS``: by confidence, by the entropy of the probabilities, by how unlike the training sounds they
        are, at random, or by recording and time.
    balanced : bool
        Take the predicted classes in turn, as many of each as there are.
    limit, per_recording : int or None
        How many at most, altogether and of one recording.
    seed : int
        Of the random order.
    """

    labels: tuple[str, ...] = ()
    uncertain: bool = False
    unlike_training: bool = False
    wrong: bool = False
    order: str = "least_confident"
    balanced: bool = False
    limit: int | None = None
    per_recording: int | None = None
    seed: int = 0


def select_candidates(candidates: Sequence[Candidate], selection: SegmentSelection) -> list[Candidate]:
    """Return the selected candidates, in the order of the selection.

    Arguments
    ---------
    candidates : sequence of Candidate
    selection : SegmentSelection

    Raises
    ------
    LungSRADError
        Where the candidates do not have what the selection asks for, or none is left.

    Example
    -------
    >>> from pathlib import Path
    >>> from lung_srad_plugin.inference.result import make_segment
    >>> rows = [(0.9, 0.1), (0.6, 0.4), (0.2, 0.8)]
    >>> found = [
    ...     Candidate(Path("a.wav"), make_segment(index, index + 1, ("normal", "wheeze"), row), "demo")
    ...     for index, row in enumerate(rows)
    ... ]
    >>> [one.segment.start for one in select_candidates(found, SegmentSelection(limit=2))]
    [1.0, 2.0]
    >>> [one.segment.start for one in select_candidates(found, SegmentSelection(balanced=True, limit=2))]
    [1.0, 2.0]
    """
    _check(candidates, selection)
    kept = [one for one in candidates if _is_wanted(one, selection)]
    if not kept:
        raise LungSRADError(f"none of the {len(candidates):,} segments is what was asked for; ask for less")
    kept.sort(key=lambda one: (str(one.recording), one.segment.start, one.segment.end))
    if selection.order == "random":
        random.Random(selection.seed).shuffle(kept)
    elif selection.order != "time":
        kept.sort(key=_KEYS[selection.order])
    if selection.balanced:
        kept = _take_in_turn(kept)
    return _limit(kept, selection)


_KEYS: dict[str, Callable[[Candidate], float]] = {
    "least_confident": lambda one: confidence_of(one.segment),
    "most_confident": lambda one: -confidence_of(one.segment),
    "most_uncertain": lambda one: -float(entropy(list(one.segment.probabilities.values()))),
    "most_unlike": lambda one: -(one.segment.unlike_training_score or 0.0),
}


def _check(candidates, selection):
    problems = []
    known = sorted({label for one in candidates for label in one.segment.probabilities})
    if unknown := [label for label in selection.labels if label not in known]:
        problems.append(f"--label {', '.join(unknown)}: the model's classes are {', '.join(known)}")
    if selection.unlike_training or selection.order == "most_unlike":
        without = sum(one.segment.unlike_training_score is None for one in candidates)
        if without:
            problems.append(
                f"{without} of {len(candidates)} segments do not say how unlike the training sounds they are; take a "
                "model with a detector"
            )
    if selection.uncertain and any(one.segment.uncertain is None for one in candidates):
        problems.append("the results do not say which segments are uncertain; classify the recordings again")
    if selection.wrong and not any(one.annotated for one in candidates):
        problems.append("--wrong compares with labels, and only a manifest has them")
    if problems:
        raise LungSRADError("; ".join(problems))


def _is_wanted(one, selection):
    segment = one.segment
    return (
        (not selection.labels or segment.label in selection.labels)
        and (not selection.uncertain or segment.uncertain)
        and (not selection.unlike_training or segment.unlike_training)
        and (not selection.wrong or (one.annotated != "" and one.annotated != segment.label))
    )


def _take_in_turn(ordered):
    """Return the candidates with their classes in turn; within a class the order stays."""
    turns: Counter = Counter()
    numbered = []
    for one in ordered:
        numbered.append((turns[one.segment.label], one))
        turns[one.segment.label] += 1
    classes = {label: index for index, label in enumerate(ordered[0].segment.probabilities)}
    return [one for _, one in sorted(numbered, key=lambda pair: (pair[0], classes[pair[1].segment.label]))]


def _limit(ordered, selection):
    taken: list[Candidate] = []
    of_recording: Counter = Counter()
    for one in ordered:
        if selection.limit is not None and len(taken) == selection.limit:
            break
        if selection.per_recording is None or of_recording[one.recording] < selection.per_recording:
            of_recording[one.recording] += 1
            taken.append(one)
    return taken
