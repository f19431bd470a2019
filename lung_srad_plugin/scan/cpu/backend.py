"""The scan on a CPU: torch tensors in and out, computed by numba's kernels."""

import logging
from contextlib import nullcontext
from functools import lru_cache
from threading import Lock

import numba
import torch
import torch.nn.functional as F
from numba.core import event

from lung_srad_plugin.errors import LungSRADError
from lung_srad_plugin.scan.cpu.steps import CHUNK
from lung_srad_plugin.scan.cpu.vectors import LANES
from lung_srad_plugin.scan.reference import traversals, widest

try:
    from lung_srad_plugin.scan.cpu import backward as cpu_backward
    from lung_srad_plugin.scan.cpu import forward as cpu_forward
    from lung_srad_plugin.scan.cpu import order as cpu_order
except RuntimeError as error:
    raise LungSRADError(
        "numba finds no folder in which to keep the compiled scan: neither the package's nor the home folder can be "
        "written; set NUMBA_CACHE_DIR to one that can"
    ) from error

logger = logging.getLogger(__name__)

# Groups of channels that the backward pass computes at once, for each clip. Few, since each group needs memory for its
# own part of the gradients that sum over channels; constant, since results must not depend on the machine.
_GROUPS = 4
_ONE_CALL = Lock()


class _Notice(event.Listener):
    """Logs that a kernel is being compiled, since that takes seconds and numba itself logs nothing."""

    kernels = (cpu_forward.forward, cpu_backward.backward, cpu_order.to_scan_order, cpu_order.to_map_order)

    def on_start(self, compilation):
        kernel = compilation.data["dispatcher"]
        if kernel in self.kernels:
            logger.warning("Compiling the scan for this processor, once: %s takes some seconds", kernel.__name__)

    def on_end(self, compilation):
        pass


event.register("numba:compile", _Notice())


def cross_scan_cpu(x, delta, B, C, A, D, delta_bias):
    """Scan a map along the four traversals; see ``cross_scan``."""
    return _cross(x, delta, None, B, C, A, D, delta_bias)


def cross_scan_projected_cpu(x, dt, dt_weight, B, C, A, D, delta_bias):
    """Scan a map along the four traversals; see ``cross_scan_projected``."""
    return _cross(x, dt, dt_weight.mT, B, C, A, D, delta_bias)


def selective_scan_cpu(u, delta, A, B, C, D=None, delta_bias=None, delta_softplus=False):
    """Scan a sequence; see ``selective_scan``."""
    batch, channels, length = u.shape
    groups = B.shape[1] if B.dim() == 4 else 1
    D = A.new_zeros(channels) if D is None else D
    delta_bias = A.new_zeros(channels) if delta_bias is None else delta_bias

    def of_group(value, g):
        """One group of (batch, groups x n, L) as (batch, L, n)."""
        return value.reshape(batch, groups, -1, length)[:, g].mT

    def scan(g):
        u_g, delta_g, B_g, C_g = (of_group(value, g) for value in (u, delta, B, C))
        A_g, D_g, bias_g = (value.chunk(groups)[g].unsqueeze(0) for value in (A, D, delta_bias))
        steps, B_g, C_g = (value.unsqueeze(2) for value in (delta_g, B_g, C_g))
        return _scan(u_g, steps, None, B_g, C_g, A_g, D_g, bias_g, delta_softplus, _sequence(length))

    return torch.cat([scan(g) for g in range(groups)], dim=-1).mT


def _cross(x, steps, weight, B, C, A, D, bias):
    x_flat, steps, B, C = (value.flatten(1, 2) for value in (x, steps, B, C))
    return _scan(x_flat, steps, weight, B, C, A, D, bias, True, _cross_order(*x.shape[1:3])).view(x.shape)


def _scan(x, steps, weight, B, C, A, D, bias, use_softplus, order):
    """Call ``_Scan``, which takes whole vectors of channels, for any number of channels."""
    channels = x.shape[-1]
    missing = -channels % LANES
    if missing:
        x, D, bias = (F.pad(value, (0, missing)) for value in (x, D, bias))
        A = F.pad(A, (0, 0, 0, missing))
        if weight is None:
            steps = F.pad(steps, (0, missing))
        else:
            weight = F.pad(weight, (0, missing))
    y = _Scan.apply(x, steps, weight, B, C, A, D, bias, use_softplus, order)
    return y[..., :channels].contiguous() if missing else y


