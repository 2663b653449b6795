"""The pictures: the numbers on them, and the command that draws them."""

import json

import pytest
import torch
from PIL import Image

from demo import figures
from demo.figures import __main__ as command
from demo.figures import attention, cost, encodings, equivariance
from demo.networks import Normalize, mnist_digit, name_layers
from demo.style import PICTURES
from g_selfatt import datasets, models
from g_selfatt.nn import attention_maps


def shipped(name):
    return models.create_model(name, "rotMNIST", pretrained=True).double().eval()


@pytest.mark.parametrize("name", ["z2sa", "p4sa"])
def test_the_square_is_that_of_the_network(name):
    """Against the maps of a hook, turned by hand: index x shows what x + 1 showed."""
    square, maps, model = equivariance.measure(name, mnist_digit()), [], shipped(name)
    layer = name_layers(model)["attention 1"]
    layer.register_forward_hook(lambda module, inputs, output: maps.append(output))
    image = Normalize(datasets.INFO["rotMNIST"])(mnist_digit())
    with torch.no_grad():
        model(image), model(image.rot90(dims=(2, 3)))
    expected = maps[0].rot90(dims=(3, 4)).roll(-1, dims=2)
    error = (maps[1] - expected).abs().max() / maps[0].abs().max()
    assert (square.error < 1e-12) == (name == "p4sa")
    assert square.error == pytest.approx(error.item(), rel=1e-9, abs=1e-14)
    drawn = (square.of_turned - square.turned).abs().max() / maps[0].abs().max()
    assert drawn <= square.error and (drawn > 1e-2) == (name == "z2sa")


def test_the_rollout_of_uniform_attention_is_a_box_on_the_pixel():
    uniform = torch.full((1, 2, 4, 6, 6, 9), 1 / 9)
    expected = torch.zeros(6, 6)
    expected[1:4, 2:5] = 1 / 18
    expected[2, 3] += 1 / 2
    torch.testing.assert_close(attention.rollout([uniform], (2, 3)), expected)
    pooled = attention.rollout([uniform, torch.full((1, 2, 4, 3, 3, 1), 1.0)], (1, 1))
    assert pooled.sum() == pytest.approx(1) and pooled[2:4, 2:4].sum() > 0.6


def test_what_a_pixel_looks_at_turns_with_the_image():
    model, image = shipped("p4sa"), mnist_digit()
    upright = attention.rollout(list(attention_maps(model, image).values()), (1, 4))
    turned = list(attention_maps(model, image.rot90(dims=(2, 3))).values())
    torch.testing.assert_close(attention.rollout(turned, (1, 1)), upright.rot90())
    assert not torch.allclose(upright, upright.rot90(), rtol=0.1)


def test_the_encodings():
    assert encodings.worst_error("p4m", "equivariant") < encodings.EXACT
    assert encodings.worst_error("p4m", "paper") > encodings.BROKEN


def test_the_cost_marks_where_memory_ends(tmp_path):
    point = {"backend": "reference", "side": 32, "seconds": 1.0, "megabytes": 10.0}
    lacking = point | {"side": 64, "seconds": None, "megabytes": None}
    points = [point, lacking, point | {"backend": "numba"}]
    (tmp_path / "figures.json").write_text(json.dumps({"figures": points}))
    with_cross = Image.open(cost.draw(tmp_path, tmp_path / "figures.json")).copy()
    points.remove(lacking)
    (tmp_path / "figures.json").write_text(json.dumps({"figures": points}))
    assert Image.open(cost.draw(tmp_path, tmp_path / "figures.json")).tobytes() != (
        with_cross.tobytes()
    )


def test_the_command_draws_what_it_is_asked(tmp_path, capsys):
    assert command.main(["equivariance", f"--out={tmp_path}"]) == 0
    assert Image.open(tmp_path / "equivariance.png").size == (1440, 980)
    assert "drew" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        command.main(["equivarience"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "there is no picture 'equivarience'" in error and error.count("\n") == 1


def test_every_picture_is_in_the_pages():
    drawn = {p.stem for p in PICTURES.iterdir()}
    names = {m.name for m in command.iter_modules(figures.__path__)} - {"__main__"}
    assert drawn == names
