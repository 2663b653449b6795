"""The groups that the attention is equivariant to, and their actions."""

from g_selfatt.groups.e2 import E2
from g_selfatt.groups.generators import from_generators
from g_selfatt.groups.group import Group
from g_selfatt.groups.registry import get
from g_selfatt.groups.se2 import SE2

__all__ = ["E2", "SE2", "Group", "from_generators", "get"]
