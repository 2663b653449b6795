"""The networks of `g_selfatt.models`, by a shorter name in a checkout."""

from g_selfatt.models import *  # noqa: F403
from g_selfatt.models import __all__ as __all__
