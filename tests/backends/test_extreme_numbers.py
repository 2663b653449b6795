"""NaN, infinity, huge scores and rates close to 1: the same outputs on every backend.

Where numbers are NaN, so are gradients of their head and sample; on the CPU also beyond the window.
"""

from functools import partial

import pytest
import torch
from attention_cases import make_inputs

from g_selfatt.functional import attention_weights, self_attention

NAMES = ("query", "key", "value", "positional_table", "group_embedding")
SIZES = [((3, 19), (3, 3)), ((4, 5), (5, 5)), ((2, 3), (3, 5))]  # the last sees the whole image


make_one_image = partial(make_inputs, batch=1, c=6)


@pytest.fixture(params=["recompute", "numba"])
def backend(request):
    if request.param == "numba":
        pytest.importorskip("numba")
    return request.param


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("size", "window"), SIZES)
def test_spread_alike(backend, name, bad, size, window):
    for seed in range(3):
        torch.manual_seed(seed)
        given = make_one_image("p4", size, window)
        spoilt = given[NAMES.index(name)]
        spoilt.view(-1)[torch.randint(spoilt.numel(), ())] = bad
        expected = self_attention(*given, scale=0.3, backend="reference")
        got = self_attention(*given, scale=0.3, backend=backend)
        torch.testing.assert_close(got, expected, equal_nan=True)


def test_a_key_outside_the_image_does_not_exist_whatever_its_position_says(backend):
    """A NaN for the offset (−1, −1) reaches all queries but those of the first row and column."""
    given = make_one_image("p4", (3, 4), (3, 3))
    given[3][:, :, 0, 0] = torch.nan
    out = self_attention(*given, scale=1.0, backend=backend)
    assert out[..., 1:, 1:].isnan().all()
    assert out[..., 0, :].isfinite().all() and out[..., :, 0].isfinite().all()
    weights = attention_weights(*given[:2], *given[3:], scale=1.0)
    assert weights[..., 1:, 1:, :].isnan().all()
    assert weights[..., 0, :, :].isfinite().all() and weights[..., :, 0, :].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_far_below_zero_do_not_lose_to_the_border(backend, dtype):
    given = make_one_image("p4", (3, 4), (3, 3), dtype=dtype)
    given[0].fill_(1.0)
    given[1].fill_(-1e34)  # all scores are about −6·10³⁴, and equal to rounding
    given[2].fill_(1.0)
    out = self_attention(*given, scale=1.0, backend=backend)
    torch.testing.assert_close(out, torch.full_like(out, 4.0))  # the weights sum to |H|


def test_a_dropout_rate_next_to_1_drops(backend):
    # Few weights: a compiled backend rounds the rate, and may keep one in 65,536.
    given = make_one_image("mz2", (2, 2), (3, 3))
    given[2].fill_(1.0)
    for rate in (1 - 2.0**-33, 1 - 2.0**-40, 1 - 2.0**-53):
        assert not self_attention(*given, scale=1.0, dropout_rate=rate, backend=backend).any()
