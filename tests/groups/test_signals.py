import math

import pytest
import torch

from g_selfatt.functional import inscribed_disc, preserves_grid, transform_plane
from g_selfatt.groups import E2, SE2


def test_grid_preserving_matrices_are_told_apart():
    matrices = SE2(8).matrices
    assert [preserves_grid(m) for m in matrices] == [True, False] * 4


def test_quarter_turn_is_rot90_and_mirror_is_flip():
    f = torch.rand(2, 3, 4, 6)
    # R(90°) on (row, col) takes down to right: against the clock as the picture is seen.
    assert torch.equal(transform_plane(f, SE2(4).matrices[1]), torch.rot90(f, 1, (-2, -1)))
    assert torch.equal(transform_plane(f, E2(2).matrices[1]), f.flip(-1))


def test_bilinear_turns_are_close_to_a_smooth_function_turned_exactly():
    def blob(rows, cols):
        return torch.exp(-((rows - 3) ** 2 + (cols + 1) ** 2) / 20)

    axis = torch.arange(25).double() - 12
    rows, cols = torch.meshgrid(axis, axis, indexing="ij")
    for matrix in E2(16).matrices:
        # f'(p) = f(M⁻¹p), evaluated from the formula instead of the pixels.
        source = torch.einsum("ij,jhw->ihw", matrix.T, torch.stack([rows, cols]))
        got = transform_plane(blob(rows, cols)[None, None], matrix)[0, 0]
        inside = inscribed_disc(got)
        # Bilinear interpolation errs by 1/8 of the curvature, 1/10 at most, in each direction.
        assert (got - blob(*source))[inside].abs().max() < 2 * 0.1 / 8


def test_inscribed_disc_is_what_stays_in_the_image():
    disc = inscribed_disc(torch.zeros(1, 9, 9))
    assert disc[4, 0] and disc[4, 8] and not disc[0, 0]
    assert abs(disc.sum() - math.pi * 4**2) < 4


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 1e-3), (torch.bfloat16, 8e-3)])
def test_half_precision_turns_as_far_as_single(dtype, tolerance):
    x = torch.rand(1, 1, 224, 224).to(dtype)
    turned = SE2(8).act_on_signal(x, 1)
    assert turned.dtype == dtype
    assert (turned.float() - SE2(8).act_on_signal(x.float(), 1)).abs().max() < tolerance


def test_a_row_of_pixels_leaves_the_image_when_it_is_turned():
    row = torch.ones(1, 9)
    turned = transform_plane(row, SE2(8).matrices[1].float())  # in either precision
    # Pixel k moves √½·k up, and what comes to row 0 at column k is |√½·k| rows away.
    expected = (1 - (torch.arange(9.0) - 4).abs() * 0.5**0.5).clamp_min(0)
    torch.testing.assert_close(turned[0], expected)


def test_integers_are_not_interpolated():
    pixels = torch.zeros(1, 1, 5, 5, dtype=torch.uint8)
    assert SE2(8).act_on_signal(pixels, 2).dtype == torch.uint8
    with pytest.raises(ValueError, match="expected a floating-point map, got torch.uint8"):
        SE2(8).act_on_signal(pixels, 1)
