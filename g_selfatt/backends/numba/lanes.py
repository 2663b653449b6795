"""Vectors of neighbouring query pixels as values in Numba: what the kernels are written in.

A `Lanes` value is one register. With AVX-512 it has 64 bytes, 16 pixels in float32 and 8 in
float64, without 32 bytes, half as many: AVX2's. LLVM's own search for loops to vectorise is
defeated by short rows and by arrays that might overlap; here every kernel says which numbers belong
together, and the accumulators stay in registers. Where registers are narrower still, LLVM splits
them.

Imported on first use only, since it needs Numba.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import config
from numba.core.cgutils import unpack_tuple
from numba.core.codegen import get_host_cpu_features
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

# Numba compiles for the machine that it runs on, unless its environment names another one.
_features = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
FEATURES = _features.split(",")
HAS_AVX512 = "+avx512f" in FEATURES
BYTES = 64 if HAS_AVX512 else 32


class Lanes(types.Type):
    """The Numba type of `count` numbers of type `element`, one per query pixel."""

    def __init__(self, element: types.Type, count: int) -> None:
        self.element, self.count = element, count
        super().__init__(name=f"Lanes({element}, {count})")

    @property
    def ir(self) -> ir.VectorType:
        """The LLVM type."""
        scalar = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}
        integer = ir.IntType(self.element.bitwidth)
        return ir.VectorType(scalar.get(self.element, integer), self.count)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Lanes) -> None:
        super().__init__(dmm, fe_type, fe_type.ir)


def lanes_of(array: types.Array) -> Lanes:
    """The register type for the elements of an array."""
    return Lanes(array.dtype, BYTES * 8 // array.dtype.bitwidth)


def splat(builder: ir.IRBuilder, scalar: ir.Value, vector: ir.VectorType) -> ir.Value:
    """All lanes equal to a scalar."""
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), zeros)


def constant(vector: ir.VectorType, number: float) -> ir.Constant:
    """All lanes equal to a number."""
    return ir.Constant(vector, [number] * vector.count)


def call(builder: ir.IRBuilder, name: str, *arguments: ir.Value) -> ir.Value:
    """An LLVM intrinsic on vectors, overloaded on the type of its arguments only."""
    vector = arguments[0].type
    letter = {"float": "f32", "double": "f64"}[str(vector.element)]
    return call_named(builder, f"llvm.{name}.v{vector.count}{letter}", vector, *arguments)


def call_named(builder: ir.IRBuilder, name: str, result: ir.Type, *arguments: ir.Value) -> ir.Value:
    """An LLVM intrinsic by its full name."""
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    function = builder.module.globals.get(name) or ir.Function(builder.module, function_type, name)
    return builder.call(function, arguments)


def address(
    context: Any, builder: ir.IRBuilder, array_type: Any, array: ir.Value, parts: list[ir.Value]
) -> ir.Value:
    """Where array[parts] of a C-contiguous array lies, without bounds or negative indices.

    Fewer parts than the array has dimensions count registers, of which the last dimension is one; a
    single part counts them through all of the array.
    """
    struct = context.make_array(array_type)(context, builder, array)
    shape = unpack_tuple(builder, struct.shape)
    word = shape[0].type
    flat = word(0)
    for axis, part in enumerate(parts):
        flat = builder.add(builder.mul(flat, shape[axis]), part)
    if len(parts) < array_type.ndim:
        flat = builder.mul(flat, word(lanes_of(array_type).count))
    return builder.gep(struct.data, [flat])


def load_from(builder: ir.IRBuilder, lanes: Lanes, pointer: ir.Value) -> ir.Value:
    """A register from an address on, which need not be a multiple of its size."""
    pointer = builder.bitcast(pointer, lanes.ir.as_pointer())
    return builder.load(pointer, align=lanes.element.bitwidth // 8)


def spread_from(builder: ir.IRBuilder, lanes: Lanes, pointer: ir.Value) -> ir.Value:
    """The one number at an address in every lane."""
    return splat(builder, builder.load(pointer), lanes.ir)


def store_to(builder: ir.IRBuilder, value: ir.Value, lanes: Lanes, pointer: ir.Value) -> None:
    """Write a register from an address on."""
    pointer = builder.bitcast(pointer, lanes.ir.as_pointer())
    builder.store(value, pointer, align=lanes.element.bitwidth // 8)


def address_of(
    context: Any, builder: ir.IRBuilder, sig: Any, array: ir.Value, index: ir.Value
) -> ir.Value:
    """Where ``array[index]`` lies, the first two arguments of a signature."""
    array_type, index_type = sig.args[:2]
    parts = [
        context.cast(builder, part, of, types.intp)
        for part, of in zip(unpack_tuple(builder, index), index_type, strict=True)
    ]
    return address(context, builder, array_type, array, parts)


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> tuple[Any, Callable]:
    """A register from ``array[index]`` on."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        return load_from(builder, sig.return_type, address_of(context, builder, sig, *args))

    return lanes_of(array)(array, index), generate


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> tuple[Any, Callable]:
    """Write a register to ``array[index]`` and the elements that follow."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        pointer = address_of(context, builder, sig, *args[:2])
        store_to(builder, args[2], sig.args[2], pointer)
        return context.get_dummy_value()

    return types.void(array, index, value), generate


@intrinsic
def number(typingctx: Any, array: Any, index: Any) -> tuple[Any, Callable]:
    """The one number ``array[index]``; what Numba makes of that expression tests for negatives."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        return builder.load(address_of(context, builder, sig, *args))

    return array.dtype(array, index), generate


