"""Groups by the names that the paper and crystallography use: z2, p4, p4m, …"""

from __future__ import annotations

import re
from fractions import Fraction

from g_selfatt.groups.e2 import E2
from g_selfatt.groups.group import Group
from g_selfatt.groups.se2 import SE2

_ROTATIONS = r"z2|p(?P<p>[1-9]\d*)|c(?P<other>[1-9]\d*)"
_MIRRORS = r"(mz2|p(?P<p>[1-9]\d*)m|d(?P<other>[1-9]\d*))(@(?P<axis>\d+(\.\d+)?))?"


def get(name: str | Group) -> Group:
    """The group of a name.

    Args:
        name: name in any case: ``"z2"`` (translations only), ``"mz2"`` (with a mirror), ``"pN"``
            (N rotations) or ``"pNm"`` (N rotations with mirrors); ``"cN"`` and ``"dN"``, the cyclic
            and dihedral groups, are the same two. A group with mirrors may end in ``"@A"``: their
            lines are turned by A degrees (`E2`). A group is returned as it is.

    Returns:
        The group; a new one for a name.

    Raises:
        ValueError: the name is none of these.
    """
    if isinstance(name, Group):
        return name
    if not isinstance(name, str):
        raise ValueError(f"a group is a Group or its name, e.g. 'p4', got {name!r}")
    match = re.fullmatch(_ROTATIONS, name.lower()) or re.fullmatch(_MIRRORS, name.lower())
    if match is None:
        raise ValueError(
            f"unknown group {name!r}; choose z2, mz2, pN or pNm, e.g. p4, p12, p4m, or p2m@45 with "
            "the mirrors turned by 45 degrees"
        )
    found = match.groupdict()
    rotations = int(found["p"] or found["other"] or 1)
    if "axis" not in found:
        return SE2(rotations)
    return E2(2 * rotations, Fraction(found["axis"] or 0))
