"""The equations of the attention as einsum: any dtype, any device, every score in memory at once.

Letters: b batch, n head, c channel, h output element, g query element, m key element, y x query
pixel, i j key pixel within the neighbourhood.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from g_selfatt.functional.inputs import AttentionInputs


def attend(inputs: AttentionInputs) -> Tensor:
    """The attention of `g_selfatt.functional.self_attention`, to be read beside its equations."""
    neighbourhood = choose_neighbourhood(inputs)
    content = content_scores(inputs, neighbourhood)
    return attend_from_content(inputs, neighbourhood, content, slice(None))


def content_scores(inputs: AttentionInputs, neighbourhood: Neighbourhood) -> Tensor:
    """q[g,i]·k[m,j] · scale: ``(b, n, g, y, x, m, i, j)``."""
    keys = neighbourhood.gather(inputs.key)
    return torch.einsum("bncgyx,bncmyxij->bngyxmij", inputs.query * inputs.scale, keys)


def positional_scores(query: Tensor, table: Tensor) -> Tensor:
    """q_pos[g,i]·P[h,δ] for a neighbourhood's table of some h: ``(b, n, h, g, y, x, i, j)``."""
    equation = "bncgyx,hcij->bnhgyxij" if table.dim() == 4 else "bncgyx,hcyxij->bnhgyxij"
    return torch.einsum(equation, query[:, :, : table.shape[1]], table)


def group_scores(query: Tensor, embedding: Tensor) -> Tensor:
    """q_grp[g,i]·E[φ(h,g,m)] for the rows ``(h, g, m, c)`` of E: ``(b, n, h, g, y, x, m)``."""
    q_group = query[:, :, query.shape[2] - embedding.shape[-1] :]
    return torch.einsum("bncgyx,hgmc->bnhgyxm", q_group, embedding)


def attend_from_content(
    inputs: AttentionInputs, neighbourhood: Neighbourhood, content: Tensor, elements: slice
) -> Tensor:
    """The outputs ``(b, n, c, h, y, x)`` of some output elements h, from the content scores."""
    q = inputs.query * inputs.scale
    positional = positional_scores(q, neighbourhood.table[elements])
    scores = content.unsqueeze(2) + positional.unsqueeze(-3)  # (b, n, h, g, y, x, m, i, j)
    if inputs.group_embedding is not None and inputs.group_index is not None:
        embedding = inputs.group_embedding[inputs.group_index[elements]]
        scores = scores + group_scores(q, embedding)[..., None, None]
    if neighbourhood.outside is not None:
        scores.masked_fill_(neighbourhood.outside[:, :, None], -torch.inf)
    attention = scores.flatten(-3).softmax(dim=-1).unflatten(-1, scores.shape[-3:])
    attention = F.dropout(attention, inputs.dropout_rate).sum(dim=3)  # over the query element g
    values = neighbourhood.gather(inputs.value)
    return torch.einsum("bnhyxmij,bncmyxij->bnchyx", attention, values)


def choose_neighbourhood(inputs: AttentionInputs) -> Neighbourhood:
    """The keys that a query meets."""
    kind = WholeImage if inputs.whole_image else Window
    return kind(inputs.query, inputs.positional_table)


class Window:
    """The same window of offsets around every query pixel: key (i, j) is an offset.

    Args:
        query: ``(B, heads, c, G, H, W)``.
        table: ``(|H|, d, K_h, K_w)``.

    Attributes:
        table: the encoding of key (i, j), ``(|H|, d, i, j)``.
        outside: ``(y, x, i, j)`` booleans, true where a key lies outside the image.
    """

    def __init__(self, query: Tensor, table: Tensor) -> None:
        self.table = table
        inside = torch.ones(query.shape[-2:], dtype=torch.bool, device=query.device)
        self.outside = ~self.gather(inside)

    def gather(self, signal: Tensor) -> Tensor:
        """``(…, H, W)`` → ``(…, y, x, i, j)``, the keys of every query, as a view."""
        (height, width) = self.table.shape[-2:]
        padded = F.pad(signal, (width // 2, width // 2, height // 2, height // 2))
        return padded.unfold(-2, height, 1).unfold(-2, width, 1)


class WholeImage:
    """All pixels of the image for every query pixel: key (i, j) is a position.

    Args:
        query: ``(B, heads, c, G, H, W)``.
        table: ``(|H|, d, 2H − 1, 2W − 1)``.

    Attributes:
        table: the encoding of key (i, j) seen from query (y, x), ``(|H|, d, y, x, i, j)``.
        outside: None, since no key is.
    """

    outside = None

    def __init__(self, query: Tensor, table: Tensor) -> None:
        height, width = query.shape[-2:]
        # Key i seen from query y has offset i − y, row i + (H − 1 − y) of the table.
        self.table = table.unfold(2, height, 1).unfold(3, width, 1).flip(2, 3)

    def gather(self, signal: Tensor) -> Tensor:
        """``(…, H, W)`` → ``(…, y, x, i, j)``, the same keys for every query, as a view."""
        size = signal.shape[-2:]
        return signal[..., None, None, :, :].expand(*signal.shape[:-2], *size, *size)


Neighbourhood = Window | WholeImage
