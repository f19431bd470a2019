"""The residual block of DASS and the small layers it is made of.

Every layer here takes and returns a map (B,C,H,W) stored channels last, so that ``permute(0, 2, 3, 1)`` is a free,
contiguous (B,H,W,C) view and each linear layer is one matrix product.
"""

import torch

from lung_srad_plugin.encoders.dass.fused_ops import linear, linear_gelu
from lung_srad_plugin.encoders.dass.ss2d import SS2D

# The hidden layer of an MLP is the largest tensor of all. Where no gradients are needed, a CPU computes this many bytes
# of it at a time, which stay in cache; above 32 MiB the C library would also request new pages for every tensor.
_HIDDEN_BYTES = 8 * 2**20


class ChannelNorm(torch.nn.LayerNorm):
    """LayerNorm over the channels of a map (B,C,H,W) at each position.

    Example
    -------
    >>> ChannelNorm(16)(torch.randn(2, 16, 4, 5)).shape
    torch.Size([2, 16, 4, 5])
    """

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


NORMS = {"layer": ChannelNorm, "batch": torch.nn.BatchNorm2d}
"""The layers that normalise maps, by their name in an experiment.

LayerNorm, as in the released weights, compares the channels of one position only, so it removes how strong that
position is compared with others. BatchNorm keeps that; small encoders learn far sooner with it from random weights.
"""


class MLP(torch.nn.Module):
    """Two linear layers with a GELU between them, at each position of a map (B,C,H,W).

    Example
    -------
    >>> MLP(16, hidden=64)(torch.randn(2, 16, 4, 5)).shape
    torch.Size([2, 16, 4, 5])
    """

    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = torch.nn.Linear(dim, hidden)
        self.fc2 = torch.nn.Linear(hidden, dim)

    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        if torch.is_grad_enabled() or x.device.type != "cpu" or torch.compiler.is_compiling():
            y = self.per_position(x)
        else:
            rows = max(1, _HIDDEN_BYTES // (self.fc1.out_features * x.element_size()))
            y = torch.cat([self.per_position(part) for part in x.flatten(0, 2).split(rows)]).view(x.shape)
        return y.permute(0, 3, 1, 2)

    def per_position(self, x):
        """Apply the layers to the last axis of x (..., C)."""
        return linear(self.fc2, linear_gelu(self.fc1, x))


class DropPath(torch.nn.Module):
    """In training, drop the whole residual branch of a sample with probability ``rate`` and scale the others up.

    The kept ones are divided by ``1 - rate``, so that the expected output is the input. (Huang et al., "Deep networks
    with stochastic depth", 2016.)

    Example
    -------
    >>> DropPath(0.2).eval()(torch.ones(1, 1, 1, 2))
    tensor([[[[1., 1.]]]])
    """

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        if self.rate == 0 or not self.training:
            return x
        keep = 1 - self.rate
        kept = torch.empty(x.shape[0], 1, 1, 1, dtype=x.dtype, device=x.device).bernoulli_(keep)
        return x * (kept / keep)

    def extra_repr(self):
        return f"rate={self.rate:.3g}"


class Block(torch.nn.Module):
    """Pre-norm residual block: SS2D, then an MLP of ratio 4.

    Arguments
    ---------
    dim : int
        Channels C.
    drop_path_rate : float
        Probability of dropping a residual branch of a sample in training.
    scan_backend : str or None
        See ``SS2D``.
    norm : str
        One of ``NORMS``.

    Example
    -------
    >>> Block(dim=32)(torch.randn(2, 32, 8, 20)).shape
    torch.Size([2, 32, 8, 20])
    """

    def __init__(self, dim, drop_path_rate=0.0, scan_backend=None, norm="layer"):
        super().__init__()
        self.norm = NORMS[norm](dim)
        self.op = SS2D(dim, scan_backend=scan_backend)
        self.norm2 = NORMS[norm](dim)
        self.mlp = MLP(dim, 4 * dim)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x):
        x = x + self.drop_path(self.op(self.norm(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))
