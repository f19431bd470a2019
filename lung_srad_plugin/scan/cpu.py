"""The scan on a CPU, compiled by numba for the processor at hand."""

import math
from functools import lru_cache

import numba
import torch

from lung_srad_plugin.scan import cpu_kernels
from lung_srad_plugin.scan.reference import traversals, widest


def cross_scan_cpu(x, delta, B, C, A, D, delta_bias):
    """Scan a map along the four traversals; see ``cross_scan``."""
    batch, height, width, channels = x.shape
    y = _Scan.apply(
        *(value.flatten(1, 2) for value in (x, delta, B, C)), A, D, delta_bias, True, _orders(height, width)
    )
    return y.view(batch, height, width, channels)


def selective_scan_cpu(u, delta, A, B, C, D=None, delta_bias=None, delta_softplus=False):
    """Scan a sequence; see ``selective_scan``."""
    batch, channels, length = u.shape
    groups = B.shape[1] if B.dim() == 4 else 1
    D = u.new_zeros(channels) if D is None else D
    delta_bias = u.new_zeros(channels) if delta_bias is None else delta_bias

    def split(value):
        return value.chunk(groups)

    def by_position(value, group):
        return value.view(batch, groups, -1, length)[:, group].mT

    y = [
        _Scan.apply(
            by_position(u, g),
            by_position(delta, g).unsqueeze(2),
            by_position(B, g).unsqueeze(2),
            by_position(C, g).unsqueeze(2),
            split(A)[g][None],
            split(D)[g][None],
            split(delta_bias)[g][None],
            delta_softplus,
            _sequence(length),
        )
        for g in range(groups)
    ]
    return torch.cat(y, dim=-1).mT


@lru_cache(maxsize=64)
def _orders(height, width):
    return traversals(height, width).numpy()


@lru_cache(maxsize=64)
def _sequence(length):
    return torch.arange(length)[None].numpy()


class _Scan(torch.autograd.Function):
    """Positions by channels; x (b, p, c), delta (b, p, k, c), B and C (b, p, k, n), A (k, c, n), D and bias (k, c)."""

    @staticmethod
    def forward(ctx, x, delta, B, C, A, D, bias, softplus, order):
        given = (x, delta, B, C, A, D, bias)
        wide = widest(x, delta)
        x, delta, B, C, bias = (value.to(wide).contiguous() for value in (x, delta, B, C, bias))
        A = A.to(wide).mT.contiguous()
        rate = A * math.log2(math.e)
        D = D.to(wide).sum(0)
        y = torch.empty_like(x)
        chunks = -(-order.shape[1] // cpu_kernels.CHUNK)
        kept = x.new_empty(x.shape[0], order.shape[0], chunks, *A.shape[1:])
        _run(cpu_kernels.forward, x, delta, B, C, rate, D, bias, softplus, order, y, kept)
        ctx.save_for_backward(x, delta, B, C, rate, A, D, bias, kept)
        ctx.softplus, ctx.order, ctx.types = softplus, order, [value.dtype for value in given]
        return y.to(ctx.types[0])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy):
        x, delta, B, C, rate, A, D, bias, kept = ctx.saved_tensors
        dy = dy.to(x.dtype).contiguous()
        blocks = -(-x.shape[2] // cpu_kernels.BLOCK)
        dx, ddelta = torch.empty_like(x), torch.empty_like(delta)
        dB, dC = x.new_empty(blocks, *B.shape), x.new_empty(blocks, *C.shape)
        dA, dbias = x.new_zeros(x.shape[0], *A.shape), x.new_zeros(x.shape[0], *bias.shape)
        _run(
            cpu_kernels.backward, dy, x, delta, B, C, rate, A, D, bias, ctx.softplus, ctx.order, kept,
            dx, ddelta, dB, dC, dA, dbias,
        )  # fmt: skip
        dD = (dy * x).sum((0, 1)).expand(len(bias), -1)
        gradients = (dx, ddelta, dB.sum(0), dC.sum(0), dA.sum(0).mT, dD, dbias.sum(0))
        return *(value.to(kind) for value, kind in zip(gradients, ctx.types, strict=True)), None, None


def _run(kernel, *arguments):
    numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
    kernel(*(value.detach().numpy() if isinstance(value, torch.Tensor) else value for value in arguments))
