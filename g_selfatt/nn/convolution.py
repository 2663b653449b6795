"""Group convolutions (Cohen & Welling, 2016), for any group of the library."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from g_selfatt.functional.filters import group_filters, lifting_filters
from g_selfatt.functional.inputs import autocasts
from g_selfatt.groups import Group, get
from g_selfatt.nn.checks import check_axes, whole_numbers
from g_selfatt.nn.one_node import AnyLayout, one_node
from g_selfatt.nn.table_cache import TableCache


class _GroupConvolution(AnyLayout):
    """Weights and checks that lifting convolutions and those on the group have in common."""

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self,
        group: Group | str,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int,
        bias: bool,
        weight_shape: tuple[int, ...],
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        in_channels, out_channels, kernel_size, stride = whole_numbers(
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=kernel_size,
            stride=stride,
        )
        self.group = group = get(group)
        if kernel_size == 2 and not group.preserves_grid:
            raise ValueError(
                f"no weight of a 2×2 filter lies in the disc that {group.name} turns between the "
                "pixels: take kernel_size 3"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self._tables = TableCache()
        empty = partial(torch.empty, device=device, dtype=dtype)
        self.weight = nn.Parameter(empty(out_channels, *weight_shape))
        self.bias = nn.Parameter(empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and biases from U(−1/√fan_in, 1/√fan_in), as torch's convolutions do."""
        bound = self.weight[0].numel() ** -0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def _filters(self, compute: Callable[[Group, Tensor], Tensor]) -> Tensor:
        """``compute(group, weight)``; in eval mode and without gradients only once.

        In the dtype of the weights also under torch.autocast, which converts what is convolved.
        """
        weight = self.weight
        if autocasts(weight.device.type):
            with torch.autocast(weight.device.type, enabled=False):
                return self._filters(compute)
        if self.training or torch.is_grad_enabled():
            return compute(self.group, weight)
        return self._tables.get(None, [weight], lambda: compute(self.group, weight))

    def _convolve(self, x: Tensor, filters: Tensor, groups: int) -> Tensor:
        """``(B, C, H, W)`` and ``(O, |H|, C / groups, K, K)`` → ``(B, O, |H|, H', W')``."""
        self._check_size(x)
        order = self.group.num_elements
        # On a CPU, oneDNN convolves many small channel groups about twice as fast in this layout,
        # the copies included.
        layout = torch.channels_last if x.is_cpu and groups > 1 else torch.contiguous_format
        out = F.conv2d(
            x.contiguous(memory_format=layout),
            filters.flatten(0, 1).contiguous(memory_format=layout),
            None if self.bias is None else self.bias.repeat_interleave(order),
            self.stride,
            (self.kernel_size - 1) // 2,
            groups=groups,
        )
        return out.contiguous().unflatten(1, (self.out_channels, order))

    def _check_size(self, x: Tensor) -> None:
        """Refuse sides without outputs, or with outputs nearer to one edge than to its opposite."""
        height, width = x.shape[-2:]
        rest = 1 if self.kernel_size % 2 else 2
        if min(height, width) < rest:
            raise ValueError(
                f"{type(self).__name__} with kernel_size {self.kernel_size} takes sides of at "
                f"least {rest} pixels, got {height}×{width}"
            )
        if any(
            moved and (side - rest) % self.stride
            for side, moved in zip((height, width), self.group.moved_axes, strict=True)
        ):
            raise ValueError(
                f"{type(self).__name__} on {self.group.name} with kernel_size {self.kernel_size} "
                f"and stride {self.stride} is equivariant for sides of {self.stride}·n + {rest} "
                f"pixels only, got {height}×{width}; or pool with MaxPool or AvgPool, which fit all"
            )

    def extra_repr(self) -> str:
        stride = f", stride={self.stride}" if self.stride > 1 else ""
        bias = ", bias=False" if self.bias is None else ""
        return (
            f"{self.group.name}, {self.in_channels} → {self.out_channels}, "
            f"kernel_size={self.kernel_size}{stride}{bias}"
        )


