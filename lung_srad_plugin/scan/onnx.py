"""The scan of SS2D in operators that ONNX has, the backend ``onnx``.

All four traversals are one recurrence ``h[t] = a[t] h[t-1] + b[t]``, side by side. It is composed of affine maps, and
composition is associative: a sequence is split into blocks that take their steps at the same time. A first pass
computes what each block makes of 0, and by how much it decays what enters it; what enters each block is then the same
kind of recurrence over the blocks; a second pass runs the blocks from there. Each pass is one ONNX ``Scan``. Products
of decays, which lie between 0 and 1, can only vanish: nothing is divided by them and no logarithm of them taken, so
this is as stable as the step-by-step definition.

Sums and products cost onnxruntime 0.1 ns a value, its ``Softplus`` 15 or more and its ``Log`` 3: see ``softplus``.
``benchmarks/onnx_speed.py`` measures the whole.
"""

import math
from typing import NamedTuple

import numpy as np
import torch

from lung_srad_plugin.errors import LungSRADError

# A recurrence of so few steps is not split.
SHORT = 12

# Of 2 artanh(s) / s in powers of s * s, the highest first, for s up to 1/3, to 1.7e-7 of its value: by
# least squares whose weights are raised where the error is largest (Lawson's method).
COEFFICIENTS = (0.34226047310731184, 0.39589451256175767, 0.6667600403140307, 1.9999996706233194)


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
    return _cross_scan(x, delta, None, B, C, A, D, delta_bias)


def cross_scan_projected_onnx(x, dt, dt_weight, B, C, A, D, delta_bias):
    """``cross_scan_projected`` for one state; step sizes are multiplied out in the order of the traversals.

    Example
    -------
    >>> from lung_srad_plugin.scan.dispatch import cross_scan_projected
    >>> x, dt, dt_weight = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 5, 4, 2), torch.randn(4, 8, 2)
    >>> B, C, A = torch.randn(2, 3, 5, 4, 1), torch.randn(2, 3, 5, 4, 1), -torch.rand(4, 8, 1)
    >>> arguments = (x, dt, dt_weight, B, C, A, torch.randn(4, 8), torch.randn(4, 8))
    >>> expected = cross_scan_projected(*arguments, backend="reference")
    >>> bool(torch.allclose(cross_scan_projected_onnx(*arguments), expected, atol=1e-5))
    True
    """
    return _cross_scan(x, dt, dt_weight, B, C, A, D, delta_bias)


def _cross_scan(x, delta, delta_weight, B, C, A, D, delta_bias):
    if A.shape[-1] != 1:
        raise LungSRADError(f"A has {A.shape[-1]} states; the 'onnx' scan, and so export to ONNX, takes 1 (d_state=1)")
    _, height, width, channels = x.shape
    steps, blocks = split_length(height * width)
    order = _scan_order(height, width, steps, blocks)
    x, delta, B, C = (part.float() for part in (x, delta, B, C))

    def in_order(part):
        """(batch, H, W, 4, n) to (steps, 4, blocks * batch, n): whole rows are copied."""
        rows = part.permute(1, 2, 3, 0, 4).flatten(0, 2)
        return rows.index_select(0, order.rows).view(steps, 4, -1, part.shape[-1])

    step = in_order(delta)
    if delta_weight is not None:
        step = step @ delta_weight.float().mT
    step = softplus(step + delta_bias.unsqueeze(1))
    positions = x.permute(1, 2, 0, 3).flatten(0, 1)
    x_in_order = positions.index_select(0, order.positions).view(steps, 4, -1, channels)
    decay, value = torch.exp(step * A.mT), step * (in_order(B) * x_in_order)
    ends, products = _fold(decay, value)
    ends, products = (part.view(4, blocks, -1).transpose(0, 1) for part in (ends, products))
    entering = _entering(products, ends).transpose(0, 1).reshape(4, -1, channels)
    y = (in_order(C) * _run(decay, value, entering)).view(steps * 4 * blocks, -1, channels)
    y = y.index_select(0, order.places).view(4, height, width, -1, channels).sum(dim=0)
    return y.permute(2, 0, 1, 3) + D.sum(dim=0) * x


class _ScanOrder(NamedTuple):
    """Where each step of each block of each traversal lies in a map, and where each position lies among the steps.

    Arguments
    ---------
    positions : torch.Tensor
        (steps * 4 * blocks,), row-major positions of the map.
    rows : torch.Tensor
        The same in a list of the four directions of each position.
    places : torch.Tensor
        (4 * H * W,), the reverse: by direction and position, an index into ``positions``.
    """

    positions: torch.Tensor
    rows: torch.Tensor
    places: torch.Tensor


