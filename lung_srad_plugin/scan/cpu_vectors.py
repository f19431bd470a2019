"""A vector of 16 numbers for numba, so that a kernel says what is held in a register and what is read from memory.

Left to itself the compiler turns a loop over channels into vectors or not depending on how many arrays the loop touches
and how long it is; measured on the scan, that costs a factor of two to four. LLVM fits 16 numbers to any processor: one
register with AVX-512, two with AVX2, four with SSE or NEON.

Numbers may be mixed with vectors in ``+ - * /`` and in ``fma``; they stand for a vector of equal numbers.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

LANES = 16


class Vector(types.Type):
    """Numba type of ``LANES`` numbers of one type."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Vector({dtype})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.dtype).get_value_type(), LANES))


@intrinsic
def load(typing, array, index):
    """Read ``LANES`` neighbours from ``array[index]`` on; ``index`` is a tuple, unchecked, the last axis contiguous."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, arguments)
        vector = context.get_value_type(signature.return_type)
        return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=array.dtype.bitwidth // 8)

    return Vector(array.dtype)(array, index), generate


@intrinsic
def store(typing, array, index, vector):
    """Write ``LANES`` neighbours from ``array[index]`` on."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, arguments)
        pointer = builder.bitcast(pointer, arguments[2].type.as_pointer())
        builder.store(arguments[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, index, vector), generate


@intrinsic
def fma(typing, a, b, c):
    """a b + c, in one instruction where the processor has it."""
    kind = next(given for given in (a, b, c) if isinstance(given, Vector))

    def generate(context, builder, signature, arguments):
        return _call(builder, "llvm.fmuladd", *_as_vectors(context, builder, kind, signature, arguments))

    return kind(a, b, c), generate


@intrinsic
def at_least(typing, vector, bound):
    """The larger of the two in each lane; NaN stays NaN."""
    return vector(vector, bound), _limit("<")


@intrinsic
def at_most(typing, vector, bound):
    """The smaller of the two in each lane; NaN stays NaN."""
    return vector(vector, bound), _limit(">")


@intrinsic
def if_negative(typing, vector, then, otherwise):
    """``then`` in the lanes where ``vector`` is negative, else ``otherwise``."""

    def generate(context, builder, signature, arguments):
        vectors = _as_vectors(context, builder, vector, signature, arguments)
        zero = ir.Constant(vectors[0].type, [0.0] * LANES)
        return builder.select(builder.fcmp_ordered("<", vectors[0], zero), *vectors[1:])

    return vector(vector, then, otherwise), generate


@intrinsic
def minus_absolute(typing, vector):
    """-abs(vector)"""

    def generate(context, builder, signature, arguments):
        return builder.fneg(_call(builder, "llvm.fabs", arguments[0]))

    return vector(vector), generate


@intrinsic
def times_power_of_two(typing, vector, rounded):
    """``vector`` (fp32) times 2**n, where ``rounded`` is n + 1.5 * 2**23: n then sits in its low bits.

    n from -126 to 128; 128 gives infinity.
    """

    def generate(context, builder, signature, arguments):
        bits = ir.VectorType(ir.IntType(32), LANES)
        exponent = builder.shl(builder.bitcast(arguments[1], bits), ir.Constant(bits, [23] * LANES))
        power = builder.add(exponent, ir.Constant(bits, [0x3F800000] * LANES))
        return builder.fmul(arguments[0], builder.bitcast(power, arguments[0].type))

    return vector(vector, rounded), generate


@intrinsic
def total(typing, vector):
    """Sum of the lanes, always in the same order: halves onto halves."""

    def generate(context, builder, signature, arguments):
        (left,) = arguments
        size = LANES
        while size > 1:
            size //= 2
            halves = [
                builder.shuffle_vector(left, left, ir.Constant(ir.VectorType(ir.IntType(32), size), list(lanes)))
                for lanes in (range(size), range(size, 2 * size))
            ]
            left = builder.fadd(*halves)
        return builder.extract_element(left, ir.Constant(ir.IntType(32), 0))

    return vector.dtype(vector), generate


def lane_by_lane(function):
    """Return ``function`` of a number as a function of a vector that calls it for each lane."""

    @intrinsic
    def apply(typing, vector):
        def generate(context, builder, signature, arguments):
            result = arguments[0]
            for lane in range(LANES):
                place = ir.Constant(ir.IntType(32), lane)
                number = builder.extract_element(arguments[0], place)
                number = context.compile_internal(builder, function, vector.dtype(vector.dtype), [number])
                result = builder.insert_element(result, number, place)
            return result

        return vector(vector), generate

    return apply


def _define_operator(symbol, instruction):
    @intrinsic
    def apply(typing, a, b):
        kind = a if isinstance(a, Vector) else b

        def generate(context, builder, signature, arguments):
            return getattr(builder, instruction)(*_as_vectors(context, builder, kind, signature, arguments))

        return kind(a, b), generate

    @overload(symbol)
    def of_vectors(a, b):
        if isinstance(a, Vector) or isinstance(b, Vector):
            return lambda a, b: apply(a, b)


for _symbol, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _define_operator(_symbol, _instruction)


def _limit(comparison):
    def generate(context, builder, signature, arguments):
        vector, bound = _as_vectors(context, builder, signature.return_type, signature, arguments)
        # Ordered, so false for NaN, which then stays.
        return builder.select(builder.fcmp_ordered(comparison, vector, bound), bound, vector)

    return generate


def _pointer(context, builder, signature, arguments):
    kind, index = signature.args[:2]
    array = context.make_array(kind)(context, builder, arguments[0])
    indices = [
        context.cast(builder, value, given, types.intp)
        for value, given in zip(cgutils.unpack_tuple(builder, arguments[1]), index.types, strict=True)
    ]
    return cgutils.get_item_pointer(context, builder, kind, array, indices)


def _as_vectors(context, builder, kind, signature, arguments):
    return [
        value if isinstance(given, Vector) else _repeat(builder, context.cast(builder, value, given, kind.dtype))
        for value, given in zip(arguments, signature.args, strict=True)
    ]


def _repeat(builder, number):
    vector = ir.Constant(ir.VectorType(number.type, LANES), ir.Undefined)
    first = builder.insert_element(vector, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, vector, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _call(builder, name, *vectors):
    kind = vectors[0].type
    suffix = "f32" if isinstance(kind.element, ir.FloatType) else "f64"
    function = ir.FunctionType(kind, [kind] * len(vectors))
    return builder.call(
        cgutils.get_or_insert_function(builder.module, function, f"{name}.v{LANES}{suffix}"), list(vectors)
    )
