"""What ``lung-srad classify`` says at the end: which recordings are unlike the training sounds, and which uncertain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lung_srad_plugin.utils.text import printable

if TYPE_CHECKING:
    from lung_srad_plugin.inference.result import Classification

SHOWN = 10  # names in one note


class ReliabilityNotes:
    """Collects the recordings that a reader should not rely on.

    Arguments
    ---------
    below : float
        Confidence below which the model's answers are called uncertain.

    Example
    -------
    >>> list(ReliabilityNotes(0.6).lines())
    []
    """

    def __init__(self, below: float):
        self._below = below
        self._total = 0
        self._calibrated = False
        self._unlike: list[str] = []
        self._partly: list[str] = []
        self._uncertain: list[str] = []

    def add(self, result: Classification) -> None:
        """Take the result of the next recording."""
        self._total += 1
        self._calibrated = result.confidence_calibrated
        if result.summary.unlike_training:
            self._unlike.append(result.file)
        elif any(segment.unlike_training for segment in result.segments):
            self._partly.append(result.file)
        # What is no lung sound has no class to be sure of.
        if result.summary.uncertain and not result.summary.unlike_training:
            self._uncertain.append(result.file)

    def lines(self) -> Iterator[str]:
        """Yield a sentence for each kind of recordings that there are."""
        kind = "calibrated" if self._calibrated else "uncalibrated"
        for names, text in (
            (self._unlike, "are unlike the sounds that the model was trained on, so that their classes mean nothing"),
            (self._partly, "are unlike the training sounds in parts, which the results mark"),
            (self._uncertain, f"are uncertain, as the {kind} probability of the class is below {self._below:g}"),
        ):
            if names:
                more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
                shown = ", ".join(map(printable, names[:SHOWN]))
                yield f"{len(names)} of {self._total} recordings {text}: {shown}{more}"


def describe_segment(unlike_training: bool | None, uncertain: bool | None) -> str:
    """Return the remark on a segment in a table, blank where there is none.

    Example
    -------
    >>> describe_segment(True, True), describe_segment(None, False)
    ('unlike training, uncertain', '')
    """
    return ", ".join(text for text, is_so in (("unlike training", unlike_training), ("uncertain", uncertain)) if is_so)
