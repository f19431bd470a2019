"""Numba kernel of the scan: positions by channels, walked in any order, in O(L) memory.

Vectors run over channels, which are contiguous in memory, so that the recurrence needs no parallel prefix sum. A task
is one clip and one vector of its channels, which is copied out of the map first: traversals along columns take long
strides through a map, and cache lines a power of two apart evict each other. No two tasks write the same number, so
results depend neither on the number of threads nor on which of them computes what.

Shapes: batch b, positions p, traversals k, steps t, states n, channels c (a multiple of ``LANES``), rank r.
``order[k, t]`` is the position that traversal ``k`` visits at step ``t``; ``steps``, ``B`` and ``C`` are in that order
already (see ``order``). ``A`` is (k, n, c); ``D`` (c,) is summed over traversals. ``weight`` is None where
``steps`` (b, k, t, c) holds the step sizes, or (k, r, c) where it holds their projections (b, k, t, r).
"""

import numpy as np
from numba import njit, prange

from lung_srad_plugin.scan.cpu.cache import SOURCES
from lung_srad_plugin.scan.cpu.maths import LOG2E, decay, small_exponential, softplus
from lung_srad_plugin.scan.cpu.steps import CHUNK, gather_weight, read_steps
from lung_srad_plugin.scan.cpu.tasks import take
from lung_srad_plugin.scan.cpu.vectors import LANES, fma, load, number, store


@njit
def _forward_task(b, c, x, steps, weight, B, C, A, D, bias, use_softplus, order, y, keep, kept, x_here, y_here):
    traversals, length = order.shape
    states = A.shape[1]
    h = np.empty((states, LANES), bias.dtype)
    dt = np.empty((CHUNK, LANES), bias.dtype)
    written = np.empty((CHUNK, LANES), bias.dtype)
    for p in range(length):
        x_p = load(x, (b, p, c))
        store(x_here, (p, 0), x_p)
        store(y_here, (p, 0), load(D, (c,)) * x_p)
    for k in range(traversals):
        h[:] = 0
        weight_here = gather_weight(weight, k, c, bias)
        for start in range(0, length, CHUNK):
            count = min(CHUNK, length - start)
            read_steps(dt, steps, b, k, c, start, count, weight, weight_here, bias)
            for i in range(count):
                d = load(dt, (i, 0))
                if use_softplus:
                    d = softplus(d, small_exponential(d))
                    store(dt, (i, 0), d)
                store(written, (i, 0), d * load(x_here, (number(order, (k, start + i)), 0)))
            for n in range(states):
                state = load(h, (n, 0))
                rate_n = load(A, (k, n, c)) * LOG2E
                if keep:
                    store(kept, (b, k, start // CHUNK, n, c), state)
                for i in range(count):
                    t = start + i
                    p = number(order, (k, t))
                    state = fma(
                        decay(load(dt, (i, 0)) * rate_n), state, load(written, (i, 0)) * number(B, (b, k, n, t))
                    )
                    store(y_here, (p, 0), fma(state, number(C, (b, k, n, t)), load(y_here, (p, 0))))
                store(h, (n, 0), state)
    for p in range(length):
        store(y, (b, p, c), load(y_here, (p, 0)))


@njit(parallel=True, nogil=True, cache=True)
def forward(x, steps, weight, B, C, A, D, bias, use_softplus, order, y, keep, kept, slices, sources=SOURCES):
    """Scan: fills ``y`` (b, p, c) and, where ``keep``, the state before each chunk, ``kept`` (b, k, chunk, n, c).

    ``slices`` (worker, 2, p, LANES) are the buffers of the tasks; as many tasks run at a time as there are workers.
    """
    blocks = x.shape[2] // LANES
    tasks = x.shape[0] * blocks
    taken = np.zeros(1, np.int64)
    for worker in prange(slices.shape[0]):
        x_here, y_here = slices[worker, 0], slices[worker, 1]
        task = take(taken)
        while task < tasks:
            b, c = task // blocks, task % blocks * LANES
            _forward_task(b, c, x, steps, weight, B, C, A, D, bias, use_softplus, order, y, keep, kept, x_here, y_here)
            task = take(taken)
