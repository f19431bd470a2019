"""The two heads on pooled features: a classifier and the projector of the contrastive loss."""

import torch
from torch import nn

from lung_srad_plugin.errors import LungSRADError


class LogClassifier(nn.Module):
    """A linear layer whose output is log-probabilities, as SpeechBrain's ``EncoderClassifier`` expects.

    Arguments
    ---------
    input_size : int
        Number of features, D.
    classes : int
        Number of classes, C.

    Attributes
    ----------
    linear : torch.nn.Linear
        The layer itself, the target of ``head`` weights from a released checkpoint.

    Shape
    -----
    Input (B, D) or (B, 1, D); output (B, C) or (B, 1, C), log-probabilities over the last dimension.

    Example
    -------
    >>> classifier = LogClassifier(input_size=768, classes=4)
    >>> log_probs = classifier(torch.randn(2, 1, 768))
    >>> log_probs.shape
    torch.Size([2, 1, 4])
    >>> bool(torch.allclose(log_probs.exp().sum(-1), torch.ones(2, 1)))
    True
    """

    def __init__(self, input_size: int, classes: int):
        super().__init__()
        self.linear = nn.Linear(input_size, classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.linear(features).log_softmax(dim=-1)


class Projector(nn.Module):
    """Linear, batch normalisation, ReLU, Linear, all of one size (Bae et al., Interspeech 2023, arXiv 2305.14032).

    Arguments
    ---------
    size : int
        Number of features in and out, D.

    Shape
    -----
    Input and output (B, D). In training, B must be at least 2: a batch of one has no statistics.

    Raises
    ------
    LungSRADError
        On a batch of one in training.

    Example
    -------
    >>> Projector(768)(torch.randn(2, 768)).shape
    torch.Size([2, 768])
    """

    def __init__(self, size: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(size, size), nn.BatchNorm1d(size), nn.ReLU(), nn.Linear(size, size))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if self.training and len(features) < 2:
            raise LungSRADError(
                "the projector's batch normalisation cannot train on a batch of one; drop the incomplete last batch "
                "(drop_last: True in the training loader's options) or choose another batch size"
            )
        return self.layers(features)