class _Scan(torch.autograd.Function):
    """x (b, p, c), steps (b, p, k, c) or (b, p, k, r), weight None or (k, r, c), B and C (b, p, k, n), A (k, c, n), D
    and bias (k, c); order as in the kernels, which read and write bf16 maps as they are."""

    @staticmethod
    def forward(ctx, x, steps, weight, B, C, A, D, bias, use_softplus, order):
        given = (x, steps, weight, B, C, A, D, bias)
        ctx.types = [None if value is None else value.dtype for value in given]
        wide = widest(x, steps)
        x = _readable(x, wide).contiguous()
        weight = None if weight is None else weight.to(wide).contiguous()
        A, bias = A.to(wide).mT.contiguous(), bias.to(wide).contiguous()
        D = D.to(wide).sum(0)
        batch, length, traversals, rank = steps.shape
        in_order = (
            A.new_empty(batch, traversals, length, rank),
            A.new_empty(batch, traversals, B.shape[-1], length),
            A.new_empty(batch, traversals, B.shape[-1], length),
        )
        _run(cpu_order.to_scan_order, *(_readable(value, wide) for value in (steps, B, C)), order, *in_order)
        y = torch.empty_like(x)
        keep = any(ctx.needs_input_grad)
        kept = A.new_empty(batch, traversals, -(-length // CHUNK) if keep else 0, *A.shape[1:])
        steps, B, C = in_order
        slices = _slices(batch * x.shape[-1] // LANES, 2, length, like=A)
        _run(cpu_forward.forward, x, steps, weight, B, C, A, D, bias, use_softplus, order, y, keep, kept, slices)
        ctx.save_for_backward(x, steps, weight, B, C, A, D, bias, kept)
        ctx.use_softplus, ctx.order = use_softplus, order
        return y.to(ctx.types[0])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy):
        x, steps, weight, B, C, A, D, bias, kept = ctx.saved_tensors
        dy = dy.to(x.dtype).contiguous()
        batch, traversals, length, rank = steps.shape
        groups = min(_GROUPS, x.shape[-1] // LANES)
        dx = torch.empty_like(x)
        dB = A.new_zeros(groups, *B.shape[:-1], length + -length % CHUNK)
        dC = torch.zeros_like(dB)
        dA, dD, dbias = (A.new_zeros(batch, *value.shape) for value in (A, D, bias))
        if weight is None:
            dsteps, dweight = steps.new_empty(1, *steps.shape), None
        else:
            dsteps = steps.new_zeros(groups, *steps.shape[:-1], rank + -rank % LANES)
            dweight = A.new_zeros(batch, *weight.shape)
        _run(
            cpu_backward.backward, dy, x, steps, weight, B, C, A, D, bias, ctx.use_softplus, ctx.order, kept,
            dx, dsteps, dweight, dB, dC, dA, dD, dbias, _slices(batch * groups, 3, length, like=A),
        )  # fmt: skip
        by_position = [A.new_empty(batch, length, traversals, size) for size in (rank, B.shape[2], B.shape[2])]
        _run(cpu_order.to_map_order, dsteps, dB, dC, ctx.order, *by_position)
        dsteps, dB, dC = by_position
        dweight = None if weight is None else dweight.sum(0)
        gradients = (dx, dsteps, dweight, dB, dC, dA.sum(0).mT, dD.sum(0).expand_as(bias), dbias.sum(0))
        typed = (None if kind is None else value.to(kind) for value, kind in zip(gradients, ctx.types, strict=True))
        return *typed, None, None


def _slices(tasks, maps, length, like):
    """Buffers in which each thread works on one vector of channels, of so many maps."""
    return like.new_empty(min(tasks, torch.get_num_threads()), maps, length, LANES)


def _readable(value, wide):
    """Convert to the type that the kernels compute in, unless they can read the value as it is."""
    return value if value.dtype == torch.bfloat16 and wide == torch.float32 else value.to(wide)


def _as_numpy(value):
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach()
    return value.view(torch.uint16).numpy() if value.dtype == torch.bfloat16 else value.numpy()


@lru_cache(maxsize=64)
def _cross_order(height, width):
    return traversals(height, width).numpy()


@lru_cache(maxsize=64)
def _sequence(length):
    return torch.arange(length)[None].numpy()


def _run(kernel, *arguments):
    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    if torch.get_num_threads() != threads:
        # Where numba and torch share one OpenMP, numba's first call sets the number of threads of both.
        torch.set_num_threads(threads)
    # Numba's own pool, which it uses where there is no OpenMP, ends the process when two threads call it at once.
    with _ONE_CALL if numba.threading_layer() == "workqueue" else nullcontext():
        kernel(*map(_as_numpy, arguments))
