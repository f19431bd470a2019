"""The scan by the CUDA kernel of the package ``mamba_ssm``, where that is installed."""

import torch

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.scan.reference import traversals


def selective_scan_mamba(u, delta, A, B, C, D=None, delta_bias=None, delta_softplus=False):
    """Scan a sequence; see ``selective_scan``."""
    if torch.float64 in (u.dtype, delta.dtype):
        raise LungSRADError("the 'mamba' scan computes in fp32; for fp64 use 'cpu' or 'reference', or convert")
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    # The kernel takes sequences of one type and parameters in fp32.
    u, delta, B, C = (value.to(u.dtype).contiguous() for value in (u, delta, B, C))
    A, D, delta_bias = (None if value is None else value.float().contiguous() for value in (A, D, delta_bias))
    return selective_scan_fn(u, delta, A, B, C, D, delta_bias=delta_bias, delta_softplus=delta_softplus)


def cross_scan_mamba(x, delta, B, C, A, D, delta_bias):
    """Scan a map along the four traversals, as four groups of channels of one scan; see ``cross_scan``."""
    batch, height, width, channels = x.shape
    order = traversals(height, width, device=x.device)
    step_of_position = order.argsort(dim=1)
    x_flat, delta, B, C = (value.flatten(1, 2) for value in (x, delta, B, C))

    def by_traversal(value, k):
        return value[:, order[k], k].mT

    u = torch.cat([x_flat[:, order[k]].mT for k in range(4)], dim=1)
    steps = torch.cat([by_traversal(delta, k) for k in range(4)], dim=1)
    B, C = (torch.stack([by_traversal(value, k) for k in range(4)], dim=1) for value in (B, C))
    y = selective_scan_mamba(u, steps, A.flatten(0, 1), B, C, D.flatten(), delta_bias.flatten(), delta_softplus=True)
    y = y.view(batch, 4, channels, -1).float()
    total = sum(y[:, k].mT[:, step_of_position[k]] for k in range(4))
    return total.view(x.shape).to(x.dtype)
