"""Powers of two of registers, which the kernels have instead of exponentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from g_selfatt.backends.numba.lanes import FEATURES, HAS_AVX512, call, call_named, constant

# Of 2ʳ − 1 on |r| ≤ 1/2, the coefficients of r, r², …: least relative error of 2ʳ, by Remez's
# algorithm (2.6e-9 and 1.8e-17).
_POWER_OF_TWO = {
    types.float32: [
        *(0.69314721496797, 0.24022652782884, 0.055503105510707),
        *(0.0096176929731597, 0.0013406643898291, 0.00015594678318617),
    ],
    types.float64: [
        *(0.6931471805599457, 0.24022650695910098, 0.0555041086647903945, 0.00961812910760700332),
        *(0.00133335581534400844, 0.000154035304415709391, 1.52527273849948856e-05),
        *(1.32154426759094725e-06, 1.01806477725629765e-07, 7.07257031655493719e-09),
        4.07805101694296604e-10,
    ],
}


_FORMATS = {"float": (32, 23, 127), "double": (64, 52, 1023)}  # bits, of the mantissa, bias


def _power_of_two(separate: Callable, scale: Callable) -> Callable:
    """The function 2ˣ of x = n + r, |r| ≤ 1/2, as 2ⁿ·(polynomial of 2ʳ).

    Args:
        separate: x → r and what `scale` is to know of n.
        scale: 2ʳ and that → 2ˣ.
    """

    @intrinsic
    def power_of_two(typingctx: Any, value: Any) -> tuple[Any, Callable]:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
            r, n = separate(builder, *args)
            coefficients = [constant(r.type, c) for c in (1.0, *_POWER_OF_TWO[value.element])]
            result = coefficients.pop()
            while coefficients:
                result = call(builder, "fmuladd", result, r, coefficients.pop())
            return scale(builder, result, n)

        return value(value), generate

    return power_of_two


def _separate_by_bits(builder: ir.IRBuilder, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """r, and a number whose low bits are n plus the exponents' bias."""
    _, mantissa, bias = _FORMATS[str(x.type.element)]
    lowest = constant(x.type, -bias)  # whose 2ⁿ below is 0
    x = builder.select(builder.fcmp_ordered(">", lowest, x), lowest, x)
    # Adding 1.5·2^mantissa rounds to an integer and leaves it in the low bits.
    magic = constant(x.type, 1.5 * 2.0**mantissa + bias)
    shifted = builder.fadd(x, magic)
    return builder.fsub(x, builder.fsub(shifted, magic)), shifted


def _scale_by_bits(builder: ir.IRBuilder, value: ir.Value, shifted: ir.Value) -> ir.Value:
    bits, mantissa, _ = _FORMATS[str(value.type.element)]
    word = ir.VectorType(ir.IntType(bits), value.type.count)
    power = builder.shl(builder.bitcast(shifted, word), constant(word, mantissa))
    return builder.fmul(value, builder.bitcast(power, value.type))


def _separate_by_operation(builder: ir.IRBuilder, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    r = _avx512(builder, "reduce", x, ir.IntType(32)(8))  # to the nearest integer, quietly
    return r, builder.fsub(x, r)


def _scale_by_operation(builder: ir.IRBuilder, value: ir.Value, n: ir.Value) -> ir.Value:
    return _avx512(builder, "scalef", value, n)


def _avx512(builder: ir.IRBuilder, name: str, x: ir.Value, operand: ir.Value) -> ir.Value:
    """An operation of AVX-512 on all lanes, in the present rounding mode."""
    suffix = {"float": "ps", "double": "pd"}[str(x.type.element)]
    every_lane, rounding = ir.IntType(x.type.count)(-1), ir.IntType(32)(4)
    arguments = [x, operand, x, every_lane, rounding]
    return call_named(builder, f"llvm.x86.avx512.mask.{name}.{suffix}.512", x.type, *arguments)


by_bits = _power_of_two(_separate_by_bits, _scale_by_bits)
by_operations = _power_of_two(_separate_by_operation, _scale_by_operation)
HAS_OPERATIONS = HAS_AVX512 and "+avx512dq" in FEATURES
# Within 1.1 units in the last place for x ≤ 0; below the smallest normal number, any number between
# 0 and it. nan stays nan.
power_of_two = by_operations if HAS_OPERATIONS else by_bits
