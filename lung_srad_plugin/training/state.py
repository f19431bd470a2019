"""The statistics of a training run: of its finished epochs, and of the epoch in progress."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks
from speechbrain.utils.distributed import if_main_process

from lung_srad_plugin.evaluation.summary import plain
from lung_srad_plugin.labels import abnormal_probability
from lung_srad_plugin.metrics.icbhi_score import confusion_counts, per_class_recall, scores_of_confusion
from lung_srad_plugin.metrics.probabilistic import auroc
from lung_srad_plugin.metrics.table_metrics import balanced_accuracy
from lung_srad_plugin.runs.selection import SELECTED_BY
from lung_srad_plugin.training.distributed import gather_from_processes
from lung_srad_plugin.training.predictions import Predictions


def epoch_scores(confusion: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Return what is logged of a stage: ``specificity``, ``sensitivity``, ``score``, and ``recall`` by class.

    Example
    -------
    >>> epoch_scores(np.array([[3, 1], [1, 1]]), ["normal", "crackle"])
    {'specificity': 75.0, 'sensitivity': 50.0, 'score': 62.5, 'recall': {'normal': 75.0, 'crackle': 50.0}}
    """
    return {**scores_of_confusion(confusion), "recall": per_class_recall(confusion, labels)}


def prediction_stats(
    predictions: Predictions, labels: Sequence[str], data_sets: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return what is logged of validation or test: ``epoch_scores``, the loss, and what else may select the epoch.

    Arguments
    ---------
    predictions : Predictions
    labels : sequence of str
    data_sets : Mapping, optional
        The data set of each cycle by its ID: adds ``data_sets``, the same of each of them, None where undefined, and
        ``over_data_sets``, the means of what may select the epoch.

    Example
    -------
    >>> log_probs = np.log([[0.8, 0.2], [0.6, 0.4], [0.7, 0.3], [0.1, 0.9]])
    >>> stats = prediction_stats(Predictions(["a", "b", "c", "d"], np.array([0, 0, 1, 1]), log_probs), ["no", "yes"])
    >>> stats["score"], stats["balanced_accuracy"], stats["auroc"]
    (75.0, 75.0, 0.75)
    """
    confusion = confusion_counts(predictions.targets, predictions.classes, len(labels))
    log_probs = predictions.log_probs.astype(np.float64)
    abnormal = abnormal_probability(np.exp(log_probs))
    stats = {
        "cross_entropy": float(-log_probs[np.arange(len(log_probs)), predictions.targets].mean()),
        **epoch_scores(confusion, labels),
        "balanced_accuracy": float(balanced_accuracy(confusion)),
        "auroc": float(auroc(predictions.targets > 0, abnormal)),
    }
    if data_sets is None:
        return stats
    of_each = {
        name: prediction_stats(predictions.rows([data_sets[cycle] == name for cycle in predictions.ids]), labels)
        for name in sorted(set(data_sets.values()))
    }
    means = {name: float(np.mean([one[name] for one in of_each.values()])) for name in SELECTED_BY}
    return {**stats, "data_sets": plain(of_each), "over_data_sets": plain(means)}


@register_checkpoint_hooks
class TrainingState:
    """Statistics that belong in the checkpoint, so that a resumed run reports what an uninterrupted one would.

    Each process adds its own batches; ``summary`` and a checkpoint have those of all processes.

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

    def __init__(self, labels: Sequence[str]):
        self.labels = list(labels)
        self.history: list[dict[str, Any]] = []
        self.reset()

    def reset(self) -> None:
        """Forget the epoch in progress."""
        self.batches = 0
        self.sums: dict[str, float] = {}
        self.confusion = np.zeros((len(self.labels), len(self.labels)), dtype=np.int64)

    def add(self, losses: Mapping[str, Any], targets: Sequence[int], predictions: Sequence[int]) -> None:
        """Count one batch: its losses by name, the classes of its cycles and the predicted ones."""
        self.batches += 1
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
        np.add.at(self.confusion, (np.asarray(targets), np.asarray(predictions)), 1)

    def collect(self) -> None:
        """Add up the epoch in progress over all processes: the main one has the sum, the others restart from zero."""
        shares = gather_from_processes((self.batches, self.sums, self.confusion))
        self.reset()
        if if_main_process():
            for batches, sums, confusion in shares:
                self.batches += batches
                self.confusion += confusion
                for name, value in sums.items():
                    self.sums[name] = self.sums.get(name, 0.0) + value

    def summary(self) -> dict[str, Any]:
        """Return the mean losses, the scores and the recall by class of the epoch in progress, over all processes."""
        self.collect()
        means = {name: total / self.batches for name, total in self.sums.items()}
        stats = {**means, **epoch_scores(self.confusion, self.labels)} if if_main_process() else {}
        return gather_from_processes(stats)[0]

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
        """Read what ``save`` wrote; after a finished epoch, the next starts from zero."""
        with open(path, encoding="utf-8") as file:
            state = json.load(file)
        self.history = state["history"]
        self.reset()
        # Within an epoch the sums are of all processes, so only one of them may take them over.
        if not end_of_epoch and if_main_process():
            self.batches, self.sums = state["batches"], state["sums"]
            self.confusion = np.array(state["confusion"], dtype=np.int64)
