"""A small convolutional encoder: the lower mark that any other encoder has to be above."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from lung_srad_plugin.encoders.base import ActivationMap
from lung_srad_plugin.encoders.module import EncoderModule, check_features
from lung_srad_plugin.errors import LungSRADError

SMALLEST = 3  # frames and mels of which one position of the embedding map is left


def _conv_norm_relu(channels, out_channels, stride=1):
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, 3, stride, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU()
    )


class CNNEncoder(EncoderModule):
    """Convolutions of 3 x 3 with batch normalisation, ReLU and maximum pooling, and a mean over all positions.

    The embedding map comes from a convolution of stride 2 and a pooling of 2; it has a quarter of the mels and frames.
    Each further convolution is a stage of one block, whose output is an activation map; all but the last are pooled by
    2. With the default channels the encoder has 0.28 million parameters and takes 0.4 billion multiplications for 1024
    frames of 128 mels. There are no published weights: it learns from random ones.

    Arguments
    ---------
    channels : list of int
        Of the embedding map, then of each stage; the last is ``embedding_dim``.

    Raises
    ------
    LungSRADError
        Where there are fewer than two numbers of channels or one is below 1, or the features are too small.

    Example
    -------
    >>> encoder = CNNEncoder()
    >>> encoder(torch.randn(2, 400, 64)).shape
    torch.Size([2, 1, 160])
    >>> encoder.map_size(frames=400, mels=64), [tuple(x.shape[2:]) for x in encoder.stages(torch.randn(2, 400, 64))]
    ((16, 100), [(16, 100), (8, 50), (4, 25)])
    """

    def __init__(self, channels: Sequence[int] = (32, 64, 128, 160)):
        super().__init__()
        if len(channels) < 2 or min(channels) < 1:
            raise LungSRADError(f"channels={list(channels)}: expected at least two numbers, each at least 1")
        self.channels = list(channels)
        self.embedding_dim = channels[-1]
        self.stem = nn.Sequential(_conv_norm_relu(1, channels[0], stride=2), nn.MaxPool2d(2))
        self.blocks = nn.ModuleList(
            _conv_norm_relu(*pair) for pair in zip(self.channels[:-1], self.channels[1:], strict=True)
        )
        self.pool = nn.MaxPool2d(2, ceil_mode=True)  # an odd row or column at the border is kept

    def embed(self, feats: torch.Tensor) -> torch.Tensor:
        """Turn features (B,T,F) into the embedding map (B,C,H,W) with H = F/4 and W = T/4."""
        check_features(feats, SMALLEST, SMALLEST)
        return self.stem(feats.transpose(1, 2).unsqueeze(1))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Encode an embedding map (B,C,H,W) as vectors (B,D)."""
        return self._maps(x)[-1].mean(dim=(2, 3))

    def stages(self, feats: torch.Tensor) -> list[torch.Tensor]:
        """List the output map (B,C,H,W) of each convolution after the embedding, before its pooling."""
        return self._maps(self.embed(feats))

    def _maps(self, x):
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x if index == 0 else self.pool(x))
            maps.append(x)
        return maps

    def map_size(self, frames: int, mels: int) -> tuple[int, int]:
        """Return (H, W) of the embedding map of features with so many frames and mels."""
        return -(-mels // 2) // 2, -(-frames // 2) // 2

    def activation_maps(self) -> list[ActivationMap]:
        """Return the output of each stage's only block."""
        return [ActivationMap(stage, 0, "block") for stage in range(len(self.blocks))]

    def map_owner(self, activation_map: ActivationMap) -> tuple[nn.Module, str]:
        """Return the module that holds the module of a map, and under which name."""
        return self.blocks, str(activation_map.stage)

    def configuration(self) -> dict[str, Any]:
        """Return the arguments that make an encoder of this architecture.

        Example
        -------
        >>> CNNEncoder([16, 32]).configuration()
        {'channels': [16, 32]}
        """
        return {"channels": [*self.channels]}
