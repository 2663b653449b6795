"""The attention against the equations written as loops, and the backends against each other."""

import itertools
import math

import pytest
import torch
from attention_cases import make_inputs

from g_selfatt import groups
from g_selfatt.backends import (
    BACKENDS,
    AttentionInputs,
    Backend,
    select_backend,
)
from g_selfatt.functional import group_index, self_attention


@pytest.fixture(params=["reference", "recompute", "numba"])
def backend(request):
    """The name of every backend of the CPU."""
    if request.param == "numba":
        pytest.importorskip("numba")
    return request.param


def attention_by_loops(query, key, value, table, embedding=None, index=None, *, scale):
    """out[h,i] = Σ_g Σ_{m,j} softmax_{(m,j)}(s[h,g,i; m,j])·v[m,j], one scalar after the other."""
    batch, heads, c, elements, height, width = query.shape
    outputs, d, *window = table.shape
    pixels = list(itertools.product(range(height), range(width)))
    out = torch.zeros(batch, heads, c, outputs, height, width, dtype=torch.float64)
    for b, n, h, g, i in itertools.product(
        range(batch), range(heads), range(outputs), range(elements), pixels
    ):
        q = query[b, n, :, g, i[0], i[1]]
        scores, values = [], []
        for m, j in itertools.product(range(elements), pixels):
            row, col = j[0] - i[0] + window[0] // 2, j[1] - i[1] + window[1] // 2
            if not (0 <= row < window[0] and 0 <= col < window[1]):
                continue
            score = q @ key[b, n, :, m, j[0], j[1]] + q[:d] @ table[h, :, row, col]
            if embedding is not None:
                score = score + q[d:] @ embedding[index[h, g, m]]
            scores.append(score * scale)
            values.append(value[b, n, :, m, j[0], j[1]])
        out[b, n, :, h, i[0], i[1]] += torch.stack(scores).softmax(0) @ torch.stack(values)
    return out


@pytest.mark.parametrize("lifting", [True, False])
@pytest.mark.parametrize(
    ("size", "window"),
    [
        ((3, 4), (3, 3)),  # local
        ((3, 4), (5, 7)),  # global: every offset of the image
        ((3, 4), (9, 9)),  # a window larger than the image
        ((2, 5), (7, 3)),  # larger in one direction, smaller in the other
        ((1, 1), (5, 5)),  # one pixel
        ((3, 4), (1, 1)),  # a window of one pixel
    ],
)
def test_equal_to_the_equations(backend, lifting, size, window):
    inputs = make_inputs("mz2", size=size, window=window, lifting=lifting)
    got = self_attention(*inputs, scale=0.3, backend=backend)
    torch.testing.assert_close(got, attention_by_loops(*inputs, scale=0.3), atol=1e-12, rtol=0)


@pytest.mark.parametrize("window", [(3, 3), (5, 7)])
def test_gradients_are_right(backend, window):
    inputs = make_inputs("mz2", batch=1, heads=1, c=5, size=(2, 2), window=window)
    leaves = [t.requires_grad_() for t in inputs[:5]]
    assert torch.autograd.gradcheck(
        lambda *t: self_attention(*t, inputs[5], scale=0.3, backend=backend), leaves
    )


def test_large_scores_do_not_overflow(backend):
    inputs = make_inputs("p4")
    inputs[0] = inputs[0] * 1e4
    got = self_attention(*inputs, scale=1.0, backend=backend)
    expected = attention_by_loops(*inputs, scale=1.0)
    torch.testing.assert_close(got, expected, atol=1e-10, rtol=0)


def test_an_empty_batch_gives_an_empty_batch(backend):
    got = self_attention(*make_inputs("p4", batch=0), scale=1.0, backend=backend)
    assert got.shape == (0, 2, 7, 4, 3, 4)


def test_inputs_need_not_be_contiguous(backend):
    inputs = make_inputs("p4", size=(4, 4))
    strided = [t.transpose(-1, -2).contiguous().transpose(-1, -2) for t in inputs[:3]]
    strided += [inputs[3].mT.contiguous().mT, inputs[4].T.contiguous().T, inputs[5]]
    expected = self_attention(*inputs, scale=1.0, backend=backend)
    got = self_attention(*strided, scale=1.0, backend=backend)
    torch.testing.assert_close(got, expected)


