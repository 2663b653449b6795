"""Layers on every backend: the same outputs, the same gradients of all weights, equivariant."""

import copy
import statistics
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import compress

import pytest
import torch
from four_layers import LAYERS, make, signal

from g_selfatt import testing
from g_selfatt.backends import BACKENDS
from g_selfatt.functional import use_backend
from g_selfatt.functional.attention import present_backend


@pytest.fixture(params=["numba", "recompute"])
def backend(request):
    """Each of the backends of the CPU that are compared with the reference."""
    if request.param == "numba":
        pytest.importorskip("numba")
    return request.param


def outputs_and_gradients(layer, x, backend):
    """The output, then the gradients of x and of every weight."""
    x = x.detach().requires_grad_()
    with use_backend(backend):
        out = layer(x)
    weights = torch.linspace(-1, 2, out.numel(), dtype=out.dtype).reshape(out.shape)
    return [out, *torch.autograd.grad((out * weights).sum(), [x, *layer.parameters()])]


def error(got, expected):
    """The largest, relative to the largest number of its tensor; where that is zero but for
    rounding (a softmax does not see what all its scores share), to the largest of all."""
    got, expected = list(got), list(expected)
    largest = [e.abs().max().item() for e in expected]
    scales = [one if one > 1e-9 * max(largest) else max(largest) for one in largest]
    pairs = zip(got, expected, scales, strict=True)
    return max((g - e).abs().max().item() / scale for g, e, scale in pairs)


@pytest.mark.parametrize("group", ["z2", "mz2", "p4", "p8m"])
@pytest.mark.parametrize("kind", LAYERS)
def test_outputs_and_the_gradients_of_all_weights(backend, kind, group):
    size = (4, 5) if group == "p8m" else (6, 7)  # its scores grow with the cube of 16 elements
    rounding = []
    for _ in range(3):
        layer, x = make(kind, group).float(), signal(kind, group, size).float()
        double = copy.deepcopy(layer).double()
        expected = outputs_and_gradients(double, x.double(), "reference")
        assert error(outputs_and_gradients(double, x.double(), backend), expected) < 1e-10
        got = outputs_and_gradients(layer, x, backend)
        eager = outputs_and_gradients(layer, x, "reference")
        names = ("output", "x", *dict(layer.named_parameters()))
        encodings = ["embedding" in name for name in names]
        others = [not encoding for encoding in encodings]
        assert error(compress(got, others), compress(expected, others)) < 1e-5
        expected = list(compress(expected, encodings))
        rounding.append([error(compress(all_, encodings), expected) for all_ in (got, eager)])
    # Gradients of the encodings cancel over pixels and heads, and the norm of the position MLPs
    # magnifies what rounding leaves, the reference's own as well: by chance up to four times more
    # for one layer than for another.
    ours, theirs = map(statistics.median, zip(*rounding, strict=True))
    assert ours < max(1e-5, 4 * theirs)


@pytest.mark.parametrize("kind", LAYERS)
def test_equivariant_below_1e9_in_float64(backend, kind):
    layer, x = make(kind, "p4m").eval(), signal(kind, "p4m", (6, 6))
    with use_backend(backend):
        errors = testing.equivariance_error(layer, layer.group, x)
    assert max(errors.values()) < 1e-9


def test_positions_that_the_group_does_not_act_on_are_found_out(backend):
    layer, x = make("group_local", "p4m").eval(), signal("group_local", "p4m", (6, 6))
    layer._compute_table = lambda window: torch.randn(8, 4, *window).double()
    with use_backend(backend):
        errors = testing.equivariance_error(layer, layer.group, x)
    assert max(errors.values()) > 1e-3


@pytest.mark.parametrize("kind", LAYERS)
def test_autocast_costs_at_most_twice_what_it_costs_the_reference(backend, kind):
    layer, x = make(kind), signal(kind)
    expected = outputs_and_gradients(layer, x, "reference")
    layer, x = layer.float(), x.float()
    with torch.autocast("cpu", torch.bfloat16):
        got = outputs_and_gradients(layer, x, backend)
        eager = outputs_and_gradients(layer, x, "reference")
    assert got[0].dtype == torch.bfloat16
    assert 1e-4 < error(got, expected) <= 2 * error(eager, expected)


def test_the_context_outranks_the_layer_and_ends(monkeypatch):
    layer, x = make("group_local"), signal("group_local")
    ran = []
    for name in ("reference", "recompute"):
        run = BACKENDS[name].run
        noted = replace(BACKENDS[name], run=lambda i, n=name, r=run: ran.append(n) or r(i))
        monkeypatch.setitem(BACKENDS, name, noted)
    layer.backend = "reference"
    layer(x)
    with use_backend("recompute"):
        layer(x)
        with use_backend("reference"):
            layer(x)
    layer(x)
    assert ran == ["reference", "recompute", "reference", "reference"]
    with pytest.raises(ValueError, match="choose one of auto"), use_backend("fast"):
        pass


def test_the_context_is_of_its_thread():
    with use_backend("reference"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(present_backend).result() is None
        assert present_backend() == "reference"
