"""The Triton kernels give the reference's numbers, in Triton's interpreter or on a GPU."""

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
from triton_here import DEVICE, interpreter  # noqa: F401

from g_selfatt.backends import triton as backend
from g_selfatt.backends.triton import launch
from g_selfatt.functional import reference

attend = backend.attend


def expected_of(inputs, dtype=torch.float64):
    return outputs_and_gradients(reference.attend, inputs, dtype)


@pytest.mark.parametrize(("group", "size", "window"), SMALL_CASES)
def test_equal_to_the_reference(group, size, window):
    inputs = make_small_inputs(group, size, window, device=DEVICE)
    got = outputs_and_gradients(attend, inputs, torch.float32)
    assert worst_error(got, expected_of(inputs)) < SINGLE


@pytest.mark.parametrize(("group", "size", "window"), SMALL_CASES[1:5])
def test_lifting_is_equal_to_the_reference(group, size, window):
    inputs = make_small_inputs(group, size, window, lifting=True, device=DEVICE)
    got = outputs_and_gradients(attend, inputs, torch.float32)
    assert worst_error(got, expected_of(inputs)) < SINGLE


def test_global_attention_over_several_tiles(monkeypatch):
    monkeypatch.setattr(launch, "LANES", 4)
    inputs = make_small_inputs("z2", (2, 5), (3, 9), device=DEVICE)
    got = outputs_and_gradients(attend, inputs, torch.float32)
    assert worst_error(got, expected_of(inputs)) < SINGLE


@pytest.mark.parametrize(("batch", "heads", "c"), [(1, 2, 1), (2, 2, 2), (1, 1, 7)])
def test_any_number_of_samples_heads_and_channels(batch, heads, c):
    inputs = make_small_inputs("mz2", (1, 3), (1, 3), batch=batch, heads=heads, c=c, device=DEVICE)
    got = outputs_and_gradients(attend, inputs, torch.float32)
    assert worst_error(got, expected_of(inputs)) < SINGLE


@pytest.mark.parametrize("encoding", ["relative", "gevit"])
def test_any_encoding_of_the_group(encoding):
    inputs = make_small_inputs("p4", (1, 2), (1, 3), encoding=encoding, device=DEVICE)
    got = outputs_and_gradients(attend, inputs, torch.float32)
    assert worst_error(got, expected_of(inputs)) < SINGLE


@pytest.mark.parametrize("factor", [100, 1e4])
def test_large_scores(factor):
    inputs = make_small_inputs("mz2", (3, 3), (3, 3), device=DEVICE)
    inputs[0] *= factor
    expected = expected_of(inputs)
    # Scores of 1e4 leave few digits to anybody.
    bound = max(SINGLE, 5 * worst_error(expected_of(inputs, torch.float32), expected))
    assert worst_error(outputs_and_gradients(attend, inputs, torch.float32), expected) < bound


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_no_worse_than_twice_the_reference_in_it(dtype):
    inputs = make_small_inputs("mz2", (2, 3), (3, 3), device=DEVICE)
    error, bound = half_precision_errors(attend, inputs, dtype)
    assert 0 < error <= bound


@pytest.mark.parametrize(("window", "lifting"), [((3, 3), False), ((3, 5), True)])
def test_dropped_weights_are_those_of_the_hash_in_every_kernel(window, lifting):
    inputs = make_small_inputs("mz2", (2, 3), window, heads=2, lifting=lifting, device=DEVICE)
    assert dropped_errors(attend, inputs, 0.4) < SINGLE


def test_masks_follow_the_seed_of_torch_and_drop_the_asked_share():
    inputs = make_small_inputs("z2", (8, 32), (1, 1), lifting=True, heads=4, c=1, device=DEVICE)
    inputs[2] = torch.ones_like(inputs[2])
    attention = attention_of(inputs, 0.3)  # one key a query: the output is the mask
    torch.manual_seed(1)
    first, second = attend(attention), attend(attention)
    torch.manual_seed(1)
    again = attend(attention)
    assert torch.equal(first, again) and not torch.equal(first, second)
    kept = (first[:, :, 0] > 0).double()
    assert kept.mean().item() == pytest.approx(0.7, abs=0.043)  # three deviations
    torch.testing.assert_close(first.amax().item(), 1 / 0.7)
    for axis in (1, 3, 4):
        centred = kept - kept.mean()
        n = kept.shape[axis] - 1
        pairs = centred.narrow(axis, 0, n) * centred.narrow(axis, 1, n)
        assert abs(pairs.mean() / (0.21 / pairs.numel() ** 0.5)) < 4.5


