"""While a kernel runs, numbers too small to have all their digits are zeros.

Softmax weights of distant scores, and products of them, are often below the smallest normal number
(10⁻³⁸ in float32). Processors compute with such numbers up to a hundred times slower: the backward
of rotMNIST's lifting layer took five times as long, a quarter of the whole step.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

X86 = platform.machine().lower() in ("x86_64", "amd64")
RESULTS, OPERANDS = 1 << 15, 1 << 6  # are flushed to zero: bits of x86's register MXCSR
WORD = ir.IntType(32)


def _access(builder: ir.IRBuilder, name: str, word: ir.Value) -> None:
    """Store the register to memory, or load it from there."""
    pointer = ir.IntType(8).as_pointer()
    function_type = ir.FunctionType(ir.VoidType(), [pointer])
    name = f"llvm.x86.sse.{name}"
    function = builder.module.globals.get(name) or ir.Function(builder.module, function_type, name)
    builder.call(function, [builder.bitcast(word, pointer)])


@intrinsic
def flush_denormals(typingctx: Any) -> tuple[Any, Callable]:
    """Begin; returns what `restore` takes. On other processors than x86 nothing changes."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        if not X86:
            return WORD(0)
        word = builder.alloca(WORD)
        _access(builder, "stmxcsr", word)
        before = builder.load(word)
        builder.store(builder.or_(before, WORD(RESULTS | OPERANDS)), word)
        _access(builder, "ldmxcsr", word)
        return before

    return types.uint32(), generate


@intrinsic
def restore(typingctx: Any, before: Any) -> tuple[Any, Callable]:
    """End, with what `flush_denormals` has returned."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        if X86:
            word = builder.alloca(WORD)
            builder.store(args[0], word)
            _access(builder, "ldmxcsr", word)
        return context.get_dummy_value()

    return types.void(before), generate
