"""The data sets of the experiments: what they are, how they are split, how they are fed."""

from datasets.errors import DataError
from datasets.info import INFO, NAMES, DatasetInfo, canonical_name
from datasets.loader import Loader, make_loader
from datasets.mnist_rot import MNIST_rot
from datasets.registry import EVAL_PROTOCOLS, load
from datasets.splits import Splits, TensorSplit

__all__ = [
    "EVAL_PROTOCOLS",
    "INFO",
    "NAMES",
    "DataError",
    "DatasetInfo",
    "Loader",
    "MNIST_rot",
    "Splits",
    "TensorSplit",
    "canonical_name",
    "load",
    "make_loader",
]
