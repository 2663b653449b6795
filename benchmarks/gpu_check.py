"""Compare the Triton attention with the reference on this machine's GPU.

    python -m benchmarks.gpu_check

One line a case: what, the dtype, the worst error of the output and of all gradients, relative to
the largest number of each tensor, and its bound. Exit code 0 if all hold, 1 if one does not, 2 if
there is no GPU to ask.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.attention_cases import (
    SINGLE,
    SMALL_CASES,
    attention_of,
    dropped_errors,
    half_precision_errors,
    make_inputs,
    outputs_and_gradients,
    worst_error,
)
from g_selfatt.backends import AttentionInputs
from g_selfatt.backends import triton as backend
from g_selfatt.functional import reference

# Too large for the interpreter of the tests: group, (H, W), window, heads, c.
LARGE_CASES = [
    ("p4", (28, 28), (5, 5), 9, 10),
    ("p4m", (28, 28), (5, 5), 3, 10),
    ("p12", (14, 14), (5, 5), 2, 10),
    ("p16", (14, 14), (5, 5), 2, 10),
    ("mz2", (32, 32), (5, 5), 2, 48),
    ("mz2", (16, 16), (5, 5), 2, 96),
    ("p4m", (24, 40), (5, 5), 2, 12),
    ("z2", (1, 33), (1, 65), 1, 4),
    ("p4", (14, 14), (27, 27), 2, 10),
    ("p4", (13, 9), (31, 31), 2, 10),
]
THOROUGH = {((28, 28), False), ((28, 28), True), ((32, 32), False), ((14, 14), False)}
Check = tuple[str, str, Callable[[], tuple[float, float]]]  # what, dtype, error and bound


def checks() -> Iterator[Check]:
    """Every comparison, none of them made yet."""
    small = [(*case, 1, 4) for case in SMALL_CASES]
    for group, size, window, heads, c in [*small, *LARGE_CASES]:
        for lifting in (False, True):
            name = f"{group} {'lifting' if lifting else 'group'} {size} {window} c={c}"
            make = partial(
                make_inputs, group, size, window, lifting=lifting, heads=heads, c=c, device="cuda"
            )
            yield name, "float32", partial(_single, make)
            # Every one of these compiles all kernels again, a minute for twenty.
            if (size, lifting) in THOROUGH:
                yield name, "bfloat16", partial(_half, make, torch.bfloat16)
                yield name, "float16", partial(_half, make, torch.float16)
                yield f"{name} dropout", "float32", partial(_dropped, make)
    make = partial(make_inputs, "p4", (14, 14), (5, 5), c=10, device="cuda")
    for factor in (100.0, 1e4):
        yield f"queries times {factor:g}", "float32", partial(_large_scores, make, factor)
    yield "the same bits twice", "float32", partial(_repeated, make)
    yield "a CUDA graph replayed: other masks", "float32", _replayed
    yield "compiled by inductor", "float32", partial(_compiled, make)


def _single(make: Callable) -> tuple[float, float]:
    inputs = make()
    expected = outputs_and_gradients(reference.attend, inputs, torch.float64)
    return worst_error(
        outputs_and_gradients(backend.attend, inputs, torch.float32), expected
    ), SINGLE


def _half(make: Callable, dtype: torch.dtype) -> tuple[float, float]:
    return half_precision_errors(backend.attend, make(), dtype)


def _dropped(make: Callable) -> tuple[float, float]:
    return dropped_errors(backend.attend, make(), 0.1), SINGLE


def _large_scores(make: Callable, factor: float) -> tuple[float, float]:
    inputs = make()
    inputs[0] *= factor
    expected = outputs_and_gradients(reference.attend, inputs, torch.float64)
    eager = outputs_and_gradients(reference.attend, inputs, torch.float32)
    got = outputs_and_gradients(backend.attend, inputs, torch.float32)
    return worst_error(got, expected), max(SINGLE, 5 * worst_error(eager, expected))


def _repeated(make: Callable) -> tuple[float, float]:
    inputs = make()
    runs = [outputs_and_gradients(backend.attend, inputs, torch.float32) for _ in range(2)]
    return worst_error(*runs), 0.0


def _replayed() -> tuple[float, float]:
    """A single key for each query, so that the output is the mask; half of it agrees by chance."""
    inputs = make_inputs("z2", (32, 32), (1, 1), lifting=True, device="cuda")
    inputs[2] = torch.ones_like(inputs[2])
    attention = attention_of(inputs, 0.5)
    backend.attend(attention)  # compiles
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = backend.attend(attention)
    masks = []
    for _ in range(2):
        graph.replay()
        masks.append(out[0, 0, 0].clone() > 0)
    return abs((masks[0] == masks[1]).double().mean().item() - 0.5), 0.1


def _compiled(make: Callable) -> tuple[float, float]:
    inputs = make()
    expected = outputs_and_gradients(reference.attend, inputs, torch.float64)

    def attend(query: Tensor, *others: Tensor) -> Tensor:
        return backend.attend(attention_of([query, *others]))

    compiled = torch.compile(attend, fullgraph=True)

    def run(given: AttentionInputs) -> Tensor:
        return compiled(*list(vars(given).values())[:6])

    return worst_error(outputs_and_gradients(run, inputs, torch.float32), expected), SINGLE


def main() -> int:
    """Make every comparison and print it."""
    if not torch.cuda.is_available():
        print("no CUDA GPU here: nothing was checked")
        return 2
    inputs = attention_of(make_inputs("z2", (1, 1), (1, 1), device="cuda"))
    reason = backend.can_run(inputs)
    if reason is not None:
        print(f"the Triton attention cannot run here: {reason}")
        return 1
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    failures = total = 0
    for name, dtype, check in checks():
        torch.manual_seed(total)
        total += 1
        try:
            error, bound = check()
            good = error <= bound  # false for NaN
            result = f"{error:8.1e} {bound:8.1e} {'ok' if good else 'FAIL'}"
        except Exception as problem:  # one case that cannot run is one line, as any other
            good, result = False, f"FAIL {type(problem).__name__}: {problem}"
        failures += not good
        print(f"{name:48} {dtype:9} {result}", flush=True)
    print(f"{total - failures} of {total} ok")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
