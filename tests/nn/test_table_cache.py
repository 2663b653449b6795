"""Tables of positions and filters are reused as long as they are right, and never longer."""

import copy
import pickle

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.nn.utils import prune

from g_selfatt import groups, nn
from g_selfatt.functional.filters import group_filters
from g_selfatt.nn.positional_encoding import PositionMLP


@pytest.fixture
def layer():
    torch.manual_seed(0)
    group = groups.get("p4")
    return nn.GroupLocalSelfAttention(group, 3, 6, 3, 2, 3, 0.0, backend="reference").eval()


@pytest.fixture
def x():
    return torch.randn(1, 3, 4, 5, 5)


def evaluations(layer, run):
    """How often the row MLP ran during ``run()``."""
    calls, whole = [], PositionMLP.forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PositionMLP, "forward", lambda self, x: calls.append(self) or whole(self, x))
        run()
    return calls.count(layer.row_embedding)


def output(layer, x):
    with torch.no_grad():
        return layer(x)


def fresh(layer, x):
    """The output of a copy that has never run."""
    other = nn.GroupLocalSelfAttention(layer.group, 3, 6, 3, 2, 3, 0.0, backend="reference")
    other.to(x.dtype).load_state_dict(layer.state_dict())
    return output(other.eval(), x)


def test_evaluated_once_in_eval_mode_and_each_time_where_gradients_are_wanted(layer, x):
    assert evaluations(layer, lambda: [output(layer, x) for _ in range(3)]) == 1
    assert evaluations(layer, lambda: [layer(x) for _ in range(3)]) == 3
    layer.train()
    assert evaluations(layer, lambda: [output(layer, x) for _ in range(3)]) == 3


def test_another_window_has_another_table(x):
    layer = nn.GroupSelfAttention(groups.get("p4"), 3, 6, 3, 2, 9, 0.0, backend="reference").eval()
    small = x[..., :3, :4].contiguous()
    expected = [layer(small), layer(x), layer(small)]
    got = [output(layer, small), output(layer, x), output(layer, small)]
    for a, b in zip(got, expected, strict=True):
        assert torch.equal(a, b)


def by_an_optimizer(layer):
    layer(torch.randn(1, 3, 4, 5, 5)).sum().backward()
    torch.optim.SGD(layer.parameters(), lr=1.0).step()


def by_a_fused_optimizer(layer):
    layer(torch.randn(1, 3, 4, 5, 5)).sum().backward()
    torch.optim.Adam(layer.parameters(), lr=0.1, fused=True).step()


def through_data(layer):
    layer.col_embedding[3].bias.data.add_(1.0)


def by_loading(layer):
    layer.load_state_dict({k: v + 1.0 for k, v in layer.state_dict().items()})


@torch.no_grad()
def in_place(layer):
    layer.col_embedding[3].bias.add_(1.0)


def by_a_new_parameter(layer):
    layer.col_embedding[3].weight = torch.nn.Parameter(layer.col_embedding[3].weight * 2)


def by_new_data(layer):
    layer.row_embedding[0].bias.data = torch.randn(16)


@pytest.mark.parametrize(
    "change",
    [
        by_an_optimizer,
        by_a_fused_optimizer,
        by_loading,
        in_place,
        by_a_new_parameter,
        by_new_data,
        through_data,
    ],
)
def test_a_change_of_the_weights_is_noticed(layer, x, change):
    output(layer, x)
    change(layer)
    assert torch.equal(output(layer, x), fresh(layer, x))


