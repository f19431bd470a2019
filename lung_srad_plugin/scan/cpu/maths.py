"""The functions the scan needs, of vectors: polynomials in fp32, the C library lane by lane in fp64.

The polynomials were fitted to the smallest relative error with Lawson's iteration.
"""

import math

import numpy as np
from numba import njit, types
from numba.extending import overload

from lung_srad_plugin.scan.cpu.vectors import (
    at_least,
    at_most,
    fma,
    if_negative,
    lane_by_lane,
    minus_absolute,
    times_power_of_two,
)

LOG2E = math.log2(math.e)
"""exp(t) is ``decay(t * LOG2E)``."""

_f = np.float32
_LOG2E = _f(LOG2E)
_LOG2E_REST = _f(LOG2E - float(_LOG2E))
# Adding this to a number rounds it to an integer, which is then in the low bits.
_ROUND = _f(1.5 * 2**23)
_ZERO, _ONE, _LOWEST, _HIGHEST, _SMALLEST_LOG = _f(0), _f(1), _f(-126), _f(128), _f(-87)
# 2**r for r in [-1/2, 1/2] to 1e-7, and exactly 1 at 0, so that a state that is kept for long does not grow.
_P1, _P2, _P3 = _f(0.6931470036506653), _f(0.24022242426872253), _f(0.05550733581185341)
_P4, _P5 = _f(0.009671512991189957), _f(0.001326472731307149)
# log(1 + e) / e for e in [0, 1] to 2e-7.
_Q0, _Q1, _Q2 = _f(0.9999998211860657), _f(-0.4999740421772003), _f(0.33275479078292847)
_Q3, _Q4, _Q5 = _f(-0.24495463073253632), _f(0.1774524301290512), _f(-0.10768172889947891)
_Q6, _Q7 = _f(0.04408964142203331), _f(-0.008539210073649883)

_power_of_two = lane_by_lane(lambda t: 2.0**t)
_exponential_of_minus_size = lane_by_lane(lambda d: math.exp(-abs(d)))
_log_of_one_plus = lane_by_lane(lambda e: math.log1p(e))


def decay(t):
    """2**t"""


def small_exponential(d):
    """exp(-abs(d)), in (0, 1], from which ``softplus`` and ``sigmoid`` follow."""


def softplus(d, e):
    """log(1 + exp(d)), given ``e = small_exponential(d)``: max(d, 0) + log(1 + e)."""


@njit
def sigmoid(d, e):
    """1 / (1 + exp(-d)), the slope of ``softplus``, given ``e = small_exponential(d)``."""
    return if_negative(d, e, 1) / (e + 1)


@overload(decay)
def _decay(t):
    if t.dtype == types.float32:

        def single(t):
            t = at_most(at_least(t, _LOWEST), _HIGHEST)
            rounded = t + _ROUND
            return _power(rounded, t - (rounded - _ROUND))

        return single
    return lambda t: _power_of_two(t)


@overload(small_exponential)
def _small_exponential(d):
    if d.dtype == types.float32:

        def single(d):
            d = at_least(minus_absolute(d), _SMALLEST_LOG)
            rounded = fma(d, _LOG2E, _ROUND)
            # The exponent is split in two numbers: one would lose digits where it is large.
            rest = fma(d, _LOG2E, _ROUND - rounded)
            return _power(rounded, fma(d, _LOG2E_REST, rest))

        return single
    return lambda d: _exponential_of_minus_size(d)


@overload(softplus)
def _softplus(d, e):
    if d.dtype == types.float32:

        def single(d, e):
            ratio = fma(fma(fma(e, _Q7, _Q6), e, _Q5), e, _Q4)
            ratio = fma(fma(fma(fma(ratio, e, _Q3), e, _Q2), e, _Q1), e, _Q0)
            return fma(e, ratio, at_least(d, _ZERO))

        return single
    return lambda d, e: at_least(d, 0.0) + _log_of_one_plus(e)


@njit
def _power(rounded, r):
    fraction = fma(fma(fma(fma(fma(r, _P5, _P4), r, _P3), r, _P2), r, _P1), r, _ONE)
    return times_power_of_two(fraction, rounded)
