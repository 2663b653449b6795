"""The state file: back as it was, or one line that says what to do."""

from __future__ import annotations

import pytest
import torch

from training.checkpointing import load_state, save_state
from training.errors import UserError
from training.run_folder import STATE


def test_a_state_comes_back_as_it_was(tmp_path):
    state = {"weight": torch.randn(3), "history": [{"epoch": 1, "lr": 1e-3}], "id": None}
    save_state(tmp_path, state)
    restored = load_state(tmp_path)
    assert torch.equal(restored.pop("weight"), state.pop("weight"))
    assert restored == state
    assert [path.name for path in tmp_path.iterdir()] == [STATE]


def test_no_state_is_no_error(tmp_path):
    assert load_state(tmp_path) is None


@pytest.mark.parametrize("keep", [0, 10, 500])
def test_a_damaged_state_is_refused_in_one_line(tmp_path, keep):
    save_state(tmp_path, {"weight": torch.randn(300)})
    path = tmp_path / STATE
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="cannot be read") as caught:
        load_state(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_state_that_holds_code_is_refused(tmp_path):
    torch.save({"weight": print}, tmp_path / STATE)
    with pytest.raises(UserError, match="cannot be read"):
        load_state(tmp_path)
