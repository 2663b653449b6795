import torch

from g_selfatt import groups
from g_selfatt.functional import acted_offsets, window_offsets


def table(name, window, unit, dtype=torch.float64):
    return acted_offsets(groups.get(name), window, unit, dtype, torch.device("cpu"))


def test_offsets_are_key_minus_query_in_pixels():
    offsets = window_offsets((3, 5))
    assert offsets[:, 0, 0].tolist() == [-1, -2]
    assert offsets[:, 1, 2].tolist() == [0, 0]
    assert offsets[:, 2, 4].tolist() == [1, 2]


def test_coordinates_equal_those_of_the_released_code(golden):
    for case in golden("layers"):
        if case["kind"].endswith("local"):
            size, unit = case["kwargs"]["patch_size"], case["kwargs"]["patch_size"] // 2
        else:
            unit = case["kwargs"]["max_pos_embedding"] - 1
            size = 2 * unit + 1
        ours = table(case["group"], (size, size), unit)
        for axis, name in enumerate(["row_indices", "col_indices"]):
            theirs = case["state_dict"][name]
            if theirs.dim() == 5:  # theirs by pixel pair: (h, i_row, i_col, j_row, j_col)
                i = torch.arange(unit + 1)
                rows = i[None, None, :, None] - i[:, None, None, None] + unit
                cols = i[None, None, None, :] - i[None, :, None, None] + unit
                torch.testing.assert_close(ours[:, axis, rows, cols].float(), theirs)
            else:
                torch.testing.assert_close(ours[:, axis].float(), theirs)


def test_zero_is_exactly_zero():
    for name in ["p8", "p8m", "p12", "p16"]:
        coordinates = table(name, (9, 9), 4).abs()
        assert coordinates[coordinates < 1e-3].max() == 0.0


def test_elements_a_quarter_turn_apart_have_equal_digits():
    group = groups.get("p12")
    coordinates = table("p12", (7, 7), 3, torch.float32)
    for h in range(12):
        # (h·γ)·δ = h·(γδ): the table of h·γ is that of h with its offsets turned by γ.
        turned = torch.rot90(coordinates[h], -1, (-2, -1))
        assert torch.equal(coordinates[group.multiplication_table[h, 3]], turned)


def test_a_window_of_one_pixel_is_at_zero():
    assert table("p4", (1, 1), 0).abs().max() == 0


def test_a_table_made_in_inference_mode_can_be_trained_with():
    with torch.inference_mode():
        coordinates = table("p4", (3, 3), 1)
    assert not coordinates.is_inference()
