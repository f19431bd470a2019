"""Step sizes from their projections, a chunk of steps and a vector of channels at a time.

Step sizes are four times as large as the map, their projections a fraction of it: computed where they are needed, step
sizes stay in the cache.
"""

import numpy as np
from numba import njit

from lung_srad_plugin.scan.cpu.vectors import LANES, fma, load, number, store

CHUNK = 64
"""Steps between two kept states. The backward pass recomputes the states between, in buffers that fit the cache."""


@njit
def gather_weight(weight, k, c, like):
    """Return the weights of these channels (r, LANES), together in memory; one row where there are none."""
    if weight is None:
        return np.empty((1, LANES), like.dtype)
    here = np.empty((weight.shape[1], LANES), like.dtype)
    for j in range(weight.shape[1]):
        store(here, (j, 0), load(weight, (k, j, c)))
    return here


@njit
def read_steps(raw, steps, b, k, c, start, count, weight, weight_here, bias):
    """Fill ``raw`` (CHUNK, LANES) with ``count`` step sizes from step ``start`` on, before softplus.

    ``steps`` (b, k, t, c) are the step sizes where ``weight`` is None, else their projections (b, k, t, r).
    """
    bias_k = load(bias, (k, c))
    if weight is None:
        for i in range(count):
            store(raw, (i, 0), load(steps, (b, k, start + i, c)) + bias_k)
    else:
        # Four steps at a time, so that one load of a row of the weights serves four.
        fours = count - count % 4
        for i in range(0, fours, 4):
            t = start + i
            d_0, d_1, d_2, d_3 = bias_k, bias_k, bias_k, bias_k
            for j in range(steps.shape[3]):
                row = load(weight_here, (j, 0))
                d_0 = fma(row, number(steps, (b, k, t, j)), d_0)
                d_1 = fma(row, number(steps, (b, k, t + 1, j)), d_1)
                d_2 = fma(row, number(steps, (b, k, t + 2, j)), d_2)
                d_3 = fma(row, number(steps, (b, k, t + 3, j)), d_3)
            store(raw, (i, 0), d_0)
            store(raw, (i + 1, 0), d_1)
            store(raw, (i + 2, 0), d_2)
            store(raw, (i + 3, 0), d_3)
        for i in range(fours, count):
            d = bias_k
            for j in range(steps.shape[3]):
                d = fma(load(weight_here, (j, 0)), number(steps, (b, k, start + i, j)), d)
            store(raw, (i, 0), d)
