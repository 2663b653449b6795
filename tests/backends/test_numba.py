"""The compiled attention against the reference, and what it promises beside its numbers."""

import logging

import numpy as np
import pytest
import torch
from attention_cases import make_inputs, results, worst_error

from g_selfatt.backends import AttentionInputs, numba, select_backend
from g_selfatt.functional import self_attention
from g_selfatt.functional.dropout import steps_of

pytest.importorskip("numba")


CASES = [
    ("p4m", (3, 4), (3, 3)),
    ("p4", (6, 19), (5, 5)),  # registers that go through the ends of rows, and rows in two
    ("mz2", (4, 16), (5, 3)),  # rows that registers fit
    ("z2", (9, 20), (5, 5)),
    ("p4", (3, 4), (5, 7)),  # global
    ("mz2", (2, 19), (3, 37)),  # global, row by row
    ("p4", (2, 5), (9, 3)),  # a window larger than the image
    ("p4", (1, 1), (5, 5)),
    ("p16", (2, 3), (3, 1)),
]


@pytest.mark.parametrize("lifting", [False, True])
@pytest.mark.parametrize(("group", "size", "window"), CASES)
def test_equal_to_the_reference(group, size, window, lifting):
    inputs = make_inputs(group, size, window, lifting=lifting)
    expected = results("reference", inputs)
    assert worst_error(results("numba", inputs), expected) < 1e-13
    single = results("numba", inputs, torch.float32)
    assert worst_error(single, expected) < 1e-5


@pytest.mark.parametrize("lifting", [False, True])
@pytest.mark.parametrize("factor", [100, 1e4])
def test_factors_that_underflow(factor, lifting):
    """The maxima of the factors are far from that of their sum."""
    inputs = make_inputs("p4", (5, 6), (5, 5), lifting=lifting)
    inputs[0] *= factor
    expected = results("reference", inputs)
    assert worst_error(results("numba", inputs), expected) < 1e-10
    single = results("reference", inputs, torch.float32)
    # Scores of 1e4 leave few digits to anybody.
    bound = max(1e-5, 5 * worst_error(single, expected))
    assert worst_error(results("numba", inputs, torch.float32), expected) < bound


@pytest.mark.parametrize(("heads", "c"), [(1, 1), (16, 2), (3, 13)])
def test_any_number_of_heads_and_channels(heads, c):
    inputs = make_inputs("p4", (3, 5), (3, 3), heads=heads, c=c)
    expected = results("reference", inputs)
    assert worst_error(results("numba", inputs), expected) < 1e-13


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (3,), (4,), (0, 2)])
def test_gradients_of_some_inputs_alone(wanted):
    inputs = make_inputs("p4", (3, 5), (3, 3))
    expected = results("reference", inputs)[1:]
    leaves = [inputs[i].requires_grad_() for i in wanted]
    out = self_attention(*inputs, scale=0.3, backend="numba")
    weights = torch.linspace(-1, 2, out.numel(), dtype=out.dtype).reshape(out.shape)
    got = torch.autograd.grad((out * weights).sum(), leaves)
    assert worst_error(got, [expected[i] for i in wanted]) < 1e-13


def test_half_precision_is_computed_in_single_and_comes_back():
    inputs = make_inputs("p4", (5, 6), (3, 3))
    inputs = [t.bfloat16() if t.is_floating_point() else t for t in inputs]
    expected = results("reference", inputs, torch.float64)
    got = results("numba", inputs, torch.bfloat16)
    eager = results("reference", inputs, torch.bfloat16)
    assert {t.dtype for t in got} == {torch.bfloat16}
    assert worst_error(got, expected) <= 2 * worst_error(eager, expected)


def test_autocast_leaves_the_numbers_alone():
    inputs = make_inputs("p4", (5, 6), (3, 3), dtype=torch.float32)
    expected = self_attention(*inputs, scale=0.3, backend="numba")
    with torch.autocast("cpu", torch.bfloat16):
        got = self_attention(*inputs, scale=0.3, backend="numba")
    assert torch.equal(got, expected)


def test_second_derivatives_raise():
    inputs = make_inputs("p4", (3, 3), (3, 3))
    q = inputs[0].requires_grad_()
    out = self_attention(*inputs, scale=0.3, backend="numba")
    with pytest.raises(ValueError, match="no second derivatives, choose backend='reference'"):
        torch.autograd.grad(out.sum(), q, create_graph=True)


@pytest.mark.parametrize("lifting", [False, True])
def test_dropped_gradients_are_those_of_the_same_mask(lifting):
    """By finite differences: the seed fixes the mask."""
    inputs = make_inputs("mz2", (2, 3), (3, 3), c=4, lifting=lifting)
    floats = [t.requires_grad_() for t in inputs[:5] if t is not None]

    def attend(*floats):
        torch.manual_seed(3)
        return self_attention(*floats, *inputs[5:], scale=0.3, dropout_rate=0.4, backend="numba")

    assert torch.autograd.gradcheck(attend, floats)