class LiftConv(_GroupConvolution):
    """Convolution from the plane to the group: one filter, seen by every element.

        out[h,i] = Σ_δ w[h·δ]·x[i+δ] + b

    Equivariant, exactly for multiples of 90° and their mirrors. For elements of other angles the
    sum is written ``Σ_ε w[ε]·x[i+h⁻¹·ε]``, over the weights of the disc
    ``|ε| ≤ (kernel_size − 1) / 2``, which has few of an even filter, and x is interpolated
    bilinearly between pixels. Then equivariance holds as well as bilinear interpolation does: for
    features some pixels wide, to a few per cent.

    Shape: ``(B, in_channels, H, W)`` → ``(B, out_channels, |H|, H', W')`` with
    ``H' = (H − 1) // stride + 1`` (an even kernel: ``(H − 2) // stride + 1``); zeros outside.

    Args:
        group: the group to lift to, or its name.
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the filter in pixels. Odd, as a rule; the outputs of an even one lie
            between the pixels.
        stride: pixels from one output to the next. The outputs must lie symmetrically in the
            image: sides that the group turns or mirrors are ``stride·n + 1`` pixels long with an
            odd kernel and ``stride·n + 2`` with an even one.
        bias: whether a bias is added.
        device, dtype: device and dtype of the weights.

    Raises:
        ValueError: an argument out of its range or, from ``forward``, a size of the image that
            the stride does not fit; with what would be right.
    """

    def __init__(
        self,
        group: Group | str,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            group,
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            bias=bias,
            weight_shape=(in_channels, kernel_size, kernel_size),
            device=device,
            dtype=dtype,
        )

    @one_node
    def forward(self, x: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` → ``(B, out_channels, |H|, H', W')``.

        Raises:
            ValueError: x has other axes, another number of channels, or a size that the stride
                does not fit.
        """
        check_axes(self, self.group, x, self.in_channels)
        return self._convolve(x, self._filters(lifting_filters), 1)


class GroupConv(_GroupConvolution):
    """Convolution on the group.

        out[h,i] = Σ_m Σ_δ w[φ(h,m)][h·δ]·x[m,i+δ] + b,    φ(h,m) = u_h⁻¹u_m

    φ is that of attention with ``group_encoding="equivariant"``. What `LiftConv` says of
    equivariance, elements off the grid and stride holds here.

    Shape: ``(B, in_channels, |H|, H, W)`` → ``(B, out_channels, |H|, H', W')`` with
    ``H' = (H − 1) // stride + 1`` (an even kernel: ``(H − 2) // stride + 1``); zeros outside.

    Args:
        group: the group, or its name.
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the filter in pixels.
        stride: pixels from one output to the next.
        depthwise: whether every channel is convolved on its own, over space and group; then
            out_channels is in_channels.
        bias: whether a bias is added.
        device, dtype: device and dtype of the weights.

    Raises:
        ValueError: an argument out of its range or, from ``forward``, a size of the image that
            the stride does not fit; with what would be right.
    """

    def __init__(
        self,
        group: Group | str,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        depthwise: bool = False,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if depthwise and in_channels != out_channels:
            raise ValueError(
                f"a depthwise convolution keeps the channels: got in_channels {in_channels}, "
                f"out_channels {out_channels}"
            )
        group = get(group)
        self.depthwise = depthwise
        channels = 1 if depthwise else in_channels
        super().__init__(
            group,
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            bias=bias,
            weight_shape=(channels, group.num_elements, kernel_size, kernel_size),
            device=device,
            dtype=dtype,
        )

    @one_node
    def forward(self, x: Tensor) -> Tensor:
        """``(B, in_channels, |H|, H, W)`` → ``(B, out_channels, |H|, H', W')``.

        Raises:
            ValueError: x has other axes, another number of channels, or a size that the stride
                does not fit.
        """
        check_axes(self, self.group, x, self.in_channels, self.group.num_elements)
        filters = self._filters(group_filters).flatten(2, 3)
        return self._convolve(x.flatten(1, 2), filters, self.in_channels if self.depthwise else 1)

    def extra_repr(self) -> str:
        return super().extra_repr() + (", depthwise=True" if self.depthwise else "")
