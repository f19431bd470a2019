"""Numba kernels of the scan: positions by channels, walked in any order, in O(L) memory.

Vectors run over channels, which are neighbours in memory, so that the recurrence needs no parallel prefix sum. A task
is one clip and one vector of its channels; no two tasks write the same number, so results do not depend on how many
threads there are, nor on which takes what.

Shapes: batch b, positions p, traversals k, states n, channels c (a multiple of ``LANES``), rank r. ``order[k, t]`` is
the position that traversal ``k`` visits at step ``t``. ``rate`` (k, n, c) is A / log 2. ``D`` (c,) is summed over
traversals. ``weight`` is None where ``steps`` (b, p, k, c) holds the step sizes, or (k, r, c) where it holds their
projections (b, p, k, r): the step sizes, four times the map, then never leave the cache.

Numba's cache watches this file alone: touch it after a change in ``cpu_vectors.py`` or ``cpu_maths.py``.
"""

import numpy as np
from numba import njit, prange

from lung_srad_plugin.scan.cpu_maths import decay, sigmoid, small_exponential, softplus
from lung_srad_plugin.scan.cpu_vectors import LANES, fma, load, store, total

CHUNK = 32
"""Steps between two kept states. The backward pass recomputes the states between, in buffers that fit the cache."""


@njit
def _read_steps(raw, b, k, c, start, count, order, steps, weight, weight_here, bias):
    """Fill ``raw`` with the step sizes of a chunk, before softplus."""
    bias_k = load(bias, (k, c))
    if weight is None:
        for i in range(count):
            store(raw, (i, 0), load(steps, (b, order[k, start + i], k, c)) + bias_k)
    else:
        rank = weight.shape[1]
        i = 0
        # Four at a time, so that one load of the weights serves four.
        while i + 4 <= count:
            p, q = order[k, start + i], order[k, start + i + 1]
            r, s = order[k, start + i + 2], order[k, start + i + 3]
            d_p, d_q, d_r, d_s = bias_k, bias_k, bias_k, bias_k
            for j in range(rank):
                column = load(weight_here, (j, 0))
                d_p = fma(column, steps[b, p, k, j], d_p)
                d_q = fma(column, steps[b, q, k, j], d_q)
                d_r = fma(column, steps[b, r, k, j], d_r)
                d_s = fma(column, steps[b, s, k, j], d_s)
            store(raw, (i, 0), d_p)
            store(raw, (i + 1, 0), d_q)
            store(raw, (i + 2, 0), d_r)
            store(raw, (i + 3, 0), d_s)
            i += 4
        while i < count:
            p = order[k, start + i]
            d = bias_k
            for j in range(rank):
                d = fma(load(weight_here, (j, 0)), steps[b, p, k, j], d)
            store(raw, (i, 0), d)
            i += 1


@njit
def _gather_weight(weight, k, c, like):
    """Return the weights of these channels (r, LANES), together in memory; one row where there are none."""
    if weight is None:
        return np.empty((1, LANES), like.dtype)
    here = np.empty((weight.shape[1], LANES), like.dtype)
    for j in range(weight.shape[1]):
        store(here, (j, 0), load(weight, (k, j, c)))
    return here


