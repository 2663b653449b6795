"""Networks made of the layers of g_selfatt, by the names of the paper, and their weights."""

from models.checkpoints import CheckpointError, load_weights, read_metadata, save_weights
from models.cnn import CNN
from models.create import ATTENTION_TYPES, create_model
from models.group_transformer import GroupTransformer
from models.legacy import load_original_state_dict
from models.presets import GROUP_OF_MODEL, MODEL_NAMES, PRESETS, canonical_name

__all__ = [
    "ATTENTION_TYPES",
    "CNN",
    "GROUP_OF_MODEL",
    "MODEL_NAMES",
    "PRESETS",
    "CheckpointError",
    "GroupTransformer",
    "canonical_name",
    "create_model",
    "load_original_state_dict",
    "load_weights",
    "read_metadata",
    "save_weights",
]
