"""The scan of SS2D in operators that ONNX has, the backend ``onnx``.

A recurrence ``h[t] = a[t] h[t-1] + b[t]`` of one state is composed of affine maps, and composition is associative. The
sequence is split into about sqrt(L) blocks: all blocks run their steps side by side, as if each began with 0, together
with the product of their decays; what enters each block is the same kind of recurrence over the blocks. Each of the two
is one ONNX ``Scan`` of about sqrt(L) steps instead of L. Products of decays, which lie between 0 and 1, can only
vanish: nothing is divided and no logarithm taken, so it is as stable as the step-by-step definition.

Cost: three passes over the arrays instead of one. ``benchmarks/onnx_speed.py`` measures it.
"""

import math

import torch
import torch.nn.functional as F

from lung_srad_plugin.errors import LungSRADError


def linear_recurrence(decay, value):
    """Return ``h`` with ``h[t] = decay[t] * h[t-1] + value[t]`` along the first axis, and ``h[-1] = 0``.

    Arguments
    ---------
    decay, value : torch.Tensor
        (L, ...), of one shape; decays from 0 to 1.

    Returns
    -------
    torch.Tensor
        (L, ...)

    Example
    -------
    >>> linear_recurrence(torch.tensor([0.5, 0.5, 0.5]), torch.tensor([1.0, 0.0, 2.0]))
    tensor([1.0000, 0.5000, 2.2500])
    """
    length = decay.shape[0]
    size = math.isqrt(length - 1) + 1
    blocks = -(-length // size)
    missing = blocks * size - length
    if missing:  # zeros at the end change nothing before them
        zeros = torch.zeros_like(decay[:1]).expand(missing, *decay.shape[1:])
        decay, value = torch.cat([decay, zeros]), torch.cat([value, zeros])
    # (size, blocks, ...): step t of all blocks is contiguous.
    decay, value = (part.unflatten(0, (blocks, size)).transpose(0, 1) for part in (decay, value))
    states, products = _run(decay, value)
    ends, _ = _run(products[-1], states[-1])
    entering = torch.cat([torch.zeros_like(ends[:1]), ends[:-1]])
    return (states + products * entering).transpose(0, 1).flatten(0, 1)[:length]


def _run(decay, value):
    """All states from 0, and the products of the decays so far, step by step along the first axis."""
    start = torch.zeros_like(value[0]), torch.ones_like(decay[0])
    if not torch.compiler.is_exporting():
        outputs, carry = [], start
        for step in zip(decay, value, strict=True):
            carry, output = _step(carry, step)
            outputs.append(output)
        states, products = zip(*outputs, strict=True)
        return torch.stack(states), torch.stack(products)
    # The one loop that torch exports as ONNX's Scan.
    from torch._higher_order_ops.scan import scan

    return scan(_step, start, (decay, value))[1]


def _step(carry, step):
    (state, product), (decay, value) = carry, step
    carry = decay * state + value, decay * product
    return carry, (carry[0].clone(), carry[1].clone())


def cross_scan_onnx(x, delta, B, C, A, D, delta_bias):
    """Scan a map along the four traversals; arguments and result as of ``cross_scan``, for one state (N = 1).

    Example
    -------
    >>> from lung_srad_plugin.scan.dispatch import cross_scan
    >>> x, delta = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 5, 4, 8)
    >>> B, C, A = torch.randn(2, 3, 5, 4, 1), torch.randn(2, 3, 5, 4, 1), -torch.rand(4, 8, 1)
    >>> D, bias = torch.randn(4, 8), torch.randn(4, 8)
    >>> expected = cross_scan(x, delta, B, C, A, D, bias, backend="reference")
    >>> bool(torch.allclose(cross_scan_onnx(x, delta, B, C, A, D, bias), expected, atol=1e-5))
    True
    """
    if A.shape[-1] != 1:
        raise LungSRADError(f"A has {A.shape[-1]} states; the 'onnx' scan, and so export to ONNX, takes 1 (d_state=1)")
    height, width = x.shape[1:3]
    x, delta, B, C = (part.float() for part in (x, delta, B, C))
    step = F.softplus(delta + delta_bias)  # (batch, H, W, 4, channels)
    decay = torch.exp(step * A.squeeze(-1))
    value = step * B * x.unsqueeze(3)
    # To (L, batch, 4, channels) with each direction in its own order of positions.
    decay, value = (_in_order(part) for part in (decay, value))
    y = C * _by_position(linear_recurrence(decay, value), height, width)
    return y.sum(dim=3) + D.sum(dim=0) * x


def _in_order(part):
    """(batch, H, W, 4, channels) to (L, batch, 4, channels): row by row, column by column, and both reversed."""
    rows = part[..., 0::2, :].permute(1, 2, 0, 3, 4).flatten(0, 1)
    columns = part[..., 1::2, :].permute(2, 1, 0, 3, 4).flatten(0, 1)
    return torch.stack([rows[:, :, 0], columns[:, :, 0], rows[:, :, 1].flip(0), columns[:, :, 1].flip(0)], dim=2)


def _by_position(part, height, width):
    """The reverse of ``_in_order``."""
    directions = []
    for number in range(4):
        one = part[:, :, number]
        one = one.flip(0) if number >= 2 else one
        # Here (batch, H, W, channels): columns lie as (W, H, batch, channels).
        sizes, axes = ((height, width), (2, 0, 1, 3)) if number % 2 == 0 else ((width, height), (2, 1, 0, 3))
        directions.append(one.unflatten(0, sizes).permute(axes))
    return torch.stack(directions, dim=3)
