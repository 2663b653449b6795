"""Trained weights: what they are, which there are, and which belong to a network.

A run leaves one file of weights in its folder. The folders that the repository ships are the lines
of saved/shipped.txt, in the order in which they are preferred; every other folder is a user's own
and is loaded by its path only.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from g_selfatt import datasets
from g_selfatt.datasets import DatasetInfo
from g_selfatt.groups import Group
from g_selfatt.models.registry import model_entry
from g_selfatt.models.weight_files import CheckpointError, read_metadata

logger = logging.getLogger(__name__)
WEIGHTS = "weights.safetensors"
_PACKAGE = Path(__file__).resolve().parents[1]
SAVED = next(
    (home / "saved" for home in (_PACKAGE, _PACKAGE.parent) if (home / "saved").is_dir()),
    _PACKAGE.parent / "saved",  # a checkout that was emptied
)  # inside the installed package, or beside it in a checkout
SHIPPED = "shipped.txt"

# Arguments that may differ between a network and its weights: they change how it is trained, or
# where it computes.
FREE_ARGUMENTS = {
    "input_dropout_rate", "attention_dropout_rate", "value_dropout_rate", "dropout_rate",
    "dropout_rate_after_maxpooling", "whitening_scale", "position_init_scale", "locality_init",
    "backend",
}  # fmt: skip
# What the JSON of the metadata has at least.
_NEEDED = {
    "config": ("dataset", "model"),
    "results": ("test_accuracy", "parameters"),
    "network": ("arguments", "data"),
}
_FACTS = ("name", "image_size", "in_channels", "num_classes", "mean", "std", "classes")


@dataclass(frozen=True)
class Weights:
    """Trained weights on disk, without their tensors.

    Attributes:
        path: the file.
        metadata: the strings kept with them.
    """

    path: Path
    metadata: Mapping[str, str] = field(repr=False)

    @classmethod
    def read(cls, path: str | Path) -> Weights:
        """The weights of a run folder, or of a file.

        Raises:
            FileNotFoundError: there are none.
            CheckpointError: they are damaged, or were not written by training.
        """
        path = Path(path)
        path = path / WEIGHTS if path.is_dir() else path
        metadata = read_metadata(path)
        if missing := [name for name in _NEEDED if name not in metadata]:
            raise CheckpointError(
                f"{path} was not written by training: it lacks {', '.join(missing)}"
            )
        for name, keys in _NEEDED.items():
            if not _is_object_with(metadata[name], keys):
                raise CheckpointError(
                    f"{path} was not written by training: {name} is no JSON with {', '.join(keys)}"
                )
        return cls(path, metadata)

    @property
    def name(self) -> str:
        """The full name: that of the run folder."""
        return self.path.resolve().parent.name

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration of the run."""
        return json.loads(self.metadata["config"])

    @cached_property
    def results(self) -> dict[str, Any]:
        """The figures of the run."""
        return json.loads(self.metadata["results"])

    @cached_property
    def network(self) -> dict[str, Any]:
        """What the network was made with, as from `network_record`."""
        return json.loads(self.metadata["network"])

    @property
    def model(self) -> str:
        """The name of the network."""
        return self.config["model"]

    @property
    def dataset(self) -> str:
        """The name of the data set."""
        return self.config["dataset"]

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the network; those younger than the weights by default."""
        arguments = model_entry(self.model).defaults | self.network["arguments"]
        return json.loads(json.dumps(arguments))

    @property
    def test_accuracy(self) -> float:
        """Fraction of the test images that are right."""
        return self.results["test_accuracy"]

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""
        return self.results["parameters"]

    @property
    def pretrained_config(self) -> dict[str, Any]:
        """What the weights are and how their images are prepared: (pixel/255 − mean) / std."""
        facts = self.network["data"]
        digits = tuple(str(label) for label in range(facts["num_classes"]))
        return {
            "name": self.name,
            "model": self.model,
            "dataset": facts["name"],
            **{fact: facts[fact] for fact in ("image_size", "in_channels", "num_classes")},
            "mean": tuple(facts["mean"]),
            "std": tuple(facts["std"]),
            "classes": tuple(facts["classes"]) or digits,
            "provenance": self.metadata["data"],
            "test_accuracy": self.test_accuracy,
            "parameters": self.parameters,
        }

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.model} on {self.dataset}, test accuracy {self.test_accuracy:.2%}, "
            f"{self.parameters:,} parameters"
        )


def _is_object_with(text: str, keys: Iterable[str]) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and all(key in value for key in keys)


def network_record(model: str, info: DatasetInfo, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept with weights so that their network can be made again.

    Args:
        model: the registered name.
        info: the record of the data set.
        arguments: the keyword arguments.

    Returns:
        The same as JSON gives it back.
    """
    data = {fact: getattr(info, fact) for fact in _FACTS}
    record = {"model": model, "arguments": dict(arguments), "data": data}
    return as_json(record)


