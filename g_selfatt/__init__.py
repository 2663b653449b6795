"""Group equivariant self-attention for vision (Romero & Cordonnier, ICLR 2021)."""

from g_selfatt import functional, groups, nn, testing

__version__ = "0.1.0"
__all__ = ["__version__", "functional", "groups", "nn", "testing"]
