"""Tasks for the threads of a kernel: each takes the next when it has done one, lest all wait for the slowest thread."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def take(typing, counter):
    """Return ``counter[0]`` (int64) and add one to it, at once: no two threads are given the same."""

    def generate(context, builder, signature, arguments):
        place = context.make_array(counter)(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", place, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(counter), generate