def as_json(value: Mapping[str, Any]) -> Any:
    """What JSON gives back; a group is its name, and NumPy's and torch's numbers are plain ones."""

    def plain(value: Any) -> Any:
        if isinstance(value, Group):
            return value.name
        return value.tolist() if hasattr(value, "tolist") else str(value)

    return json.loads(json.dumps(value, default=plain))


def list_weights(folder: str | Path) -> list[Weights]:
    """The weights of all run folders in a folder, by name; what cannot be read is logged, left out.

    Args:
        folder: such as ``saved``.
    """
    return list(_readable(sorted(Path(folder).glob(f"*/{WEIGHTS}"))))


def _readable(files: Iterable[Path]) -> Iterator[Weights]:
    for path in files:
        try:
            yield Weights.read(path)
        except (CheckpointError, OSError) as error:  # such as another user's
            logger.warning("%s; left out", error)


def list_pretrained(filter: str = "") -> list[Weights]:
    """The weights that are shipped with the repository, in the order of preference.

    Args:
        filter: a pattern of full names such as ``"rotMNIST*"``, in any case; empty for all.

    Returns:
        Those that there are; what cannot be read is logged and left out.

    Raises:
        CheckpointError: the only weights that are asked for are damaged.
    """
    if not (SAVED / SHIPPED).exists():
        return []
    lines = (SAVED / SHIPPED).read_text(encoding="utf-8").splitlines()
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    pattern = filter.lower() or "*"
    wanted = [n for n in names if fnmatch(n.lower(), pattern) and (SAVED / n / WEIGHTS).exists()]
    if [name.lower() for name in wanted] == [pattern]:
        return [Weights.read(SAVED / wanted[0])]
    return list(_readable(SAVED / name / WEIGHTS for name in wanted))


def find_pretrained(
    name: str,
    dataset: str | DatasetInfo | None,
    overrides: Mapping[str, Any] = MappingProxyType({}),
) -> list[Weights]:
    """The shipped weights of a network.

    Args:
        name: of the network, in any case, or the full name of weights.
        dataset: a name in any case, or a record; not looked at where weights have the full name.
        overrides: arguments of the network in place of those of the data set.

    Returns:
        All that fit, the preferred first.

    Raises:
        FileNotFoundError: there are none; the message lists those that there are.
        ValueError: an unknown name.
    """
    shipped = list_pretrained()
    if named := [weights for weights in shipped if weights.name == name]:
        return named
    entry = model_entry(name)
    if dataset is None:
        raise ValueError("pretrained=True needs the data set that the weights were trained on")
    info = datasets.INFO[datasets.canonical_name(dataset)] if isinstance(dataset, str) else dataset
    wanted = network_record(entry.name, info, entry.arguments_for(info) | dict(overrides))
    fitting = [weights for weights in shipped if fits(weights, wanted)]
    if not fitting:
        given = "".join(f", {key}={value}" for key, value in overrides.items())
        network = (entry.name, info.name)
        near = [one.name for one in shipped if (one.model, one.dataset) == network]
        there = near or [one.name for one in shipped] or ["none"]
        words = "with other arguments, by their full name" if near else "there are"
        raise FileNotFoundError(
            f"no weights are shipped for model={entry.name}, dataset={info.name}{given}; "
            f"{words}: {', '.join(there)}"
        )
    return fitting


def fits(weights: Weights, wanted: Mapping[str, Any]) -> bool:
    """Whether weights are of a network: the same name, data set, and arguments that matter to them.

    Args:
        weights: trained.
        wanted: as from `network_record`.
    """
    if (weights.model, weights.dataset) != (wanted["model"], wanted["data"]["name"]):
        return False
    return computing(weights.arguments) == computing(wanted["arguments"])


def computing(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that decide what a network computes from its weights."""
    chosen = {
        keyword: value for keyword, value in arguments.items() if keyword not in FREE_ARGUMENTS
    }
    if chosen.get("attention_type") == "Global":
        chosen.pop("patch_size", None)
    return chosen
