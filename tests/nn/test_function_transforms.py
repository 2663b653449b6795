"""torch.func and forward-mode differentiation see through the layers, on the default backend."""

import pytest
import torch
from four_layers import LAYERS, make, signal
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jacrev, jvp, stack_module_state, vmap


@pytest.fixture(params=LAYERS)
def layer_and_input(request):
    return make(request.param), signal(request.param, size=(2, 3))


def of_weights(layer, x):
    """The output and its square as functions of the weights and the input, and the weights."""
    buffers, weights = dict(layer.named_buffers()), dict(layer.named_parameters())

    def output(weights, x):
        return functional_call(layer, (weights, buffers), (x,))

    return output, lambda weights, x: output(weights, x).square().sum(), weights


def test_gradients_of_all_and_of_each_sample(layer_and_input):
    layer, x = layer_and_input
    _, loss, weights = of_weights(layer, x)
    layer(x).square().sum().backward()
    together = grad(loss)(weights, x)
    each = vmap(grad(lambda w, one: loss(w, one[None])), (None, 0))(weights, x)
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(together[name], parameter.grad)
        torch.testing.assert_close(each[name].sum(0), parameter.grad)


@pytest.mark.parametrize("training", [True, False])
def test_a_batch_by_vmap(layer_and_input, training):
    layer, x = layer_and_input
    with torch.set_grad_enabled(training):
        layer.train(training)
        torch.testing.assert_close(vmap(lambda one: layer(one[None])[0])(x), layer(x))


@pytest.mark.parametrize("training", [True, False])
def test_an_ensemble_of_layers(training):
    layers, x = [make("group_local").train(training) for _ in range(2)], signal("group_local")
    with torch.set_grad_enabled(training):
        stacked = stack_module_state(layers)
        got = vmap(lambda w, b: functional_call(layers[0], (w, b), (x,)))(*stacked)
        torch.testing.assert_close(got, torch.stack([layer(x) for layer in layers]))


def test_jacobians_agree_with_directional_derivatives(layer_and_input):
    layer, x = layer_and_input
    direction = torch.randn_like(x)
    jacobian = jacrev(layer)(x)
    forward = jvp(layer, (x,), (direction,))[1]
    torch.testing.assert_close(torch.tensordot(jacobian, direction, dims=x.dim()), forward)
    with forward_ad.dual_level():
        dual = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, direction))).tangent
    torch.testing.assert_close(dual, forward)


def test_second_derivatives():
    layer, x = make("group_local"), signal("group_local")
    layer.backend = "reference"

    def loss(x):
        return layer(x).square().sum()

    direction = torch.randn_like(x)
    got = jvp(grad(loss), (x,), (direction,))[1]
    x.requires_grad_()
    (slope,) = torch.autograd.grad(loss(x), x, create_graph=True)
    torch.testing.assert_close(got, torch.autograd.grad((slope * direction).sum(), x)[0])


@pytest.mark.parametrize("backend", ["triton", "numba", "recompute"])
def test_a_backend_that_cannot_says_so(backend):
    layer, x = make("lift_local"), signal("lift_local")
    layer.backend = backend
    with pytest.raises(ValueError, match=f"'{backend}' cannot run this: torch.func"):
        grad(lambda x: layer(x).sum())(x)
