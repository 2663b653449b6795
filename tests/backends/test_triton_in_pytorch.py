"""The Triton backend as a part of PyTorch and of the library: compiled, checked, refused."""

import itertools
import logging
from types import SimpleNamespace

import pytest
import torch
from attention_cases import attention_of, make_small_inputs
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import checkpoint
from triton_here import DEVICE, INTERPRETED, interpreter  # noqa: F401

from g_selfatt.backends import triton as backend
from g_selfatt.backends.triton import operator, self_check
from g_selfatt.functional import reference

attend = backend.attend


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_compiles_into_one_graph(rate):
    inputs = make_small_inputs("mz2", (2, 2), (1, 3), device=DEVICE)

    def run(*floats):
        attention = attention_of([*floats, inputs[5]], rate)
        assert backend.can_run(attention) is None
        return attend(attention)

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    got, expected = [], []
    for function, results in ((run, expected), (compiled, got)):
        floats = [t.detach().clone().requires_grad_() for t in inputs[:5]]
        torch.manual_seed(0)
        out = function(*floats)
        results += [out, *torch.autograd.grad(out.square().sum(), floats)]
    for a, b in zip(got, expected, strict=True):
        assert a.stride() == b.stride()
        torch.testing.assert_close(a, b)
    if rate:  # the seed is no constant of the graph
        assert not torch.equal(compiled(*inputs[:5]), compiled(*inputs[:5]))


def test_the_operators_keep_what_they_promise_to_pytorch():
    inputs = make_small_inputs("mz2", (1, 2), (1, 3), heads=2, device=DEVICE)
    floats = [t.requires_grad_() for t in inputs[:5]]
    seed = torch.zeros(1, dtype=torch.int64, device=DEVICE)
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    arguments = (*floats, inputs[5], seed, 0.3, 0.1)
    torch.library.opcheck(torch.ops.g_selfatt.triton_attention.default, arguments, test_utils=tests)


def test_says_why_it_cannot_run(monkeypatch):
    def reason(inputs):
        return backend.can_run(attention_of(inputs))

    inputs = make_small_inputs("mz2", (2, 2), (3, 3), device=DEVICE)
    assert reason(inputs) is None
    double = [t.double() if t.is_floating_point() else t for t in inputs]
    assert "float32, bfloat16 and float16, the query is torch.float64" in reason(double)
    wide = make_small_inputs("z2", (1, 1), (1, 1), c=129, device=DEVICE)
    assert "up to 128 channels" in reason(wide)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    on_cpu = make_small_inputs("mz2", (2, 2), (3, 3))
    assert "for CUDA GPUs, the inputs are on cpu" in reason(on_cpu)
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None)
    backend._why_no_triton.cache_clear()
    try:
        assert "Triton is not installed" in reason(on_cpu)
    finally:
        backend._why_no_triton.cache_clear()


def zeros(*shape):
    """A tensor that takes no memory."""
    return torch.zeros((), device=DEVICE).expand(shape)


@pytest.mark.parametrize("where", ["outputs", "elements", "rows"])
def test_groups_of_more_elements_are_refused(where):
    refused = "the kernels take groups of up to 64 elements, this one has 65"
    for count, reason in ((64, None), (65, refused)):
        sizes = {"outputs": 1, "elements": 1, "rows": 1, where: count}
        outputs, elements, rows = sizes.values()
        images = [zeros(1, 1, 2, elements, 1, 1)] * 3
        index = zeros(outputs, elements, elements).long()
        given = [*images, zeros(outputs, 1, 1, 1), zeros(rows, 1), index]
        assert backend.can_run(attention_of(given)) == reason


@pytest.mark.parametrize("shape", [(2**9, 2**6, 1), (1, 2**8, 2**7)], ids=["programs", "layout"])
def test_inputs_that_32_bits_cannot_count_are_refused(shape):
    """They are counted up to 2³¹: with one head less they are taken."""
    batch, heads, c = shape
    refused = "the inputs are larger than 32-bit offsets reach"
    for count, reason in ((heads - 1, None), (heads, refused)):
        images = [zeros(batch, count, c, 1, 2**8, 2**8)] * 3
        given = [*images, zeros(1, 1, 1, 1), None, None]
        assert backend.can_run(attention_of(given)) == reason


