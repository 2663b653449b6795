"""torch.compile and the exporters see through every layer: one graph, of any batch and image."""

import pytest
import torch
from four_layers import LAYERS, make, signal
from torch._dynamo.testing import CompileCounterWithBackend
from torch.export import Dim

from g_selfatt import nn
from g_selfatt.functional import self_attention, use_backend

LATE = pytest.mark.xfail(
    torch.__version__ < "2.14", reason="older versions do not say that they export", strict=False
)


@pytest.fixture(autouse=True)
def no_graphs_of_before():
    torch._dynamo.reset()


def output_and_gradients(function, layer, x):
    x = x.detach().requires_grad_()
    out = function(x)
    return [out, *torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])]


def operators(graph_module):
    return {str(node.target) for node in graph_module.graph.nodes if node.op == "call_function"}


@pytest.mark.parametrize(
    ("kind", "backend"), [*((kind, "eager") for kind in LAYERS), ("group_local", "aot_eager")]
)
def test_compiles_into_one_graph_of_any_batch_and_image(kind, backend):
    layer, counter = make(kind), CompileCounterWithBackend(backend)
    compiled = torch.compile(layer, fullgraph=True, backend=counter)
    sizes = [(2, (4, 5)), (3, (4, 5)), (5, (4, 5)), (3, (6, 7))]
    for (batch, size), graphs in zip(sizes, (1, 2, 2, 3), strict=True):
        x = signal(kind, size=size, batch=batch)
        got = output_and_gradients(compiled, layer, x)
        with use_backend("reference"):
            expected = output_and_gradients(layer, layer, x)
        torch.testing.assert_close(got, expected)
        assert counter.frame_count == graphs
    assert all("g_selfatt.numba_attention" in str(graph.code) for graph in counter.graphs)


def test_a_compiled_layer_follows_the_backend_that_is_asked_for():
    layer, counter = make("lift_local"), CompileCounterWithBackend("eager")
    compiled, x = torch.compile(layer, fullgraph=True, backend=counter), signal("lift_local")
    expected = compiled(x)
    with use_backend("reference"):
        torch.testing.assert_close(compiled(x), expected)
    assert ["numba_attention" in str(graph.code) for graph in counter.graphs] == [True, False]


def test_dropout_in_a_graph_draws_anew_and_gradients_are_of_the_mask():
    layer = make("group_local", attention_dropout_rate=0.5)
    compiled, x = torch.compile(layer, fullgraph=True, backend="aot_eager"), signal("group_local")
    x, step = x.requires_grad_(), 1e-6
    assert not torch.equal(compiled(x), compiled(x))
    direction = torch.randn_like(x)

    def loss(x):
        torch.manual_seed(3)
        return compiled(x).square().sum()

    slope = (torch.autograd.grad(loss(x), x)[0] * direction).sum()
    difference = loss(x + step * direction) - loss(x - step * direction)
    torch.testing.assert_close(difference / (2 * step), slope, rtol=1e-6, atol=1e-6)


def test_a_position_that_is_not_a_number_reaches_those_that_meet_it_only():
    inputs = [*torch.randn(3, 1, 1, 4, 1, 4, 5), torch.randn(2, 4, 3, 3)]
    inputs[3][0, 0, 0, 0] = torch.nan  # no query of the first row and column meets it

    def attend(*inputs):
        return self_attention(*inputs, scale=0.5)

    compiled = torch.compile(attend, fullgraph=True, backend="aot_eager")
    got = compiled(*inputs)
    assert got.isfinite().any() and got.isnan().any()
    torch.testing.assert_close(got, attend(*inputs), equal_nan=True)


@pytest.mark.parametrize(
    "kind, strict",
    [*((kind, False) for kind in LAYERS), pytest.param("lift_global", True, marks=LATE)],
)
def test_exports_with_any_batch(kind, strict):
    layer = make(kind).eval()
    dynamic = ({0: Dim("batch", max=64)},)
    exported = torch.export.export(layer, (signal(kind),), strict=strict, dynamic_shapes=dynamic)
    assert not any("g_selfatt" in name for name in operators(exported))
    for batch in (1, 5):
        x = signal(kind, batch=batch)
        torch.testing.assert_close(exported.module()(x), layer(x))


@pytest.mark.parametrize("kind", ["lift_local", "group_local"])
def test_exports_with_any_image(kind):
    layer, x = make(kind).eval(), signal(kind)
    sides = {x.dim() - 2: Dim("height", min=3, max=64), x.dim() - 1: Dim("width", min=3, max=64)}
    dynamic = ({0: Dim("batch", max=64), **sides},)
    exported = torch.export.export(layer, (x,), strict=False, dynamic_shapes=dynamic).module()
    for batch, size in ((1, (3, 4)), (3, (7, 6))):
        x = signal(kind, size=size, batch=batch)
        torch.testing.assert_close(exported(x), layer(x))


@pytest.mark.parametrize("kind", LAYERS)
def test_traced_by_torch_jit(kind):
    layer = make(kind).eval()
    traced = torch.jit.trace(layer, (signal(kind),))
    x = signal(kind, batch=3)
    torch.testing.assert_close(traced(x), layer(x))


def test_make_fx_records_what_the_layer_computes():
    from torch.fx.experimental.proxy_tensor import make_fx

    layer, x = make("group_local"), signal("group_local")
    recorded = make_fx(layer)(x)
    torch.testing.assert_close(recorded(x + 1), layer(x + 1))


@pytest.mark.parametrize(
    ("kind", "shape"), [(nn.LiftConv, (2, 7, 7)), (nn.GroupConv, (2, 4, 7, 7))]
)
def test_a_convolution_that_never_ran_is_one_graph_without_being_asked(kind, shape):
    layer, counter = kind("p4", 2, 2, 3), CompileCounterWithBackend("eager")
    x = torch.randn(2, *shape)
    got = torch.compile(layer, backend=counter)(x)  # without fullgraph, which hides breaks
    assert counter.frame_count == 1
    torch.testing.assert_close(got, layer(x))
