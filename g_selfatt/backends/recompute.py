"""The reference one output element at a time, recomputed in backward: 1/|H| of its memory.

The content score does not depend on the output element h, so it is computed once and kept; all that
has a factor |H| more lives for one h at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from g_selfatt.functional import reference
from g_selfatt.functional.inputs import AttentionInputs
from g_selfatt.functional.tracing import is_traced

WORTHWHILE_SCORES = 2**26  # 256 MB of float32, of which the reference keeps several copies


def is_worth_it(inputs: AttentionInputs) -> bool:
    """Where the reference's scores would be too many to keep; never in a graph of any batch."""
    if is_traced(inputs.query):
        return False
    batch, heads, _, elements, height, width = inputs.query.shape
    outputs, _, *window = inputs.positional_table.shape
    keys = min(window[0], height) * min(window[1], width)
    scores = batch * heads * outputs * elements**2 * height * width * keys
    return outputs > 1 and scores > WORTHWHILE_SCORES


def attend(inputs: AttentionInputs) -> Tensor:
    """The attention of `g_selfatt.functional.self_attention`, equal to the reference's."""
    neighbourhood = reference.choose_neighbourhood(inputs)
    content = reference.content_scores(inputs, neighbourhood)
    outputs = [
        checkpoint(
            reference.attend_from_content,
            inputs,
            neighbourhood,
            content,
            slice(h, h + 1),
            use_reentrant=False,
        )
        for h in range(len(inputs.positional_table))
    ]
    return torch.cat(outputs, dim=3)
