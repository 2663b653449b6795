"""Pooling in space and over the group, and restriction to a subgroup: all exactly equivariant."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from operator import index

import torch.nn.functional as F
from torch import Tensor, nn

from g_selfatt.groups import Group, get
from g_selfatt.nn.checks import check_choice, whole_numbers
from g_selfatt.nn.one_node import one_node


class _Pooling(nn.Module):
    """What the maximum and the mean have in common."""

    def __init__(self, stride: int = 2) -> None:
        super().__init__()
        (self.stride,) = whole_numbers(stride=stride)

    def extra_repr(self) -> str:
        return f"stride={self.stride}"


class MaxPool(_Pooling):
    """The maximum over neighbouring pixels, at every ``stride``-th pixel.

    A side of n·stride pixels is pooled by windows of ``stride`` pixels. On other sides the windows
    are padded by as much at both ends, and are a pixel wider where that takes it (stride 2, odd
    side: 3 pixels, with their centres on pixels 0, 2, … H − 1). All lie symmetrically, so pooling
    is exactly equivariant for every size of the image.

    Shape: ``(B, C, …, H, W)`` → ``(B, C, …, ⌈H/stride⌉, ⌈W/stride⌉)``, on the plane or on a group.

    Args:
        stride: pixels from one window to the next.

    Raises:
        ValueError: a stride below 1.
    """

    @one_node
    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, …, H, W)`` → ``(B, C, …, ⌈H/stride⌉, ⌈W/stride⌉)``, the maxima."""
        return _pool(x, self.stride, F.max_pool2d)


class AvgPool(_Pooling):
    """The mean over neighbouring pixels, at every ``stride``-th pixel; otherwise as `MaxPool`."""

    @one_node
    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, …, H, W)`` → ``(B, C, …, ⌈H/stride⌉, ⌈W/stride⌉)``, the means."""
        return _pool(x, self.stride, partial(F.avg_pool2d, count_include_pad=False))


class GroupPool(nn.Module):
    """The maximum, or the mean, over the group: from a map on the group to one on the plane.

    What is left turns with the image and has no group axis. This is the end of a network that
    gives a class, or a number, for each pixel.

    Shape: ``(B, C, |H|, H, W)`` → ``(B, C, H, W)``.

    Args:
        reduction: ``"max"`` or ``"mean"``.

    Raises:
        ValueError: another reduction or, from ``forward``, other axes.
    """

    def __init__(self, reduction: str = "max") -> None:
        super().__init__()
        check_choice("reduction", reduction, ("max", "mean"))
        self.reduction = reduction

    @one_node
    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, |H|, H, W)`` → ``(B, C, H, W)``.

        Raises:
            ValueError: x has other axes.
        """
        if x.dim() != 5:
            raise ValueError(f"GroupPool takes (B, C, |H|, H, W), got {tuple(x.shape)}")
        return x.amax(dim=2) if self.reduction == "max" else x.mean(dim=2)

    def extra_repr(self) -> str:
        return f"{self.reduction!r}"


class Restrict(nn.Module):
    """A map on a group as a map on one of its subgroups.

    What follows is equivariant to the subgroup only: a network can see all rotations of small
    patterns and fewer of large ones (Weiler & Cesa, 2019, call it group restriction).

    Shape: ``(B, C, |H|, H, W)`` → ``(B, C, number of elements, H, W)``.

    Example:
        >>> restrict = Restrict("p4m", groups.get("p4m").subgroups()[-2])
        >>> conv = GroupConv(restrict.subgroup, 16, 16, kernel_size=3)

    Args:
        group: the group of the input, or its name.
        elements: the elements of the subgroup, e.g. one of `Group.subgroups`.

    Attributes:
        subgroup: the group of the output, for the layers that follow.

    Raises:
        ValueError: the elements are no subgroup or, from ``forward``, other axes.
    """

    def __init__(self, group: Group | str, elements: Iterable[int]) -> None:
        super().__init__()
        self.group = get(group)
        self.elements = sorted({index(h) for h in elements})
        self.subgroup = self.group.restrict(self.elements)

    @one_node
    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, |H|, H, W)`` → ``(B, C, number of elements, H, W)``.

        Raises:
            ValueError: x has other axes, or is on another number of group elements.
        """
        if x.dim() != 5 or x.shape[2] != self.group.num_elements:
            raise ValueError(
                f"Restrict of {self.group.name} takes (B, C, {self.group.num_elements}, H, W), "
                f"got {tuple(x.shape)}"
            )
        return x[:, :, self.elements]

    def extra_repr(self) -> str:
        return f"{self.group.name} → {self.subgroup.name}"


def _pool(x: Tensor, stride: int, pool: Callable[..., Tensor]) -> Tensor:
    if x.dim() < 4:
        raise ValueError(f"pooling takes (B, C, …, H, W), got {tuple(x.shape)}")
    sides = [_window(side, stride) for side in x.shape[-2:]]
    pooled = pool(
        x.flatten(1, -3),
        kernel_size=tuple(size for size, _ in sides),
        stride=stride,
        padding=tuple(padding for _, padding in sides),
    )
    return pooled.unflatten(1, x.shape[1:-2])


def _window(side: int, stride: int) -> tuple[int, int]:
    """Size and padding of ⌈side/stride⌉ windows that lie symmetrically on a side."""
    missing = -side % stride
    return stride + missing % 2, (missing + 1) // 2
