"""Registers of integers, and masks: which lanes of a register count, one bit for each.

Imported on first use only, since it needs Numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from g_selfatt.backends.numba.lanes import Lanes, address_of, constant, load_from, splat


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


@intrinsic
def masked(typingctx: Any, value: Any, kept: Any) -> tuple[Any, Callable]:
    """The value in the lanes of the mask, 0 in the others."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        number, bits = args
        bits = context.cast(builder, bits, sig.args[1], types.uint16)
        if value.count != 16:
            bits = builder.trunc(bits, ir.IntType(value.count))
        chosen = builder.bitcast(bits, ir.VectorType(ir.IntType(1), value.count))
        return builder.select(chosen, number, constant(number.type, 0.0))

    return value(value, kept), generate
