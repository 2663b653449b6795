"""The attention weights against the equations written as loops, and as symmetries of them."""

import itertools
import weakref

import pytest
import torch
from attention_cases import make_inputs
from torch.utils._python_dispatch import TorchDispatchMode

from g_selfatt.functional import attention_weights, self_attention

SIZES_AND_WINDOWS = [
    ((3, 4), (3, 3)),  # local
    ((3, 4), (5, 7)),  # every offset of the image
    ((2, 3), (9, 9)),  # a window larger than the image
    ((2, 5), (7, 3)),  # larger in one direction, smaller in the other
    ((1, 1), (5, 5)),  # one pixel
    ((3, 4), (1, 1)),  # a window of one pixel
]


def random_inputs(*shape, **options):
    """What `make_inputs` gives, without the value."""
    query, key, _, *rest = make_inputs(*shape, **options)
    return [query, key, *rest]


def weights_by_loops(query, key, table, embedding=None, index=None, *, scale, whole_image):
    """A[h,i; j] = Σ_g Σ_m softmax_{(m,j)}(s[h,g,i; ·])[m,j], one scalar after the other."""
    batch, heads, _, elements, height, width = query.shape
    outputs, d, *window = table.shape
    pixels = list(itertools.product(range(height), range(width)))
    keys = (height, width) if whole_image else window
    weights = torch.zeros(batch, heads, outputs, height, width, *keys, dtype=torch.float64)
    for b, n, h, g, i in itertools.product(
        range(batch), range(heads), range(outputs), range(elements), pixels
    ):
        q = query[b, n, :, g, i[0], i[1]]
        scores, places = [], []
        for m, j in itertools.product(range(elements), pixels):
            row, col = j[0] - i[0] + window[0] // 2, j[1] - i[1] + window[1] // 2
            if not (0 <= row < window[0] and 0 <= col < window[1]):
                continue
            score = q @ key[b, n, :, m, j[0], j[1]] + q[:d] @ table[h, :, row, col]
            if embedding is not None:
                score = score + q[d:] @ embedding[index[h, g, m]]
            scores.append(score * scale)
            places.append(j if whole_image else (row, col))
        for weight, place in zip(torch.stack(scores).softmax(0), places, strict=True):
            weights[b, n, h, i[0], i[1], place[0], place[1]] += weight
    return weights.flatten(-2)


@pytest.mark.parametrize("lifting", [True, False])
@pytest.mark.parametrize(("size", "window"), SIZES_AND_WINDOWS)
def test_offsets_equal_to_the_equations(lifting, size, window):
    inputs = random_inputs("mz2", size, window, lifting=lifting)
    got = attention_weights(*inputs, scale=0.3)
    expected = weights_by_loops(*inputs, scale=0.3, whole_image=False)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("lifting", [True, False])
@pytest.mark.parametrize("size", [(3, 4), (1, 1)])
def test_pixels_equal_to_the_equations(lifting, size):
    inputs = random_inputs("mz2", size, (2 * size[0] - 1, 2 * size[1] - 1), lifting=lifting)
    got = attention_weights(*inputs, scale=0.3, whole_image=True)
    expected = weights_by_loops(*inputs, scale=0.3, whole_image=True)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("whole_image", [True, False])
@pytest.mark.parametrize("backend", ["reference", "streaming"])
def test_weights_times_values_are_the_output(whole_image, backend):
    """Where the values are equal over the key element m, out[h,i] = Σ_j A[h,i; j]·v[j]."""
    inputs = random_inputs("p4m", (3, 4), (5, 7))
    value = torch.randn(2, 2, 7, 1, 3, 4).double()
    weights = attention_weights(*inputs, scale=0.3, whole_image=whole_image)
    if whole_image:
        expected = torch.einsum("bnhyxk,bnck->bnchyx", weights, value.flatten(3))
    else:
        padded = torch.nn.functional.pad(value.squeeze(3), (3, 3, 2, 2))
        seen = padded.unfold(3, 5, 1).unfold(4, 7, 1).flatten(-2)
        expected = torch.einsum("bnhyxk,bncyxk->bnchyx", weights, seen)
    value = value.expand(-1, -1, -1, 8, -1, -1)
    got = self_attention(*inputs[:2], value, *inputs[2:], scale=0.3, backend=backend)
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)


def test_large_scores_do_not_overflow():
    inputs = random_inputs("p4", (3, 4), (3, 3))
    inputs[0] = inputs[0] * 1e4
    got = attention_weights(*inputs, scale=1.0)
    expected = weights_by_loops(*inputs, scale=1.0, whole_image=False)
    torch.testing.assert_close(got, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_inputs_give_float32(dtype):
    inputs = [
        t.to(dtype) if t.is_floating_point() else t for t in random_inputs("p4", (3, 4), (3, 3))
    ]
    got = attention_weights(*inputs, scale=0.3)
    double = [t.double() if t.is_floating_point() else t for t in inputs]
    assert got.dtype == torch.float32
    expected = attention_weights(*double, scale=0.3)
    torch.testing.assert_close(got.double(), expected, atol=1e-6, rtol=0)


def test_autocast_changes_nothing():
    inputs = random_inputs("p4", (3, 4), (3, 3))
    inputs = [t.float() if t.is_floating_point() else t for t in inputs]
    expected = attention_weights(*inputs, scale=1.0)
    with torch.autocast("cpu"):
        assert torch.equal(attention_weights(*inputs, scale=1.0), expected)


def test_no_gradient_and_an_empty_batch():
    inputs = random_inputs("p4", (3, 4), (3, 3), batch=0)
    inputs[0].requires_grad_()
    weights = attention_weights(*inputs, scale=1.0)
    assert weights.shape == (0, 2, 4, 3, 4, 9)
    assert not weights.requires_grad


class PeakMemory(TorchDispatchMode):
    """The most numbers that were alive at once, of the tensors made within it."""

    def __init__(self):
        super().__init__()
        self.alive = self.peak = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        inputs = {t.untyped_storage().data_ptr() for t in args if isinstance(t, torch.Tensor)}
        if isinstance(output, torch.Tensor) and output.untyped_storage().data_ptr() not in inputs:
            self.change(output.numel())
            weakref.finalize(output, self.change, -output.numel())
        return output

    def change(self, numbers):
        self.alive += numbers
        self.peak = max(self.peak, self.alive)


@pytest.mark.parametrize(("whole_image", "window"), [(True, 15), (False, 7)])
def test_memory_beside_the_result_is_twice_the_scores_of_one_pair(whole_image, window):
    inputs = random_inputs("p4m", (8, 8), (window, window))
    with PeakMemory() as memory:
        weights = attention_weights(*inputs, scale=1.0, whole_image=whole_image)
    scores = weights.numel()  # of one pair (h, g): an m in the place of h
    # Below one more of them: copies as large as the inputs, and sums over m.
    assert memory.peak - weights.numel() < 3 * scores


def test_arguments_that_do_not_fit_are_named():
    query, key, *rest = random_inputs("p4", (3, 4), (3, 3))
    with pytest.raises(ValueError, match=r"every offset, \(\|H\|, d, 5, 7\), got \(4, 4, 3, 3\)"):
        attention_weights(query, key, *rest, scale=1.0, whole_image=True)
    with pytest.raises(ValueError, match="query, key and value must all be"):
        attention_weights(query, key[:1], *rest, scale=1.0)