def test_dropped_weights_are_independent_of_each_other():
    """Values that mark one key each show the mask itself; neighbours of all kinds are uncorrelated.

    With equal scores, lifting to one element: out = mask · keys' values / (keys · kept share).
    """
    q = torch.zeros(24, 9, 9, 1, 12, 12)
    v = torch.zeros_like(q)
    rows, columns = torch.arange(12)[:, None] % 3, torch.arange(12) % 3
    for c in range(9):  # every 3×3 window holds one pixel of each class c
        v[:, :, c, 0] = rows * 3 + columns == c
    out = self_attention(
        q, q, v, torch.zeros(1, 9, 3, 3), scale=1.0, dropout_rate=0.3, backend="numba"
    )
    kept = (out[..., 0, 1:-1, 1:-1] > 0).double()  # (b, n, class of the key, y, x)
    assert kept.mean().item() == pytest.approx(0.7, abs=0.003)
    # As many of nine as of nine coins, and each of the nine in as many queries.
    assert kept.sum(dim=2).var().item() == pytest.approx(9 * 0.21, rel=0.05)
    queries = kept[:, :, 0].numel()
    assert kept.mean(dim=(0, 1, 3, 4)).var().item() < 3 * 0.21 / queries
    kept -= kept.mean()
    pairs = [
        kept.narrow(axis, 0, kept.shape[axis] - 1) * kept.narrow(axis, 1, kept.shape[axis] - 1)
        for axis in range(5)
    ]
    # Queries eight apart and the same offset, so the next class but one.
    moved = kept.unflatten(2, (3, 3)).roll(-2, 3).flatten(2, 3)
    pairs.append(kept[..., :-8] * moved[..., 8:])
    for product in pairs:
        deviations = product.mean() / (0.21 / product.numel() ** 0.5)
        assert abs(deviations) < 4.5


def test_each_weight_is_dropped_at_the_very_rate_and_no_query_is_special():
    """The hash a·x + b over all numbers x of a query, those with few bits too."""
    from g_selfatt.backends.numba.dropout import draw_weight_keys

    keys = np.empty((3000, 2), np.uint16)
    draw_weight_keys(keys, 5, 7)
    keys = keys.astype(np.int64)
    for rate in (0.001, 0.3, 0.97):
        least = steps_of(rate)
        dropped = (keys[:50, :1] * np.arange(2**16) + keys[:50, 1:]) % 2**16 < least
        assert (dropped.sum(axis=1) == least).all() and least / 2**16 == pytest.approx(rate, 1e-2)
    for x in (0, 1, 2**15, 2**16 - 1):
        dropped = (keys[:, 0] * x + keys[:, 1]) % 2**16 < steps_of(0.3)
        assert dropped.mean() == pytest.approx(0.3, abs=0.04)


def test_a_traced_model_takes_the_plain_path():
    inputs = make_inputs("p4", (3, 4), (3, 3))

    class Attention(torch.nn.Module):
        def forward(self, query, key, value):
            return self_attention(query, key, value, *inputs[3:], scale=0.3, backend="streaming")

    exported = torch.export.export(Attention(), tuple(inputs[:3]), strict=False).module()
    expected = self_attention(*inputs, scale=0.3, backend="reference")
    torch.testing.assert_close(exported(*inputs[:3]), expected)


def test_auto_takes_what_is_compiled():
    inputs = make_inputs("p4", (12, 12), (5, 5), dtype=torch.float32)
    inputs = AttentionInputs(*inputs, 1.0, 0.0)
    assert [select_backend(name, inputs).name for name in ("auto", "streaming")] == ["numba"] * 2


def test_without_numba_the_reason_is_logged_once(monkeypatch, caplog):
    monkeypatch.setattr(numba.importlib.util, "find_spec", lambda name: None)
    numba._why_no_numba.cache_clear()
    inputs = make_inputs("p4", (3, 4), (3, 3))
    try:
        with caplog.at_level(logging.INFO):
            got = [self_attention(*inputs, scale=0.3, backend="streaming") for _ in range(2)]
            with pytest.raises(ValueError, match="'numba' cannot run this: Numba is not installed"):
                self_attention(*inputs, scale=0.3, backend="numba")
    finally:
        numba._why_no_numba.cache_clear()
    assert [r.message for r in caplog.records if "Numba is not installed" in r.message] != []
    assert len(caplog.records) == 1
    torch.testing.assert_close(got[1], self_attention(*inputs, scale=0.3, backend="reference"))


@pytest.mark.parametrize("equal", ["none", "some", "all"])
def test_equal_rows_of_the_table_have_gradients_of_their_own(equal):
    """The scores of equal rows are computed once."""
    inputs = make_inputs("p4", (4, 19), (3, 5))
    table = inputs[3]
    if equal == "some":
        table[1], table[2] = table[0].flip(1, 2), table[0].flip(2)
    elif equal == "all":
        table[:] = 0.25
    expected = results("reference", inputs)
    assert worst_error(results("numba", inputs), expected) < 1e-13
