"""Layers on every backend: the same outputs, the same gradients of all weights, equivariant."""

import statistics
from dataclasses import replace
from itertools import compress

import pytest
import torch

from g_selfatt import groups, nn, testing
from g_selfatt.backends import BACKENDS
from g_selfatt.functional import use_backend

LAYERS = {
    "lift_local": (nn.LiftLocalSelfAttention, 5),
    "lift_global": (nn.LiftSelfAttention, 8),
    "group_local": (nn.GroupLocalSelfAttention, 5),
    "group_global": (nn.GroupSelfAttention, 8),
}


@pytest.fixture(params=["numba", "recompute"])
def backend(request):
    """Each of the backends of the CPU that are compared with the reference."""
    if request.param == "numba":
        pytest.importorskip("numba")
    return request.param


def make(kind, group, *, seed=0, dropout=0.0):
    torch.manual_seed(seed)
    layer, extent = LAYERS[kind]
    layer = layer(groups.get(group), 5, 8, 6, 3, extent, dropout)
    with torch.no_grad():  # zero biases would leave the encodings constant
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return layer


def signal(kind, group, size=(6, 7)):
    elements = [] if kind.startswith("lift") else [groups.get(group).num_elements]
    return torch.randn(2, 5, *elements, *size)


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
    for seed in range(3):
        layer, x = make(kind, group, seed=seed), signal(kind, group, size)
        double = make(kind, group, seed=seed).double()
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
    # for one seed than for another.
    ours, theirs = map(statistics.median, zip(*rounding, strict=True))
    assert ours < max(1e-5, 4 * theirs)


@pytest.mark.parametrize("kind", LAYERS)
def test_equivariant_below_1e9_in_float64(backend, kind):
    layer, x = make(kind, "p4m").double().eval(), signal(kind, "p4m", (6, 6)).double()
    with use_backend(backend):
        errors = testing.equivariance_error(layer, layer.group, x)
    assert max(errors.values()) < 1e-9


def test_positions_that_the_group_does_not_act_on_are_found_out(backend):
    layer, x = make("group_local", "p4m").double().eval(), signal("group_local", "p4m", (6, 6))
    layer._compute_table = lambda window: torch.randn(8, 4, *window).double()
    with use_backend(backend):
        errors = testing.equivariance_error(layer, layer.group, x.double())
    assert max(errors.values()) > 1e-3


@pytest.mark.parametrize("kind", LAYERS)
def test_autocast_costs_at_most_twice_what_it_costs_the_reference(backend, kind):
    layer, x = make(kind, "p4"), signal(kind, "p4")
    expected = outputs_and_gradients(layer, x, "reference")
    with torch.autocast("cpu", torch.bfloat16):
        got = outputs_and_gradients(layer, x, backend)
        eager = outputs_and_gradients(layer, x, "reference")
    assert got[0].dtype == torch.bfloat16
    assert 1e-4 < error(got, expected) <= 2 * error(eager, expected)


def test_a_compiled_network_gives_the_same_numbers():
    layer, x = make("group_local", "p4"), signal("group_local", "p4")
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    expected = outputs_and_gradients(layer, x, "reference")
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), expected[0])
    x.requires_grad_()
    compiled(x).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()


def test_the_context_outranks_the_layer_and_ends(monkeypatch):
    layer, x = make("group_local", "p4"), signal("group_local", "p4")
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
