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

CHUNK = 64
"""Steps between two kept states. The backward pass recomputes the states between, in buffers that fit the cache."""


@njit
def _combine(rows, column, factors, start):
    """start + sum over j of factors[j] rows[j], at ``column`` of the rows."""
    for j in range(factors.size):
        start = fma(load(rows, (j, column)), factors[j], start)
    return start


@njit
def _combine_four(rows, column, factors, starts):
    """``_combine`` for four lots of factors, so that one load of a row serves four."""
    (f, g, h, i), (of_f, of_g, of_h, of_i) = factors, starts
    for j in range(f.size):
        row = load(rows, (j, column))
        of_f = fma(row, f[j], of_f)
        of_g = fma(row, g[j], of_g)
        of_h = fma(row, h[j], of_h)
        of_i = fma(row, i[j], of_i)
    return of_f, of_g, of_h, of_i


@njit
def _read_steps(raw, b, k, c, start, count, order, steps, weight, weight_here, bias):
    """Fill ``raw`` with the step sizes of a chunk, before softplus."""
    bias_k = load(bias, (k, c))
    if weight is None:
        for i in range(count):
            store(raw, (i, 0), load(steps, (b, order[k, start + i], k, c)) + bias_k)
    else:
        fours = count - count % 4
        for i in range(0, fours, 4):
            t = start + i
            p, q, r, s = order[k, t], order[k, t + 1], order[k, t + 2], order[k, t + 3]
            factors = (steps[b, p, k], steps[b, q, k], steps[b, r, k], steps[b, s, k])
            d = _combine_four(weight_here, 0, factors, (bias_k, bias_k, bias_k, bias_k))
            store(raw, (i, 0), d[0])
            store(raw, (i + 1, 0), d[1])
            store(raw, (i + 2, 0), d[2])
            store(raw, (i + 3, 0), d[3])
        for i in range(fours, count):
            store(raw, (i, 0), _combine(weight_here, 0, steps[b, order[k, start + i], k], bias_k))


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
def _transpose(weight_here):
    """(r, LANES) -> (LANES, r, made up to whole vectors with zeros)."""
    rank = weight_here.shape[0]
    turned = np.zeros((LANES, -(-rank // LANES) * LANES), weight_here.dtype)
    for j in range(rank):
        for lane in range(LANES):
            turned[lane, j] = weight_here[j, lane]
    return turned


@njit
def _add_to_projections(dsteps, to_raw, turned, group, b, k, start, count, order):
    """Add this block's part of the gradient of the projections: ``to_raw`` (step, c) times the weights (c, r)."""
    fours = count - count % 4
    for j in range(0, turned.shape[1], LANES):
        for i in range(0, fours, 4):
            t = start + i
            p = (group, b, k, order[k, t], j)
            q = (group, b, k, order[k, t + 1], j)
            r = (group, b, k, order[k, t + 2], j)
            s = (group, b, k, order[k, t + 3], j)
            factors = (to_raw[i], to_raw[i + 1], to_raw[i + 2], to_raw[i + 3])
            starts = (load(dsteps, p), load(dsteps, q), load(dsteps, r), load(dsteps, s))
            sums = _combine_four(turned, j, factors, starts)
            store(dsteps, p, sums[0])
            store(dsteps, q, sums[1])
            store(dsteps, r, sums[2])
            store(dsteps, s, sums[3])
        for i in range(fours, count):
            p = (group, b, k, order[k, start + i], j)
            store(dsteps, p, _combine(turned, j, to_raw[i], load(dsteps, p)))


@njit
def _add_to_weights(dweight, to_raw, steps_here, b, k, c, count):
    """Add a chunk's part of the gradient of the weights: the projections (r, step) times ``to_raw`` (step, c)."""
    rank = dweight.shape[2]
    fours = rank - rank % 4
    for j in range(0, fours, 4):
        row_0, row_1 = load(dweight, (b, k, j, c)), load(dweight, (b, k, j + 1, c))
        row_2, row_3 = load(dweight, (b, k, j + 2, c)), load(dweight, (b, k, j + 3, c))
        for i in range(count):
            to_raw_i = load(to_raw, (i, 0))
            row_0 = fma(to_raw_i, steps_here[i, j], row_0)
            row_1 = fma(to_raw_i, steps_here[i, j + 1], row_1)
            row_2 = fma(to_raw_i, steps_here[i, j + 2], row_2)
            row_3 = fma(to_raw_i, steps_here[i, j + 3], row_3)
        store(dweight, (b, k, j, c), row_0)
        store(dweight, (b, k, j + 1, c), row_1)
        store(dweight, (b, k, j + 2, c), row_2)
        store(dweight, (b, k, j + 3, c), row_3)
    for j in range(fours, rank):
        row = load(dweight, (b, k, j, c))
        for i in range(count):
            row = fma(load(to_raw, (i, 0)), steps_here[i, j], row)
        store(dweight, (b, k, j, c), row)


@njit
def _backward_task(
    b, group, c, dy, x, steps, weight, B, C, rate, A, D, bias, use_softplus, order, kept,
    dx, dsteps, dweight, dB, dC, dA, dD, dbias,
):  # fmt: skip
    traversals, length = order.shape
    states = rate.shape[1]
    # What a chunk reads more than once is copied: where W is a power of two, the positions of a column of the map share
    # one set of cache lines and push each other out.
    x_here = np.empty((CHUNK, LANES), x.dtype)
    dy_here = np.empty((CHUNK, LANES), x.dtype)
    steps_here = np.empty((CHUNK, steps.shape[3]), x.dtype)
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
        turned = _transpose(weight_here)
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
                p = order[k, start + i]
                x_p = load(x, (b, p, c))
                store(dt, (i, 0), d)
                store(written, (i, 0), d * x_p)
                store(x_here, (i, 0), x_p)
                store(dy_here, (i, 0), load(dy, (b, p, c)))
                if weight is not None:
                    for j in range(steps.shape[3]):
                        steps_here[i, j] = steps[b, p, k, j]
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
                    dy_p = load(dy_here, (i, 0))
                    to_state = fma(dy_p, C[b, p, k, n], to_state)
                    dC[group, b, p, k, n] += total(dy_p * load(before, (i + 1, 0)))
                    dB[group, b, p, k, n] += total(to_state * load(written, (i, 0)))
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
                x_p, dy_p, to_written_i = load(x_here, (i, 0)), load(dy_here, (i, 0)), load(to_written, (i, 0))
                to_raw = fma(to_written_i, x_p, load(to_dt, (i, 0)))
                if use_softplus:
                    to_raw = to_raw * load(slope, (i, 0))
                dbias_k = dbias_k + to_raw
                if weight is None:
                    store(dsteps, (b, p, k, c), to_raw)
                else:
                    store(raw, (i, 0), to_raw)
                if k == 0:
                    store(dD, (b, c), fma(dy_p, x_p, load(dD, (b, c))))
                    store(dx, (b, p, c), load(D, (c,)) * dy_p)
                store(dx, (b, p, c), fma(to_written_i, load(dt, (i, 0)), load(dx, (b, p, c))))
            store(dbias, (b, k, c), dbias_k)
            if weight is not None:
                _add_to_projections(dsteps, raw, turned, group, b, k, start, count, order)
                _add_to_weights(dweight, raw, steps_here, b, k, c, count)


@njit(parallel=True, nogil=True, cache=True)
def backward(
    dy, x, steps, weight, B, C, rate, A, D, bias, use_softplus, order, kept, dx, dsteps, dweight, dB, dC, dA, dD, dbias
):
    """Gradients of ``forward`` given ``dy`` (b, p, c), with ``A`` (k, n, c).

    A task is one clip and one group of channels. Fills ``dx`` (b, p, c), and ``dsteps`` (b, p, k, c) where ``weight``
    is None. Adds to the rest, which is zero before, and which the caller adds up in a fixed order: over groups ``dB``
    and ``dC`` (group, b, p, k, n) and, given weights, ``dsteps`` (group, b, k, p, r made up to whole vectors); over
    clips ``dweight`` (b, k, r, c), ``dA`` (b, k, n, c), ``dD`` (b, c) and ``dbias`` (b, k, c).
    """
    groups = dB.shape[0]
    blocks = x.shape[2] // LANES
    for task in prange(x.shape[0] * groups):
        b, group = task // groups, task % groups
        for block in range(group, blocks, groups):
            _backward_task(
                b, group, block * LANES, dy, x, steps, weight, B, C, rate, A, D, bias, use_softplus, order, kept,
                dx, dsteps, dweight, dB, dC, dA, dD, dbias,
            )  # fmt: skip
