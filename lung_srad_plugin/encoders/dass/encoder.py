"""DASS: VMamba over log-mel spectrograms (Bhati et al., "DASS: Distilled Audio State Space Models", 2024)."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from lung_srad_plugin.encoders.base import ActivationMap
from lung_srad_plugin.encoders.dass.block import NORMS, Block
from lung_srad_plugin.encoders.dass.checkpoint import load_dass_checkpoint
from lung_srad_plugin.encoders.dass.ss2d import SS2D
from lung_srad_plugin.errors import LungSRADError

# Named children keep the keys of the released weights; the gaps are layers without parameters.

TARGETS = ("ss2d", "block")


def _patch_embedding(dim, norm):
    """(B,1,F,T) to (B,dim,F/4,T/4)."""
    return torch.nn.Sequential(
        OrderedDict(
            {
                "0": torch.nn.Conv2d(1, dim // 2, 3, stride=2, padding=1),
                "2": norm(dim // 2),
                "4": torch.nn.GELU(),
                "5": torch.nn.Conv2d(dim // 2, dim, 3, stride=2, padding=1),
                "7": norm(dim),
            }
        )
    )


def _downsample(dim, out_dim, norm):
    """(B,dim,H,W) to (B,out_dim,H/2,W/2)."""
    return torch.nn.Sequential(
        OrderedDict({"1": torch.nn.Conv2d(dim, out_dim, 3, stride=2, padding=1), "3": norm(out_dim)})
    )


class Stage(torch.nn.Module):
    """Blocks of one width, then the downsampling to the next width (none where ``out_dim`` is None).

    Arguments
    ---------
    dim, out_dim : int, int or None
        Channels of the blocks, and of the next stage.
    drop_path_rates : list of float
        One for each block.
    scan_backend : str or None
        See ``SS2D``.
    gradient_checkpointing : bool
        Compute each block again in the backward pass instead of keeping its activations.
    norm : str
        One of ``NORMS``.

    Example
    -------
    >>> Stage(16, 32, drop_path_rates=[0.0, 0.1])(torch.randn(2, 16, 8, 20)).shape
    torch.Size([2, 32, 4, 10])
    """

    def __init__(self, dim, out_dim, drop_path_rates, scan_backend=None, gradient_checkpointing=False, norm="layer"):
        super().__init__()
        self.blocks = torch.nn.Sequential(*[Block(dim, rate, scan_backend, norm) for rate in drop_path_rates])
        self.downsample = torch.nn.Identity() if out_dim is None else _downsample(dim, out_dim, NORMS[norm])
        self.gradient_checkpointing = gradient_checkpointing

    def forward(self, x):
        for block in self.blocks:
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return self.downsample(x)


class DASSEncoder(torch.nn.Module):
    """Encoder of log-mel spectrograms: patch embedding, stages of SS2D blocks, norm, global average pool.

    It has the methods of ``encoders.base.Encoder``. Maps between its parts are (B,C,H,W), stored channels last; H is
    frequency (F/4 after the patch embedding, halved by each stage but the last) and W is time (T/4). Odd sizes round
    up. ``embed`` and ``encode`` are separate so that maps can be mixed between them. Weights are random until
    ``load_published_weights`` replaces them by the released ones.

    Arguments
    ---------
    depths : list of int
        Blocks in each stage.
    dims : list of int
        Channels in each stage; the last is ``embedding_dim``, D.
    drop_path_rate : float
        Drop-path probability of the last block; it rises linearly from 0 at the first.
    scan_backend : str or None
        One of ``available_scan_backends()``; None selects the fastest for the tensor's device.
    gradient_checkpointing : bool
        Compute each block again in the backward pass: some 40 % less memory, 20 % more time.
    norm : str
        What normalises the maps: ``"layer"`` as in the released weights, or ``"batch"``, with which small encoders
        learn from random weights.

    Raises
    ------
    LungSRADError
        Where depths, dims, the drop-path rate or the norm make no encoder, or the features are too small or of another
        rank.

    Example
    -------
    >>> encoder = DASSEncoder(depths=[1, 1], dims=[16, 32])
    >>> feats = torch.randn(2, 160, 64)
    >>> encoder(feats).shape
    torch.Size([2, 1, 32])
    >>> [tuple(x.shape) for x in encoder.stages(feats)]
    [(2, 32, 8, 20), (2, 32, 8, 20)]
    """

    published_weights = "DASS_medium_v2.pth or DASS_small_v2.pth from https://github.com/Saurabhbhati/DASS/releases"
    hub_files = ("model.safetensors",)

    def __init__(
        self,
        depths: Sequence[int],
        dims: Sequence[int],
        drop_path_rate: float = 0.0,
        scan_backend: str | None = None,
        gradient_checkpointing: bool = False,
        norm: str = "layer",
    ):
        super().__init__()
        _check_sizes(depths, dims, drop_path_rate)
        if norm not in NORMS:
            raise LungSRADError(f"norm={norm!r}: expected one of {', '.join(NORMS)}")
        if norm == "batch" and gradient_checkpointing:
            raise LungSRADError(
                "norm='batch' with gradient_checkpointing=True: computing a block again would count its statistics "
                "twice; set gradient_checkpointing to False"
            )
        self.depths, self.dims, self.drop_path_rate = list(depths), list(dims), drop_path_rate
        self.norm_name = norm
        self.embedding_dim = dims[-1]
        self.patch_embed = _patch_embedding(dims[0], NORMS[norm])
        rates = iter(torch.linspace(0, drop_path_rate, sum(depths), device="cpu").tolist())
        self.layers = torch.nn.ModuleList(
            Stage(dim, out_dim, [next(rates) for _ in range(depth)], scan_backend, gradient_checkpointing, norm)
            for depth, (dim, out_dim) in zip(depths, pairwise([*dims, None]), strict=True)
        )
        self.norm = NORMS[norm](dims[-1])
        self.apply(_init_linear)

    @classmethod
    def small(
        cls, drop_path_rate: float = 0.2, scan_backend: str | None = None, gradient_checkpointing: bool = False
    ) -> "DASSEncoder":
        """DASS-small: 30 million parameters."""
        return cls([2, 2, 8, 2], [96, 192, 384, 768], drop_path_rate, scan_backend, gradient_checkpointing)

    @classmethod
    def medium(
        cls, drop_path_rate: float = 0.3, scan_backend: str | None = None, gradient_checkpointing: bool = False
    ) -> "DASSEncoder":
        """DASS-medium: 48 million parameters; the encoder of the paper."""
        return cls([2, 2, 20, 2], [96, 192, 384, 768], drop_path_rate, scan_backend, gradient_checkpointing)

    # ---- features, maps, embeddings ----

    def embed(self, feats: torch.Tensor) -> torch.Tensor:
        """Turn features (B,T,F) into the patch-embedding map (B,C,H,W) with H = F/4 and W = T/4.

        Raises
        ------
        LungSRADError
            Where ``feats`` is not of rank 3 or has fewer than 4 frames or mels.
        """
        if feats.dim() != 3 or min(feats.shape[1:]) < 4:
            raise LungSRADError(
                f"features of shape {tuple(feats.shape)}: expected (batch, frames, mels), at least 4 frames and 4 mels"
            )
        # One channel is both layouts at once; strides written this way make every convolution choose channels last.
        image = feats.transpose(1, 2).contiguous().unsqueeze(-1).permute(0, 3, 1, 2)
        return self.patch_embed(image)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Encode a patch-embedding map (B,C,H,W) as vectors (B,D)."""
        for layer in self.layers:
            x = layer(x)
        return self.norm(x).mean(dim=(2, 3))

    def forward(self, feats: torch.Tensor, lens: torch.Tensor | None = None) -> torch.Tensor:
        """Encode features (B,T,F) as embeddings (B,1,D), the shape SpeechBrain expects.

        Arguments
        ---------
        feats : torch.Tensor
            Normalised log-mel features (B,T,F).
        lens : torch.Tensor or None
            Relative lengths (B,), which SpeechBrain passes. Not used: the front end gives all cycles one length.

        Returns
        -------
        torch.Tensor
            (B,1,D)
        """
        return self.encode(self.embed(feats)).unsqueeze(1)

    def stages(self, feats: torch.Tensor) -> list[torch.Tensor]:
        """List the output map (B,C,H,W) of each stage, after the downsampling that ends all but the last."""
        x = self.embed(feats)
        return [x := layer(x) for layer in self.layers]

    def map_size(self, frames: int, mels: int) -> tuple[int, int]:
        """Return (H, W) of the patch-embedding map of features with so many frames and mels.

        Example
        -------
        >>> DASSEncoder([1], [16]).map_size(frames=798, mels=128)
        (32, 200)
        """
        return -(-mels // 4), -(-frames // 4)

    # ---- activation maps ----

    def activation_maps(self) -> list[ActivationMap]:
        """Return, for each block, the output of its SS2D layer (``ss2d``) and of the whole block (``block``)."""
        return [
            ActivationMap(stage, block, target)
            for stage, depth in enumerate(self.depths)
            for block in range(depth)
            for target in TARGETS
        ]

    def map_module(self, activation_map: ActivationMap) -> torch.nn.Module:
        """Return the module whose output is this map; see ``Encoder``."""
        parent, name = self._owner(activation_map)
        return getattr(parent, name)

    def wrap_map(self, activation_map: ActivationMap, wrapper: Callable[[torch.nn.Module], torch.nn.Module]) -> None:
        """Replace the module of this map by ``wrapper(module)``; see ``Encoder``.

        Example
        -------
        >>> encoder = DASSEncoder([1, 2], [16, 32])
        >>> class Silenced(torch.nn.Module):
        ...     def __init__(self, module):
        ...         super().__init__()
        ...         self.module = module
        ...     def forward(self, x):
        ...         return 0 * self.module(x)
        >>> encoder.wrap_map(ActivationMap(stage=1, block=0, target="ss2d"), Silenced)
        >>> type(encoder.map_module(ActivationMap(stage=1, block=0, target="ss2d"))).__name__
        'Silenced'
        """
        parent, name = self._owner(activation_map)
        setattr(parent, name, wrapper(getattr(parent, name)))

    def _owner(self, activation_map):
        """Return the module that holds the module of a map, and under which name."""
        if activation_map not in self.activation_maps():
            raise LungSRADError(
                f"{activation_map}: DASS with depths {self.depths} has no such map; activation_maps() lists all"
            )
        blocks = self.layers[activation_map.stage].blocks
        if activation_map.target == "block":
            return blocks, str(activation_map.block)
        block = blocks[activation_map.block]
        while not isinstance(block, Block):
            block = block.module
        return block, "op"

    # ---- configuration, weights, export ----

    def configuration(self) -> dict[str, Any]:
        """Return the arguments that make an encoder of this architecture.

        Example
        -------
        >>> DASSEncoder([1, 1], [16, 32], drop_path_rate=0.1).configuration()
        {'depths': [1, 1], 'dims': [16, 32], 'drop_path_rate': 0.1, 'norm': 'layer'}
        """
        sizes = {"depths": [*self.depths], "dims": [*self.dims]}
        return {**sizes, "drop_path_rate": self.drop_path_rate, "norm": self.norm_name}

    @property
    def scan_backend(self) -> str | None:
        """Name of the scan that all SS2D layers use; None is the fastest for the tensor's device. It can be set."""
        return next(layer.scan_backend for layer in self._ss2d_layers())

    @scan_backend.setter
    def scan_backend(self, backend: str | None):
        for layer in self._ss2d_layers():
            layer.scan_backend = backend

    def _ss2d_layers(self):
        return (module for module in self.modules() if isinstance(module, SS2D))

    def load_published_weights(self, path: str | Path, head: torch.nn.Linear | None = None) -> None:
        """Load the released weights of DASS; see ``load_dass_checkpoint``."""
        load_dass_checkpoint(path, self, head)

    @contextmanager
    def onnx_export(self) -> Iterator[None]:
        """Scan with operators that ONNX has, as long as the context lasts; compiled kernels cannot be exported."""
        before = self.scan_backend
        self.scan_backend = "onnx"
        try:
            yield
        finally:
            self.scan_backend = before


def _check_sizes(depths, dims, drop_path_rate):
    if not depths or len(depths) != len(dims):
        raise LungSRADError(
            f"depths={list(depths)}, dims={list(dims)}: expected one depth and one width for each stage"
        )
    if min(depths) < 1 or min(dims) < 2 or dims[0] % 2:
        raise LungSRADError(
            f"depths={list(depths)}, dims={list(dims)}: each depth is at least 1, each width at least 2, the first even"
        )
    if not 0 <= drop_path_rate < 1:
        raise LungSRADError(f"drop_path_rate={drop_path_rate}: expected a probability from 0 to below 1")


def _init_linear(module):
    """Xavier's start (Glorot and Bengio, 2010) of linear layers; norms and convolutions keep torch's own.

    VMamba draws them with a standard deviation of 0.02, which starts the blocks of narrow encoders so close to nothing
    that they hardly learn from a small data set. It makes no difference where released weights are loaded.
    """
    if isinstance(module, torch.nn.Linear):
        torch.nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            torch.nn.init.zeros_(module.bias)
