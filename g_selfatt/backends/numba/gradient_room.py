"""What a backward writes to, and its room for one unit and one block of queries."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit

from g_selfatt.backends.numba.workspaces import room, zeros


class Gradients(NamedTuple):
    """The gradient that a backward is given, those that it makes, and which of them are wanted.

    The first part of a divided unit writes to the unit's own gradients, the others to the extra
    ones, and to the tables' last rows, from the end.
    """

    d_out: Any  # `Image` (B, heads, c, |H|, H, W), as the five that follow
    d_query: Any  # (B, heads, c, |G|, H, W)
    d_key: Any  # (B, heads, c, |G|, H, W)
    d_value: Any  # (B, heads, c, |G|, H, W)
    extra_key: Any  # (1, extras, c, |G|, H, W)
    extra_value: Any  # (1, extras, c, |G|, H, W)
    d_table: Any  # (units + extras, |H|, K, d)
    d_embedding: Any  # (units + extras, |H|, e)
    wants_scores: bool  # whether any gradient but the value's is wanted
    wants_query: bool
    wants_key: bool
    wants_value: bool


class GradientRoom(NamedTuple):
    """Room beside `Scratch`; from the tables on, the last axis is the lanes, n the offsets in
    sight."""

    blank: Any  # (length,) of zeros
    d_outs: Any  # (c, |H|, length)
    d_queries: Any  # (c, |G|, length)
    d_keys: Any  # (c, |G|, length)
    d_values: Any  # (c, |G|, length)
    tables: Any  # dT of a unit (|H|, K, d)
    embeddings: Any  # dE of a unit (|H|, e)
    d_mixed: Any  # dO (|H|, c)
    d_weights: Any  # dW (|H|, |G| of m, n)
    weights: Any  # W (|H|, |G| of m, n)
    d_content: Any  # dA (|G| of g, |G| of m, n)
    d_position: Any  # dP of the blocks that wait (|H|, blocks · |G| of g, n)
    queries: Any  # q of these blocks (blocks · |G|, c)
    d_rows: Any  # dP by row (|G| of g, rows in sight)
    d_group: Any  # dR (|H|, |G| of g, |G| of m)
    share: Any  # p and p·mask·dW of one (h, g): (2, |G| of m, n)
    d_vector: Any  # dq (|G|, c)


@njit
def make_gradient_room(problem, workspace, most, lanes):
    """Uninitialized room for blocks with up to ``most`` offsets in sight, but for the zeros.

    Blocks wait to be added to dT together where each adds one product, |G| = 1: to load and store
    dT takes longer.
    """
    outputs, elements = problem.index.shape[:2]
    channels, length = problem.channels, problem.penalty.shape[0]
    rows, depth = problem.table.shape
    waiting = 1 if elements > 1 else 4
    return GradientRoom(
        zeros(workspace, (length,)),
        zeros(workspace, (channels, outputs, length)),
        room(workspace, (channels, elements, length)),
        room(workspace, (channels, elements, length)),
        room(workspace, (channels, elements, length)),
        room(workspace, (*problem.rows.shape, depth, lanes)),
        room(workspace, (*problem.embedding.shape, lanes)),
        room(workspace, (outputs, channels, lanes)),
        room(workspace, (outputs, elements, most, lanes)),
        room(workspace, (outputs, elements, most, lanes)),
        room(workspace, (elements, elements, most, lanes)),
        room(workspace, (outputs, waiting * elements, most, lanes)),
        room(workspace, (waiting * elements, channels, lanes)),
        room(workspace, (elements, rows, lanes)),
        room(workspace, (outputs, elements, elements, lanes)),
        room(workspace, (2, elements, most, lanes)),
        room(workspace, (elements, channels, lanes)),
    )