def test_any_strides_and_the_heads_inside_the_channels():
    """As projections give them: no copy, and what comes back lies as the query does."""
    inputs = make_small_inputs("mz2", (2, 3), (1, 3), heads=2, batch=2, device=DEVICE)
    expected = expected_of(inputs)
    wide = torch.randn(2, 4 * 3, 2, 2, 2, 3, device=DEVICE)
    strided = [wide[:, 4 * i : 4 * i + 4].transpose(1, 2) for i in range(3)]
    for view, image in zip(strided, inputs[:3], strict=True):
        view.copy_(image)
        view.requires_grad_()
    strided[1] = torch.randn(2, 2, 4, 2, 4, 5, device=DEVICE)[..., 1:3, 1:4]  # cropped
    strided[1].copy_(inputs[1]).requires_grad_()
    rest = [t.requires_grad_() if t.is_floating_point() else t for t in inputs[3:]]
    out = attend(attention_of([*strided, *rest]))
    assert out.transpose(1, 2).is_contiguous()
    weights = torch.linspace(-1, 2, out.numel(), device=DEVICE).reshape(out.shape)
    gradients = torch.autograd.grad((out * weights).sum(), [*strided, *rest[:2]])
    assert worst_error([out, *gradients], expected) < SINGLE


def test_every_dtype_gets_its_gradient_back():
    """As under autocast: half-precision projections, float32 tables."""
    inputs = make_small_inputs("mz2", (2, 3), (3, 3), device=DEVICE)
    inputs[:2] = (t.bfloat16() for t in inputs[:2])
    floats = [t.requires_grad_() for t in inputs[:5]]
    with torch.autocast(DEVICE, torch.bfloat16):
        out = attend(attention_of(inputs))
    assert out.dtype == torch.bfloat16
    gradients = torch.autograd.grad(out.float().square().sum(), floats)
    assert [g.dtype for g in gradients] == [torch.bfloat16] * 2 + [torch.float32] * 3
    exact = [t.detach().double() for t in inputs[:5]]
    expected = reference.attend(attention_of([*exact, inputs[5]]))
    assert worst_error([out], [expected]) < 2**-7  # the interpreter truncates


@pytest.mark.parametrize("wanted", [(0,), (2,), (3,), (1, 4)])
def test_gradients_of_some_inputs_alone(wanted):
    inputs = make_small_inputs("mz2", (1, 2), (1, 3), device=DEVICE)
    expected = expected_of(inputs)[1:]
    leaves = [inputs[i].requires_grad_() for i in wanted]
    out = attend(attention_of(inputs))
    weights = torch.linspace(-1, 2, out.numel(), device=DEVICE).reshape(out.shape)
    got = torch.autograd.grad((out * weights).sum(), leaves)
    assert worst_error(list(got), [expected[i] for i in wanted]) < SINGLE


def test_no_gradient_and_no_sample():
    inputs = make_small_inputs("mz2", (2, 2), (3, 3), batch=0, device=DEVICE)
    out, *gradients = outputs_and_gradients(attend, inputs, torch.float32)
    assert out.shape == (0, 1, 4, 2, 2, 2)
    assert all(g.shape == t.shape for g, t in zip(gradients, inputs[:5], strict=True))
    assert not any(g.any() for g in gradients)
    inputs = make_small_inputs("mz2", (2, 2), (3, 3), device=DEVICE)
    with torch.no_grad():
        assert not attend(attention_of(inputs, 0.1)).requires_grad


def test_every_run_gives_the_same_bits():
    inputs = make_small_inputs("mz2", (2, 3), (1, 3), heads=2, device=DEVICE)
    first, second = (outputs_and_gradients(attend, inputs, torch.float32) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_nan_and_inf_are_not_hidden_nor_spread():
    for bad in (torch.nan, torch.inf):
        for which in (1, 2):
            inputs = make_small_inputs("mz2", (3, 5), (3, 3), device=DEVICE)
            inputs[which][0, 0, 0, 0, 0, 0] = bad
            out = attend(attention_of(inputs))
            expected = reference.attend(attention_of(inputs))
            assert torch.equal(out.isfinite(), expected.isfinite()) and not out.isfinite().all()


def test_second_derivatives_raise():
    inputs = make_small_inputs("mz2", (1, 2), (1, 3), device=DEVICE)
    q = inputs[0].requires_grad_()
    out = attend(attention_of(inputs))
    with pytest.raises(ValueError, match="no second derivatives, choose backend='reference'"):
        torch.autograd.grad(out.sum(), q, create_graph=True)
