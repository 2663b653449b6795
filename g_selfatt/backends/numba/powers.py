"""Powers of two of registers, which the kernels have instead of exponentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from g_selfatt.backends.numba.lanes import call, constant

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


@intrinsic
def power_of_two(typingctx: Any, value: Any) -> tuple[Any, Callable]:
    """2ˣ for x ≤ 0, within 1.1 units in the last place; 0 below the smallest normal number.

    x = n + r with |r| ≤ 1/2: 2ˣ = 2ⁿ·(polynomial of 2ʳ). nan stays nan.
    """
    bits, mantissa, bias = (32, 23, 127) if value.element == types.float32 else (64, 52, 1023)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        (x,) = args
        vector, word = x.type, ir.VectorType(ir.IntType(bits), value.count)
        lowest = constant(vector, -bias)  # whose 2ⁿ below is 0
        x = builder.select(builder.fcmp_ordered(">", lowest, x), lowest, x)
        # Adding 1.5·2^mantissa rounds to an integer and leaves it in the low bits: n + bias.
        magic = constant(vector, 1.5 * 2.0**mantissa + bias)
        shifted = builder.fadd(x, magic)
        r = builder.fsub(x, builder.fsub(shifted, magic))
        coefficients = [constant(vector, c) for c in (1.0, *_POWER_OF_TWO[value.element])]
        result = coefficients.pop()
        while coefficients:
            result = call(builder, "fmuladd", result, r, coefficients.pop())
        power = builder.shl(builder.bitcast(shifted, word), constant(word, mantissa))
        return builder.fmul(result, builder.bitcast(power, vector))

    return value(value), generate