@pytest.mark.parametrize("verdict", [True, False])
def test_auto_takes_a_gpu_after_the_check_only(verdict, monkeypatch):
    monkeypatch.setattr(self_check, "passes", lambda inputs: verdict)
    on_gpu = SimpleNamespace(query=SimpleNamespace(device=torch.device("cuda")))
    assert backend.is_worth_it(on_gpu) is verdict


@pytest.mark.skipif(not INTERPRETED, reason="with a GPU there is no interpreter")
def test_auto_leaves_the_interpreter_alone():
    inputs = attention_of(make_small_inputs("mz2", (2, 2), (3, 3)))
    assert not backend.is_worth_it(inputs)


def test_the_check_before_auto_runs_once_and_says_what_failed(monkeypatch, caplog):
    inputs = make_small_inputs("z2", (2, 2), (3, 3), lifting=True, c=2, device=DEVICE)
    inputs = attention_of(inputs)
    self_check.reset()
    try:
        with torch.device("meta"):  # a default device changes nothing
            assert self_check.passes(inputs)
        monkeypatch.setattr(operator, "attend", None)  # not asked again
        assert self_check.passes(inputs)
        self_check.reset()
        monkeypatch.setattr(operator, "attend", lambda inputs: reference.attend(inputs) * 1.01)
        with caplog.at_level(logging.WARNING):
            assert not self_check.passes(inputs)
            assert not self_check.passes(inputs)
        assert len(caplog.records) == 1 and "not the reference's" in caplog.text
        self_check.reset()
        monkeypatch.setattr(operator, "attend", None)
        with caplog.at_level(logging.WARNING):
            assert not self_check.passes(inputs)
        assert "TypeError" in caplog.text
    finally:
        self_check.reset()


@pytest.fixture
def unchecked():
    """Small inputs of a kind that has not been checked."""
    self_check.reset()
    yield make_small_inputs("z2", (2, 2), (3, 3), lifting=True, c=2, device=DEVICE)
    self_check.reset()


@pytest.mark.usefixtures("unchecked")
def test_each_kind_is_checked_once(monkeypatch):
    checked = []
    monkeypatch.setattr(self_check, "_check", checked.append)
    windows = ((1, 3), (3, 5))  # the second sees the whole image
    kinds = list(itertools.product(("p4", "p4m"), windows, (False, True), (2, 4)))
    for group, window, lifting, c in kinds * 2:
        inputs = make_small_inputs(group, (2, 3), window, lifting=lifting, c=c, device=DEVICE)
        assert self_check.passes(attention_of(inputs))
    assert len(checked) == len(set(checked)) == len(kinds)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_check_passes_in_half_precision(unchecked, dtype):
    halves = [t if t is None or not t.is_floating_point() else t.to(dtype) for t in unchecked]
    assert self_check.passes(attention_of(halves))


def test_the_check_passes_in_inference_mode_and_under_another_default_dtype(unchecked):
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode():
            assert self_check.passes(attention_of(unchecked))
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_check_leaves_nothing_in_a_checkpoint(unchecked):
    def block(x):
        assert self_check.passes(attention_of(unchecked))
        return x.sin().exp()

    x = torch.randn(3, device=DEVICE, requires_grad=True)
    checkpoint(block, x, use_reentrant=False).sum().backward()
    torch.testing.assert_close(x.grad, x.sin().exp() * x.cos())


def test_tracers_are_given_the_equations(unchecked):
    inputs = unchecked[:4]

    def attention(query):
        reason = backend.can_run(attention_of([query, *inputs[1:], None, None]))
        assert reason == "the model is being traced"
        return query * 2

    make_fx(attention)(inputs[0])


def test_an_embedding_without_channels_is_refused():
    inputs = make_small_inputs("mz2", (2, 2), (3, 3), device=DEVICE)
    inputs[4] = inputs[4][:, :0]
    assert "at least one channel" in backend.can_run(attention_of(inputs))


def test_the_check_does_not_run_while_a_graph_is_made(monkeypatch):
    monkeypatch.setattr(self_check, "_check", lambda kind: None)
    inputs = attention_of(make_small_inputs("mz2", (1, 2), (1, 3), device=DEVICE))
    self_check.reset()
    compiled = torch.compile(lambda q: q if self_check.passes(inputs) else q * 0, backend="eager")
    try:
        assert not compiled(inputs.query).any()  # not known yet: not taken
        assert self_check.passes(inputs)
        torch._dynamo.reset()
        assert torch.equal(compiled(inputs.query), inputs.query)
    finally:
        self_check.reset()
        torch._dynamo.reset()
