"""Numba kernels that reorder inputs and gradients of the scan: from map positions to steps of a traversal, and back.

In the order of steps the scan reads and writes memory from one end to the other, whatever the size of the map.
"""

from numba import njit, prange

from lung_srad_plugin.scan.cpu.cache import SOURCES
from lung_srad_plugin.scan.cpu.vectors import number


@njit(parallel=True, nogil=True, cache=True)
def to_scan_order(steps, B, C, order, steps_out, B_out, C_out, sources=SOURCES):
    """Reorder from positions to the steps of each traversal.

    Fills ``steps_out`` (b, k, t, r) from ``steps`` (b, p, k, r), ``B_out`` and ``C_out`` (b, k, n, t) from ``B`` and
    ``C`` (b, p, k, n).
    """
    traversals, length = order.shape
    for task in prange(steps.shape[0] * traversals):
        b, k = task // traversals, task % traversals
        for t in range(length):
            p = number(order, (k, t))
            for j in range(steps.shape[3]):
                steps_out[b, k, t, j] = number(steps, (b, p, k, j))
            for n in range(B.shape[3]):
                B_out[b, k, n, t] = number(B, (b, p, k, n))
                C_out[b, k, n, t] = number(C, (b, p, k, n))


@njit(parallel=True, nogil=True, cache=True)
def to_map_order(steps, B, C, order, steps_out, B_out, C_out, sources=SOURCES):
    """Reorder from steps to positions, and sum over groups, in their order.

    Fills ``steps_out`` (b, p, k, r) from ``steps`` (group, b, k, t, r or more), ``B_out`` and ``C_out`` (b, p, k, n)
    from ``B`` and ``C`` (group, b, k, n, t or more).
    """
    traversals, length = order.shape
    for task in prange(steps_out.shape[0] * traversals):
        b, k = task // traversals, task % traversals
        for t in range(length):
            p = number(order, (k, t))
            for j in range(steps_out.shape[3]):
                total = number(steps, (0, b, k, t, j))
                for group in range(1, steps.shape[0]):
                    total += number(steps, (group, b, k, t, j))
                steps_out[b, p, k, j] = total
            for n in range(B_out.shape[3]):
                total_B, total_C = number(B, (0, b, k, n, t)), number(C, (0, b, k, n, t))
                for group in range(1, B.shape[0]):
                    total_B += number(B, (group, b, k, n, t))
                    total_C += number(C, (group, b, k, n, t))
                B_out[b, p, k, n], C_out[b, p, k, n] = total_B, total_C
