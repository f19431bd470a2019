"""Tasks for the threads of a kernel: each takes the next when it is free, so that none waits for the slowest thread."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def take(typing, counter):
    """Return ``counter[0]`` (int64) and add one to it, atomically: no two threads get the same number."""

    def generate(context, builder, signature, arguments):
        pointer = context.make_array(counter)(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", pointer, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(counter), generate
