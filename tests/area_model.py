"""A synthetic model whose answer depends on one known area of the spectrogram, with an SS2D layer over it."""

import torch
from torch import nn

from lung_srad_plugin.encoders.base import ActivationMap
from lung_srad_plugin.encoders.dass.ss2d import SS2D

FRAMES, MELS = 40, 16
AREA = slice(20, 28), slice(4, 8)  # frames, mel bins


def scan_with(step, decay, D):
    """An SS2D layer of one channel whose input is 1 everywhere or whose B and C are linear in it.

    B and C are the input itself; each traversal has its step size, decay and D.
    """
    layer = SS2D(1)
    with torch.no_grad():
        layer.x_proj_weight.copy_(torch.tensor([0.0, 1.0, 1.0]).view(3, 1).expand(4, 3, 1))
        layer.dt_projs_weight.zero_()
        layer.dt_projs_bias.copy_(torch.tensor(step).expm1().log().view(4, 1))
        layer.A_logs.copy_((-torch.tensor(decay).log() / torch.tensor(step)).log().view(4, 1))
        layer.Ds.copy_(torch.tensor(D))
    return layer


class AreaEncoder(nn.Module):
    """Features, set to 0 outside an area, go through a scan and are pooled. No more than maps need of the protocol."""

    def __init__(self, layer, area=AREA, frames=FRAMES, mels=MELS):
        super().__init__()
        self.layer = layer
        self.register_buffer("seen", torch.zeros(frames, mels))
        self.seen[area] = 1

    def forward(self, feats, lens=None):
        image = (feats * self.seen).transpose(1, 2).unsqueeze(-1)
        return self.layer.scan(image).mean(dim=(1, 2)).unsqueeze(1)

    def activation_maps(self):
        return [ActivationMap(0, 0, "ss2d")]

    def map_module(self, activation_map):
        return self.layer


class SlopeHead(nn.Module):
    """Two classes; the log-odds of the second are the embedding times a slope."""

    def __init__(self, slope=1.0):
        super().__init__()
        self.slope = slope

    def forward(self, embeddings):
        logit = self.slope * embeddings
        return torch.cat([torch.zeros_like(logit), logit], dim=-1).log_softmax(dim=-1)