def test_dropout_has_its_rate_and_keeps_the_mean(backend):
    """With equal scores and values 1, an output is the mean of many scaled Bernoulli draws."""
    group, rate = groups.get("p4"), 0.25
    q = torch.zeros(8, 4, 4, 4, 6, 6)
    table, embedding = torch.zeros(4, 2, 11, 11), torch.zeros(4, 2)
    index = group_index(group, "equivariant")
    arguments = (q, q, torch.ones_like(q), table, embedding, index)
    out = self_attention(*arguments, scale=1.0, dropout_rate=rate, backend=backend)
    weights = 4 * 36  # keys of each softmax; Σ_g makes four of them
    assert out.mean().item() == pytest.approx(4.0, abs=0.005)
    # Var = Σ over 4 softmaxes of `weights` draws: rate / (1 − rate) / weights each.
    expected = math.sqrt(4 * rate / (1 - rate) / weights)
    assert out[:, :, 0].std().item() == pytest.approx(expected, rel=0.05)


def test_backward_sees_the_mask_that_forward_drew(backend):
    """The output is linear in the values, so that with the same mask ⟨∂out/∂v, v⟩ = out."""
    inputs = make_inputs("p4")
    inputs[2].requires_grad_()
    out = self_attention(*inputs, scale=1.0, dropout_rate=0.5, backend=backend)
    weights = torch.randn_like(out)
    (gradient,) = torch.autograd.grad((out * weights).sum(), inputs[2])
    expected = (out * weights).sum()
    torch.testing.assert_close((gradient * inputs[2]).sum(), expected)


def test_dropout_is_reproducible_from_the_seed(backend):
    inputs = make_inputs("p4")
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(self_attention(*inputs, scale=1.0, dropout_rate=0.5, backend=backend))
    assert torch.equal(outputs[0], outputs[1]) and not torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize("backend", ["recompute", "numba"], indirect=True)
def test_others_keep_a_fraction_of_the_memory_that_the_reference_keeps(backend):
    """Counts the bytes that autograd saves between forward and backward."""
    inputs = [t.float() if t.is_floating_point() else t for t in make_inputs("p8", size=(6, 6))]
    for t in inputs[:5]:
        t.requires_grad_()

    def saved_bytes(backend):
        seen = {}

        def count(tensor):
            storage = tensor.untyped_storage()
            seen[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            out = self_attention(*inputs, scale=1.0, dropout_rate=0.1, backend=backend)
        return sum(seen.values()), out

    least = sum(t.nbytes for t in inputs)
    reference, _ = saved_bytes("reference")
    kept, _ = saved_bytes(backend)
    if backend == "recompute":
        assert kept < reference / 4
    else:
        assert kept == least  # its inputs, and nothing else


def test_auto_takes_the_reference_for_little_and_recompute_for_much():
    def chosen(size, lifting=False):
        shape = (2, 9, 6, 1 if lifting else 16, size, size)
        q = torch.empty(shape, device="meta")
        table = torch.empty(1 if size == 1 else 16, 4, 5, 5, device="meta")
        return select_backend("auto", AttentionInputs(q, q, q, table, None, None, 1.0, 0.0)).name

    assert chosen(4, lifting=True) == "reference"
    assert chosen(28) == "recompute"


def test_backends_that_cannot_run_say_why(monkeypatch):
    with pytest.raises(ValueError, match="choose one of auto, triton, numba, recompute, reference"):
        self_attention(*make_inputs(), scale=1.0, backend="fast")
    never = Backend("never", lambda inputs: inputs.query, can_run=lambda _: "it is a test")
    monkeypatch.setitem(BACKENDS, "never", never)
    with pytest.raises(ValueError, match="'never' cannot run this: it is a test"):
        self_attention(*make_inputs("z2"), scale=1.0, backend="never")


def test_shapes_that_do_not_fit_are_named():
    q, k, v, table, embedding, index = make_inputs("p4")
    with pytest.raises(ValueError, match="query, key and value"):
        self_attention(q, k[:1], v, table, embedding, index, scale=1.0)
    with pytest.raises(ValueError, match="odd sides"):
        self_attention(q, k, v, table[..., :2], embedding, index, scale=1.0)
    with pytest.raises(ValueError, match="positional_table"):
        self_attention(q, k, v, torch.zeros(4, 8, 3, 3), embedding, index, scale=1.0)
    with pytest.raises(ValueError, match="both or neither"):
        self_attention(q, k, v, table, embedding, scale=1.0)
    with pytest.raises(ValueError, match=r"group_index must be .*\(4, 4, 4\)"):
        self_attention(q, k, v, table, embedding, index[:2], scale=1.0)
    with pytest.raises(ValueError, match=r"dropout_rate must be in \[0, 1\)"):
        self_attention(q, k, v, table, embedding, index, scale=1.0, dropout_rate=1.0)
