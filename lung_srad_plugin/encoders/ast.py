"""AST, the Audio Spectrogram Transformer (Gong et al., Interspeech 2021), made of transformers' layers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from lung_srad_plugin.encoders.base import ActivationMap
from lung_srad_plugin.encoders.module import EncoderModule, check_features
from lung_srad_plugin.errors import LungSRADError

SPECIAL = 2  # the class token and the distillation token come before those of the patches
NEEDED = 'AST needs transformers, which is not installed; pip install "lung-srad[transformers]"'


class ASTEncoder(EncoderModule):
    """Overlapping patches of a log-mel spectrogram, a transformer, and the mean of its two special tokens.

    The embedding map has one position for each patch, so that Patch-Mix exchanges patches; positions are added after
    it. The map's rows are frequencies and its columns times, which is the order of the published position grid of 12
    frequencies by 101 times, and the order in which patches become tokens. Maps of another size get the grid by
    bilinear interpolation along its own axes: 798 frames have 79 times. Input is normalised as ``normalization:
    audioset`` does it. AST's own classifier has a LayerNorm before its linear layer; ours has none.

    Arguments
    ---------
    hidden_size : int
        Of a token, ``embedding_dim``.
    layers, heads, intermediate_size : int
        Number of layers, of heads in each, and the width of its MLP.
    patch_size, stride : int
        Of a patch, and from one patch to the next, in mels and in frames.
    grid : (int, int)
        Frequencies and times of the position grid.

    Raises
    ------
    LungSRADError
        Where transformers is not installed, the sizes make no encoder, or the features are smaller than a patch.

    Example
    -------
    >>> encoder = ASTEncoder(hidden_size=16, layers=2, heads=2, intermediate_size=32, grid=(5, 4))
    >>> encoder(torch.randn(2, 60, 64)).shape
    torch.Size([2, 1, 16])
    >>> encoder.embed(torch.randn(2, 60, 64)).shape, encoder.map_size(frames=60, mels=64)
    (torch.Size([2, 16, 5, 5]), (5, 5))
    """

    published_weights = (
        "MIT/ast-finetuned-audioset-10-10-0.4593 of the Hugging Face hub, by this name or as a folder with its "
        "config.json and model.safetensors"
    )
    hub_files = ("config.json", "model.safetensors")

    def __init__(
        self,
        hidden_size: int = 768,
        layers: int = 12,
        heads: int = 12,
        intermediate_size: int = 3072,
        patch_size: int = 16,
        stride: int = 10,
        grid: Sequence[int] = (12, 101),
    ):
        super().__init__()
        sizes: dict[str, Any] = {
            "hidden_size": hidden_size,
            "layers": layers,
            "heads": heads,
            "intermediate_size": intermediate_size,
            "patch_size": patch_size,
            "stride": stride,
            "grid": list(grid),
        }
        if len(grid) != 2 or min(hidden_size, layers, heads, intermediate_size, patch_size, stride, *grid) < 1:
            raise LungSRADError(f"{_listed(sizes)}: expected whole numbers from 1, two of them in grid")
        if hidden_size % heads:
            raise LungSRADError(f"hidden_size={hidden_size}: expected a multiple of heads={heads}")
        try:
            from transformers import ASTConfig, ASTModel
        except ImportError:
            raise LungSRADError(NEEDED) from None
        self.sizes = sizes
        self.grid = (grid[0], grid[1])
        self.embedding_dim = hidden_size
        self.model = ASTModel(
            ASTConfig(
                hidden_size=hidden_size,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                intermediate_size=intermediate_size,
                patch_size=patch_size,
                frequency_stride=stride,
                time_stride=stride,
                num_mel_bins=(grid[0] - 1) * stride + patch_size,
                max_length=(grid[1] - 1) * stride + patch_size,
            )
        )
        if not hasattr(self.model, "layers"):
            raise LungSRADError(NEEDED.replace("which is not installed", "in a later version than the installed one"))
        # Each layer's tokens pass here as a map, so that maps can be smoothed and looked at.
        self.maps = torch.nn.ModuleList(torch.nn.Identity() for _ in range(layers))

    # ---- features, maps, embeddings ----

    def embed(self, feats: torch.Tensor) -> torch.Tensor:
        """Turn features (B,T,F) into the map (B,C,H,W) of patches, without their positions."""
        check_features(feats, self.sizes["patch_size"], self.sizes["patch_size"])
        return self.model.embeddings.patch_embeddings.projection(feats.transpose(1, 2).unsqueeze(1))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Encode a map (B,C,H,W) of patches as vectors (B,D)."""
        return self.model.layernorm(self._tokens(x))[:, :SPECIAL].mean(dim=1)

    def stages(self, feats: torch.Tensor) -> list[torch.Tensor]:
        """Return one map (B,C,H,W): the patches' tokens after the last layer."""
        x = self.embed(feats)
        return [_as_map(self._tokens(x)[:, SPECIAL:], x.shape[2:])]

    def _tokens(self, x):
        """Return the tokens (B, 2 + H W, C) after the last layer."""
        batch, size = x.shape[0], tuple(x.shape[2:])  # not len(x), which an exporter would take as a constant
        embeddings = self.model.embeddings
        special = torch.cat([embeddings.cls_token, embeddings.distillation_token], dim=1).expand(batch, -1, -1)
        tokens = torch.cat([special, x.flatten(2).transpose(1, 2)], dim=1) + self._positions(size)
        for layer, map_module in zip(self.model.layers, self.maps, strict=True):
            tokens = layer(tokens)
            patches = map_module(_as_map(tokens[:, SPECIAL:], size))
            tokens = torch.cat([tokens[:, :SPECIAL], patches.flatten(2).transpose(1, 2)], dim=1)
        return tokens

    def _positions(self, size):
        """Return the positions (1, 2 + H W, C) of a map of this size."""
        positions = self.model.embeddings.position_embeddings
        if size == self.grid:
            return positions
        grid = _as_map(positions[:, SPECIAL:], self.grid)
        grid = F.interpolate(grid, size=size, mode="bilinear", align_corners=False)
        return torch.cat([positions[:, :SPECIAL], grid.flatten(2).transpose(1, 2)], dim=1)

    def map_size(self, frames: int, mels: int) -> tuple[int, int]:
        """Return (H, W) of the map of patches of features with so many frames and mels.

        Example
        -------
        >>> ASTEncoder(hidden_size=16, layers=1, heads=2, intermediate_size=16).map_size(frames=798, mels=128)
        (12, 79)
        """
        patch, stride = self.sizes["patch_size"], self.sizes["stride"]
        return (mels - patch) // stride + 1, (frames - patch) // stride + 1

    # ---- activation maps, attention ----

    def activation_maps(self) -> list[ActivationMap]:
        """Return the patches' tokens after each layer: blocks of the only stage."""
        return [ActivationMap(0, block, "block") for block in range(len(self.maps))]

    def map_owner(self, activation_map: ActivationMap) -> tuple[torch.nn.Module, str]:
        """Return the module that holds the module of a map, and under which name."""
        return self.maps, str(activation_map.block)

    def block_module(self, activation_map: ActivationMap) -> torch.nn.Module:
        """Return the layer that computes a map: it takes and returns tokens (B, 2 + H W, C), those of the map last."""
        self._checked_owner(activation_map)
        return self.model.layers[activation_map.block]

    @torch.no_grad()
    def attention_weights(self, feats: torch.Tensor) -> list[torch.Tensor]:
        """Return how much each token takes from each other one, by layer.

        Arguments
        ---------
        feats : torch.Tensor
            Normalised features (B,T,F).

        Returns
        -------
        list of torch.Tensor
            (B, heads, 2 + H W, 2 + H W) for each layer; each row sums to 1. The class token and the distillation token
            come first, then the patches of the lowest frequency, by time.

        Example
        -------
        >>> encoder = ASTEncoder(hidden_size=16, layers=2, heads=2, intermediate_size=16, grid=(2, 3))
        >>> [tuple(weights.shape) for weights in encoder.attention_weights(torch.randn(1, 36, 26))]
        [(1, 2, 8, 8), (1, 2, 8, 8)]
        """
        found: list[torch.Tensor] = []
        before = self.model.config._attn_implementation
        layers = [layer.get_submodule("attention") for layer in self.model.layers]
        hooks = [layer.register_forward_hook(lambda *call: found.append(call[2][1])) for layer in layers]
        self.model.set_attn_implementation("eager")  # the others do not give the weights
        try:
            self(feats)
        finally:
            self.model.set_attn_implementation(before)
            for hook in hooks:
                hook.remove()
        return found

    # ---- configuration, weights ----

    def configuration(self) -> dict[str, Any]:
        """Return the arguments that make an encoder of this architecture."""
        return {**self.sizes, "grid": [*self.grid]}

    def load_published_weights(self, path: str | Path, head: torch.nn.Linear | None = None) -> None:
        """Load ``model.safetensors`` of the hub's layout, with the ``config.json`` beside it.

        Raises
        ------
        LungSRADError
            Where the folder lacks a file, it cannot be read, does not fit this encoder, or a ``head`` is given; nothing
            is changed then.
        """
        from lung_srad_plugin.encoders.ast_weights import read_ast_weights

        if head is not None:
            raise LungSRADError(
                f"{path}: AST's classifier has a LayerNorm before its linear layer, so it is no weight of a linear head"
            )
        self.model.load_state_dict(read_ast_weights(Path(path), self.configuration()))


def _as_map(tokens, size):
    """Turn tokens (B, H W, C) of patches into a map (B,C,H,W)."""
    return tokens.transpose(1, 2).unflatten(2, tuple(size))


def _listed(sizes):
    return ", ".join(f"{key}={value}" for key, value in sizes.items())
