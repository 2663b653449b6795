"""A trained network as an ONNX file, checked against the network.

    python -m g_selfatt.models.export --dataset rotDigits --model p4sa --pretrained --out model.onnx
    python -m g_selfatt.models.export --run saved/FOLDER --out model.onnx

Input ``images``: ``(batch, C, H, W)`` float32, prepared as the metadata of the file says; output
``logits``: ``(batch, classes)``. Any batch.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from g_selfatt import models
from g_selfatt.datasets.files import replacing
from g_selfatt.models.classifier import known_of
from g_selfatt.nn.modes import evaluating

TOLERANCE = 1e-4  # of the largest logit, in float32
BATCHES = (1, 3)  # checked; the graph is traced with another


def export_onnx(network: nn.Module, path: str | Path) -> float:
    """Write a network with weights as ONNX and compare the two.

    Args:
        network: from `models.load_model` or `models.create_model` with ``pretrained=True``; the
            mode of each of its modules is restored.
        path: the file.

    Returns:
        The largest difference of a logit on random images, over the largest logit.

    Raises:
        ImportError: onnx, onnxscript or onnxruntime is not installed.
    """
    import onnx

    prepared = known_of(network)
    shape = (prepared["in_channels"], prepared["image_size"], prepared["image_size"])
    with evaluating(network):
        model = _trace(network, shape)
        onnx.helper.set_model_props(model, {key: json.dumps(prepared[key]) for key in prepared})
        with replacing(Path(path)) as temporary:
            onnx.save(model, temporary)
            return max(
                _difference(network, temporary, torch.randn(batch, *shape)) for batch in BATCHES
            )


def _trace(network: nn.Module, shape: tuple[int, int, int]) -> Any:
    """The model of ONNX, for any batch of images ``(C, H, W)``."""
    with torch.no_grad():
        network(torch.randn(1, *shape))  # tables that are made once are not part of the graph
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of the exporter about its own insides
        program = torch.onnx.export(
            network,
            (torch.randn(2, *shape),),
            dynamo=True,
            optimize=False,  # folding constants fails on a split
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: "batch"},),
        )
    return program.model_proto


def _difference(network: nn.Module, path: Path, images: torch.Tensor) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        expected = network(images)
    return float((torch.from_numpy(logits) - expected).abs().max() / expected.abs().max())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m g_selfatt.models.export", description="Write a trained network as ONNX."
    )
    parser.add_argument(
        "--run", help="the run folder of the weights, or the full name of shipped ones"
    )
    parser.add_argument("--dataset", help="data set (default: rotDigits, or that of the weights)")
    parser.add_argument("--model", help="network, or full name of weights (default: p4sa)")
    parser.add_argument(
        "--pretrained", action="store_true", help="the shipped weights of --dataset and --model"
    )
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Export and print the error; returns 0, 1 where it is too large, 2 for a user's mistake."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if bool(options.run) == options.pretrained:
        parser.error("give either --run FOLDER or --pretrained")
    try:
        if options.run and (options.dataset or options.model):
            raise ValueError("--run says which network it is: leave out --dataset and --model")
        shipped = {weights.name: weights for weights in models.list_pretrained()}
        if options.run:
            network = models.load_model(shipped.get(options.run, options.run))
        else:
            name = options.model or "p4sa"
            dataset = options.dataset or (None if name in shipped else "rotDigits")
            network = models.create_model(name, dataset, pretrained=True)
        error = export_onnx(network, options.out)
    except ImportError as missing:
        print(f"{missing}: pip install onnx onnxscript onnxruntime", file=sys.stderr)
        return 2
    except (ValueError, OSError) as mistake:
        print(mistake, file=sys.stderr)
        return 2
    print(f"{options.out}: {network.pretrained_config['name']}")
    print(f"difference from the network in onnxruntime: {error:.1e} of the largest logit")
    return 0 if error < TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
