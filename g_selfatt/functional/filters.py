"""Filters acted on by the group: the filter that group element h sees is ``w[h·δ]``.

The kernel of a group convolution (Cohen & Welling, 2016) as one matrix for each group element, from
the weights to the filter of that element. What the positional table is to attention.
"""

from __future__ import annotations

import torch
from torch import Tensor

from g_selfatt.groups import Group
from g_selfatt.groups.tables import cached_table


def filter_sampling(
    group: Group, kernel_size: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """The matrices S with ``w[h·δ] = Σ_ε S[h, δ, ε]·w[ε]``, for every group element h.

    The offsets δ and ε of a filter are counted from its centre: whole numbers of pixels where K is
    odd, halves between them where it is even. For an element that maps the pixel grid to itself,
    S[h] is a permutation. For the others the weight of ε meets the image at ``h⁻¹·ε``, between
    pixels, where the image is interpolated bilinearly: S[h] shares the weight out to the four
    offsets around. A group with such elements uses the weights of the disc ``|ε| ≤ (K − 1) / 2``
    only, with every element: the corners of the square are turned out of it.

    Args:
        group: the group that acts.
        kernel_size: side K of the square filter.
        dtype, device: dtype and device of the result.

    Returns:
        ``(|H|, K², K²)``, offsets row-major; shared between calls, not to be written to.
    """

    def compute() -> Tensor:
        radius = (kernel_size - 1) / 2
        line = torch.arange(kernel_size, dtype=torch.float64, device="cpu") - radius
        offsets = torch.cartesian_prod(line, line).T  # (2, K²)
        turned = torch.stack([group.left_action_on_Rd(h, offsets) for h in group.inverses])
        # The product of two hat functions is bilinear interpolation, and 0 or 1 on the grid.
        distance = (offsets[:, :, None] - turned[:, :, None, :]).abs()  # (|H|, 2, K², K²)
        sampling = (1 - distance).clamp_min(0).prod(dim=1)
        if not group.preserves_grid:
            sampling = sampling * (offsets.square().sum(dim=0) <= radius**2)
        return sampling.to(device=device, dtype=dtype)

    return cached_table(group, ("filters", kernel_size, dtype, str(device)), compute)


def lifting_filters(group: Group, weight: Tensor) -> Tensor:
    """The filter of each element, for a convolution from the plane to the group.

    Args:
        group: the group.
        weight: filters ``(O, I, K, K)``.

    Returns:
        ``(O, |H| of h, I, K, K)``; entry ``[o, h, i]`` is ``weight[o, i]`` at ``h·δ``.
    """
    sampling = filter_sampling(group, weight.shape[-1], weight.dtype, weight.device)
    filters = torch.einsum("hde,oie->ohid", sampling, weight.flatten(-2))
    return filters.unflatten(-1, weight.shape[-2:])


def group_filters(group: Group, weight: Tensor) -> Tensor:
    """The filter of each pair of elements, for a convolution on the group.

    Args:
        group: the group.
        weight: filters ``(O, I, |H|, K, K)``; index t of the group axis carries ``u_t = t⁻¹``, as
            that of a feature map does.

    Returns:
        ``(O, |H| of h, I, |H| of m, K, K)``; entry ``[o, h, i, m]`` is ``weight[o, i, t]`` at
        ``h·δ``, with ``u_t = u_h⁻¹u_m``.

    Raises:
        ValueError: the weight is of another number of elements.
    """
    if weight.shape[-3] != group.num_elements:
        raise ValueError(
            f"{group.name} takes filters (O, I, {group.num_elements}, K, K), "
            f"got {tuple(weight.shape)}"
        )
    sampling = filter_sampling(group, weight.shape[-1], weight.dtype, weight.device)
    acted = torch.einsum("hde,oite->oihtd", sampling, weight.flatten(-2))
    # The pair (h, t) that lands on (h, m): t = m·h⁻¹, the table of group_encoding="equivariant".
    times, inverse = group.multiplication_table, group.inverse_table
    h = group.elements
    pairs = (h[:, None] * group.num_elements + times[:, inverse].T).flatten().to(weight.device)
    filters = acted.flatten(2, 3).index_select(2, pairs)  # (O, I, |H|·|H|, K²)
    filters = filters.unflatten(2, (group.num_elements, -1)).transpose(1, 2)
    return filters.unflatten(-1, weight.shape[-2:])