@njit
def _forward_task(b, c, x, steps, weight, B, C, rate, D, bias, use_softplus, order, y, keep, kept):
    traversals, length = order.shape
    states = rate.shape[1]
    h = np.empty((states, LANES), x.dtype)
    dt = np.empty((CHUNK, LANES), x.dtype)
    written = np.empty((CHUNK, LANES), x.dtype)
    for k in range(traversals):
        h[:] = 0
        weight_here = _gather_weight(weight, k, c, x)
        for start in range(0, length, CHUNK):
            count = min(CHUNK, length - start)
            _read_steps(dt, b, k, c, start, count, order, steps, weight, weight_here, bias)
            for i in range(count):
                p = order[k, start + i]
                d = load(dt, (i, 0))
                if use_softplus:
                    d = softplus(d, small_exponential(d))
                    store(dt, (i, 0), d)
                x_p = load(x, (b, p, c))
                store(written, (i, 0), d * x_p)
                if k == 0:
                    store(y, (b, p, c), load(D, (c,)) * x_p)
            for n in range(states):
                state = load(h, (n, 0))
                rate_n = load(rate, (k, n, c))
                if keep:
                    store(kept, (b, k, start // CHUNK, n, c), state)
                for i in range(count):
                    p = order[k, start + i]
                    state = fma(decay(load(dt, (i, 0)) * rate_n), state, load(written, (i, 0)) * B[b, p, k, n])
                    store(y, (b, p, c), fma(state, C[b, p, k, n], load(y, (b, p, c))))
                store(h, (n, 0), state)


@njit(parallel=True, nogil=True, cache=True)
def forward(x, steps, weight, B, C, rate, D, bias, use_softplus, order, y, keep, kept):
    """Scan: fills ``y`` (b, p, c) and, where ``keep``, the state before each chunk, ``kept`` (b, k, chunk, n, c)."""
    blocks = x.shape[2] // LANES
    for task in prange(x.shape[0] * blocks):
        b, c = task // blocks, task % blocks * LANES
        _forward_task(b, c, x, steps, weight, B, C, rate, D, bias, use_softplus, order, y, keep, kept)


@njit
def _backward_task(
    b, block, dy, x, steps, weight, B, C, rate, A, D, bias, use_softplus, order, kept, dx, dsteps, dB, dC, dA, dD, dbias
):
    traversals, length = order.shape
    states = rate.shape[1]
    c = block * LANES
    raw = np.empty((CHUNK, LANES), x.dtype)
    dt = np.empty((CHUNK, LANES), x.dtype)
    slope = np.empty((CHUNK, LANES), x.dtype)
    written = np.empty((CHUNK, LANES), x.dtype)
    to_written = np.empty((CHUNK, LANES), x.dtype)
    to_dt = np.empty((CHUNK, LANES), x.dtype)
    decays = np.empty((CHUNK, LANES), x.dtype)
    # Row i is the state before step i of the chunk.
    before = np.empty((CHUNK + 1, LANES), x.dtype)
    carried = np.empty((states, LANES), x.dtype)
    for k in range(traversals):
        carried[:] = 0
        weight_here = _gather_weight(weight, k, c, x)
        for chunk in range((length - 1) // CHUNK, -1, -1):
            start = chunk * CHUNK
            count = min(CHUNK, length - start)
            _read_steps(raw, b, k, c, start, count, order, steps, weight, weight_here, bias)
            for i in range(count):
                d = load(raw, (i, 0))
                if use_softplus:
                    e = small_exponential(d)
                    store(slope, (i, 0), sigmoid(d, e))
                    d = softplus(d, e)
                store(dt, (i, 0), d)
                store(written, (i, 0), d * load(x, (b, order[k, start + i], c)))
            to_written[:] = 0
            to_dt[:] = 0
            for n in range(states):
                rate_n = load(rate, (k, n, c))
                state = load(kept, (b, k, chunk, n, c))
                for i in range(count):
                    store(before, (i, 0), state)
                    decay_i = decay(load(dt, (i, 0)) * rate_n)
                    store(decays, (i, 0), decay_i)
                    state = fma(decay_i, state, load(written, (i, 0)) * B[b, order[k, start + i], k, n])
                store(before, (count, 0), state)

                to_state = load(carried, (n, 0))
                A_n = load(A, (k, n, c))
                dA_n = load(dA, (b, k, n, c))
                for i in range(count - 1, -1, -1):
                    p = order[k, start + i]
                    dy_p = load(dy, (b, p, c))
                    to_state = fma(dy_p, C[b, p, k, n], to_state)
                    dC[block, b, p, k, n] = total(dy_p * load(before, (i + 1, 0)))
                    dB[block, b, p, k, n] = total(to_state * load(written, (i, 0)))
                    store(to_written, (i, 0), fma(to_state, B[b, p, k, n], load(to_written, (i, 0))))
                    to_state = to_state * load(decays, (i, 0))
                    to_exponent = to_state * load(before, (i, 0))
                    store(to_dt, (i, 0), fma(to_exponent, A_n, load(to_dt, (i, 0))))
                    dA_n = fma(to_exponent, load(dt, (i, 0)), dA_n)
                store(carried, (n, 0), to_state)
                store(dA, (b, k, n, c), dA_n)
            dbias_k = load(dbias, (b, k, c))
            for i in range(count):
                p = order[k, start + i]
                x_p, dy_p, to_written_i = load(x, (b, p, c)), load(dy, (b, p, c)), load(to_written, (i, 0))
                to_raw = fma(to_written_i, x_p, load(to_dt, (i, 0)))
                if use_softplus:
                    to_raw = to_raw * load(slope, (i, 0))
                store(dsteps, (b, p, k, c), to_raw)
                dbias_k = dbias_k + to_raw
                if k == 0:
                    store(dD, (b, c), fma(dy_p, x_p, load(dD, (b, c))))
                    store(dx, (b, p, c), load(D, (c,)) * dy_p)
                store(dx, (b, p, c), fma(to_written_i, load(dt, (i, 0)), load(dx, (b, p, c))))
            store(dbias, (b, k, c), dbias_k)


@njit(parallel=True, nogil=True, cache=True)
def backward(
    dy, x, steps, weight, B, C, rate, A, D, bias, use_softplus, order, kept, dx, dsteps, dB, dC, dA, dD, dbias
):
    """Gradients of ``forward`` given ``dy`` (b, p, c), with ``A`` (k, n, c).

    Fills ``dx`` (b, p, c), ``dsteps`` (b, p, k, c), of the step sizes before softplus, and parts for the caller to add
    up in a fixed order: over blocks of channels ``dB`` and ``dC`` (block, b, p, k, n); over clips ``dA`` (b, k, n, c),
    ``dD`` (b, c) and ``dbias`` (b, k, c), to which it adds.
    """
    blocks = x.shape[2] // LANES
    for task in prange(x.shape[0] * blocks):
        b, block = task // blocks, task % blocks
        _backward_task(
            b, block, dy, x, steps, weight, B, C, rate, A, D, bias, use_softplus, order, kept,
            dx, dsteps, dB, dC, dA, dD, dbias,
        )  # fmt: skip
