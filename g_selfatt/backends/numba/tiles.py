"""Tuples of registers, and products of matrices in tiles: one inner loop for tiles of all sizes.

An index of which one part is a tuple of numbers means a tuple of registers. Two such parts mean a
tile: all pairs of the numbers, the second running faster. LLVM keeps these tuples in registers.

Imported on first use only, since it needs Numba.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.cgutils import pack_array, unpack_tuple
from numba.extending import intrinsic

from g_selfatt.backends.numba.compiling import inlined
from g_selfatt.backends.numba.lanes import (
    HAS_AVX512,
    Lanes,
    address,
    call,
    lanes_of,
    load_from,
    spread_from,
    store_to,
)


def _addresses(
    context: Any, builder: ir.IRBuilder, sig: Any, array: ir.Value, index: ir.Value
) -> Iterator[ir.Value]:
    array_type, index_type = sig.args[:2]
    axes = []
    for part, of in zip(unpack_tuple(builder, index), index_type, strict=True):
        if isinstance(of, types.UniTuple):
            axes.append(unpack_tuple(builder, part))
        else:
            axes.append([context.cast(builder, part, of, types.intp)])
    for parts in product(*axes):
        yield address(context, builder, array_type, array, list(parts))


def _loads(load_one: Callable) -> Callable:
    @intrinsic
    def loads(typingctx: Any, array: Any, index: Any) -> tuple[Any, Callable]:
        lanes = lanes_of(array)
        count = prod(part.count for part in index if isinstance(part, types.UniTuple))

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
            addresses = _addresses(context, builder, sig, *args)
            return pack_array(builder, [load_one(builder, lanes, at) for at in addresses])

        return types.UniTuple(lanes, count)(array, index), generate

    return loads


loads = _loads(load_from)  # the registers from array[index] on
spreads = _loads(spread_from)  # each of the numbers array[index] in every lane


@intrinsic
def stores(typingctx: Any, array: Any, index: Any, values: Any) -> tuple[Any, Callable]:
    """Write a tuple of registers to ``array[index]`` and the elements that follow."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        addresses = _addresses(context, builder, sig, *args[:2])
        for value, at in zip(unpack_tuple(builder, args[2]), addresses, strict=True):
            store_to(builder, value, values.dtype, at)
        return context.get_dummy_value()

    return types.void(array, index, values), generate


def _numbers(count: int) -> Callable:
    """The function ``first`` → ``(first, first + 1, …)``, `count` of them."""

    @intrinsic
    def numbers(typingctx: Any, first: Any) -> tuple[Any, Callable]:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
            (first,) = args
            return pack_array(builder, [builder.add(first, first.type(k)) for k in range(count)])

        return types.UniTuple(types.intp, count)(types.intp), generate

    return numbers


@intrinsic
def picks(typingctx: Any, array: Any, numbers: Any) -> tuple[Any, Callable]:
    """The numbers ``array[n]`` of an array of int64, for a tuple of n."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        data = context.make_array(array)(context, builder, args[0]).data
        indices = unpack_tuple(builder, args[1])
        return pack_array(builder, [builder.load(builder.gep(data, [i])) for i in indices])

    return numbers(array, numbers), generate


def _keep_rolled(builder: ir.IRBuilder) -> None:
    """Keep LLVM from unrolling the loop around: a loop of ten turns does not pay for its set-up.

    A call that is convergent must not depend on a new condition, such as that of a last turn.
    """
    nothing = ir.FunctionType(ir.VoidType(), [])
    builder.call(ir.InlineAsm(nothing, "", "", side_effect=True), [], attrs=("convergent",))


@intrinsic
def outer_add(typingctx: Any, tile: Any, x: Any, y: Any) -> tuple[Any, Callable]:
    """tile[i,j] + x[i]·y[j]."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        _keep_rolled(builder)
        tile, x, y = (unpack_tuple(builder, argument) for argument in args)
        sums = zip(product(x, y), tile, strict=True)
        return pack_array(builder, [call(builder, "fmuladd", *pair, sum) for pair, sum in sums])

    return tile(tile, x, y), generate


