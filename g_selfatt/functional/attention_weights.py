"""The weights of the attention, for pictures of what each pixel looks at."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from g_selfatt.functional.inputs import AttentionInputs, autocasts
from g_selfatt.functional.reference import (
    WholeImage,
    Window,
    group_scores,
    positional_scores,
)


@torch.no_grad()
def attention_weights(
    query: Tensor,
    key: Tensor,
    positional_table: Tensor,
    group_embedding: Tensor | None = None,
    group_index: Tensor | None = None,
    *,
    scale: float,
    whole_image: bool = False,
) -> Tensor:
    """How much output element h at pixel i looks at each key pixel j, without dropout.

    With the scores s of `self_attention`,

        A[h,i; j] = Σ_g Σ_m softmax_{(m,j)}(s[h,g,i; ·])[m,j],

    which sums to G over the keys: to |H| on the group, to 1 for lifting. It is computed for one g
    and one h at a time: beside the result, two tensors as large as the scores of such a pair,
    ``(B, heads, G of m, H, W, keys)``, are alive at once. It carries no gradient.

    Args:
        query, key, positional_table, group_embedding, group_index, scale: as in `self_attention`.
        whole_image: kind of the keys. False: the offsets of the window, ``A[..., r * K_w + s]``
            belongs to the key at ``i + (r − K_h // 2, s − K_w // 2)``, 0 where that lies outside
            the image. True: the pixels of the image, ``A[..., r * W + s]`` belongs to the key at
            (r, s); the table must be ``(|H|, d, 2H − 1, 2W − 1)``.

    Returns:
        ``(B, heads, |H|, H, W, keys)``, keys row-major: K_h·K_w offsets or H·W pixels. Of the
        dtype of the query, or float32 where that is narrower.

    Raises:
        ValueError: shapes that do not fit.
    """
    inputs = AttentionInputs(
        query, key, key, positional_table, group_embedding, group_index, scale, 0.0
    )
    if whole_image and positional_table.shape[-2:] != inputs.every_offset:
        raise ValueError(
            f"keys of the whole image need a positional_table of every offset, (|H|, d, "
            f"{', '.join(map(str, inputs.every_offset))}), got {tuple(positional_table.shape)}"
        )
    dtype = torch.promote_types(query.dtype, torch.float32)
    embedding = None if group_embedding is None else group_embedding.to(dtype)
    device = query.device.type
    off: Any = torch.autocast(device, enabled=False) if autocasts(device) else nullcontext()
    with off:  # it would compute some of the scores in half precision
        return _summed_weights(
            query.to(dtype) * scale,
            key.to(dtype),
            positional_table.to(dtype),
            embedding,
            group_index,
            WholeImage if whole_image else Window,
        )


def _summed_weights(
    q: Tensor,
    key: Tensor,
    table: Tensor,
    embedding: Tensor | None,
    index: Tensor | None,
    kind: type[WholeImage] | type[Window],
) -> Tensor:
    """The weights of scaled queries, summed over g and m."""
    neighbourhood = kind(q, table[:1])
    keys = neighbourhood.gather(key)  # (B, heads, c, m, y, x, i, j): a view
    batch, heads, _, _, *pixels = keys.shape
    weights = q.new_zeros(batch, heads, len(table), *pixels)
    for g in range(q.shape[3]):
        q_g = q[:, :, :, g : g + 1]
        content = _content_scores(q_g.squeeze(3), keys)
        for h in range(len(table)):  # the table of one h only: of WholeImage it is a large copy
            scores = content + positional_scores(q_g, kind(q, table[h : h + 1]).table)[:, :, 0]
            if embedding is not None and index is not None:
                of_pair = embedding[index[h, g]][None, None]  # (1, 1, m, e)
                of_group = group_scores(q_g, of_pair)[:, :, 0, 0]  # (B, heads, y, x, m)
                scores += of_group.movedim(-1, 2)[..., None, None]
            if neighbourhood.outside is not None:
                scores.masked_fill_(neighbourhood.outside, -torch.inf)
            # The softmax of (B, heads, m, y, x, i, j) over (m, i, j), in place.
            scores.sub_(scores.amax(dim=(2, 5, 6), keepdim=True)).exp_()
            weights[:, :, h] += scores.sum(dim=2) / scores.sum(dim=(2, 5, 6))[..., None, None]
            del scores  # before the next are made
        del content
    return weights.flatten(-2)


def _content_scores(query: Tensor, keys: Tensor) -> Tensor:
    """q[i]·k[m,j] of one query element: ``(B, heads, m, y, x, i, j)``.

    Channel by channel: as a matrix product it would copy every key once for each of its queries.
    """
    scores = keys.new_zeros(keys[:, :, 0].shape)
    for q, k in zip(query.unbind(2), keys.unbind(2), strict=True):
        scores.addcmul_(q[:, :, None, ..., None, None], k)
    return scores
