"""The scores of the ICBHI challenge: specificity, sensitivity and their mean, from counts of targets and answers.

Two scores share these names and must not be compared with each other:

- the *4-class* (strict-class) score counts an abnormal cycle as right only where its exact class is predicted:
  a wheeze called crackle is wrong. This is the score of the ICBHI challenge and of the published 4-class tables.
- the *2-class* (any-abnormal) score, from the same 4-class answers, counts an abnormal cycle as right where any
  abnormal class is predicted. It is never lower.

Sources: Rocha et al., "An open access database for the evaluation of respiratory sound classification algorithms",
Physiological Measurement 40 (2019) 035001, for the first; Bae et al., "Patch-Mix contrastive learning with audio
spectrogram transformer on respiratory sound classification", Interspeech 2023, for the second from 4-class answers.
"""

import numpy as np
from numpy.typing import ArrayLike

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.labels import CLASSES

TASKS = ("4class", "2class")


def icbhi_scores(targets: ArrayLike, predictions: ArrayLike, task: str = "4class") -> dict[str, float]:
    """Return specificity, sensitivity and score of predicted classes.

    Arguments
    ---------
    targets, predictions : sequence of int, numpy.ndarray or torch.Tensor
        (N,) class indices in the order of ``CLASSES``.
    task : str
        ``"4class"``: strict-class, an abnormal cycle is right only with its exact class. ``"2class"``: any-abnormal, it
        is right with any abnormal class. Both take 4-class indices.

    Returns
    -------
    dict
        ``specificity``, ``sensitivity`` and ``score`` in percent. A part with no cycle to count (no normal target, or
        no abnormal one) is NaN, and so is the score then.

    Raises
    ------
    LungSRADError
        Where the task is unknown, or the indices are not two equally long lists of known classes.

    Example
    -------
    >>> targets, predictions = [0, 0, 1, 2], [0, 1, 1, 1]
    >>> icbhi_scores(targets, predictions)
    {'specificity': 50.0, 'sensitivity': 50.0, 'score': 50.0}
    >>> icbhi_scores(targets, predictions, task="2class")
    {'specificity': 50.0, 'sensitivity': 100.0, 'score': 75.0}
    """
    return scores_of_confusion(confusion_counts(targets, predictions, len(CLASSES)), task)


def confusion_counts(targets, predictions, classes):
    """Count the cycles of each target class by predicted class.

    Arguments
    ---------
    targets, predictions : sequence of int, numpy.ndarray or torch.Tensor
        (N,) class indices.
    classes : int
        Number of classes, C.

    Returns
    -------
    numpy.ndarray
        (C, C) int64: row the target, column the prediction.

    Raises
    ------
    LungSRADError
        Where the indices are not two equally long, non-empty lists of integers from 0 to C - 1.

    Example
    -------
    >>> confusion_counts([0, 0, 1], [0, 1, 1], classes=2)
    array([[1, 1],
           [0, 1]])
    """
    targets = _indices("targets", targets, classes)
    predictions = _indices("predictions", predictions, classes)
    if len(targets) != len(predictions):
        raise LungSRADError(f"{len(targets)} targets but {len(predictions)} predictions: expected one for each cycle")
    return np.bincount(targets * classes + predictions, minlength=classes**2).reshape(classes, classes)


def scores_of_confusion(confusion, task="4class"):
    """Return specificity, sensitivity and score of confusion counts; class 0 is normal, all others abnormal.

    Arguments
    ---------
    confusion : numpy.ndarray
        (..., C, C) counts: row the target, column the prediction. Leading axes hold many matrices at once.
    task : str
        As in ``icbhi_scores``.

    Returns
    -------
    dict
        As in ``icbhi_scores``; arrays of shape (...) where there are leading axes.

    Example
    -------
    >>> scores_of_confusion(np.array([[3, 1], [1, 1]]))
    {'specificity': 75.0, 'sensitivity': 50.0, 'score': 62.5}
    """
    if task not in TASKS:
        raise LungSRADError(f"task {task!r} is unknown; expected one of {', '.join(TASKS)}")
    confusion = np.asarray(confusion)
    called_abnormal = confusion[..., 1:, 1:]
    right = np.trace(called_abnormal, axis1=-2, axis2=-1) if task == "4class" else called_abnormal.sum((-2, -1))
    specificity = percent(confusion[..., 0, 0], confusion[..., 0, :].sum(-1))
    sensitivity = percent(right, confusion[..., 1:, :].sum((-2, -1)))
    return {"specificity": specificity, "sensitivity": sensitivity, "score": (specificity + sensitivity) / 2}


def per_class_recall(confusion, labels=CLASSES):
    """Return the percentage of each class' cycles that were given that class.

    Arguments
    ---------
    confusion : numpy.ndarray
        (..., C, C) counts: row the target, column the prediction.
    labels : sequence of str
        The names of the C classes.

    Returns
    -------
    dict
        Recall by class name, in percent; NaN for a class without cycles.

    Example
    -------
    >>> per_class_recall(np.array([[3, 1], [1, 1]]), labels=["normal", "abnormal"])
    {'normal': 75.0, 'abnormal': 50.0}
    """
    confusion = np.asarray(confusion)
    if confusion.shape[-2:] != (len(labels), len(labels)):
        raise LungSRADError(f"confusion counts of shape {confusion.shape} do not fit {len(labels)} labels")
    right, support = np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-1)
    return {name: percent(right[..., c], support[..., c]) for c, name in enumerate(labels)}


def percent(part, whole):
    """Return ``100 * part / whole``, NaN where ``whole`` is 0; a float for numbers, else an array.

    Example
    -------
    >>> percent(1, 4), percent(0, 0)
    (25.0, nan)
    """
    with np.errstate(invalid="ignore"):
        value = 100 * np.true_divide(part, whole)
    return float(value) if np.ndim(value) == 0 else value


def _indices(name, values, classes):
    """Return class indices as (N,) int64, or say what is wrong with them."""
    values = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "iu":
        raise LungSRADError(
            f"{name} of shape {values.shape} and type {values.dtype}: expected a non-empty list of class indices"
        )
    bad = np.flatnonzero((values < 0) | (values >= classes))
    if bad.size:
        raise LungSRADError(
            f"{name}: class {values[bad[0]]} at position {bad[0]} ({bad.size} such); expected 0 to {classes - 1}"
        )
    return values.astype(np.int64)