@intrinsic
def spread(typingctx: Any, array: Any, index: Any) -> tuple[Any, Callable]:
    """The one number ``array[index]`` in every lane."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        return spread_from(builder, sig.return_type, address_of(context, builder, sig, *args))

    return lanes_of(array)(array, index), generate


@intrinsic
def full(typingctx: Any, like: Any, number: Any) -> tuple[Any, Callable]:
    """A number in every lane of a register like ``like``."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        scalar = context.cast(builder, args[1], sig.args[1], like.element)
        return splat(builder, scalar, like.ir)

    return like(like, number), generate


@intrinsic
def across(typingctx: Any, value: Any) -> tuple[Any, Callable]:
    """The sum of all lanes: halves are added until one number is left."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        (x,) = args
        count = value.count
        while count > 1:
            count //= 2
            lanes = ir.VectorType(ir.IntType(32), count)
            low, high = (ir.Constant(lanes, list(range(k, k + count))) for k in (0, count))
            x = builder.fadd(builder.shuffle_vector(x, x, low), builder.shuffle_vector(x, x, high))
        return builder.extract_element(x, ir.IntType(32)(0))

    return value.element(value), generate


def _elementwise(name: str) -> Callable:
    @intrinsic
    def apply(typingctx: Any, a: Any, b: Any, c: Any) -> tuple[Any, Callable]:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
            return call(builder, name, *args)

        return a(a, b, c), generate

    return apply


multiply_add = _elementwise("fmuladd")  # a·b + c, fused where the machine can


@intrinsic
def larger(typingctx: Any, a: Any, b: Any) -> tuple[Any, Callable]:
    """max(a, b); a where b is nan."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        return builder.select(builder.fcmp_ordered(">", args[1], args[0]), args[1], args[0])

    return a(a, b), generate


@intrinsic
def any_below(typingctx: Any, value: Any, limit: Any, penalty: Any) -> tuple[Any, Callable]:
    """Whether a lane without penalty has a value that is nan or below the limit."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        low = builder.fcmp_unordered("<", args[0], args[1])
        counts = builder.fcmp_ordered("==", args[2], constant(args[2].type, 0.0))
        bits = builder.bitcast(builder.and_(low, counts), ir.IntType(value.count))
        return builder.icmp_unsigned("!=", bits, bits.type(0))

    return types.boolean(value, limit, penalty), generate


@intrinsic
def inverse(typingctx: Any, value: Any, penalty: Any) -> tuple[Any, Callable]:
    """1/value in the lanes without penalty, 0 in the others."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        counts = builder.fcmp_ordered("==", args[1], constant(args[1].type, 0.0))
        quotient = builder.fdiv(constant(args[0].type, 1.0), args[0])
        return builder.select(counts, quotient, constant(args[0].type, 0.0))

    return value(value, penalty), generate


_OPERATIONS = {  # floating point, unsigned integer
    operator.add: ("fadd", "add"),
    operator.sub: ("fsub", "sub"),
    operator.mul: ("fmul", "mul"),
    operator.xor: (None, "xor"),
}


def _register(operation: Callable, names: tuple[str | None, str]) -> None:
    @infer_global(operation)
    class _Template(AbstractTemplate):
        def generic(self, args: tuple, kws: dict) -> Any:
            if isinstance(args[0], Lanes) and args[1:] == args[:1]:
                return signature(args[0], *args)
            return None

    @lower_builtin(operation, Lanes, Lanes)
    def _lower(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        integer = isinstance(args[0].type.element, ir.IntType)
        return getattr(builder, names[integer] or "")(*args)


for _operation, _names in _OPERATIONS.items():
    _register(_operation, _names)
