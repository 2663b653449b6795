"""What the kernels are compared with computes the same."""

import pytest
import torch

from benchmarks import flex
from benchmarks.attention_cases import attention_of, make_inputs, worst_error
from g_selfatt.functional import reference


@pytest.mark.filterwarnings("ignore")  # that it is written out and not fused
@pytest.mark.parametrize("lifting", [False, True])
@pytest.mark.parametrize(
    ("group", "size", "window"), [("p4m", (3, 4), (3, 3)), ("p4", (3, 2), (5, 3))]
)
def test_flex_attention_is_the_reference(group, size, window, lifting):
    inputs = make_inputs(group, size, window, lifting=lifting, batch=2, heads=2)
    exact = [t.double() if t is not None and t.is_floating_point() else t for t in inputs]
    attention = attention_of(exact)
    with torch.no_grad():  # it has no backward on the CPU
        got, expected = flex.attend(attention), reference.attend(attention)
    assert worst_error([got], [expected]) < 1e-10
