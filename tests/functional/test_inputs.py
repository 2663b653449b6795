"""What the attention refuses: before a backend is chosen, so that none touches any memory."""

import pytest
import torch

from g_selfatt import groups
from g_selfatt.functional import attention_weights, group_index, self_attention


def inputs(**changed):
    images = {name: torch.randn(1, 2, 6, 4, 3, 5) for name in ("query", "key", "value")}
    given = {
        **images,
        "positional_table": torch.randn(4, 4, 3, 3),
        "group_embedding": torch.randn(4, 2),
        "group_index": group_index(groups.get("p4")),
    }
    for name, change in changed.items():
        given[name] = change(given[name])
    return given


def with_entry(value):
    def change(index):
        index = index.clone()
        index[1, 2, 3] = value
        return index

    return change


BAD = {
    "an index below 0": (
        {"group_index": with_entry(-1)},
        r"rows of .*, 0 … 3, got -1",
    ),
    "an index of the rows": ({"group_index": with_entry(4)}, r"got 0 … 4"),
    "an index far away": ({"group_index": with_entry(10**6)}, r"got 0 … 1000000"),
    "too few rows": ({"group_embedding": lambda e: e[:3]}, r"0 … 2, got 0 … 3"),
    "an index of booleans": ({"group_index": lambda i: i > 0}, "group_index must be .* int64"),
    "an index of int32": ({"group_index": lambda i: i.int()}, "group_index must be .* int64"),
    "an embedding with three axes": (
        {"group_embedding": lambda e: e[None]},
        r"group_embedding must be \(rows, e ≤ 6\), got \(1, 4, 2\)",
    ),
    "an embedding wider than a head": (
        {"group_embedding": lambda e: e.repeat(1, 4)},
        r"group_embedding must be \(rows, e ≤ 6\), got \(4, 8\)",
    ),
    "a key of another dtype": ({"key": torch.Tensor.double}, "of one dtype, got float32, float64"),
    "a table of another dtype": (
        {"positional_table": torch.Tensor.bfloat16},
        "of one dtype, got float32, bfloat16",
    ),
    "an embedding of another dtype": (
        {"group_embedding": torch.Tensor.double},
        "of one dtype, got float32, float64",
    ),
    "integers": ({n: torch.Tensor.long for n in ("query", "key", "value")}, "floating dtype"),
    "an index on another device": (
        {"group_index": lambda i: i.to("meta")},
        "one device, got cpu, meta",
    ),
    "values on another device": ({"value": lambda v: v.to("meta")}, "one device, got cpu, meta"),
}


@pytest.mark.parametrize(("changed", "message"), BAD.values(), ids=BAD)
def test_bad_tensors_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        self_attention(**inputs(**changed), scale=1.0)


def test_the_weights_of_the_attention_are_checked_too():
    given = inputs(group_index=with_entry(4))
    del given["value"]
    with pytest.raises(ValueError, match="got 0 … 4"):
        attention_weights(**given, scale=1.0)


def test_an_index_that_changed_after_it_was_found_right():
    given = inputs()
    self_attention(**given, scale=1.0)
    given["group_index"].numpy()[0, 0, 0] = 10**6  # no write that torch counts
    with pytest.raises(ValueError, match="got 0 … 1000000"):
        self_attention(**given, scale=1.0)


@pytest.mark.parametrize("backend", ["reference", "recompute", "numba"])
def test_under_autocast_dtypes_may_differ(backend):
    given = inputs(**{n: torch.Tensor.bfloat16 for n in ("query", "key", "value")})
    with torch.autocast("cpu", torch.bfloat16):
        out = self_attention(**given, scale=1.0, backend=backend)
    assert out.dtype == torch.bfloat16


@pytest.mark.parametrize("scale", [torch.tensor(0.5), None, "0.5"])
def test_a_scale_that_is_no_number_is_refused(scale):
    with pytest.raises(ValueError, match=f"scale must be a number, got {type(scale).__name__}"):
        self_attention(**inputs(), scale=scale)
