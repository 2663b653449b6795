"""What the kernels of the backends have in common as custom operators of PyTorch."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from g_selfatt.functional.inputs import AttentionInputs

INPUTS = (
    "Tensor query, Tensor key, Tensor value, Tensor table, Tensor? embedding, Tensor? index, "
    "Tensor? seed, float scale, float dropout_rate"
)
"""The schema of `operator_inputs`."""
NUM_INPUTS = INPUTS.count(",") + 1


def operator_inputs(inputs: AttentionInputs) -> tuple[Tensor | float | None, ...]:
    """The arguments of an operator, with a new seed where there is dropout.

    The seed is a tensor on the query's device, drawn from that device's generator, and read by the
    kernels. A number would be a constant of the graph, with the same mask in every step. A number
    taken from a GPU would make the CPU wait for it. So torch.manual_seed fixes the masks, and so
    does what checkpointing restores.
    """
    seed = None
    if inputs.dropout_rate > 0:
        seed = torch.randint(2**62, (1,), device=inputs.query.device)
    return (
        inputs.query,
        inputs.key,
        inputs.value,
        inputs.positional_table,
        inputs.group_embedding,
        inputs.group_index,
        seed,
        inputs.scale,
        inputs.dropout_rate,
    )


def operator_gradients(
    computed: Iterable[Tensor], wanted: Iterable[bool]
) -> tuple[Tensor | None, ...]:
    """For each of `operator_inputs` its gradient, or None.

    Args:
        computed: of query, key, value, table and, if there is one, embedding.
        wanted: for these, whether they have a gradient.
    """
    gradients = [one if wants else None for one, wants in zip(computed, wanted, strict=False)]
    return (*gradients, *(None,) * (NUM_INPUTS - len(gradients)))


def empty_unless(wanted: Iterable[bool], gradients: Iterable[Tensor]) -> list[Tensor]:
    """The gradients, those that are not wanted as ``(0,)``: operators return no None."""
    pairs = zip(gradients, wanted, strict=False)
    return [gradient if wants else gradient.new_empty(0) for gradient, wants in pairs]
