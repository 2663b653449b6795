"""The Triton kernels on a GPU give the reference's numbers, on cases too large to interpret.

`pytest -m gpu -v`; with `-rP` it shows the worst error of each case, relative to the largest number
of each tensor.
"""

from functools import partial

import pytest
import torch
from attention_cases import (
    SINGLE,
    SMALL_CASES,
    attention_of,
    dropped_errors,
    half_precision_errors,
    make_small_inputs,
    outputs_and_gradients,
    worst_error,
)

from g_selfatt.backends import select_backend
from g_selfatt.backends import triton as backend
from g_selfatt.backends.triton import self_check
from g_selfatt.functional import reference

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here")

# Group, (H, W), window, heads, c.
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
# Each half precision and dropout compiles all kernels again, a minute for twenty cases.
THOROUGH = [
    *((*case, lifting) for case in LARGE_CASES[:2] for lifting in (False, True)),
    *((*case, False) for case in LARGE_CASES[2:5]),
]
on_gpu = partial(make_small_inputs, device="cuda")


@pytest.fixture(autouse=True)
def runs_here():
    reason = backend.can_run(attention_of(on_gpu("z2", (1, 1), (1, 1))))
    assert reason is None, reason


def judge(error, bound):
    print(f"{torch.cuda.get_device_name()}: worst error {error:.1e}, bound {bound:.1e}")
    assert error <= bound  # false for NaN


def judge_single(inputs, attend=backend.attend):
    expected = outputs_and_gradients(reference.attend, inputs, torch.float64)
    judge(worst_error(outputs_and_gradients(attend, inputs, torch.float32), expected), SINGLE)


@pytest.mark.parametrize("lifting", [False, True])
@pytest.mark.parametrize(
    ("group", "size", "window", "heads", "c"),
    [*((*case, 1, 4) for case in SMALL_CASES), *LARGE_CASES],
)
def test_equal_to_the_reference(group, size, window, heads, c, lifting):
    judge_single(on_gpu(group, size, window, lifting=lifting, heads=heads, c=c))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("group", "size", "window", "heads", "c", "lifting"), THOROUGH)
def test_half_precision(group, size, window, heads, c, lifting, dtype):
    inputs = on_gpu(group, size, window, lifting=lifting, heads=heads, c=c)
    judge(*half_precision_errors(backend.attend, inputs, dtype))


@pytest.mark.parametrize(("group", "size", "window", "heads", "c", "lifting"), THOROUGH)
def test_dropout(group, size, window, heads, c, lifting):
    inputs = on_gpu(group, size, window, lifting=lifting, heads=heads, c=c)
    judge(dropped_errors(backend.attend, inputs, 0.1), SINGLE)


@pytest.mark.parametrize("factor", [100.0, 1e4])
def test_large_scores(factor):
    inputs = on_gpu("p4", (14, 14), (5, 5), c=10)
    inputs[0] *= factor
    expected = outputs_and_gradients(reference.attend, inputs, torch.float64)
    eager = outputs_and_gradients(reference.attend, inputs, torch.float32)
    got = outputs_and_gradients(backend.attend, inputs, torch.float32)
    judge(worst_error(got, expected), max(SINGLE, 5 * worst_error(eager, expected)))


def test_every_run_gives_the_same_bits():
    inputs = on_gpu("p4", (14, 14), (5, 5), c=10)
    runs = [outputs_and_gradients(backend.attend, inputs, torch.float32) for _ in range(2)]
    judge(worst_error(*runs), 0.0)


def test_a_replayed_graph_draws_other_masks():
    """A single key for each query, so that the output is the mask; half of it agrees by chance."""
    inputs = on_gpu("z2", (32, 32), (1, 1), lifting=True)
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
    judge(abs((masks[0] == masks[1]).double().mean().item() - 0.5), 0.1)


@pytest.mark.parametrize("lifting", [False, True])
def test_auto_takes_the_kernels(lifting):
    self_check.reset()
    inputs = attention_of(on_gpu("p4", (14, 14), (5, 5), lifting=lifting, c=10))
    assert select_backend("auto", inputs).name == "triton"


def test_compiled_by_inductor():
    inputs = on_gpu("p4", (14, 14), (5, 5), c=10)
    compiled = torch.compile(lambda *t: backend.attend(attention_of(t)), fullgraph=True)
    judge_single(inputs, lambda given: compiled(*list(vars(given).values())[:6]))
