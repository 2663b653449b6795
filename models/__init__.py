"""Networks made of the layers of g_selfatt, by name, and their weights."""

from importlib import import_module

from keys import registered
from models.checkpoints import CheckpointError, load_weights, read_metadata, save_weights
from models.legacy import load_original_state_dict
from models.registry import ModelEntry, create_model, list_models, model_entry, register_model

for _module, _ in registered("models", "register_model"):
    import_module(_module)

from models.cnn import CNN  # noqa: E402
from models.group_coatnet import GroupCoAtNet  # noqa: E402
from models.group_transformer import GroupTransformer  # noqa: E402

__all__ = [
    "CNN",
    "CheckpointError",
    "GroupCoAtNet",
    "GroupTransformer",
    "ModelEntry",
    "create_model",
    "list_models",
    "load_original_state_dict",
    "load_weights",
    "model_entry",
    "read_metadata",
    "register_model",
    "save_weights",
]
