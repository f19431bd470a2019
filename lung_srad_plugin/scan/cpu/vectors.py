"""A vector of 16 numbers for numba, so that a kernel states what is in a register and what is read from memory.

Without it, whether the compiler vectorises a loop over channels depends on how many arrays the loop touches and how
long it is; on the scan, that costs a factor of two to four. LLVM fits 16 numbers to any processor: one
register with AVX-512, two with AVX2, four with SSE or NEON.

Numbers may be mixed with vectors in ``+ - * /`` and in ``fma``; they stand for a vector of equal numbers. Neither Numba
nor NumPy has bf16: an array of ``uint16`` holds its bits, which become fp32 when read and are rounded when written.

Indices are tuples, unchecked and never negative: checks, and turning negative ones around, would cost as much as the
arithmetic.
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
def number(typing, array, index):
    """Read ``array[index]``."""

    def generate(context, builder, signature, arguments):
        value = builder.load(_pointer(context, builder, signature, arguments))
        return _widened(builder, value, ir.FloatType()) if array.dtype == types.uint16 else value

    return _wide(array.dtype)(array, index), generate


@intrinsic
def load(typing, array, index):
    """Read ``LANES`` consecutive numbers from ``array[index]`` on; the last axis is contiguous."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, arguments)
        vector = ir.VectorType(pointer.type.pointee, LANES)
        value = builder.load(builder.bitcast(pointer, vector.as_pointer()), align=array.dtype.bitwidth // 8)
        return _widened(builder, value, _SINGLES) if array.dtype == types.uint16 else value

    return Vector(_wide(array.dtype))(array, index), generate


@intrinsic
def store(typing, array, index, vector):
    """Write ``LANES`` consecutive numbers from ``array[index]`` on."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, arguments)
        value = _narrowed(builder, arguments[2]) if array.dtype == types.uint16 else arguments[2]
        pointer = builder.bitcast(pointer, value.type.as_pointer())
        builder.store(value, pointer, align=array.dtype.bitwidth // 8)
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
    """``vector`` (fp32) times 2**n, where ``rounded`` is n + 1.5 * 2**23: n is then in its low bits.

    n is added to the exponent, which must stay one of a number: ``vector`` positive, the product not below 2**-126 and
    not above 2**128, which is infinity. NaN stays NaN, since the low bits of those that arithmetic makes are 0.
    """

    def generate(context, builder, signature, arguments):
        bits = ir.VectorType(ir.IntType(32), LANES)
        exponent = builder.shl(builder.bitcast(arguments[1], bits), ir.Constant(bits, [23] * LANES))
        product = builder.add(builder.bitcast(arguments[0], bits), exponent)
        return builder.bitcast(product, arguments[0].type)

    return vector(vector, rounded), generate


@intrinsic
def row_totals(typing, rows, first):
    """The sums of ``LANES`` rows of ``rows`` (any, LANES) from row ``first`` on, as one vector.

    Pairs of rows are added, half of the one and half of the other in each vector, then pairs of those, and so on: a
    third of the instructions that summing row by row takes. Each sum is always taken in the same order.
    """

    def generate(context, builder, signature, arguments):
        def load_row(row):
            index = (builder.add(arguments[1], ir.Constant(arguments[1].type, row)), ir.Constant(arguments[1].type, 0))
            tuple_type = types.UniTuple(first, 2)
            packed = context.make_tuple(builder, tuple_type, index)
            pointer = _pointer(context, builder, types.void(rows, tuple_type), (arguments[0], packed))
            vector = context.get_value_type(Vector(rows.dtype))
            return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=rows.dtype.bitwidth // 8)

        vectors = [load_row(row) for row in range(LANES)]
        part = LANES  # consecutive lanes that are parts of the sum of one row
        while part > 1:
            part //= 2
            starts = range(0, 2 * LANES, 2 * part)  # of each row's parts, in two vectors side by side
            lower = [start + lane for start in starts for lane in range(part)]
            upper = [start + part + lane for start in starts for lane in range(part)]
            vectors = [
                builder.fadd(_select_lanes(builder, one, other, lower), _select_lanes(builder, one, other, upper))
                for one, other in zip(vectors[::2], vectors[1::2], strict=True)
            ]
        return vectors[0]

    return Vector(rows.dtype)(rows, first), generate


def lane_by_lane(function):
    """Return ``function`` of a number as a function of a vector that calls it for each lane."""

    @intrinsic
    def apply(typing, vector):
        def generate(context, builder, signature, arguments):
            result = arguments[0]
            for lane in range(LANES):
                index = ir.Constant(ir.IntType(32), lane)
                number = builder.extract_element(arguments[0], index)
                number = context.compile_internal(builder, function, vector.dtype(vector.dtype), [number])
                result = builder.insert_element(result, number, index)
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


_SINGLES = ir.VectorType(ir.FloatType(), LANES)


def _wide(kind):
    """The type of what is read from an array of ``kind``."""
    return types.float32 if kind == types.uint16 else kind


def _integers(kind, width):
    """The integers of so many bits that are as many as ``kind`` holds numbers."""
    bits = ir.IntType(width)
    return ir.VectorType(bits, kind.count) if isinstance(kind, ir.VectorType) else bits


def _constant(kind, value):
    return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)


def _widened(builder, half, kind):
    """bf16 as fp32: the same bits above 16 zeros."""
    bits = _integers(kind, 32)
    return builder.bitcast(builder.shl(builder.zext(half, bits), _constant(bits, 16)), kind)


def _narrowed(builder, single):
    """fp32 rounded to the nearest bf16, to the even one between two; NaN stays NaN."""
    bits = _integers(single.type, 32)
    given = builder.bitcast(single, bits)
    is_odd = builder.and_(builder.lshr(given, _constant(bits, 16)), _constant(bits, 1))
    rounded = builder.add(given, builder.add(is_odd, _constant(bits, 0x7FFF)))
    rounded = builder.select(builder.fcmp_unordered("uno", single, single), _constant(bits, 0x7FC00000), rounded)
    return builder.trunc(builder.lshr(rounded, _constant(bits, 16)), _integers(single.type, 16))


def _select_lanes(builder, one, other, lanes):
    """The vector of these lanes of two vectors side by side."""
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))


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
