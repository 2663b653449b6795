"""Networks made of the layers of g_selfatt, by name, and their weights."""

from importlib import import_module

from g_selfatt.config_keys import registered
from g_selfatt.models.create import create_model, load_model
from g_selfatt.models.legacy import load_original_state_dict
from g_selfatt.models.registry import ModelEntry, list_models, model_entry, register_model
from g_selfatt.models.weight_files import CheckpointError, load_weights, read_metadata, save_weights
from g_selfatt.models.weights import (
    WEIGHTS,
    Weights,
    find_pretrained,
    list_pretrained,
    list_weights,
)

for _module, _ in registered("g_selfatt.models", "register_model"):
    import_module(_module)

from g_selfatt.models.cnn import CNN  # noqa: E402
from g_selfatt.models.group_coatnet import GroupCoAtNet  # noqa: E402
from g_selfatt.models.group_transformer import GroupTransformer  # noqa: E402

__all__ = [
    "WEIGHTS",
    "CNN",
    "CheckpointError",
    "GroupCoAtNet",
    "GroupTransformer",
    "ModelEntry",
    "Weights",
    "create_model",
    "find_pretrained",
    "list_models",
    "list_pretrained",
    "list_weights",
    "load_model",
    "load_original_state_dict",
    "load_weights",
    "model_entry",
    "read_metadata",
    "register_model",
    "save_weights",
]
