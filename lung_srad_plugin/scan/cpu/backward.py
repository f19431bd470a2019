"""Numba kernel of the scan's gradients; shapes as in ``forward``."""

import numpy as np
from numba import njit, prange

from lung_srad_plugin.scan.cpu.cache import SOURCES
from lung_srad_plugin.scan.cpu.maths import LOG2E, decay, sigmoid, small_exponential, softplus
from lung_srad_plugin.scan.cpu.steps import CHUNK, gather_weight, read_steps
from lung_srad_plugin.scan.cpu.vectors import LANES, fma, load, number, row_totals, store


@njit
def _transpose(weight_here):
    """(r, LANES) -> (LANES, r, made up to whole vectors with zeros)."""
    rank = weight_here.shape[0]
    transposed = np.zeros((LANES, -(-rank // LANES) * LANES), weight_here.dtype)
    for j in range(rank):
        for lane in range(LANES):
            transposed[lane, j] = weight_here[j, lane]
    return transposed


@njit
def _add_row_totals(sums, rows, group, b, k, n, start, count):
    """Add the sum over channels of each step of a chunk, ``rows`` (CHUNK, LANES), to ``sums`` (group, b, k, n, t)."""
    for i in range(0, count, LANES):
        index = (group, b, k, n, start + i)
        store(sums, index, load(sums, index) + row_totals(rows, i))


@njit
def _add_to_projections(dsteps, to_raw, transposed, group, b, k, start, count):
    """Add this block's part of the gradient of the projections: ``to_raw`` (step, c) times the weights (c, r)."""
    fours = count - count % 4
    for j in range(0, transposed.shape[1], LANES):
        for i in range(0, fours, 4):
            t = start + i
            sum_0, sum_1 = load(dsteps, (group, b, k, t, j)), load(dsteps, (group, b, k, t + 1, j))
            sum_2, sum_3 = load(dsteps, (group, b, k, t + 2, j)), load(dsteps, (group, b, k, t + 3, j))
            for lane in range(LANES):
                row = load(transposed, (lane, j))
                sum_0 = fma(row, number(to_raw, (i, lane)), sum_0)
                sum_1 = fma(row, number(to_raw, (i + 1, lane)), sum_1)
                sum_2 = fma(row, number(to_raw, (i + 2, lane)), sum_2)
                sum_3 = fma(row, number(to_raw, (i + 3, lane)), sum_3)
            store(dsteps, (group, b, k, t, j), sum_0)
            store(dsteps, (group, b, k, t + 1, j), sum_1)
            store(dsteps, (group, b, k, t + 2, j), sum_2)
            store(dsteps, (group, b, k, t + 3, j), sum_3)
        for i in range(fours, count):
            index = (group, b, k, start + i, j)
            total = load(dsteps, index)
            for lane in range(LANES):
                total = fma(load(transposed, (lane, j)), number(to_raw, (i, lane)), total)
            store(dsteps, index, total)


@njit
def _add_to_weights(dweight, to_raw, steps, b, k, c, start, count):
    """Add a chunk's part of the gradient of the weights: the projections (r, step) times ``to_raw`` (step, c)."""
    rank = dweight.shape[2]
    fours = rank - rank % 4
    for j in range(0, fours, 4):
        row_0, row_1 = load(dweight, (b, k, j, c)), load(dweight, (b, k, j + 1, c))
        row_2, row_3 = load(dweight, (b, k, j + 2, c)), load(dweight, (b, k, j + 3, c))
        for i in range(count):
            to_raw_i, t = load(to_raw, (i, 0)), start + i
            row_0 = fma(to_raw_i, number(steps, (b, k, t, j)), row_0)
            row_1 = fma(to_raw_i, number(steps, (b, k, t, j + 1)), row_1)
            row_2 = fma(to_raw_i, number(steps, (b, k, t, j + 2)), row_2)
            row_3 = fma(to_raw_i, number(steps, (b, k, t, j + 3)), row_3)
        store(dweight, (b, k, j, c), row_0)
        store(dweight, (b, k, j + 1, c), row_1)
        store(dweight, (b, k, j + 2, c), row_2)
        store(dweight, (b, k, j + 3, c), row_3)
    for j in range(fours, rank):
        row = load(dweight, (b, k, j, c))
        for i in range(count):
            row = fma(load(to_raw, (i, 0)), number(steps, (b, k, start + i, j)), row)
        store(dweight, (b, k, j, c), row)


@njit
def _backward_task(
    b, group, c, dy, x, steps, weight, B, C, A, D, bias, use_softplus, order, kept,
    dx, dsteps, dweight, dB, dC, dA, dD, dbias, x_here, dy_here, dx_here,
):  # fmt: skip
    traversals, length = order.shape
    states = A.shape[1]
    raw = np.empty((CHUNK, LANES), bias.dtype)
    dt = np.empty((CHUNK, LANES), bias.dtype)
    slope = np.empty((CHUNK, LANES), bias.dtype)
    written = np.empty((CHUNK, LANES), bias.dtype)
    to_written = np.empty((CHUNK, LANES), bias.dtype)
    to_dt = np.empty((CHUNK, LANES), bias.dtype)
    decays = np.empty((CHUNK, LANES), bias.dtype)
    to_B = np.empty((CHUNK, LANES), bias.dtype)
    to_C = np.empty((CHUNK, LANES), bias.dtype)
    # Row i is the state before step i of the chunk.
    before = np.empty((CHUNK + 1, LANES), bias.dtype)
    carried = np.empty((states, LANES), bias.dtype)
    dD_here = load(dD, (b, c))
    for p in range(length):
        x_p, dy_p = load(x, (b, p, c)), load(dy, (b, p, c))
        store(x_here, (p, 0), x_p)
        store(dy_here, (p, 0), dy_p)
        store(dx_here, (p, 0), load(D, (c,)) * dy_p)
        dD_here = fma(dy_p, x_p, dD_here)
    store(dD, (b, c), dD_here)
    for k in range(traversals):
        carried[:] = 0
        weight_here = gather_weight(weight, k, c, bias)
        transposed = _transpose(weight_here)
        for chunk in range((length - 1) // CHUNK, -1, -1):
            start = chunk * CHUNK
            count = min(CHUNK, length - start)
            read_steps(raw, steps, b, k, c, start, count, weight, weight_here, bias)
            for i in range(count):
                d = load(raw, (i, 0))
                if use_softplus:
                    e = small_exponential(d)
                    store(slope, (i, 0), sigmoid(d, e))
                    d = softplus(d, e)
                store(dt, (i, 0), d)
                store(written, (i, 0), d * load(x_here, (number(order, (k, start + i)), 0)))
            to_written[:] = 0
            to_dt[:] = 0
            for n in range(states):
                A_n = load(A, (k, n, c))
                rate_n = A_n * LOG2E
                state = load(kept, (b, k, chunk, n, c))
                for i in range(count):
                    store(before, (i, 0), state)
                    decay_i = decay(load(dt, (i, 0)) * rate_n)
                    store(decays, (i, 0), decay_i)
                    state = fma(decay_i, state, load(written, (i, 0)) * number(B, (b, k, n, start + i)))
                store(before, (count, 0), state)

                to_state = load(carried, (n, 0))
                dA_n = load(dA, (b, k, n, c))
                for i in range(count - 1, -1, -1):
                    t = start + i
                    dy_p = load(dy_here, (number(order, (k, t)), 0))
                    to_state = fma(dy_p, number(C, (b, k, n, t)), to_state)
                    store(to_C, (i, 0), dy_p * load(before, (i + 1, 0)))
                    store(to_B, (i, 0), to_state * load(written, (i, 0)))
                    store(to_written, (i, 0), fma(to_state, number(B, (b, k, n, t)), load(to_written, (i, 0))))
                    to_state = to_state * load(decays, (i, 0))
                    to_exponent = to_state * load(before, (i, 0))
                    store(to_dt, (i, 0), fma(to_exponent, A_n, load(to_dt, (i, 0))))
                    dA_n = fma(to_exponent, load(dt, (i, 0)), dA_n)
                store(carried, (n, 0), to_state)
                store(dA, (b, k, n, c), dA_n)
                _add_row_totals(dB, to_B, group, b, k, n, start, count)
                _add_row_totals(dC, to_C, group, b, k, n, start, count)
            dbias_k = load(dbias, (b, k, c))
            for i in range(count):
                p = number(order, (k, start + i))
                to_written_i = load(to_written, (i, 0))
                to_raw = fma(to_written_i, load(x_here, (p, 0)), load(to_dt, (i, 0)))
                if use_softplus:
                    to_raw = to_raw * load(slope, (i, 0))
                dbias_k = dbias_k + to_raw
                if weight is None:
                    store(dsteps, (0, b, k, start + i, c), to_raw)
                else:
                    store(raw, (i, 0), to_raw)
                store(dx_here, (p, 0), fma(to_written_i, load(dt, (i, 0)), load(dx_here, (p, 0))))
            store(dbias, (b, k, c), dbias_k)
            if weight is not None:
                _add_to_projections(dsteps, raw, transposed, group, b, k, start, count)
                _add_to_weights(dweight, raw, steps, b, k, c, start, count)
    for p in range(length):
        store(dx, (b, p, c), load(dx_here, (p, 0)))


@njit(parallel=True, nogil=True, cache=True)
def backward(
    dy, x, steps, weight, B, C, A, D, bias, use_softplus, order, kept, dx, dsteps, dweight, dB, dC, dA, dD,
    dbias, slices, sources=SOURCES,
):  # fmt: skip
    """Gradients of ``forward`` given ``dy`` (b, p, c).

    A task is one clip and one group of channels. Fills ``dx`` (b, p, c) and, where ``weight`` is None, ``dsteps``
    (1, b, k, t, c). Adds to the rest, which is zero before, and which the caller adds up in a fixed order: over groups
    ``dB`` and ``dC`` (group, b, k, n, t made up to whole chunks) and, given weights, ``dsteps`` (group, b, k, t, r made
    up to whole vectors); over clips ``dweight`` (b, k, r, c), ``dA`` (b, k, n, c), ``dD`` (b, c) and ``dbias``
    (b, k, c). ``slices`` (worker, 3, p, LANES) as in ``forward``.
    """
    groups = dB.shape[0]
    blocks = x.shape[2] // LANES
    tasks = x.shape[0] * groups
    workers = slices.shape[0]
    for worker in prange(workers):
        x_here, dy_here, dx_here = slices[worker, 0], slices[worker, 1], slices[worker, 2]
        for task in range(worker, tasks, workers):
            b, group = task // groups, task % groups
            for block in range(group, blocks, groups):
                _backward_task(
                    b, group, block * LANES, dy, x, steps, weight, B, C, A, D, bias, use_softplus, order, kept,
                    dx, dsteps, dweight, dB, dC, dA, dD, dbias, x_here, dy_here, dx_here,
                )  # fmt: skip
