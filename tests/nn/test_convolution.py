"""Group convolutions: a direct sum over group and offsets, equivariance, what users meet."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from g_selfatt import groups
from g_selfatt.functional.filters import group_filters
from g_selfatt.nn import GroupConv, LiftConv
from g_selfatt.testing import assert_equivariant, equivariance_error

GROUPS = ["z2", "mz2", "p4", "p6", "p8", "p4m", "p8m"]
KINDS = {
    "lift": (LiftConv, {}),
    "full": (GroupConv, {}),
    "depthwise": (GroupConv, {"depthwise": True}),
}


def make(kind, group, *, channels=(4, 4), kernel_size=5, **options):
    layer, depthwise = KINDS[kind]
    return layer(groups.get(group), *channels, kernel_size, **depthwise, **options).double()


def random_map(kind, group, *shape):
    axes = () if kind == "lift" else (groups.get(group).num_elements,)
    return torch.randn(2, 4, *axes, *shape, dtype=torch.float64)


def direct_sum(layer, x):
    """Σ over m and ε of w[t][ε]·x[m, i + h⁻¹·ε], with no table of the library but the matrices.

    t is found by its matrix: u_t = u_h⁻¹u_m, and u_x is the inverse of x. Images are read between
    pixels by scipy.
    """
    matrices, k = layer.group.matrices, layer.kernel_size // 2
    turned_between_pixels = bool((matrices != matrices.round()).any())
    lifting = isinstance(layer, LiftConv)
    x = x.unsqueeze(2) if lifting else x
    weight = layer.weight.detach().unsqueeze(2) if lifting else layer.weight.detach()
    pixels = torch.cartesian_prod(*(torch.arange(float(side)) for side in x.shape[-2:])).double().T
    out = torch.zeros(len(x), layer.out_channels, len(matrices), *x.shape[-2:]).double()
    for h, acting in enumerate(matrices):
        for m in range(x.shape[2]):
            distances = (matrices - matrices[m] @ acting.T).norm(dim=(1, 2))
            t = 0 if lifting else int(distances.argmin())
            for row, col in torch.cartesian_prod(torch.arange(-k, k + 1), torch.arange(-k, k + 1)):
                if turned_between_pixels and row**2 + col**2 > k**2:
                    continue
                moved = acting.T @ torch.tensor([row, col]).double()  # h⁻¹·ε
                seen = read_between_pixels(x[:, :, m], pixels + moved[:, None])
                w = weight[:, :, t, row + k, col + k]
                if getattr(layer, "depthwise", False):
                    out[:, :, h] += w[:, :1, None] * seen
                else:
                    out[:, :, h] += torch.einsum("oi,bixy->boxy", w, seen)
    return out + layer.bias.detach()[:, None, None, None]


def read_between_pixels(images, positions):
    """Images ``(B, C, H, W)`` at positions ``(2, H·W)``: bilinear, and zero outside."""
    flat = images.flatten(0, 1).numpy()
    values = [map_coordinates(i, positions, order=1, mode="grid-constant") for i in flat]
    return torch.tensor(np.stack(values)).view_as(images)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("group", ["z2", "mz2", "p4", "p6", "p8", "p4m"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_sum_over_group_and_offsets(kind, group, kernel_size):
    layer, x = make(kind, group, kernel_size=kernel_size), random_map(kind, group, 4, 5)
    torch.testing.assert_close(layer(x), direct_sum(layer, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(6, 6), (7, 7), (5, 8)])
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_equivariant(kind, group, shape):
    for kernel_size in (3, 5):
        layer = make(kind, group, kernel_size=kernel_size)
        assert_equivariant(layer, layer.group, random_map(kind, group, *shape))


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("group", ["mz2", "p4", "p4m", "p8"])
@pytest.mark.parametrize("kind", KINDS)
def test_strides_are_equivariant_on_the_sizes_that_fit(kind, group, stride):
    layer = make(kind, group, stride=stride)
    x = random_map(kind, group, 2 * stride + 1, 4 * stride + 1)
    assert layer(x).shape[-2:] == (3, 5)
    assert_equivariant(layer, layer.group, x)


@pytest.mark.parametrize("group", ["mz2", "p4", "p4m", "p8"])
@pytest.mark.parametrize("kind", KINDS)
def test_even_kernels_halve_even_sides(kind, group):
    layer = make(kind, group, kernel_size=4, stride=2)
    x = random_map(kind, group, 6, 8)
    assert layer(x).shape[-2:] == (3, 4)
    assert_equivariant(layer, layer.group, x)


def test_a_size_that_the_stride_does_not_fit_is_refused():
    with pytest.raises(
        ValueError, match=r"LiftConv on p4 .* for sides of 2·n \+ 1 pixels only, got 7×8"
    ):
        make("lift", "p4", stride=2)(random_map("lift", "p4", 7, 8))
    # A mirror of the columns leaves the rows where they are; z2 turns nothing.
    mirror = make("lift", "mz2", stride=2)
    assert_equivariant(mirror, mirror.group, random_map("lift", "mz2", 8, 7))
    assert make("lift", "z2", stride=2)(random_map("lift", "z2", 8, 8)).shape[-2:] == (4, 4)
    transposing = make("lift", "mz2@45", stride=2)  # the first pixel stays the first
    assert_equivariant(transposing, "mz2@45", random_map("lift", "mz2@45", 8, 12))


@pytest.mark.parametrize("kernel_size", [3, 5, 7])
@pytest.mark.parametrize("group", ["p8", "p12"])
def test_between_pixels_the_error_is_that_of_interpolation(group, kernel_size):
    """Random weights on a smooth picture: one to two per cent, a part of it from turning that."""
    line = torch.linspace(-1, 1, 41, dtype=torch.float64)
    rows, cols = torch.meshgrid(line, line, indexing="ij")
    picture = torch.exp(-8 * ((rows - 0.2) ** 2 + 2 * (cols + 0.1) ** 2)).expand(1, 4, -1, -1)
    layer = make("lift", group, kernel_size=kernel_size, bias=False)
    errors = equivariance_error(layer, layer.group, picture)
    assert max(errors.exact.values()) < 1e-14
    assert 1e-3 < max(errors.values()) < 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_the_sum(kind):
    layer, x = make(kind, "p4m", kernel_size=3), random_map(kind, "p4m", 3, 4)

    def run(weight):
        return torch.func.functional_call(layer, {"weight": weight}, (x,))

    assert torch.autograd.gradcheck(run, layer.weight, fast_mode=True)


@pytest.mark.parametrize("kind", KINDS)
def test_only_weights_are_saved_and_any_precision_runs(kind):
    layer = make(kind, "p4m")
    assert set(layer.state_dict()) == {"weight", "bias"}
    x = random_map(kind, "p4m", 6, 6)
    for dtype in (torch.float32, torch.bfloat16):
        torch.testing.assert_close(
            layer.to(dtype)(x.to(dtype)).double(), layer.double()(x), rtol=0, atol=0.05
        )


def test_mistakes_name_what_would_be_right():
    p4 = groups.get("p4")
    with pytest.raises(ValueError, match="kernel_size must be a whole number of at least 1, got 0"):
        LiftConv(p4, 3, 4, 0)
    with pytest.raises(ValueError, match="stride must be a whole number of at least 1, got 0"):
        LiftConv(p4, 3, 4, 3, stride=0)
    with pytest.raises(ValueError, match="keeps the channels: got in_channels 3, out_channels 4"):
        GroupConv(p4, 3, 4, 3, depthwise=True)
    with pytest.raises(ValueError, match=r"GroupConv on p4 takes \(B, 3, 4, H, W\), got"):
        GroupConv(p4, 3, 4, 3)(torch.zeros(1, 3, 5, 5))
    with pytest.raises(ValueError, match=r"^LiftConv on p4 takes \(B, 3, H, W\), got"):
        LiftConv(p4, 3, 4, 3)(torch.zeros(1, 2, 5, 5))


@pytest.mark.parametrize("layer", [LiftConv, GroupConv])
def test_weights_are_made_where_and_as_asked(layer):
    made = layer("p4", 2, 3, 3, device="meta", dtype=torch.float64)
    assert {(p.device.type, p.dtype) for p in made.parameters()} == {("meta", torch.float64)}
    made = layer("p4", 2, 3, 3, dtype=torch.bfloat16)
    assert {p.dtype for p in made.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("elements", [2, 8])
def test_filters_of_another_number_of_elements_are_refused(elements):
    with pytest.raises(ValueError, match=r"^p4 takes filters \(O, I, 4, K, K\), got \(2, 3, "):
        group_filters(groups.get("p4"), torch.zeros(2, 3, elements, 5, 5))
