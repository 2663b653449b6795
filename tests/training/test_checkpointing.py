"""The state file: back as it was, the one before it where it is damaged, or one line."""

from __future__ import annotations

import random

import pytest
import torch

from training import command_line, settings
from training.checkpointing import close_states, load_state, save_state
from training.errors import UserError
from training.run_folder import PREVIOUS_STATE, STATE, identity

RUN = identity(settings.resolve(command_line.parse([])))


def state(number=1.0):
    return {"run": RUN, "weight": torch.full((300,), number), "history": [{"epoch": 1, "lr": 1e-3}]}


def number(folder):
    return load_state(folder, RUN)["weight"][0].item()


def test_a_state_comes_back_as_it_was(tmp_path):
    given = state() | {"id": None}
    save_state(tmp_path, given)
    restored = load_state(tmp_path, RUN)
    assert torch.equal(restored.pop("weight"), given.pop("weight"))
    assert restored == given
    assert [path.name for path in tmp_path.iterdir()] == [STATE]


def test_no_state_is_no_error(tmp_path):
    assert load_state(tmp_path, RUN) is None


@pytest.mark.parametrize("keep", [0, 10, 500])
def test_a_damaged_state_is_refused_in_one_line(tmp_path, keep):
    save_state(tmp_path, state())
    path = tmp_path / STATE
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="cannot be read") as caught:
        load_state(tmp_path, RUN)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_state_that_holds_code_is_refused(tmp_path):
    save_state(tmp_path, {"run": RUN, "weight": print})
    with pytest.raises(UserError, match="cannot be read"):
        load_state(tmp_path, RUN)


def test_any_flipped_bit_is_noticed_and_the_state_before_is_taken(tmp_path, caplog):
    save_state(tmp_path, state(1.0))
    save_state(tmp_path, state(2.0))
    path = tmp_path / STATE
    content = path.read_bytes()
    positions = random.Random(0).sample(range(len(content)), 40)
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        assert number(tmp_path) == 1.0
    assert len(caplog.messages) == len(positions)
    assert f"{path}: its first line is not the SHA-256 of the rest" in caplog.messages[0]
    path.write_bytes(content)
    assert number(tmp_path) == 2.0


def test_a_kill_between_the_two_renames_leaves_the_state_before(tmp_path, caplog):
    save_state(tmp_path, state())
    (tmp_path / STATE).rename(tmp_path / PREVIOUS_STATE)
    assert number(tmp_path) == 1.0
    assert "it is missing; going on from the state before it" in caplog.text


def test_where_both_are_damaged_the_line_names_both(tmp_path):
    for _ in range(2):
        save_state(tmp_path, state())
    for name in (STATE, PREVIOUS_STATE):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=rf"{STATE} cannot .*{PREVIOUS_STATE} cannot .*delete"):
        load_state(tmp_path, RUN)


def test_the_state_of_another_run_is_refused(tmp_path):
    save_state(tmp_path, state() | {"run": RUN | {"seed": 5}})
    with pytest.raises(UserError, match="another run .seed is 5 there and 0 here"):
        load_state(tmp_path, RUN)


@pytest.mark.parametrize("content", [{}, [], "text", {"run": "x"}], ids=str)
def test_what_is_no_state_is_refused_though_its_digest_is_right(tmp_path, content):
    save_state(tmp_path, content)
    with pytest.raises(UserError, match="it holds no state of a run"):
        load_state(tmp_path, RUN)


def test_removing_them_leaves_nothing(tmp_path):
    for _ in range(2):
        save_state(tmp_path, state())
    close_states(tmp_path, keep=False)
    close_states(tmp_path, keep=False)
    assert not list(tmp_path.iterdir())
