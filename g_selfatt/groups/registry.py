"""Groups by the names that the paper and crystallography use: z2, p4, p4m, …"""

from __future__ import annotations

import re

from g_selfatt.groups.e2 import E2
from g_selfatt.groups.group import Group
from g_selfatt.groups.se2 import SE2


def get(name: str) -> Group:
    """The group called ``name``.

    Args:
        name: ``"z2"`` (translations alone), ``"mz2"`` (with a mirror), ``"pN"`` (N rotations) or
            ``"pNm"`` (N rotations with mirrors), in any case.

    Returns:
        A new group.

    Raises:
        ValueError: the name is none of these.
    """
    lowered = name.lower()
    if lowered == "z2":
        return SE2(1)
    if lowered == "mz2":
        return E2(2)
    match = re.fullmatch(r"p([1-9]\d*)(m?)", lowered)
    if match is None:
        raise ValueError(f"unknown group {name!r}; choose z2, mz2, pN or pNm, e.g. p4, p12, p4m")
    rotations = int(match[1])
    return E2(2 * rotations) if match[2] else SE2(rotations)
