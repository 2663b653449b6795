"""What the kernels are compared with computes the same."""

import pytest
import torch
from attention_cases import attention_of, make_inputs, worst_error

from benchmarks import flex
from g_selfatt.functional import reference


@pytest.mark.filterwarnings("ignore")  # that it is written out and not fused
@pytest.mark.parametrize("lifting", [False, True])
@pytest.mark.parametrize(
    ("group", "size", "window"), [("p4m", (3, 4), (3, 3)), ("p4", (3, 2), (5, 3))]
)
def test_flex_attention_is_the_reference(group, size, window, lifting):
    attention = attention_of(make_inputs(group, size, window, lifting=lifting, c=4))
    with torch.no_grad():  # it has no backward on the CPU
        got, expected = flex.attend(attention), reference.attend(attention)
    assert worst_error([got], [expected]) < 1e-10
