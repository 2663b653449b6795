"""Registers of integers, and masks: which lanes of a register count, one bit for each.

Imported on first use only, since it needs Numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from g_selfatt.backends.numba.lanes import (
    Lanes,
    address_of,
    call,
    call_named,
    constant,
    lanes_of,
    load_from,
    splat,
)


@intrinsic
def counters(typingctx: Any, like: Any, first: Any) -> tuple[Any, Callable]:
    """32-bit integers ``first, first + 1, …``, half as many as ``like`` has lanes."""
    result = Lanes(types.uint32, like.count // 2)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        scalar = context.cast(builder, args[1], sig.args[1], types.uint32)
        steps = ir.Constant(result.ir, list(range(result.count)))
        return builder.add(splat(builder, scalar, result.ir), steps)

    return result(like, first), generate


@intrinsic
def shift_right(typingctx: Any, value: Any, count: Any) -> tuple[Any, Callable]:
    """Unsigned shift of 32-bit lanes by the same count."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        scalar = context.cast(builder, args[1], sig.args[1], types.uint32)
        return builder.lshr(args[0], splat(builder, scalar, value.ir))

    return value(value, count), generate


@intrinsic
def halves(typingctx: Any, value: Any) -> tuple[Any, Callable]:
    """The same bits as twice as many 16-bit integers."""
    result = Lanes(types.uint16, 2 * value.count)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        return builder.bitcast(args[0], result.ir)

    return result(value), generate


@intrinsic
def load_halves(typingctx: Any, array: Any, index: Any, like: Any) -> tuple[Any, Callable]:
    """As many 16-bit integers from ``array[index]`` on as ``like`` has lanes."""
    result = Lanes(types.uint16, like.count)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        return load_from(builder, result, address_of(context, builder, sig, *args[:2]))

    return result(array, index, like), generate


@intrinsic
def reaching(typingctx: Any, bits: Any, least: Any) -> tuple[Any, Callable]:
    """The mask of the lanes that are at least ``least``, unsigned."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        kept = builder.bitcast(builder.icmp_unsigned(">=", *args), ir.IntType(bits.count))
        return kept if bits.count == 16 else builder.zext(kept, ir.IntType(16))

    return types.uint16(bits, bits), generate


def _chosen(context: Any, builder: ir.IRBuilder, of: Any, kept: ir.Value, count: int) -> ir.Value:
    """A mask as LLVM has it, a bit for each lane."""
    bits = context.cast(builder, kept, of, types.uint16)
    if count != 16:
        bits = builder.trunc(bits, ir.IntType(count))
    return builder.bitcast(bits, ir.VectorType(ir.IntType(1), count))


@intrinsic
def masked(typingctx: Any, value: Any, kept: Any) -> tuple[Any, Callable]:
    """The value in the lanes of the mask, 0 in the others."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        chosen = _chosen(context, builder, sig.args[1], args[1], value.count)
        return builder.select(chosen, args[0], constant(args[0].type, 0.0))

    return value(value, kept), generate


@intrinsic
def add_kept(typingctx: Any, a: Any, b: Any, kept: Any) -> tuple[Any, Callable]:
    """a + b in the lanes of the mask, a in the others: one operation on AVX-512."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        chosen = _chosen(context, builder, sig.args[2], args[2], a.count)
        return builder.select(chosen, builder.fadd(*args[:2]), args[0])

    return a(a, b, kept), generate


@intrinsic
def multiply_add_kept(typingctx: Any, a: Any, b: Any, c: Any, kept: Any) -> tuple[Any, Callable]:
    """a·b + c in the lanes of the mask, c in the others: one operation on AVX-512."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        chosen = _chosen(context, builder, sig.args[3], args[3], c.count)
        return builder.select(chosen, call(builder, "fmuladd", *args[:3]), args[2])

    return c(a, b, c, kept), generate


def _first(
    context: Any, builder: ir.IRBuilder, sig: Any, lanes: Lanes, args: Any
) -> tuple[ir.Value, ir.Constant, ir.Value, str]:
    """Address, alignment and mask of the first lanes, as LLVM's masked operations take them."""
    pointer = address_of(context, builder, sig, *args[:2])
    pointer = builder.bitcast(pointer, lanes.ir.as_pointer())
    count = context.cast(builder, args[2], sig.args[2], types.int32)
    order = ir.Constant(ir.VectorType(count.type, lanes.count), list(range(lanes.count)))
    mask = builder.icmp_signed("<", order, splat(builder, count, order.type))
    bits = lanes.element.bitwidth
    return pointer, ir.IntType(32)(bits // 8), mask, f"v{lanes.count}f{bits}.p0"


@intrinsic
def load_first(typingctx: Any, array: Any, index: Any, count: Any) -> tuple[Any, Callable]:
    """The first ``count`` numbers from ``array[index]`` on, then zeros; no others are read."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        lanes = sig.return_type
        pointer, align, mask, name = _first(context, builder, sig, lanes, args)
        blank = constant(lanes.ir, 0.0)
        return call_named(
            builder, f"llvm.masked.load.{name}", lanes.ir, pointer, align, mask, blank
        )

    return lanes_of(array)(array, index, count), generate


@intrinsic
def store_first(
    typingctx: Any, array: Any, index: Any, count: Any, value: Any
) -> tuple[Any, Callable]:
    """Write the first ``count`` lanes to ``array[index]`` and the elements that follow."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        pointer, align, mask, name = _first(context, builder, sig, sig.args[3], args)
        call_named(
            builder, f"llvm.masked.store.{name}", ir.VoidType(), args[3], pointer, align, mask
        )
        return context.get_dummy_value()

    return types.void(array, index, count, value), generate
