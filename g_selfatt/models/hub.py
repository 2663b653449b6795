"""Networks on the Hugging Face Hub: saved with what made them, loaded by folder or repository.

    network = models.create_model("p4sa", "rotDigits", pretrained=True)
    network.save_pretrained("folder")
    network.push_to_hub("user/p4sa-rotdigits")
    network = models.GroupTransformer.from_pretrained("folder")

Needs huggingface_hub; without it, the methods say so, and all else works.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from g_selfatt.groups import Group, get
from g_selfatt.models.classifier import known_of
from g_selfatt.models.registry import model_entry
from g_selfatt.models.weight_files import load_weights, read_metadata, save_weights
from g_selfatt.models.weights import as_json, computing

try:
    from huggingface_hub import ModelCard, PyTorchModelHubMixin, hf_hub_download
except ImportError:

    class HubModule(nn.Module):
        """What stands in for the methods of the Hub where huggingface_hub is not installed."""

        @classmethod
        def from_pretrained(cls, *arguments: Any, **options: Any) -> Any:
            """Say what to install."""
            raise ImportError(
                "networks are saved for the Hub, and loaded, by huggingface_hub: "
                "pip install huggingface_hub"
            )

        save_pretrained = push_to_hub = from_pretrained

else:
    logger = logging.getLogger(__name__)

    class HubModule(PyTorchModelHubMixin, nn.Module):  # type: ignore[no-redef]
        """`save_pretrained`, `from_pretrained` and `push_to_hub` of a network.

        A folder or repository holds ``config.json``, the arguments of the network;
        ``model.safetensors``, its weights with their digest and all that `create_model` and
        `load_model` know of it; and ``README.md``, a model card.
        """

        def __init_subclass__(cls, **options: Any) -> None:
            coders: dict[type, Any] = {Group: (lambda group: group.name, get)}
            for kind in (np.generic, np.ndarray):
                coders[kind] = (lambda numbers: numbers.tolist(), kind)
            super().__init_subclass__(coders=coders, **options)
            # The signature of the class is that of its __init__, not of the mixin's __new__.
            parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
            setattr(cls, "__signature__", inspect.Signature(parameters))  # noqa: B010

        def _save_pretrained(self, save_directory: Path) -> None:
            _check_group(getattr(self, "group", None))
            arguments: dict[str, Any] = dict(self._hub_mixin_config)  # type: ignore[arg-type]
            arguments["num_classes"] = self.num_classes
            save_directory.joinpath("config.json").write_text(json.dumps(arguments, indent=2))
            metadata = {
                "pretrained_config": json.dumps(known_of(self)),
                "class": type(self).__name__,
            }
            save_weights(save_directory / "model.safetensors", self, metadata)
            card = save_directory / "README.md"
            if card.exists() and ModelCard.load(card).content != _card(self):
                logger.warning("%s is not changed; delete it to get a new model card", card)

        @classmethod
        def _from_pretrained(cls, *, model_id: str, **options: Any) -> Any:
            """The network in eval mode, with strictly its weights.

            Raises:
                ValueError: the weights are of a network of another class, or are damaged.
            """
            of_hub = ("revision", "cache_dir", "force_download", "local_files_only", "token")
            where = {name: options.pop(name) for name in of_hub}
            for name in ("proxies", "resume_download"):  # of huggingface_hub before 1.0
                options.pop(name, None)
            path = Path(model_id, "model.safetensors")
            if not os.path.isdir(model_id):
                path = Path(hf_hub_download(model_id, "model.safetensors", **where))
            device = options.pop("map_location", "cpu")
            options.pop("strict", None)
            metadata = read_metadata(path)
            record = json.loads(metadata.get("network", "{}"))
            # Files of earlier versions do not say their class.
            made_by = metadata.get("class") or _class_of(record)
            if made_by not in (None, cls.__name__):
                raise ValueError(
                    f"{model_id} is a {record.get('model', made_by)}, got "
                    f"{cls.__name__}.from_pretrained, expected {made_by}.from_pretrained"
                )
            network = cls(**options)
            load_weights(path, network)
            known = json.loads(metadata["pretrained_config"])
            known |= {key: tuple(x) for key, x in known.items() if isinstance(x, list)}
            if _class_of(record) == cls.__name__:
                _take_in(options, record, known)
            for name, value in (("network_record", record), ("pretrained_config", known)):
                if value:
                    vars(network)[name] = value
            return network.to(device).eval()

        def generate_model_card(self, *arguments: Any, **options: Any) -> ModelCard:
            """The model card, from what is known of the network and its weights."""
            return ModelCard(_card(self))


def _class_of(record: dict[str, Any]) -> str | None:
    """The class of the registered network that a record names, if there is one."""
    try:
        build: Any = model_entry(record.get("model", "")).build
    except ValueError:
        return None
    return build.__name__ if isinstance(build, type) else None


def _take_in(options: dict[str, Any], record: dict[str, Any], known: dict[str, Any]) -> None:
    """Bring what is known of a network up to the arguments that it was made with this time."""
    before = as_json(model_entry(record["model"]).defaults | record["arguments"])
    now = before | as_json(options)
    if computing(now) != computing(before):
        known.pop("test_accuracy", None)
    record["arguments"] |= {key: now[key] for key in now if now[key] != before.get(key)}


def _check_group(group: Group | None) -> None:
    """ValueError unless the name of a group stands for it."""
    if group is None:
        return
    try:
        named = get(group.name)
    except ValueError:
        named = None
    if named is None or not (
        torch.equal(named.multiplication_table, group.multiplication_table)
        and torch.equal(named.matrices, group.matrices)
    ):
        raise ValueError(
            f"a network is saved with the name of its group, and groups.get({group.name!r}) is not "
            "this group; save its state_dict, or use a group that groups.get makes"
        )


def _card(network: Any) -> str:
    record = getattr(network, "network_record", {})
    known = known_of(network)
    name, made_by = record.get("model", type(network).__name__), type(network).__name__
    count = sum(parameter.numel() for parameter in network.parameters())
    lines = [
        "---",
        "license: mit",
        "library_name: g_selfatt",
        "pipeline_tag: image-classification",
        "tags: [equivariance, model_hub_mixin]",
        "---",
        f"# {name}" + (f", trained on {known['dataset']}" if known else ""),
        "",
        "A group equivariant network of g_selfatt, after *Group Equivariant Stand-Alone "
        "Self-Attention For Vision* (Romero & Cordonnier, ICLR 2021).",
        "",
        f"- Parameters: {count:,}",
    ]
    if "group" in (arguments := record.get("arguments", {})):
        lines.append(f"- Group: {arguments['group']}")
    if known:
        size, channels = known["image_size"], known["in_channels"]
        if "name" in known:
            lines.append(f"- Weights: `{known['name']}`")
        if "test_accuracy" in known:
            lines.append(f"- Test accuracy: {known['test_accuracy']:.2%}")
        if "classes" in known:
            lines.append(f"- Classes: {', '.join(known['classes'])}")
        lines += [
            f"- Data: {known['provenance']}",
            f"- Input: ({channels}, {size}, {size}), (pixel/255 − mean) / std with mean "
            f"{known['mean']} and std {known['std']}",
        ]
    lines += [
        "",
        "```python",
        "from g_selfatt import models",
        "",
        f'network = models.{made_by}.from_pretrained("THIS REPOSITORY")',
        "```",
        "",
    ]
    return "\n".join(lines)
