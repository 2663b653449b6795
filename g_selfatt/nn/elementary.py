"""The small layers that networks are made of: 1×1 convolution, norm, Swish, dropout, and others."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from g_selfatt.functional.dropout import dropout
from g_selfatt.functional.tracing import is_compiled, is_traced, is_transformed
from g_selfatt.nn.checks import check_choice, whole_numbers
from g_selfatt.nn.one_node import AnyLayout, one_node

CPUINFO = Path("/proc/cpuinfo")


def _largest_product() -> float:
    """The largest weight for which products are faster than torch's convolution on this CPU.

    Up to 1.8 times, a fifth of rotMNIST's training step. Larger ones too where MKL, which torch
    multiplies with, is at home: 1.1 to 1.2 times for CIFAR10's step on an Intel Xeon. On an AMD
    EPYC they are slower.
    """
    intel = CPUINFO.exists() and "GenuineIntel" in CPUINFO.read_text()
    return math.inf if intel and torch.backends.mkl.is_available() else 2**13


LARGEST_PRODUCT = _largest_product()


class _OneByOne(AnyLayout):
    """A convolution of kernel size 1 that takes the faster of two ways to the same numbers."""

    weight: Tensor
    bias: Tensor | None

    @one_node
    def forward(self, x: Tensor) -> Tensor:
        """``(B, in_channels, …)`` → ``(B, out_channels, …)``.

        Raises:
            ValueError: x has other axes.
        """
        if x.dim() != self.weight.dim() or x.shape[1] != self.weight.shape[1]:
            axes = "|H|, H, W" if self.weight.dim() == 5 else "H, W"
            raise ValueError(
                f"a 1×1 convolution of {self.weight.shape[1]} channels takes "
                f"(B, {self.weight.shape[1]}, {axes}), got {tuple(x.shape)}"
            )
        # Exporters get products only: onnxscript's convolution in three dimensions without a bias
        # is wrong.
        exported = is_traced(x) and not is_compiled()
        if not exported and (not x.is_cpu or self.weight.numel() > LARGEST_PRODUCT):
            return super().forward(x)
        weight = self.weight.flatten(1).expand(x.shape[0], -1, -1)
        pixels = x.flatten(2)
        if self.bias is None:
            out = torch.bmm(weight, pixels)
        else:
            out = torch.baddbmm(self.bias[:, None], weight, pixels)
        return out.unflatten(2, x.shape[2:])


class Conv2d1x1(_OneByOne, nn.Conv2d):
    """A 1×1 convolution of ``(B, C, H, W)``; made by `Conv1x1`."""


class Conv3d1x1(_OneByOne, nn.Conv3d):
    """A 1×1 convolution of ``(B, C, |H|, H, W)``; made by `Conv1x1`."""


def Conv1x1(
    in_channels: int,
    out_channels: int,
    *,
    dimension: int = 3,
    bias: bool = True,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> nn.Conv2d | nn.Conv3d:
    """A 1×1 convolution: one linear map of the channels, at every position.

    Args:
        in_channels, out_channels: number of channels.
        dimension: 2 for maps on the plane ``(B, C, H, W)``, 3 for maps on a group
            ``(B, C, |H|, H, W)``.
        bias: whether a bias is added.
        device, dtype: device and dtype of the weights.

    Raises:
        ValueError: another dimension, or channels that are no whole numbers of at least 1.
    """
    in_channels, out_channels = whole_numbers(in_channels=in_channels, out_channels=out_channels)
    if dimension not in (2, 3):
        raise ValueError(f"dimension must be 2 or 3, got {dimension!r}")
    convolution = Conv2d1x1 if dimension == 2 else Conv3d1x1
    return convolution(
        in_channels, out_channels, kernel_size=1, bias=bias, device=device, dtype=dtype
    )


class LayerNorm(nn.Module):
    """Normalize over channels, group and space together: GroupNorm with one group.

    Shape: ``(B, C, …)`` → the same.

    Args:
        num_channels: number of channels C.
        eps: number added to the variance; tiny, as in the released code. At a blank image, the
            gradient grows by up to 1/√eps in each layer and overflows in deep networks.
        device, dtype: device and dtype of the weights.
    """

    def __init__(
        self,
        num_channels: int,
        eps: float = 1e-12,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.layer_norm = nn.GroupNorm(1, num_channels, eps=eps, device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, …)`` → the same, each image normalized on its own."""
        return self.layer_norm(x)


class Swish(nn.Module):
    """x·sigmoid(x) (Ramachandran et al., 2017), of any shape."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape → the same."""
        return nn.functional.silu(x)


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, faster on a CPU, at a rate rounded to a multiple of 2⁻¹⁶."""

    @one_node
    def forward(self, x: Tensor) -> Tensor:
        """Any shape → the same."""
        as_torch = not x.is_cpu or self.inplace or is_traced(x) or is_transformed(x)
        if as_torch or not self.training or self.p == 0:
            return super().forward(x)
        return dropout(x, self.p)


class HalvingPool(nn.MaxPool3d):
    """``torch.nn.MaxPool3d((1, 2, 2))``, without gradients on a CPU ten times as fast."""

    def __init__(self) -> None:
        super().__init__((1, 2, 2))

    @one_node
    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, |H|, H, W)`` → ``(B, C, |H|, H // 2, W // 2)``."""
        if torch.is_grad_enabled() or not x.is_cpu or is_traced(x) or is_transformed(x):
            return super().forward(x)
        height, width = (side - side % 2 for side in x.shape[-2:])
        x = x[..., :height, :width]
        rows = torch.maximum(x[..., ::2, :], x[..., 1::2, :])
        return torch.maximum(rows[..., ::2], rows[..., 1::2])


class Crop(nn.Module):
    """Take ``crop_size`` pixels, at least 0, off every side of ``(…, H, W)``.

    Raises:
        ValueError: crop_size is negative, or no whole number.
    """

    def __init__(self, crop_size: int) -> None:
        super().__init__()
        (self.crop_size,) = whole_numbers(0, crop_size=crop_size)

    @one_node
    def forward(self, x: Tensor) -> Tensor:
        """``(…, H, W)`` → ``(…, H − 2·crop_size, W − 2·crop_size)``.

        Raises:
            ValueError: nothing would be left of the image.
        """
        c, (height, width) = self.crop_size, x.shape[-2:]
        if min(height, width) <= 2 * c:
            raise ValueError(f"cannot crop {c} pixels off every side of a {height}×{width} image")
        return x[..., c : height - c, c : width - c]

    def extra_repr(self) -> str:
        return f"crop_size={self.crop_size}"


NORMS: dict[str, type[nn.Module]] = {"LayerNorm": LayerNorm, "BatchNorm": nn.BatchNorm3d}
ACTIVATIONS: dict[str, type[nn.Module]] = {"Swish": Swish, "ReLU": nn.ReLU}


def choose(kind: str, name: str, table: dict[str, type[nn.Module]]) -> type[nn.Module]:
    """``table[name]``; ValueError with the choices where there is none."""
    check_choice(kind, name, table)
    return table[name]


@torch.no_grad()
def initialize(module: nn.Module, whitening_scale: float) -> None:
    """The weights of torch's convolutions from N(0, whitening_scale² / fan_in), biases 0, in place.

    `Conv1x1` and the position MLPs are such convolutions, and `PositionMLP.spread` can follow.
    Embeddings keep torch's N(0, 1), `LiftConv` and `GroupConv` what they drew when they were made.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Conv3d)):
            nn.init.normal_(layer.weight, std=whitening_scale * layer.weight[0].numel() ** -0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
