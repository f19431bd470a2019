"""The encoder protocol: everything that the rest of the package may ask of an encoder."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch


class ActivationMap(NamedTuple):
    """Which activation map inside an encoder: a ``target`` of a ``block`` of a ``stage``, both counted from 0.

    ``target`` is ``"block"``, the output of the whole block, or what the encoder calls the part of it that mixes
    positions, for DASS ``"ss2d"``.
    """

    stage: int
    block: int
    target: str


@runtime_checkable
class Encoder(Protocol):
    """An encoder of log-mel features, a ``torch.nn.Module``.

    Heads, losses, training, smoothing, export and analysis use these methods and nothing else of an encoder. To add
    one: write a module with them in a folder or file of its own; ``isinstance(encoder, Encoder)`` checks that none is
    missing.

    Shape: B batch, T frames, F mels, H and W the frequencies and times of the embedding map, C its channels, D the
    embedding's dimension.

    Attributes
    ----------
    embedding_dim : int
        D.
    published_weights : str
        Which files of published weights ``load_published_weights`` reads and where to get them, for error messages.
    """

    embedding_dim: int
    published_weights: str

    def embed(self, feats: torch.Tensor) -> torch.Tensor:
        """Embed features (B,T,F) as a map (B,C,H,W), in which Patch-Mix exchanges rows and columns."""

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Encode an embedding map (B,C,H,W) as vectors (B,D)."""

    def forward(self, feats: torch.Tensor, lens: torch.Tensor | None = None) -> torch.Tensor:
        """Encode features (B,T,F) as embeddings (B,1,D), the shape SpeechBrain expects."""

    def map_size(self, frames: int, mels: int) -> tuple[int, int]:
        """Return (H, W) of the embedding map of features with so many frames and mels, without computing it."""

    def stages(self, feats: torch.Tensor) -> list[torch.Tensor]:
        """Return the output map (B,C,H,W) of each stage; an encoder without stages has one."""

    def activation_maps(self) -> list[ActivationMap]:
        """Return every map that ``wrap_map`` takes, whether it is wrapped already or not."""

    def map_module(self, activation_map: ActivationMap) -> torch.nn.Module:
        """Return the module whose output (B,C,H,W) is this map: the wrapper, where there is one.

        Raises
        ------
        LungSRADError
            Where the encoder has no such map.
        """

    def wrap_map(self, activation_map: ActivationMap, wrapper: Callable[[torch.nn.Module], torch.nn.Module]) -> None:
        """Replace the module of a map by ``wrapper(module)``, which keeps the original as its attribute ``module``.

        Raises
        ------
        LungSRADError
            Where the encoder has no such map.
        """

    def configuration(self) -> dict[str, Any]:
        """Return the constructor's arguments that make an encoder of this architecture, as yaml and JSON hold them.

        Wrappers of maps are not part of it, nor is what only one machine needs, such as the choice of a kernel.
        """

    def load_published_weights(self, path: str | Path, head: torch.nn.Linear | None = None) -> None:
        """Load a file of published weights, and those of its classifier into ``head`` where that is given.

        Raises
        ------
        LungSRADError
            Where the file is absent, unreadable or does not fit; nothing is changed then.
        """

    def onnx_export(self) -> AbstractContextManager[None]:
        """Compute with operators that ``torch.onnx.export`` can write, as long as the context lasts."""
