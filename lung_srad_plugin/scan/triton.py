"""The scan on a GPU, as Triton kernels: no build step, no CUDA toolchain.

A program takes one clip, one traversal, one state and a block of channels, and walks the sequence in tiles of ``TILE``
steps; within a tile the recurrence is an associative scan of pairs (a, b), which stand for ``h -> a h + b``. Positions
are computed from steps, so that no map is flipped, transposed or copied. No two programs write the same number: parts
are added up afterwards, in a fixed order, and results are the same from run to run.

Shapes: batch b, positions p, traversals k, states n, channels c.
"""

import torch
import triton
import triton.language as tl

from lung_srad_plugin.errors import LungSRADError

TILE = 64
CHANNELS = 16
# Triton compiles once for all values of these. Not of ``channels``: where it is a multiple of 16, loads are faster.
_SIZES = ("batch", "height", "width", "states", "traversals")


def cross_scan_triton(x, delta, B, C, A, D, delta_bias):
    """Scan a map along the four traversals; see ``cross_scan``."""
    flat = (value.flatten(1, 2) for value in (x, delta, B, C))
    return _Scan.apply(*flat, A, D, delta_bias, True, *x.shape[1:3]).view(x.shape)


def selective_scan_triton(u, delta, A, B, C, D=None, delta_bias=None, delta_softplus=False):
    """Scan a sequence, as one traversal of a map of one row; see ``selective_scan``."""
    batch, channels, length = u.shape
    groups = B.shape[1] if B.dim() == 4 else 1
    D = A.new_zeros(channels) if D is None else D
    delta_bias = A.new_zeros(channels) if delta_bias is None else delta_bias

    def scan(g):
        u_g, delta_g, B_g, C_g = (value.reshape(batch, groups, -1, length)[:, g].mT for value in (u, delta, B, C))
        A_g, D_g, bias_g = (value.chunk(groups)[g].unsqueeze(0) for value in (A, D, delta_bias))
        steps, B_g, C_g = (value.unsqueeze(2) for value in (delta_g, B_g, C_g))
        return _Scan.apply(u_g, steps, B_g, C_g, A_g, D_g, bias_g, delta_softplus, 1, length)

    return torch.cat([scan(g) for g in range(groups)], dim=-1).mT


class _Scan(torch.autograd.Function):
    """x (b, p, c), delta (b, p, k, c), B and C (b, p, k, n), A (k, c, n), D and bias (k, c)."""

    @staticmethod
    def forward(ctx, x, delta, B, C, A, D, bias, use_softplus, height, width):
        ctx.types = [value.dtype for value in (x, delta, B, C, A, D, bias)]
        if torch.float64 in ctx.types[:2]:
            raise LungSRADError("the 'triton' scan computes in fp32; for fp64 use 'cpu' or 'reference', or convert")
        x, delta, B, C = (value.contiguous() for value in (x, delta, B, C))
        A, D, bias = (value.float().contiguous() for value in (A, D, bias))
        batch, positions, channels = x.shape
        traversals, _, states = A.shape
        scans = traversals * states
        y = x.new_empty(scans, batch, positions, channels, dtype=torch.float32)
        kept = y.new_empty(batch, scans, triton.cdiv(positions, TILE), channels)
        grid = (triton.cdiv(channels, CHANNELS), scans, batch)
        _forward[grid](
            x, delta, B, C, A, bias, y, kept, batch, height, width, channels, states, traversals,
            SOFTPLUS=use_softplus, TILE=TILE, CHANNELS=CHANNELS,
        )  # fmt: skip
        ctx.save_for_backward(x, delta, B, C, A, D, bias, kept)
        ctx.sizes, ctx.use_softplus = (height, width), use_softplus
        return (y.sum(0) + D.sum(0) * x).to(x.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy):
        x, delta, B, C, A, D, bias, kept = ctx.saved_tensors
        dy = dy.contiguous()
        batch, positions, channels = x.shape
        traversals, _, states = A.shape
        scans, blocks = traversals * states, triton.cdiv(channels, CHANNELS)
        dx = x.new_empty(scans, batch, positions, channels, dtype=torch.float32)
        ddelta = dx.new_empty(states, *delta.shape)
        dB, dC = dx.new_empty(blocks, *B.shape), dx.new_empty(blocks, *C.shape)
        dA = dx.new_empty(batch, *A.shape)
        _backward[(blocks, scans, batch)](
            dy, x, delta, B, C, A, bias, kept, dx, ddelta, dB, dC, dA, batch, *ctx.sizes, channels, states, traversals,
            SOFTPLUS=ctx.use_softplus, TILE=TILE, CHANNELS=CHANNELS,
        )  # fmt: skip
        wide = dy.float()
        dx = dx.sum(0) + D.sum(0) * wide
        ddelta = ddelta.sum(0)
        dD = (wide * x).sum((0, 1)).expand(len(D), -1)
        gradients = (dx, ddelta, dB.sum(0), dC.sum(0), dA.sum(0), dD, ddelta.sum((0, 1)))
        typed = (value.to(kind) for value, kind in zip(gradients, ctx.types, strict=True))
        return *typed, None, None, None