def _scan_order(height, width, steps, blocks):
    # Arrays of numpy, which an export takes as constants.
    length = height * width
    direction = np.arange(4)[:, None]
    rows = np.arange(length).reshape(height, width)
    forward = np.stack([rows.ravel(), rows.T.ravel()])
    traversals = np.concatenate([forward, forward[:, ::-1]])
    places = np.empty((4, length), dtype=np.int32)
    time = np.arange(length)
    places[direction, traversals] = time % steps * 4 * blocks + direction * blocks + time // steps
    # What is repeated behind the end changes nothing before it, and is left out of ``places``.
    padded = np.pad(traversals, ((0, 0), (0, steps * blocks - length)), mode="edge")
    positions = padded.reshape(4, blocks, steps).transpose(2, 0, 1)
    parts = positions, 4 * positions + direction, places
    return _ScanOrder(*(torch.from_numpy(part.astype(np.int32).ravel()) for part in parts))


def split_length(length):
    """Return (steps, blocks): about the root of the length each, with the least product that is not below it.

    Example
    -------
    >>> split_length(8192), split_length(1280), split_length(7)
    ((64, 128), (32, 40), (2, 4))
    """
    root = math.isqrt(length - 1) + 1
    steps = min(range(max(1, root * 2 // 3), root + 1), key=lambda steps: (-length % steps, -steps))
    return steps, -(-length // steps)


def softplus(x):
    """Return ``log(1 + exp(x))`` without a logarithm, to float32's rounding.

    It is ``max(x, 0) + log1p(u)`` with ``u = exp(-|x|)``, and ``log1p(u) = 2 artanh(s)`` with ``s = u / (2 + u)``,
    which is at most 1/3: there an odd polynomial of degree 7 suffices.

    Example
    -------
    >>> softplus(torch.tensor([-20.0, 0.0, 100.0]))
    tensor([2.0612e-09, 6.9315e-01, 1.0000e+02])
    """
    u = torch.exp(-x.abs())
    s = u / (u + 2)
    square = s * s
    polynomial = COEFFICIENTS[0]
    for coefficient in COEFFICIENTS[1:]:
        polynomial = polynomial * square + coefficient
    return x.relu() + s * polynomial


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
    if length <= SHORT:
        return _run(decay, value, torch.zeros_like(value[0]))
    steps, blocks = split_length(length)
    if missing := steps * blocks - length:  # zeros at the end change nothing before them
        zeros = torch.zeros_like(decay[:1]).expand(missing, *decay.shape[1:])
        decay, value = torch.cat([decay, zeros]), torch.cat([value, zeros])
    # (steps, blocks, ...): one step of all blocks is contiguous.
    decay, value = (part.unflatten(0, (blocks, steps)).transpose(0, 1) for part in (decay, value))
    ends, products = _fold(decay, value)
    states = _run(decay, value, _entering(products, ends))
    return states.transpose(0, 1).flatten(0, 1)[:length]


def _entering(products, ends):
    """What enters each block (blocks, ...), given by what it multiplies that and what it makes of 0."""
    states = linear_recurrence(products, ends)
    return torch.cat([torch.zeros_like(states[:1]), states[:-1]])


def _fold(decay, value):
    """The last state from 0, and the product of all decays, step by step along the first axis."""
    return _scan(_fold_step, (torch.zeros_like(value[0]), torch.ones_like(value[0])), (decay, value))[0]


def _run(decay, value, start):
    """All states from ``start``, step by step along the first axis."""
    return _scan(_run_step, (start,), (decay, value))[1]


def _fold_step(carry, step):
    (state, product), (decay, value) = carry, step
    # torch's scan wants an output of each step.
    return (decay * state + value, decay * product), decay.new_zeros(1)


def _run_step(carry, step):
    (state,), (decay, value) = carry, step
    state = decay * state + value
    return (state,), state.clone()


def _scan(function, carry, sequences):
    """Return the last carry, and the output of each step."""
    if torch.compiler.is_exporting():
        # The one loop that torch exports as ONNX's Scan.
        from torch._higher_order_ops.scan import scan

        carry, sequences = ([part.contiguous() for part in parts] for parts in (carry, sequences))
        return scan(function, tuple(carry), tuple(sequences))
    outputs = []
    for step in zip(*sequences, strict=True):
        carry, output = function(carry, step)
        outputs.append(output)
    return carry, torch.stack(outputs)
