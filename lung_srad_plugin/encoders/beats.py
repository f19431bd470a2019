"""BEATs (Chen et al., "BEATs: Audio Pre-Training with Acoustic Tokenizers", 2022), made of SpeechBrain's layers."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lung_srad_plugin.encoders.module import EncoderModule, check_features
from lung_srad_plugin.errors import LungSRADError

PATCH = 16  # mels and frames of a patch
_SHOWN = 5

# What all published files have in common, by the names of their configuration.
_FIXED = {
    "input_patch_size": PATCH,
    "conv_bias": False,
    "activation_fn": "gelu",
    "layer_norm_first": False,
    "deep_norm": True,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
}
_NAMES = {
    "embed_dim": "embed_dim",
    "hidden_size": "encoder_embed_dim",
    "layers": "encoder_layers",
    "heads": "encoder_attention_heads",
    "intermediate_size": "encoder_ffn_embed_dim",
    "buckets": "num_buckets",
    "max_distance": "max_distance",
    "position_width": "conv_pos",
    "position_groups": "conv_pos_groups",
}
# Names of weights in files that an older torch wrote.
_RENAMED = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}


class BEATsEncoder(EncoderModule):
    """Patches of 16 x 16, a transformer with relative positions, and the mean of its tokens.

    The layers are those of ``speechbrain.lobes.models.beats``. The embedding map has one position for each patch: its
    rows are frequencies and its columns times; tokens follow each other as published, all frequencies of a time first.
    It has no activation map that could be smoothed.

    BEATs was trained on log-mel features of waveforms times 2^15 with Povey's window, normalised by a mean of 15.41663
    and twice a deviation of 6.55582: ``level: int16`` and ``normalization: beats``. The window of this package's front
    end is Hanning's, which makes log-mel values smaller by 0.08 (real cycles of ICBHI 2017).

    Arguments
    ---------
    embed_dim, hidden_size : int
        Of a patch, and of a token of the transformer, ``embedding_dim``.
    layers, heads, intermediate_size : int
        Number of layers, of heads in each, and the width of its MLP.
    buckets, max_distance : int
        Of relative positions.
    position_width, position_groups : int
        Of the convolution over tokens that gives absolute positions.
    gradient_decay : float
        In training the gradient is multiplied by it from layer to layer; the published files ask for 0.6. In evaluation
        gradients are the true ones, as maps of a decision need them.

    Raises
    ------
    LungSRADError
        Where the sizes make no encoder, or the features are smaller than a patch.

    Example
    -------
    >>> encoder = BEATsEncoder(8, hidden_size=16, layers=2, heads=2, intermediate_size=32, position_groups=2)
    >>> encoder(torch.randn(2, 60, 64)).shape
    torch.Size([2, 1, 16])
    >>> encoder.embed(torch.randn(2, 60, 64)).shape, encoder.map_size(frames=60, mels=64)
    (torch.Size([2, 8, 4, 3]), (4, 3))
    """

    published_weights = "BEATs_iter3_plus_AS2M.pt from https://github.com/microsoft/unilm/tree/master/beats"

    def __init__(
        self,
        embed_dim: int = 512,
        hidden_size: int = 768,
        layers: int = 12,
        heads: int = 12,
        intermediate_size: int = 3072,
        buckets: int = 320,
        max_distance: int = 800,
        position_width: int = 128,
        position_groups: int = 16,
        gradient_decay: float = 0.6,
    ):
        super().__init__()
        from speechbrain.lobes.models.beats import BEATsConfig, TransformerEncoder

        self.sizes = {
            "embed_dim": embed_dim,
            "hidden_size": hidden_size,
            "layers": layers,
            "heads": heads,
            "intermediate_size": intermediate_size,
            "buckets": buckets,
            "max_distance": max_distance,
            "position_width": position_width,
            "position_groups": position_groups,
        }
        if min(self.sizes.values()) < 1 or hidden_size % heads or hidden_size % position_groups:
            raise LungSRADError(
                f"hidden_size={hidden_size}, heads={heads}, position_groups={position_groups}: expected whole numbers "
                "from 1, the first a multiple of the others"
            )
        if not 0 < gradient_decay <= 1:
            raise LungSRADError(f"gradient_decay={gradient_decay}: expected a number above 0 and at most 1")
        self.gradient_decay = gradient_decay
        self.embedding_dim = hidden_size
        dropped = {f"{name}dropout": 0.0 for name in ("", "attention_", "activation_")}
        config = BEATsConfig(
            {
                **{_NAMES[key]: value for key, value in self.sizes.items()},
                **_FIXED,
                **dropped,
                "layer_wise_gradient_decay_ratio": gradient_decay,
            }
        )
        # The names of the published weights.
        self.patch_embedding = torch.nn.Conv2d(1, embed_dim, PATCH, stride=PATCH, bias=False)
        self.layer_norm = torch.nn.LayerNorm(embed_dim)
        self.post_extract_proj = torch.nn.Linear(embed_dim, hidden_size) if embed_dim != hidden_size else None
        self.encoder = TransformerEncoder(config)

    def train(self, mode: bool = True) -> "BEATsEncoder":
        """Set training or evaluation mode; gradients are scaled in training only."""
        self.encoder.layer_wise_gradient_decay_ratio = self.gradient_decay if mode else 1.0
        return super().train(mode)

    def embed(self, feats: torch.Tensor) -> torch.Tensor:
        """Turn features (B,T,F) into the map (B,C,H,W) of patches."""
        check_features(feats, PATCH, PATCH)
        return self.patch_embedding(feats.unsqueeze(1)).transpose(2, 3)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Encode a map (B,C,H,W) of patches as vectors (B,D)."""
        return self._tokens(x).mean(dim=1)

    def stages(self, feats: torch.Tensor) -> list[torch.Tensor]:
        """Return one map (B,C,H,W): the tokens after the last layer."""
        x = self.embed(feats)
        height, width = x.shape[2:]
        return [self._tokens(x).unflatten(1, (width, height)).permute(0, 3, 2, 1)]

    def _tokens(self, x):
        """Return the tokens (B, W H, D) after the last layer."""
        tokens = self.layer_norm(x.permute(0, 3, 2, 1).flatten(1, 2))
        if self.post_extract_proj is not None:
            tokens = self.post_extract_proj(tokens)
        return self.encoder(tokens)[0]

    def map_size(self, frames: int, mels: int) -> tuple[int, int]:
        """Return (H, W) of the map of patches of features with so many frames and mels."""
        return mels // PATCH, frames // PATCH

    # ---- configuration, weights, export ----

    def configuration(self) -> dict[str, Any]:
        """Return the arguments that make an encoder of this architecture."""
        return {**self.sizes, "gradient_decay": self.gradient_decay}

    def load_published_weights(self, path: str | Path, head: torch.nn.Linear | None = None) -> None:
        """Load a file of the release, and the classifier of a fine-tuned one into ``head`` where that is given.

        Raises
        ------
        LungSRADError
            Where the file cannot be read, has other sizes, or weights are missing, unexpected or misshapen; nothing is
            changed then.
        """
        config, stored = _read(Path(path))
        expected = {**{_NAMES[key]: value for key, value in self.sizes.items()}, **_FIXED}
        unlike = [
            f"{key} is {config.get(key)}, here {value}" for key, value in expected.items() if config.get(key) != value
        ]
        if unlike:
            raise LungSRADError(f"{path}: a BEATs of other sizes: {'; '.join(unlike)}; choose the same")
        ours = dict(self.state_dict())
        if head is not None:
            ours |= {f"predictor.{name}": value for name, value in head.state_dict().items()}
        else:
            stored = {name: value for name, value in stored.items() if not name.startswith("predictor.")}
        _check(path, stored, ours)
        self.load_state_dict({name: stored[name] for name in self.state_dict()})
        if head is not None:
            head.load_state_dict({name: stored[f"predictor.{name}"] for name in head.state_dict()})

    @contextmanager
    def onnx_export(self) -> Iterator[None]:
        """Leave out what only changes gradients, as long as the context lasts: ONNX has no such operator."""
        before = self.encoder.layer_wise_gradient_decay_ratio
        self.encoder.layer_wise_gradient_decay_ratio = 1.0
        try:
            yield
        finally:
            self.encoder.layer_wise_gradient_decay_ratio = before


def _read(path):
    if not path.is_file():
        raise LungSRADError(f"BEATs weights {path} not found; get {BEATsEncoder.published_weights}")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        config, weights = dict(stored["cfg"]), dict(stored["model"])
    except (RuntimeError, OSError, EOFError, ValueError, TypeError, KeyError, pickle.UnpicklingError) as error:
        raise LungSRADError(
            f"BEATs weights {path}: no torch file with cfg and model ({type(error).__name__}); download it again"
        ) from error
    for old, new in _RENAMED.items():
        weights = {name.replace(old, new) if name.endswith(old) else name: value for name, value in weights.items()}
    return config, weights


def _check(path, stored, ours):
    problems = [
        f"{what}: {', '.join(names[:_SHOWN])}" + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        for what, names in (
            ("missing", sorted(ours.keys() - stored.keys())),
            ("unexpected", sorted(stored.keys() - ours.keys())),
            (
                "of another shape",
                sorted(name for name in ours.keys() & stored.keys() if stored[name].shape != ours[name].shape),
            ),
        )
        if names
    ]
    if problems:
        raise LungSRADError(f"BEATs weights {path} do not fit this encoder; {'; '.join(problems)}. Download it again")