@triton.jit
def _position(t, k, height, width):
    """The position that traversal ``k`` visits at step ``t``."""
    t = tl.where(k >= 2, height * width - 1 - t, t)
    return tl.where(k % 2 == 1, (t % height) * width + t // height, t)


@triton.jit
def _softplus(d):
    e = tl.exp(-tl.abs(d))
    # log(1 + e) / e to 3e-8: the hardware's logarithm has too few digits near 1.
    ratio = 0.005232624243944883 * e - 0.029504956677556038
    ratio = ratio * e + 0.07822549343109131
    ratio = ratio * e - 0.1366320699453354
    ratio = ratio * e + 0.1910598874092102
    ratio = ratio * e - 0.2484297752380371
    ratio = ratio * e + 0.3331909477710724
    ratio = ratio * e - 0.4999949336051941
    ratio = ratio * e + 0.9999999403953552
    return tl.where(d < 0, 0.0, d) + e * ratio


@triton.jit
def _sigmoid(d):
    e = tl.exp(-tl.abs(d))
    return tl.where(d < 0, e, 1.0) / (1.0 + e)


@triton.jit
def _then(a_first, b_first, a_second, b_second):
    """``h -> a h + b``, the first and then the second."""
    return a_first * a_second, b_first * a_second + b_second


@triton.jit
def _row(matrix, index, TILE: tl.constexpr):
    """One row of a (TILE, CHANNELS) tile."""
    rows = tl.arange(0, TILE)[:, None]
    return tl.sum(tl.where(rows == index, matrix, 0.0), axis=0)


@triton.jit
def _raw_steps(delta, base, p, k, traversals, channels, c, valid, bias_c):
    offset = ((base + p)[:, None] * traversals + k) * channels + c[None, :]
    return tl.load(delta + offset, mask=valid, other=0.0).to(tl.float32) + bias_c[None, :]


@triton.jit(do_not_specialize=_SIZES)
def _forward(
    x, delta, B, C, A, bias, y, kept, batch, height, width, channels, states, traversals,
    SOFTPLUS: tl.constexpr, TILE: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    scan, b = tl.program_id(1), tl.program_id(2)
    k, n = scan // states, scan % states
    length = height * width
    tiles = tl.cdiv(length, TILE)
    base = b.to(tl.int64) * length
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    inside = c < channels
    A_c = tl.load(A + (k * channels + c) * states + n, mask=inside, other=0.0)
    bias_c = tl.load(bias + k * channels + c, mask=inside, other=0.0)
    scans = traversals * states
    h = tl.zeros((CHANNELS,), tl.float32)
    for tile in range(tiles):
        tl.store(kept + ((b.to(tl.int64) * scans + scan) * tiles + tile) * channels + c, h, mask=inside)
        t = tile * TILE + tl.arange(0, TILE)
        exists = t < length
        valid = exists[:, None] & inside[None, :]
        p = _position(t, k, height, width)
        vector = ((base + p) * traversals + k) * states + n
        B_t = tl.load(B + vector, mask=exists, other=0.0).to(tl.float32)
        C_t = tl.load(C + vector, mask=exists, other=0.0).to(tl.float32)
        offset = (base + p)[:, None] * channels + c[None, :]
        x_t = tl.load(x + offset, mask=valid, other=0.0).to(tl.float32)
        dt = _raw_steps(delta, base, p, k, traversals, channels, c, valid, bias_c)
        if SOFTPLUS:
            dt = _softplus(dt)
        a = tl.exp(dt * A_c[None, :])
        a, state = tl.associative_scan((a, dt * x_t * B_t[:, None]), 0, _then)
        state = a * h[None, :] + state
        part = scan.to(tl.int64) * batch * length * channels
        tl.store(y + part + offset, state * C_t[:, None], mask=valid)
        h = _row(state, TILE - 1, TILE)


@triton.jit(do_not_specialize=_SIZES)
def _backward(
    dy, x, delta, B, C, A, bias, kept, dx, ddelta, dB, dC, dA, batch, height, width, channels, states, traversals,
    SOFTPLUS: tl.constexpr, TILE: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    block, scan, b = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    k, n = scan // states, scan % states
    length = height * width
    tiles = tl.cdiv(length, TILE)
    base = b.to(tl.int64) * length
    c = block * CHANNELS + tl.arange(0, CHANNELS)
    inside = c < channels
    A_c = tl.load(A + (k * channels + c) * states + n, mask=inside, other=0.0)
    bias_c = tl.load(bias + k * channels + c, mask=inside, other=0.0)
    scans = traversals * states
    rows = tl.arange(0, TILE)
    # The gradient of the state after the tile's last step, through the steps that follow.
    carried = tl.zeros((CHANNELS,), tl.float32)
    dA_c = tl.zeros((CHANNELS,), tl.float32)
    for back in range(tiles):
        tile = tiles - 1 - back
        t = tile * TILE + rows
        exists = t < length
        valid = exists[:, None] & inside[None, :]
        p = _position(t, k, height, width)
        vector = ((base + p) * traversals + k) * states + n
        B_t = tl.load(B + vector, mask=exists, other=0.0).to(tl.float32)
        C_t = tl.load(C + vector, mask=exists, other=0.0).to(tl.float32)
        offset = (base + p)[:, None] * channels + c[None, :]
        x_t = tl.load(x + offset, mask=valid, other=0.0).to(tl.float32)
        dy_t = tl.load(dy + offset, mask=valid, other=0.0).to(tl.float32)
        raw = _raw_steps(delta, base, p, k, traversals, channels, c, valid, bias_c)
        dt = raw
        if SOFTPLUS:
            dt = _softplus(raw)
        decay = tl.exp(dt * A_c[None, :])

        # The state before each step: the steps before it in this tile, applied to the state before the tile.
        later = (rows > 0) & exists
        p_before = _position(tl.maximum(t - 1, 0), k, height, width)
        use = later[:, None] & inside[None, :]
        offset_before = (base + p_before)[:, None] * channels + c[None, :]
        x_before = tl.load(x + offset_before, mask=use, other=0.0).to(tl.float32)
        B_before = tl.load(B + ((base + p_before) * traversals + k) * states + n, mask=later, other=0.0).to(tl.float32)
        dt_before = _raw_steps(delta, base, p_before, k, traversals, channels, c, use, bias_c)
        if SOFTPLUS:
            dt_before = _softplus(dt_before)
        decay_before = tl.where(use, tl.exp(dt_before * A_c[None, :]), 1.0)
        written_before = tl.where(use, dt_before * x_before * B_before[:, None], 0.0)
        first = tl.load(kept + ((b.to(tl.int64) * scans + scan) * tiles + tile) * channels + c, mask=inside, other=0.0)
        product, before = tl.associative_scan((decay_before, written_before), 0, _then)
        before = product * first[None, :] + before
        after = decay * before + dt * x_t * B_t[:, None]

        # The gradient of each state: the same recurrence from the end, with the decay of the step that follows.
        follows = t + 1 < length
        p_next = _position(tl.minimum(t + 1, length - 1), k, height, width)
        use = (follows & (rows < TILE - 1))[:, None] & inside[None, :]
        dt_next = _raw_steps(delta, base, p_next, k, traversals, channels, c, use, bias_c)
        if SOFTPLUS:
            dt_next = _softplus(dt_next)
        decay_next = tl.where(use, tl.exp(dt_next * A_c[None, :]), 1.0)
        product, to_state = tl.associative_scan((decay_next, C_t[:, None] * dy_t), 0, _then, reverse=True)
        to_state = product * carried[None, :] + to_state

        to_written = to_state * B_t[:, None]
        to_exponent = to_state * decay * before
        to_raw = to_written * x_t + to_exponent * A_c[None, :]
        if SOFTPLUS:
            to_raw = to_raw * _sigmoid(raw)
        dA_c += tl.sum(tl.where(valid, to_exponent * dt, 0.0), axis=0)
        part = scan.to(tl.int64) * batch * length * channels
        tl.store(dx + part + offset, to_written * dt, mask=valid)
        part = n.to(tl.int64) * batch * length * traversals * channels
        tl.store(ddelta + part + ((base + p)[:, None] * traversals + k) * channels + c[None, :], to_raw, mask=valid)
        part = block.to(tl.int64) * batch * length * traversals * states
        tl.store(dB + part + vector, tl.sum(tl.where(valid, to_state * dt * x_t, 0.0), axis=1), mask=exists)
        tl.store(dC + part + vector, tl.sum(tl.where(valid, after * dy_t, 0.0), axis=1), mask=exists)
        carried = _row(to_state * decay, 0, TILE)
    tl.store(dA + ((b.to(tl.int64) * traversals + k) * channels + c) * states + n, dA_c, mask=inside)
