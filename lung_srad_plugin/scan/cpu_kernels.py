"""Numba kernels of the scan: maps of positions by channels, walked in any order, in O(L) memory.

Vectors run over channels, which are neighbours in memory, so that the recurrence needs no parallel prefix sum. A task
is one clip and a block of its channels; tasks share nothing they write, so results do not depend on which thread takes
which.

Shapes here: batch b, positions p, traversals k, states n, channels c. ``order[k, t]`` is the position that traversal
``k`` visits at step ``t``.

The polynomials were fitted to the smallest relative error with Lawson's iteration.
"""

import math

import numpy as np
from numba import njit, prange, types
from numba.extending import overload

BLOCK = 48
CHUNK = 32
"""Steps between two kept states: the backward pass recomputes what lies between, in buffers that fit the cache."""

# Multiply-add may be contracted; nothing else, since the rounding trick below needs the order of its operations, and
# NaN must come out where NaN goes in.
_MATHS = {"contract"}
_f = np.float32
_LOG2E_HIGH = _f(math.log2(math.e))
_LOG2E_LOW = _f(math.log2(math.e) - float(_LOG2E_HIGH))
# Adding this rounds to an integer, which then sits in the low bits.
_ROUND = _f(1.5 * 2**23)
_SHIFT, _ONE_BITS = np.int32(23), np.int32(0x3F800000)
_ZERO, _ONE, _LOWEST, _HIGHEST = _f(0), _f(1), _f(-126), _f(128)
# 2**r for r in [-1/2, 1/2] to 2e-9, exactly 1 at 0.
_P1, _P2, _P3 = _f(0.6931471824645996), _f(0.24022646248340607), _f(0.05550328642129898)
_P4, _P5, _P6 = _f(0.009618489071726799), _f(0.0013399930903688073), _f(0.0001534580806037411)
# log(1 + e) / e for e in [0, 1] to 3e-8.
_Q0, _Q1, _Q2 = _f(0.9999999403953552), _f(-0.4999949336051941), _f(0.3331909477710724)
_Q3, _Q4, _Q5 = _f(-0.2484297752380371), _f(0.1910598874092102), _f(-0.1366320699453354)
_Q6, _Q7, _Q8 = _f(0.07822549343109131), _f(-0.029504956677556038), _f(0.005232624243944883)


def _decay(t):
    """2**t"""


def _small_exponential(d):
    """exp(-|d|)"""


def _softplus(d, e):
    """log(1 + exp(d)), with e = exp(-|d|)"""


@njit(fastmath=_MATHS)
def _power_of_two(n_rounded, r):
    power = (((((_P6 * r + _P5) * r + _P4) * r + _P3) * r + _P2) * r + _P1) * r + _ONE
    return power * np.int32((_f(n_rounded).view(np.int32) << _SHIFT) + _ONE_BITS).view(np.float32)


@overload(_decay, jit_options={"fastmath": _MATHS})
def _decay_of(t):
    def single(t):
        # Written so that NaN passes.
        t = _LOWEST if t < _LOWEST else t
        t = _HIGHEST if t > _HIGHEST else t
        n_rounded = t + _ROUND
        return _power_of_two(n_rounded, t - (n_rounded - _ROUND))

    return single if t == types.float32 else lambda t: 2.0**t


@overload(_small_exponential, jit_options={"fastmath": _MATHS})
def _small_exponential_of(d):
    def single(d):
        d = -abs(d)
        d = _f(-87) if d < _f(-87) else d
        n_rounded = d * _LOG2E_HIGH + _ROUND
        n = n_rounded - _ROUND
        return _power_of_two(n_rounded, (d * _LOG2E_HIGH - n) + d * _LOG2E_LOW)

    return single if d == types.float32 else lambda d: math.exp(-abs(d))


@overload(_softplus, jit_options={"fastmath": _MATHS})
def _softplus_of(d, e):
    def single(d, e):
        ratio = (((((((_Q8 * e + _Q7) * e + _Q6) * e + _Q5) * e + _Q4) * e + _Q3) * e + _Q2) * e + _Q1) * e + _Q0
        return (_ZERO if d < _ZERO else d) + e * ratio

    return single if d == types.float32 else lambda d, e: (0.0 if d < 0.0 else d) + math.log1p(e)


# Sums may be reordered, so that they use vectors; the order is then fixed at compile time.
@njit(fastmath={"contract", "reassoc"})
def _dot(a, b):
    total = a[0] * b[0]
    for c in range(1, a.size):
        total += a[c] * b[c]
    return total