def test_another_precision_is_noticed(layer, x):
    single = output(layer, x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(output(layer, x), fresh(layer, x))
    assert torch.equal(output(layer, x), single)
    layer.double()
    double = output(layer, x.double())
    assert torch.equal(double, fresh(layer, x.double()))
    assert (double - single).abs().max() < 1e-5


def test_a_copy_has_a_cache_of_its_own(layer, x):
    output(layer, x)
    other = copy.deepcopy(layer)
    in_place(other)
    assert not torch.equal(output(other, x), output(layer, x))
    assert torch.equal(output(other, x), fresh(other, x))


def test_weights_made_in_inference_mode(x):
    with torch.inference_mode():
        layer = nn.GroupLocalSelfAttention(groups.get("p4"), 3, 6, 3, 2, 3, 0.0).eval()
        first = layer(x)
        layer.col_embedding[3].bias.add_(1.0)
        assert not torch.equal(layer(x), first)


def by_pruning(mlp):
    prune.l1_unstructured(mlp[3], "weight", amount=0.5)


def by_weight_norm(mlp):
    torch.nn.utils.parametrizations.weight_norm(mlp[0])
    with torch.no_grad():
        mlp[0].parametrizations.weight.original0.mul_(2)


def by_an_adapter(mlp):
    mlp[3] = torch.nn.Sequential(mlp[3], torch.nn.Conv2d(2, 2, 1))


def by_a_hook(mlp):
    mlp[2].register_forward_hook(lambda module, inputs, output: 2 * output)


def by_a_hook_on_the_whole(mlp):
    mlp.register_forward_hook(lambda module, inputs, output: 2 * output)


def by_another_norm(mlp):
    mlp[1].layer_norm = torch.nn.GroupNorm(4, 16)


def by_a_method(mlp):
    mlp[3].forward = lambda x: 2 * torch.nn.Conv2d.forward(mlp[3], x)


def by_another_eps(mlp):
    mlp[1].layer_norm.eps = 1.0


@pytest.mark.parametrize(
    "change",
    [
        by_pruning,
        by_weight_norm,
        by_an_adapter,
        by_a_hook,
        by_a_hook_on_the_whole,
        by_another_norm,
        by_a_method,
        by_another_eps,
    ],
)
def test_what_is_put_into_a_position_mlp_has_a_say(layer, x, change):
    """Against torch's own Sequential, which calls each of its layers."""
    before = output(layer, x)
    change(layer.row_embedding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PositionMLP, "forward", torch.nn.Sequential.forward)
        expected = layer(x)
    assert (expected - before).abs().max() > 1e-3
    torch.testing.assert_close(output(layer, x), expected)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize(
    "register", ["register_full_backward_hook", "register_full_backward_pre_hook"]
)
def test_backward_hooks_in_a_position_mlp_are_called(layer, x, register):
    calls = []
    getattr(layer.row_embedding[2], register)(lambda *_: calls.append(1))
    layer(x).sum().backward()
    assert calls == [1]


@pytest.mark.parametrize("kind", ["lift", "group", "depthwise"])
def test_filters_are_those_of_the_weights_under_autocast_too(kind):
    """Within it, after it, and for two dtypes in turn."""
    torch.manual_seed(0)
    if kind == "lift":
        convolution, x = nn.LiftConv("p4", 4, 4, 3).eval(), torch.randn(1, 4, 6, 6)
    else:
        convolution = nn.GroupConv("p4", 4, 4, 3, depthwise=kind == "depthwise").eval()
        x = torch.randn(1, 4, 4, 6, 6)
    expected = convolution(x)
    with torch.no_grad():
        for dtype in (torch.bfloat16, torch.float16):
            with torch.autocast("cpu", dtype):
                fresh = copy.deepcopy(convolution)(x)
                got = convolution(x)
            assert got.dtype == dtype and torch.equal(got, fresh)
            assert torch.equal(convolution(x), expected)


def test_no_stand_in_for_a_tensor_is_kept():
    convolution, x = nn.GroupConv("p4", 2, 2, 3).eval(), torch.randn(1, 2, 4, 6, 6)
    attention = nn.GroupLocalSelfAttention("p4", 2, 3, 2, 1, 3, backend="reference").eval()
    for module in (convolution, attention):
        expected = module(x)
        with torch.no_grad():
            with FakeTensorMode(allow_non_fake_inputs=True) as fake:
                module(fake.from_tensor(x))
            assert torch.equal(module(x), expected)


def test_filters_are_computed_once_in_eval_mode(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "g_selfatt.nn.convolution.group_filters",
        lambda *arguments: calls.append(1) or group_filters(*arguments),
    )
    torch.manual_seed(0)
    convolution = nn.GroupConv("p8", 2, 2, 3).eval()
    x = torch.randn(1, 2, 8, 5, 5)
    expected = convolution(x)
    with torch.no_grad():
        assert torch.equal(convolution(x), expected) and torch.equal(convolution(x), expected)
        assert len(calls) == 2
        convolution.weight.data.mul_(2)
        assert not torch.equal(convolution(x), expected)
        assert len(calls) == 3
        convolution.train()
        convolution(x)
    assert len(calls) == 4


def test_no_table_travels_with_a_layer(layer, x):
    output(layer, x)
    assert layer._tables._entry is not None and layer.group._tables
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other._tables._entry is None and not other.group._tables
        assert torch.equal(output(other, x), output(layer, x))