@intrinsic
def add_row(
    typingctx: Any, array: Any, index: Any, x: Any, tile: Any, zero: Any
) -> tuple[Any, Callable]:
    """array[index + j …] += Σ_i x[i]·tile[i,j] for all j: they overlap, and are added up before.

    By Horner's rule, from the last j on: the sum moves on by one lane before the next j is added,
    and what leaves the register goes to `over`. ``zero`` is a register of zeros that LLVM does not
    know to be zeros: a shift that takes in known ones is two operations on AVX-512 in place of one.
    """
    lanes = x.dtype
    columns = tile.count // x.count

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        _keep_rolled(builder)
        (at,) = _addresses(context, builder, sig, *args[:2])
        factors, tile = (unpack_tuple(builder, argument) for argument in args[2:4])
        sum = over = args[4]
        for j in reversed(range(columns)):
            if j < columns - 1:
                # The last lane of `over` is 0: there are as many lanes as shifts, or more.
                sum, over = _window(builder, over, sum), _window(builder, sum, over)
            for i, factor in enumerate(factors):
                sum = call(builder, "fmuladd", factor, tile[i * columns + j], sum)
        _add(builder, at, lanes, sum)
        if columns > 1:
            rest = Lanes(lanes.element, columns - 1)
            over = builder.shuffle_vector(over, over, _order(range(rest.count)))
            _add(builder, builder.gep(at, [ir.IntType(64)(lanes.count)]), rest, over)
        return context.get_dummy_value()

    return types.void(array, index, x, tile, zero), generate


def _order(numbers: range) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), list(numbers))


def _window(builder: ir.IRBuilder, before: ir.Value, after: ir.Value) -> ir.Value:
    """The last lane of a register, then all but the last of another."""
    lanes = after.type.count
    return builder.shuffle_vector(before, after, _order(range(lanes - 1, 2 * lanes - 1)))


def _add(builder: ir.IRBuilder, at: ir.Value, lanes: Lanes, value: ir.Value) -> None:
    store_to(builder, builder.fadd(load_from(builder, lanes, at), value), lanes, at)


@intrinsic
def strided(typingctx: Any, numbers: Any, step: Any, first: Any) -> tuple[Any, Callable]:
    """The numbers ``n · step + first``, for a tuple of n."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        numbers, step, first = args
        steps = [builder.mul(n, step) for n in unpack_tuple(builder, numbers)]
        return pack_array(builder, [builder.add(n, first) for n in steps])

    return numbers(numbers, types.intp, types.intp), generate


@intrinsic
def repeated(typingctx: Any, rows: Any, values: Any) -> tuple[Any, Callable]:
    """A tile that has ``values`` in each of the rows."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        return pack_array(builder, list(unpack_tuple(builder, args[1])) * rows.count)

    return types.UniTuple(values.dtype, rows.count * values.count)(rows, values), generate


# Each addition to a sum waits for the one before, and four sums at a time keep a processor busy. A
# tile of 4 × 5 loads less, and a window of 5 × 5 is five of them. With 16 registers of half the
# size, as AVX2 has, it does not fit: there, a tile of 4 rows has 2 columns.
_one = _numbers(1)


def _strip(rows: int, body: Callable, width: int) -> Callable:
    width = width if HAS_AVX512 or rows < 4 else 2
    rows_from, columns_from = _numbers(rows), _numbers(width)

    @inlined
    def strip(row, columns, arguments):
        column = 0
        while column + width <= columns:
            body(rows_from(row), columns_from(column), *arguments)
            column += width
        while column < columns:
            body(rows_from(row), _one(column), *arguments)
            column += 1

    return strip


def tiled(body: Callable, width: int = 5) -> Callable:
    """The function (rows, columns, …) that runs ``body`` on tiles of a rows × columns matrix.

    Args:
        body: takes the tile's rows and columns as tuples of numbers, then the other arguments.
        width: columns of a tile, where there are registers for it.
    """
    body = inlined(body)
    four, two, one = (_strip(rows, body, width) for rows in (4, 2, 1))

    @inlined
    def tiles(rows, columns, *arguments):
        row = 0
        while row + 4 <= rows:
            four(row, columns, arguments)
            row += 4
        if row + 2 <= rows:
            two(row, columns, arguments)
            row += 2
        if row < rows:
            one(row, columns, arguments)

    return tiles
