"""The page: what stands where, and which answer changes when."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import torch.nn.functional as F
from matplotlib.figure import Figure
from PIL import Image, UnidentifiedImageError
from torch import nn

from demo.app import answers, drawing
from demo.pictures import element_names
from g_selfatt.datasets.errors import one_line
from g_selfatt.datasets.image_files import read_upright
from training.errors import UserError

EXAMPLE = Path(__file__).parents[1] / "digit.png"
LARGE = 1000  # pixels of the shorter side of an image; no network sees more than about a hundred
HOW = "Draw a digit, upload an image or take the example; then turn it."


def in_one_line(function: Callable[..., Any]) -> Callable[..., Any]:
    """A mistake of the user's is shown on the page, in one line."""

    @functools.wraps(function)
    def guarded(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (UserError, ValueError, OSError) as error:
            raise gr.Error(one_line(error), print_exception=False) from error

    return guarded


@in_one_line
def read_file(path: str) -> Image.Image:
    """The image of an uploaded file, a large one reduced: it is prepared again at each answer."""
    try:
        image = read_upright(path).convert("RGB")
        return image.reduce(max(1, min(image.size) // LARGE))
    except (UnidentifiedImageError, OSError) as error:
        raise UserError(f"{Path(path).name} is no image that can be read") from error


def read_drawing(sketch: dict[str, Any]) -> Image.Image | None:
    """What was drawn, black on white; None where nothing is, as on a canvas that was cleared."""
    drawn = sketch["composite"]
    if drawn is None:
        return None
    paper = Image.new("RGBA", drawn.size, "white")
    grey = Image.alpha_composite(paper, drawn).convert("L")
    return None if grey.getextrema() == (255, 255) else grey


def _most_networks() -> int:
    """How many are side by side: all that are shipped for a data set."""
    return max(map(len, answers.shipped().values()))


def turned(image: Image.Image, degrees: float, networks: dict[str, nn.Module]) -> list[Any]:
    """The turned image, and the answer of each network: class to probability, or no answer."""
    first = next(iter(networks.values()))
    pixels = answers.turn(answers.prepare(image, first), (int(degrees),))
    labels: list[Any] = []
    for name, network in networks.items():
        row = answers.answer(network, pixels)[0].tolist()
        named = dict(zip(answers.facts(network)["classes"], row, strict=True))
        labels.append(gr.Label(named, label=name, visible=True))
    hidden = [gr.Label(visible=False)] * (_most_networks() - len(labels))
    return [drawing.grey(pixels[0]), *labels, *hidden]


def curves(image: Image.Image, networks: dict[str, nn.Module]) -> Figure:
    """The probability of what each network says of the upright image, at every angle."""
    lines: dict[str, list[float]] = {}
    for name, network in networks.items():
        pixels = answers.turn(answers.prepare(image, network), answers.ANGLES)
        probabilities = answers.answer(network, pixels)
        said = int(probabilities[0].argmax())
        label = f"{name} says {answers.facts(network)['classes'][said]}"
        lines[label] = probabilities[:, said].tolist()
    return drawing.curves(answers.ANGLES, lines)


def turning_panel(
    choose: Callable[..., dict[str, nn.Module]], inputs: list[Any], chosen: list[Any]
) -> gr.State:
    """Image, slider, answers and curves of networks; returns the image.

    Args:
        choose: gives the networks by name.
        inputs: the components whose values it takes.
        chosen: the events after which there are others.
    """
    image = gr.State(Image.open(EXAMPLE).convert("L"))
    gr.Markdown(HOW)
    with gr.Row():
        with gr.Column(scale=1):
            sketch = gr.Sketchpad(
                type="pil",
                image_mode="RGBA",
                label="Draw",
                placeholder="Click the brush, then draw",
                layers=False,
                transforms=(),
                canvas_size=(280, 280),
                fixed_canvas=True,
                brush=gr.Brush(24, colors=["#000000"], color_mode="fixed"),
                height=360,
            )
            with gr.Row():
                upload = gr.UploadButton("Upload an image", type="filepath")
                example = gr.Button("Take the example")
        with gr.Column(scale=1):
            angle = gr.Slider(0, 360, 0, step=1, label="Angle, degrees counter-clockwise")
            shown = gr.Image(label="The network sees", interactive=False, height=300, buttons=[])
        with gr.Column(scale=2), gr.Row():
            labels = [
                gr.Label(num_top_classes=4, min_width=115, visible=False)
                for _ in range(_most_networks())
            ]
    gr.Markdown("Is the answer the same at every angle?")
    curve = gr.Plot(show_label=False)

    @in_one_line
    def at_angle(image: Image.Image, degrees: float, *chosen: Any) -> list[Any]:
        return turned(image, degrees, choose(*chosen))

    @in_one_line
    def at_all_angles(image: Image.Image, *chosen: Any) -> Figure:
        return curves(image, choose(*chosen))

    asked, outputs = [image, angle, *inputs], [shown, *labels]
    quick: dict[str, Any] = {"trigger_mode": "always_last", "show_progress": "hidden"}
    angle.change(at_angle, asked, outputs, **quick)
    changes = [
        sketch.change(lambda new, old: read_drawing(new) or old, [sketch, image], image),
        upload.upload(read_file, upload, image),
        example.click(lambda: Image.open(EXAMPLE).convert("L"), None, image),
    ]
    answers_shown = [
        gr.on(chosen, at_angle, asked, outputs),
        *(change.success(at_angle, asked, outputs, show_progress="hidden") for change in changes),
    ]
    for answered in answers_shown:
        answered.success(at_all_angles, [image, *inputs], curve, show_progress="hidden")
    return image


def build() -> gr.Blocks:
    """The page with its three tabs."""
    shipped = answers.shipped()
    with gr.Blocks(analytics_enabled=False, title="g_selfatt", fill_width=True) as page:
        gr.Markdown("# Turn an image, and watch what networks make of it")
        with gr.Tab("Turn it"):
            dataset = gr.Dropdown(list(shipped), value="rotMNIST", label="Networks trained on")
            loaded = [page.load, dataset.change]
            image = turning_panel(lambda name: shipped[name], [dataset], loaded)
        with gr.Tab("Look inside") as tab:
            inside_panel(image, [page.load, tab.select])
        with gr.Tab("Your weights"):
            folder = gr.Textbox(label="Run folder", placeholder="saved/…, then Enter")
            classes = gr.Textbox(label="Class names, separated by commas (optional), then Enter")
            turning_panel(own_networks, [folder, classes], [folder.submit, classes.submit])
    return page


def own_networks(folder: str, classes: str) -> dict[str, nn.Module]:
    """The user's network, with class names of their own where given."""
    if not folder.strip():
        raise UserError("Run folder is empty: type the folder of a run, as printed by training")
    network = answers.own(folder.strip())
    names = [name.strip() for name in classes.split(",")] if classes.strip() else None
    return {Path(folder).resolve().name: answers.with_classes(network, names)}


def inside_panel(image: gr.State, opened: list[Any]) -> None:
    """Click a pixel and see where each head looks; turn the image and see the features turn.

    Args:
        image: that is looked at.
        opened: the events after which it is.
    """
    with_attention = {
        f"{model} of {dataset}": network
        for dataset, of_dataset in answers.shipped().items()
        for model, network in of_dataset.items()
        if answers.attention_layers(network)
    }
    start = "p4sa of rotMNIST"
    pixel = gr.State((14, 14))
    with gr.Row():
        name = gr.Dropdown(list(with_attention), value=start, label="Network", min_width=240)
        names = list(answers.attention_layers(with_attention[start]))
        layer = gr.Dropdown(names, value=names[0], label="Layer")
        channel = gr.Number(0, label="Channel of the feature maps", precision=0, minimum=0)
        angle = gr.Slider(0, 360, 0, step=15, label="Angle, degrees")
    with gr.Row():
        clickable = gr.Image(
            label="The image of Turn it: click a pixel", interactive=False, height=300, buttons=[]
        )
        with gr.Column():
            plain: dict[str, Any] = {"show_label": False, "interactive": False, "buttons": []}
            gr.Markdown("Feature map at each group element")
            maps = gr.Image(**plain)
    gr.Markdown("What the pixel looks at, for each group element and head")
    attention = gr.Image(**plain)

    @in_one_line
    def look(
        image: Image.Image, name: str, layer: str, channel: float | None, degrees: float, pixel: Any
    ) -> list[Any]:
        network = with_attention[name]
        pixels = answers.turn(answers.prepare(image, network), (int(degrees),))
        elements = element_names(network.group)  # type: ignore[arg-type]
        inner = answers.attention_layers(network)[layer]
        weights = answers.attention_at(network, pixels, inner, pixel)
        channels = answers.features(network, pixels, inner)
        if channel is None or not 0 <= channel < len(channels):
            raise UserError(f"Channel: got {channel}, expected 0 to {len(channels) - 1}")
        heads = [f"head {n}" for n in range(len(weights))]
        shares = weights / weights.amax(dim=(1, 2, 3), keepdim=True)  # of the head's largest
        behind = F.interpolate(pixels.mean(dim=1, keepdim=True), weights.shape[-2:], mode="area")
        marked = drawing.grey(pixels[0])
        drawing.mark(marked, pixel, pixels.shape[-1])
        return [
            marked,
            drawing.tiles(channels[int(channel)][None], [""], elements),
            drawing.tiles(shares.transpose(0, 1), elements, heads, behind[0, 0]),
        ]

    def clicked(event: gr.SelectData, name: str) -> tuple[int, int]:
        size = answers.facts(with_attention[name])["image_size"]
        column, row = (int(i * size / drawing.SIDE) for i in event.index)
        return min(row, size - 1), min(column, size - 1)

    def layers(name: str) -> tuple[Any, tuple[int, int]]:
        names = list(answers.attention_layers(with_attention[name]))
        middle = answers.facts(with_attention[name])["image_size"] // 2
        return gr.Dropdown(names, value=names[0]), (middle, middle)

    asked, outputs = [image, name, layer, channel, angle, pixel], [clickable, maps, attention]
    name.input(layers, name, [layer, pixel]).then(look, asked, outputs)
    clickable.select(clicked, name, pixel).then(look, asked, outputs)
    gr.on([*opened, layer.input, channel.submit], look, asked, outputs)
    angle.change(look, asked, outputs, trigger_mode="always_last", show_progress="hidden")
