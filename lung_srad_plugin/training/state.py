"""What a training run remembers besides weights: the statistics of past epochs and of the one under way."""

import json

import numpy as np
from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks

from lung_srad_plugin.metrics.icbhi_score import per_class_recall, scores_of_confusion


def epoch_scores(confusion, labels):
    """Return what is logged of a stage: ``specificity``, ``sensitivity``, ``score``, and ``recall`` by class.

    Example
    -------
    >>> epoch_scores(np.array([[3, 1], [1, 1]]), ["normal", "crackle"])
    {'specificity': 75.0, 'sensitivity': 50.0, 'score': 62.5, 'recall': {'normal': 75.0, 'crackle': 50.0}}
    """
    return {**scores_of_confusion(confusion), "recall": per_class_recall(confusion, labels)}


@register_checkpoint_hooks
class TrainingState:
    """Statistics that belong in the checkpoint, so that a resumed run reports what an uninterrupted one would.

    Arguments
    ---------
    labels : list of str
        The class names, the normal class first.

    Attributes
    ----------
    history : list of dict
        One entry a finished epoch: ``epoch``, ``lr`` and the statistics of each stage.

    Example
    -------
    >>> state = TrainingState(["normal", "crackle"])
    >>> state.add({"loss": 1.0}, targets=[0, 1], predictions=[0, 0])
    >>> state.add({"loss": 2.0}, targets=[0, 1], predictions=[0, 1])
    >>> state.summary()["loss"], state.summary()["sensitivity"]
    (1.5, 50.0)
    """

    def __init__(self, labels):
        self.labels = list(labels)
        self.history = []
        self.reset()

    def reset(self):
        """Forget the epoch under way."""
        self.batches = 0
        self.sums = {}
        self.confusion = np.zeros((len(self.labels), len(self.labels)), dtype=np.int64)

    def add(self, losses, targets, predictions):
        """Count one batch: its losses by name, the classes of its cycles and the predicted ones."""
        self.batches += 1
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
        np.add.at(self.confusion, (np.asarray(targets), np.asarray(predictions)), 1)

    def summary(self):
        """Return the mean losses, the scores and the recall by class of the epoch under way."""
        means = {name: total / self.batches for name, total in self.sums.items()}
        return {**means, **epoch_scores(self.confusion, self.labels)}

    @mark_as_saver
    def save(self, path):
        """Write everything as JSON to ``path``."""
        state = {
            "history": self.history,
            "batches": self.batches,
            "sums": self.sums,
            "confusion": self.confusion.tolist(),
        }
        with open(path, "w", encoding="utf-8") as file:
            json.dump(state, file)

    @mark_as_loader
    def load(self, path, end_of_epoch):
        """Read what ``save`` wrote; after a finished epoch, the next starts from nothing."""
        with open(path, encoding="utf-8") as file:
            state = json.load(file)
        self.history = state["history"]
        self.reset()
        if not end_of_epoch:
            self.batches, self.sums = state["batches"], state["sums"]
            self.confusion = np.array(state["confusion"], dtype=np.int64)
