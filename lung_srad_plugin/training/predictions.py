"""The output of a model for the cycles of one part of the data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lung_srad_plugin.errors import LungSRADError


@dataclass
class Predictions:
    """The output for each cycle, in the order of the IDs.

    Arguments
    ---------
    ids : list of str
    targets : numpy.ndarray
        (N,) class indices.
    log_probs : numpy.ndarray
        (N, C).
    """

    ids: list[str]
    targets: np.ndarray
    log_probs: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        """The most probable class of each cycle, (N,)."""
        return self.log_probs.argmax(axis=1)

    def rows(self, selected: Sequence[bool]) -> "Predictions":
        """Return the predictions of the selected cycles only; ``selected`` is (N,) bool."""
        kept = np.flatnonzero(selected)
        return Predictions([self.ids[row] for row in kept], self.targets[kept], self.log_probs[kept])


def check_finite(predictions: Predictions, stage: str) -> None:
    """Refuse outputs that are not finite: NaN would count as the first class, normal.

    Arguments
    ---------
    predictions : Predictions
    stage : str
        What was computed, for the message.

    Raises
    ------
    LungSRADError
        Naming the first such cycle.
    """
    wrong = np.flatnonzero(~np.isfinite(predictions.log_probs).all(axis=1))
    if wrong.size:
        raise LungSRADError(
            f"{stage}: {wrong.size} of {len(predictions.ids)} outputs of the model are not finite, the first for cycle "
            f"{predictions.ids[wrong[0]]}; lower lr where training diverged, or compute with eval_precision fp32"
        )
