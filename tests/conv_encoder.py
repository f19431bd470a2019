"""A small convolutional encoder with the methods of the protocol: nothing around an encoder is made for DASS alone."""

from contextlib import nullcontext

import torch
from torch import nn

from lung_srad_plugin.encoders.base import ActivationMap
from lung_srad_plugin.errors import LungSRADError


class ConvEncoder(nn.Module):
    """Patches of 4 x 4, then two convolutions, each a block of the only stage."""

    published_weights = "conv.pth, which this test wrote"

    def __init__(self, channels=8):
        super().__init__()
        self.embedding_dim = channels
        self.first = nn.Conv2d(1, channels, 4, stride=4)
        self.blocks = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def embed(self, feats):
        return self.first(feats.transpose(1, 2)[:, None])

    def encode(self, x):
        return self._last_map(x).mean(dim=(2, 3))

    def forward(self, feats, lens=None):
        return self.encode(self.embed(feats)).unsqueeze(1)

    def stages(self, feats):
        return [self._last_map(self.embed(feats))]

    def _last_map(self, x):
        for block in self.blocks:
            x = block(x).relu()
        return x

    def map_size(self, frames, mels):
        return mels // 4, frames // 4

    def activation_maps(self):
        return [ActivationMap(0, block, "block") for block in range(len(self.blocks))]

    def map_module(self, activation_map):
        if activation_map not in self.activation_maps():
            raise LungSRADError(f"{activation_map}: no such map")
        return self.blocks[activation_map.block]

    def wrap_map(self, activation_map, wrapper):
        self.blocks[activation_map.block] = wrapper(self.map_module(activation_map))

    def configuration(self):
        return {"channels": self.embedding_dim}

    def load_published_weights(self, path, head=None):
        self.load_state_dict(torch.load(path, weights_only=True))

    def onnx_export(self):
        return nullcontext()
