"""The threads of one call of a kernel: how they start, and how they share out its tasks.

A kernel is called once, from Python, and starts its threads itself: what Python passes to a
compiled function takes as long as a unit of a small map, and only one thread can do that at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.cgutils import alloca_once
from numba.extending import intrinsic

from g_selfatt.backends.numba.compiling import inner
from g_selfatt.backends.numba.lanes import address
from g_selfatt.backends.numba.workspaces import Workspace

WORD, INT, BYTES = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()
REGION = ir.FunctionType(ir.VoidType(), [BYTES])
PARALLEL = ir.FunctionType(ir.VoidType(), [REGION.as_pointer(), BYTES, INT, INT])
ARRIVED, TAKEN = 0, 1


class Team(NamedTuple):
    """What the threads of one call have in common."""

    tasks: Any  # (n, 5), of `workers.share_out`
    counters: Any  # (2,), zeros at first: threads that have arrived, tasks that are taken
    memory: Any  # (threads, numbers), a line for each
    threads: int
    parallel: int  # the address of OpenMP's GOMP_parallel; 0: the calling thread alone


@intrinsic
def _count(typingctx: Any, counters: Any, which: Any) -> tuple[Any, Callable]:
    """A counter as it was before it was raised by one, atomically."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        place = address(context, builder, sig.args[0], args[0], [args[1]])
        return builder.atomic_rmw("add", place, WORD(1), "monotonic")

    return types.int64(counters, types.int64), generate


@njit
def own_memory(team: Any) -> Any:
    """The `Workspace` of a thread, which asks once."""
    return Workspace(team.memory[_count(team.counters, ARRIVED)], np.zeros(1, np.int64))


@inner
def next_task(team: Any) -> tuple[int, int, int, int, int]:
    """A task that no thread has taken; one of no units where none is left."""
    tasks, n = team.tasks, _count(team.counters, TAKEN)
    if n >= tasks.shape[0]:
        return 0, 0, 0, 0, 0
    return tasks[n, 0], tasks[n, 1], tasks[n, 2], tasks[n, 3], tasks[n, 4]


@intrinsic
def on_all_threads(
    typingctx: Any, function: Any, parallel: Any, threads: Any, arguments: Any
) -> tuple[Any, Callable]:
    """``function(*arguments)`` on each thread; MemoryError where one raises anything.

    Args:
        function: a compiled function, which is known by name.
        parallel, threads: as in `Team`.
        arguments: a tuple, which the threads share.
    """
    callee = function.dispatcher

    def call(arguments: Any) -> None:
        callee(*arguments)

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        _, parallel, threads, shared = args
        # What C passes to a region is one address: of the arguments, and of whether one failed.
        place = alloca_once(builder, ir.LiteralStructType([shared.type, INT]))
        given, failed = (builder.gep(place, [INT(0), INT(n)]) for n in range(2))
        builder.store(shared, given)
        builder.store(INT(0), failed)
        region = _region(context, builder, call, arguments, place.type)
        data = builder.bitcast(place, BYTES)
        alone = builder.icmp_signed("==", parallel, WORD(0))
        with builder.if_else(alone) as (here, everywhere):
            with here:
                builder.call(region, [data])
            with everywhere:
                start = builder.inttoptr(parallel, PARALLEL.as_pointer())
                builder.call(start, [region, data, builder.trunc(threads, INT), INT(0)])
        with builder.if_then(builder.icmp_signed("!=", builder.load(failed), INT(0)), likely=False):
            text = "no memory for the attention's scratch"
            context.call_conv.return_user_exc(builder, MemoryError, (text,))
        return context.get_dummy_value()

    return types.void(function, types.int64, types.int64, arguments), generate


def _region(
    context: Any, builder: ir.IRBuilder, call: Callable, arguments: Any, shared: ir.PointerType
) -> ir.Function:
    """A function as C calls it, of the address of the arguments, which calls one of Numba's."""
    region = ir.Function(builder.module, REGION, builder.module.get_unique_name("region"))
    region.linkage = "internal"
    region.attributes.add("noinline")  # two places call it
    inside = ir.IRBuilder(region.append_basic_block())
    place = inside.bitcast(region.args[0], shared)
    given, failed = (inside.gep(place, [INT(0), INT(n)]) for n in range(2))
    signature = types.void(arguments)
    compiled = context.compile_subroutine(builder, call, signature)
    status, _ = context.call_internal_no_propagate(
        inside, compiled.fndesc, signature, [inside.load(given)]
    )
    with inside.if_then(status.is_error, likely=False):
        inside.store(INT(1), failed)
    inside.ret_void()
    return region