@njit(fastmath=_MATHS)
def _forward_block(x, delta, B, C, rate, D, bias, softplus, order, y, kept, first, last):
    traversals, steps = order.shape
    states = rate.shape[1]
    size = last - first
    h = np.empty((states, size), x.dtype)
    dt = np.empty(size, x.dtype)
    written = np.empty(size, x.dtype)
    for k in range(traversals):
        bias_k = bias[k, first:last]
        h[:] = 0
        for t in range(steps):
            p = order[k, t]
            x_p, y_p, delta_p = x[p, first:last], y[p, first:last], delta[p, k, first:last]
            if t % CHUNK == 0:
                kept[k, t // CHUNK, :, first:last] = h
            for c in range(size):
                d = delta_p[c] + bias_k[c]
                dt[c] = _softplus(d, _small_exponential(d)) if softplus else d
                written[c] = dt[c] * x_p[c]
            if k == 0:
                for c in range(size):
                    y_p[c] = D[first + c] * x_p[c]
            for n in range(states):
                B_n, C_n, h_n, rate_n = B[p, k, n], C[p, k, n], h[n], rate[k, n, first:last]
                for c in range(size):
                    h_n[c] = _decay(dt[c] * rate_n[c]) * h_n[c] + B_n * written[c]
                    y_p[c] += C_n * h_n[c]


@njit(parallel=True, fastmath=_MATHS, nogil=True, cache=True)
def forward(x, delta, B, C, rate, D, bias, softplus, order, y, kept):
    """Scan: fills ``y`` (b, p, c) and ``kept`` (b, k, chunk, n, c), the states before each chunk.

    x (b, p, c); delta (b, p, k, c); B, C (b, p, k, n); rate (k, n, c), that is A / log 2; D (c,), summed over
    traversals; bias (k, c); order (k, t).
    """
    blocks = -(-x.shape[2] // BLOCK)
    for task in prange(x.shape[0] * blocks):
        b, first = task // blocks, task % blocks * BLOCK
        last = min(first + BLOCK, x.shape[2])
        _forward_block(x[b], delta[b], B[b], C[b], rate, D, bias, softplus, order, y[b], kept[b], first, last)


@njit(fastmath=_MATHS)
def _backward_block(
    dy, x, delta, B, C, rate, A, D, bias, softplus, order, kept, dx, ddelta, dB, dC, dA, dbias, first, last
):
    traversals, steps = order.shape
    states = rate.shape[1]
    size = last - first
    # One row more than steps: row 0 is the state before the chunk.
    h = np.empty((CHUNK + 1, states, size), x.dtype)
    decay = np.empty((CHUNK, states, size), x.dtype)
    dt = np.empty((CHUNK, size), x.dtype)
    slope = np.empty((CHUNK, size), x.dtype)
    written = np.empty(size, x.dtype)
    carried = np.empty((states, size), x.dtype)
    to_written = np.empty(size, x.dtype)
    to_dt = np.empty(size, x.dtype)
    for k in range(traversals):
        bias_k = bias[k, first:last]
        carried[:] = 0
        for chunk in range((steps - 1) // CHUNK, -1, -1):
            start = chunk * CHUNK
            count = min(CHUNK, steps - start)
            h[0] = kept[k, chunk, :, first:last]
            for i in range(count):
                p = order[k, start + i]
                x_p, delta_p, dt_i, slope_i = x[p, first:last], delta[p, k, first:last], dt[i], slope[i]
                for c in range(size):
                    d = delta_p[c] + bias_k[c]
                    if softplus:
                        e = _small_exponential(d)
                        dt_i[c] = _softplus(d, e)
                        slope_i[c] = (e if d < 0 else 1) / (1 + e)
                    else:
                        dt_i[c] = d
                        slope_i[c] = 1
                    written[c] = dt_i[c] * x_p[c]
                for n in range(states):
                    B_n, before, after, decay_n = B[p, k, n], h[i, n], h[i + 1, n], decay[i, n]
                    rate_n = rate[k, n, first:last]
                    for c in range(size):
                        decay_n[c] = _decay(dt_i[c] * rate_n[c])
                        after[c] = decay_n[c] * before[c] + B_n * written[c]
            for i in range(count - 1, -1, -1):
                p = order[k, start + i]
                x_p, dy_p, dt_i, slope_i = x[p, first:last], dy[p, first:last], dt[i], slope[i]
                dx_p, ddelta_p = dx[p, first:last], ddelta[p, k, first:last]
                to_written[:] = 0
                to_dt[:] = 0
                for c in range(size):
                    written[c] = dt_i[c] * x_p[c]
                for n in range(states):
                    B_n, C_n, before, decay_n = B[p, k, n], C[p, k, n], h[i, n], decay[i, n]
                    A_n, dA_n, to_h = A[k, n, first:last], dA[k, n, first:last], carried[n]
                    dC[p, k, n] = _dot(dy_p, h[i + 1, n])
                    for c in range(size):
                        to_h[c] += C_n * dy_p[c]
                    dB[p, k, n] = _dot(to_h, written)
                    for c in range(size):
                        to_written[c] += to_h[c] * B_n
                        to_h[c] *= decay_n[c]
                        to_exponent = to_h[c] * before[c]
                        to_dt[c] += to_exponent * A_n[c]
                        dA_n[c] += to_exponent * dt_i[c]
                for c in range(size):
                    ddelta_p[c] = slope_i[c] * (to_dt[c] + to_written[c] * x_p[c])
                    dbias[k, first + c] += ddelta_p[c]
                if k == 0:
                    for c in range(size):
                        dx_p[c] = D[first + c] * dy_p[c]
                for c in range(size):
                    dx_p[c] += dt_i[c] * to_written[c]


@njit(parallel=True, fastmath=_MATHS, nogil=True, cache=True)
def backward(dy, x, delta, B, C, rate, A, D, bias, softplus, order, kept, dx, ddelta, dB, dC, dA, dbias):
    """Gradients of ``forward``; ``dB``, ``dC`` (block, b, p, k, n), ``dA`` (b, k, n, c) and ``dbias`` (b, k, c) are
    parts that the caller adds up over blocks and clips, the last two zero before."""
    blocks = -(-x.shape[2] // BLOCK)
    for task in prange(x.shape[0] * blocks):
        b, block = task // blocks, task % blocks
        first = block * BLOCK
        last = min(first + BLOCK, x.shape[2])
        _backward_block(
            dy[b], x[b], delta[b], B[b], C[b], rate, A, D, bias, softplus, order, kept[b],
            dx[b], ddelta[b], dB[block, b], dC[block, b], dA[b], dbias[b], first, last,
        )  # fmt: skip
