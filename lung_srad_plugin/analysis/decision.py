"""The number of a decision that maps explain: the log-odds of some of the classes, as a function of the features."""

from collections.abc import Sequence
from typing import Any

import torch

from lung_srad_plugin.errors import LungSRADError

PREDICTED, ABNORMAL = "predicted", "abnormal"


class Decision:
    """The log-odds of a group of classes as a function of normalised log-mel features.

    With S the group and p the model's probabilities, ``log sum_S p - log(1 - sum_S p)``: for one class the logit of its
    probability. Unlike ``log p`` it does not level off where the model is sure, and a number that is added to the
    logits of all classes does not change it.

    Arguments
    ---------
    encoder : torch.nn.Module
        An ``Encoder``: features (B,T,F) and relative lengths (B,) to embeddings (B,1,D).
    head : torch.nn.Module
        Embeddings (B,1,D) to log-probabilities (B,1,C).
    classes : sequence of int
        The indices in S; some but not all of the C classes.

    Example
    -------
    >>> encoder = lambda feats, lens: feats.mean(dim=1, keepdim=True)
    >>> decision = Decision(encoder, lambda embeddings: embeddings.log_softmax(dim=-1), classes=[1])
    >>> decision(torch.tensor([[[0.0, 3.0]]]))
    tensor([3.])
    """

    def __init__(self, encoder: Any, head: torch.nn.Module, classes: Sequence[int]):
        self.encoder = encoder
        self.head = head
        self.classes = tuple(classes)

    def __call__(self, feats: torch.Tensor) -> torch.Tensor:
        """Return the log-odds (B,) of features (B,T,F)."""
        log_probs = self.head(self.encoder(feats, feats.new_ones(len(feats)))).squeeze(1)
        others = [index for index in range(log_probs.shape[1]) if index not in self.classes]
        if not self.classes or not others or max(self.classes) >= log_probs.shape[1]:
            raise LungSRADError(
                f"classes={list(self.classes)}: expected some but not all of the model's {log_probs.shape[1]} classes"
            )
        return log_probs[:, list(self.classes)].logsumexp(dim=1) - log_probs[:, others].logsumexp(dim=1)


def target_classes(target: str, labels: Sequence[str], probabilities: Sequence[float]) -> list[int]:
    """Return the indices of the classes that a target means.

    Arguments
    ---------
    target : str
        A label; ``"predicted"``: the most probable class; ``"abnormal"``: all but the first, the normal one.
    labels : sequence of str
        (C,) class names, the normal class first.
    probabilities : sequence of float
        (C,) the model's, of one clip.

    Raises
    ------
    LungSRADError
        Where there is no such label.

    Example
    -------
    >>> target_classes("abnormal", ("normal", "crackle", "wheeze"), (0.5, 0.3, 0.2))
    [1, 2]
    """
    if target == PREDICTED:
        return [max(range(len(labels)), key=lambda index: probabilities[index])]
    if target == ABNORMAL and ABNORMAL not in labels:
        return list(range(1, len(labels)))
    if target not in labels:
        raise LungSRADError(f"target={target!r}: expected {PREDICTED}, {ABNORMAL} or one of {', '.join(labels)}")
    return [list(labels).index(target)]


def baseline(feats: torch.Tensor) -> torch.Tensor:
    """Return what stands for "nothing is here" in features (B,T,F): each clip's mean, at every position.

    It is 0 where the features are normalised by the clip's own mean.

    Example
    -------
    >>> baseline(torch.tensor([[[1.0, 2.0], [3.0, 6.0]]]))
    tensor([[[3., 3.],
             [3., 3.]]])
    """
    return feats.mean(dim=(1, 2), keepdim=True).expand_as(feats)
