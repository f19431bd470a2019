"""SS2D: the two-dimensional selective state-space layer of VMamba, without a gate.

A map is read along four traversals (rows, columns, and both reversed). Along each, every channel is filtered by a
recurrence whose step size, input and output weights depend on the position ("selective"). The four results are summed.
"""

import math

import torch
import torch.nn.functional as F

from lung_srad_plugin.encoders.dass.fused_ops import conv_silu, linear
from lung_srad_plugin.scan.dispatch import cross_scan_projected

DIRECTIONS = 4


class SS2D(torch.nn.Module):
    """In-projection, depthwise 3x3 convolution, SiLU, selective scan along four traversals, norm, out-projection.

    This is VMamba's layer in its "v05_noz" form (Liu et al., "VMamba: Visual State Space Model", 2024, section 4), as
    DASS uses it: no gate, expansion ratio 1. Parameters carry the names of the released weights.

    Arguments
    ---------
    dim : int
        Channels C.
    d_state : int
        States N of each channel's recurrence.
    scan_backend : str or None
        Which implementation runs the scan; None selects the fastest for the tensor's device.

    Example
    -------
    >>> layer = SS2D(dim=32)
    >>> layer(torch.randn(2, 32, 8, 20)).shape
    torch.Size([2, 32, 8, 20])
    """

    def __init__(self, dim, d_state=1, scan_backend=None):
        super().__init__()
        self.dt_rank = math.ceil(dim / 16)
        self.d_state = d_state
        self.scan_backend = scan_backend
        self.in_proj = torch.nn.Linear(dim, dim, bias=False)
        self.conv2d = torch.nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False)
        self.x_proj_weight = torch.nn.Parameter(torch.empty(DIRECTIONS, self.dt_rank + 2 * d_state, dim))
        self.dt_projs_weight = torch.nn.Parameter(torch.empty(DIRECTIONS, dim, self.dt_rank))
        self.dt_projs_bias = torch.nn.Parameter(torch.empty(DIRECTIONS, dim))
        self.A_logs = torch.nn.Parameter(torch.empty(DIRECTIONS * dim, d_state))
        self.Ds = torch.nn.Parameter(torch.empty(DIRECTIONS * dim))
        self.out_norm = torch.nn.LayerNorm(dim)
        self.out_proj = torch.nn.Linear(dim, dim, bias=False)
        self.reset_scan_parameters()

    @torch.no_grad()
    def reset_scan_parameters(self, dt_min=1e-3, dt_max=1e-1):
        """Draw the scan's parameters as Mamba does (Gu and Dao, 2023, section 3.6; S4D-real for A).

        The bias of the step size is such that ``softplus(bias)`` is log-uniform in ``[dt_min, dt_max]`` seconds of the
        recurrence's own time; A starts at -1, ..., -N and D at 1.
        """
        bound = self.x_proj_weight.shape[-1] ** -0.5
        self.x_proj_weight.uniform_(-bound, bound)
        bound = self.dt_rank**-0.5
        self.dt_projs_weight.uniform_(-bound, bound)
        dt = torch.empty_like(self.dt_projs_bias).uniform_(math.log(dt_min), math.log(dt_max)).exp()
        self.dt_projs_bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # the inverse of softplus
        self.A_logs.copy_(torch.arange(1, self.d_state + 1).log().expand_as(self.A_logs))
        self.Ds.fill_(1)

    def forward(self, x):
        """Map (B,C,H,W), stored channels last, to a map of the same shape and layout."""
        x = linear(self.out_proj, self.out_norm(self.scan(self.activations(x))))
        return x.permute(0, 3, 1, 2)

    def activations(self, x):
        """Return what is scanned, (B,H,W,C), of the layer's input (B,C,H,W)."""
        x = linear(self.in_proj, x.permute(0, 2, 3, 1))
        return conv_silu(self.conv2d, x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    def scan(self, x):
        """Scan the activations (B,H,W,C) with step sizes, B and C computed from them."""
        return cross_scan_projected(*self.scan_inputs(x), backend=self.scan_backend)

    def scan_inputs(self, x):
        """Return the arguments of ``cross_scan_projected`` for the activations (B,H,W,C)."""
        batch, height, width, dim = x.shape
        # The projections act on each position alone, so all four directions are one product on the unflipped map.
        parts = F.linear(x, self.x_proj_weight.flatten(0, 1)).view(batch, height, width, DIRECTIONS, -1)
        dt, B, C = parts.split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        A = -self.A_logs.exp().view(DIRECTIONS, dim, self.d_state)
        D = self.Ds.view(DIRECTIONS, dim)
        return x, dt, self.dt_projs_weight, B, C, A, D, self.dt_projs_bias
