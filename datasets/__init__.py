"""The data sets of `g_selfatt.datasets`, by a shorter name in a checkout."""

from g_selfatt.datasets import *  # noqa: F403
from g_selfatt.datasets import __all__ as __all__
