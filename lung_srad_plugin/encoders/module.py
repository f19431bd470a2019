"""What encoders have in common: a base class with the parts of the protocol that need not be written again."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from lung_srad_plugin.encoders.base import ActivationMap
from lung_srad_plugin.errors import LungSRADError


class EncoderModule(torch.nn.Module):
    """An encoder without published weights, whose maps cannot be smoothed and whose operators ONNX has.

    A subclass sets ``embedding_dim`` and writes ``embed``, ``encode``, ``stages``, ``map_size`` and ``configuration``
    of ``encoders.base.Encoder``. One whose maps can be smoothed also writes ``activation_maps`` and ``map_owner``; one
    with published weights ``load_published_weights``.

    Example
    -------
    >>> from lung_srad_plugin.encoders.base import Encoder
    >>> class Means(EncoderModule):
    ...     embedding_dim = 1
    ...     def embed(self, feats):
    ...         return feats.transpose(1, 2)[:, None]
    ...     def encode(self, x):
    ...         return x.mean(dim=(2, 3))
    ...     def stages(self, feats):
    ...         return [self.embed(feats)]
    ...     def map_size(self, frames, mels):
    ...         return mels, frames
    ...     def configuration(self):
    ...         return {}
    >>> isinstance(Means(), Encoder), Means()(torch.randn(2, 50, 8)).shape
    (True, torch.Size([2, 1, 1]))
    """

    embedding_dim: int
    published_weights = "no file: there are no published weights for this encoder"

    def embed(self, feats: torch.Tensor) -> torch.Tensor:
        """Embed features (B,T,F) as a map (B,C,H,W); see ``Encoder``."""
        raise NotImplementedError

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Encode an embedding map (B,C,H,W) as vectors (B,D); see ``Encoder``."""
        raise NotImplementedError

    def forward(self, feats: torch.Tensor, lens: torch.Tensor | None = None) -> torch.Tensor:
        """Encode features (B,T,F) as embeddings (B,1,D); lengths are not used, since cycles have one length."""
        return self.encode(self.embed(feats)).unsqueeze(1)

    def activation_maps(self) -> list[ActivationMap]:
        """Return every map that ``wrap_map`` takes: none."""
        return []

    def map_owner(self, activation_map: ActivationMap) -> tuple[torch.nn.Module, str]:
        """Return the module that holds the module of a map, and under which name."""
        raise NotImplementedError

    def map_module(self, activation_map: ActivationMap) -> torch.nn.Module:
        """Return the module whose output is this map; see ``Encoder``."""
        owner, name = self._checked_owner(activation_map)
        return getattr(owner, name)

    def wrap_map(self, activation_map: ActivationMap, wrapper: Callable[[torch.nn.Module], torch.nn.Module]) -> None:
        """Replace the module of this map by ``wrapper(module)``; see ``Encoder``."""
        owner, name = self._checked_owner(activation_map)
        setattr(owner, name, wrapper(getattr(owner, name)))

    def _checked_owner(self, activation_map):
        if activation_map not in self.activation_maps():
            raise LungSRADError(
                f"{activation_map}: {type(self).__name__} has no such map; activation_maps() lists all it has"
            )
        return self.map_owner(activation_map)

    def load_published_weights(self, path: str | Path, head: torch.nn.Linear | None = None) -> None:
        """Refuse: there are none."""
        raise LungSRADError(
            f"{path}: no weights of {type(self).__name__} are published; set --pretrained null to start from random "
            "weights, or give a model folder with an encoder of this kind"
        )

    def onnx_export(self) -> AbstractContextManager[None]:
        """Compute as always: ONNX has all operators."""
        return nullcontext()


def check_features(feats: torch.Tensor, frames: int, mels: int) -> None:
    """Refuse what is not a batch of features (B,T,F) with at least so many frames and mels.

    Example
    -------
    >>> check_features(torch.zeros(2, 3, 128), frames=4, mels=4)
    Traceback (most recent call last):
    ...
    lung_srad_plugin.errors.LungSRADError: features of shape (2, 3, 128): expected ...
    """
    if feats.dim() != 3 or feats.shape[1] < frames or feats.shape[2] < mels:
        raise LungSRADError(
            f"features of shape {tuple(feats.shape)}: expected (batch, frames, mels), at least {frames} frames and "
            f"{mels} mels"
        )
