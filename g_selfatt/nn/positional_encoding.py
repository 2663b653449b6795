"""One coordinate of an offset → a vector: by a small MLP, or by a table over whole pixels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from g_selfatt.functional import acted_offsets
from g_selfatt.functional.inputs import autocasts
from g_selfatt.groups import Group
from g_selfatt.nn.elementary import Conv1x1, Conv2d1x1, LayerNorm, Swish

HIDDEN_CHANNELS = 16


class PositionMLP(nn.Sequential):
    """The continuous encoding of one coordinate: 1×1 conv 1→16, LayerNorm, Swish, 1×1 conv 16→d.

    Every offset is a batch element of its own, so that the norm is over its 16 features. Two things
    follow: with zero biases, as in the released code's initialization, it sees only the sign of the
    coordinate (`spread` starts it otherwise); and near zero the tiny eps of the norm amplifies a
    coordinate's rounding error up to a million times, which is why coordinates must be exact
    (`g_selfatt.functional.acted_offsets`).

    Shape: ``(N, 1, 1, 1)`` coordinates → ``(N, out_channels, 1, 1)``.

    Args:
        out_channels: size d of the encoding of one coordinate.
        device, dtype: device and dtype of the weights.
    """

    def __init__(
        self,
        out_channels: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            Conv1x1(1, HIDDEN_CHANNELS, dimension=2, device=device, dtype=dtype),
            LayerNorm(HIDDEN_CHANNELS, device=device, dtype=dtype),
            Swish(),
            Conv1x1(HIDDEN_CHANNELS, out_channels, dimension=2, device=device, dtype=dtype),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 1, 1, 1)`` coordinates → ``(N, out_channels, 1, 1)``."""
        if not as_made(self):
            return super().forward(x)
        # As linear maps of rows, not as convolutions of N images of one pixel: 1.4 to 4 times
        # faster on a CPU.
        layers: list[Any] = list(self)
        last = layers[3]
        return F.linear(self._hidden(x), last.weight.flatten(1), last.bias)[..., None, None]

    def _hidden(self, x: Tensor) -> Tensor:
        layers: list[Any] = list(self)
        first, norm, swish = layers[0], layers[1].layer_norm, layers[2]
        hidden = F.linear(x.flatten(1), first.weight.flatten(1), first.bias)
        return swish(F.layer_norm(hidden, hidden.shape[1:], norm.weight, norm.bias, norm.eps))

    @torch.no_grad()
    def spread(self, scale: float) -> None:
        """Separate coordinates from the start: hidden biases from U(−1, 1), larger outputs.

        Args:
            scale: factor on the weights of the last layer.
        """
        nn.init.uniform_(self.get_parameter("0.bias"), -1.0, 1.0)
        self.get_parameter("3.weight").mul_(scale)

    @torch.no_grad()
    def fit(self, coordinates: Tensor, targets: Tensor) -> None:
        """Set the first outputs of the last layer, by least squares; the others stay.

        Exact for 17 coordinates or fewer, as many as there are hidden channels and a bias.

        Args:
            coordinates: ``(N,)``.
            targets: ``(N, n)``, the first n outputs at these coordinates.
        """
        weight, bias = self.get_parameter("3.weight"), self.get_parameter("3.bias")
        hidden = self._hidden(coordinates.to(weight)[:, None]).double()
        hidden = torch.cat([hidden, torch.ones_like(hidden[:, :1])], dim=1)
        solution = torch.linalg.pinv(hidden) @ targets.to(hidden)
        fitted = targets.shape[1]
        weight[:fitted].copy_(solution[:-1].T[..., None, None])
        bias[:fitted].copy_(solution[-1])


def as_made(embedding: nn.Module) -> bool:
    """Whether nothing but its weights decides what an encoding computes: it is as it was made.

    Pruning and hooks, parametrizations and adapters in place of its layers have a say otherwise.
    """
    parts: list[Any] = [embedding, *embedding.children()]
    if type(embedding) is not nn.Embedding:
        if [type(part) for part in parts] != [PositionMLP, Conv2d1x1, LayerNorm, Swish, Conv2d1x1]:
            return False
        norm = parts[2].layer_norm
        if type(norm) is not nn.GroupNorm or norm.num_groups != 1:
            return False
        parts.append(norm)
    return all(map(called_plainly, parts))


def called_plainly(part: nn.Module) -> bool:
    """Whether a call of a module is its class's forward and nothing else: it has no hooks."""
    return not (
        "forward" in vars(part)
        or part._forward_hooks
        or part._forward_pre_hooks
        or part._backward_hooks
        or part._backward_pre_hooks
    )


def weights_of(parts: Iterable[nn.Module]) -> list[Tensor]:
    """Weights and biases, also where FSDP or DataParallel put tensors in place of parameters."""
    held = (getattr(part, name, None) for part in parts for name in ("weight", "bias"))
    return [tensor for tensor in held if isinstance(tensor, Tensor)]


def encode_by_mlp(
    row_embedding: nn.Module,
    col_embedding: nn.Module,
    group: Group,
    window: tuple[int, int],
    reach: int,
    like: Tensor,
) -> Tensor:
    """ROW(row(h·δ)) and COL(col(h·δ)) side by side, for every h and every offset of the window.

    Args:
        row_embedding, col_embedding: a `PositionMLP` each, to d_row and d_col channels.
        group: group that acts on the offsets.
        window: height and width of the window, odd.
        reach: offset in pixels that is coordinate 1.
        like: tensor of the device and dtype of the MLPs.

    Returns:
        ``(|H|, d_row + d_col, K_h, K_w)``, computed in the dtype of the weights also under
        torch.autocast.
    """
    if autocasts(like.device.type):
        # The tiny eps of their norm makes gradients that float16 cannot hold.
        with torch.autocast(like.device.type, enabled=False):
            return encode_by_mlp(row_embedding, col_embedding, group, window, reach, like)
    coordinates = acted_offsets(group, window, reach, like.dtype, like.device)  # (|H|, 2, K_h, K_w)
    shape = (group.num_elements, *window)
    rows, cols = (
        mlp(coordinates[:, axis].reshape(-1, 1, 1, 1)).reshape(*shape, -1)
        for axis, mlp in enumerate((row_embedding, col_embedding))
    )
    return torch.cat([rows, cols], dim=-1).permute(0, 3, 1, 2)


def encode_by_table(
    row_embedding: nn.Module,
    col_embedding: nn.Module,
    group: Group,
    window: tuple[int, int],
    reach: int,
    like: Tensor,
) -> Tensor:
    """As `encode_by_mlp`, with an `nn.Embedding` over the offsets −reach … reach in whole pixels.

    Raises:
        ValueError: the window holds offsets that the tables do not have.
    """
    if max(window) // 2 > reach:
        raise ValueError(
            f"positional_encoding 'table' was made for offsets up to {reach} pixels, this image "
            f"needs {max(window) // 2}; give a larger max_pos_embedding, or use 'mlp'"
        )
    offsets = acted_offsets(group, window, 1, torch.int64, like.device) + reach
    encoded = [row_embedding(offsets[:, 0]), col_embedding(offsets[:, 1])]
    return torch.cat(encoded, dim=-1).permute(0, 3, 1, 2)


def check_table_encoding(group: Group) -> None:
    """ValueError unless every element of the group maps whole pixels to whole pixels."""
    if not group.preserves_grid:
        raise ValueError(
            f"positional_encoding 'table' needs a group that maps the pixel grid to itself "
            f"(z2, mz2, p2, p4, p4m); {group.name} turns whole pixels into fractions: use 'mlp'"
        )
