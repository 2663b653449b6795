"""Every key of a run: type, default, meaning and valid values; no other file holds a default.

`python main.py --help` prints this table. A default of None reads "by data set": the facts of the
optimisation come from PROTOCOLS below, those of the network from models/presets.py, and
training/settings.py fills them in. A file of one's own is given by `--config=other.py` and starts
from this one:

    from config import get_config as defaults

    def get_config():
        config = defaults()
        config.model = "p8sa"
        return config
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ml_collections import ConfigDict, config_dict


@dataclass(frozen=True)
class Key:
    """One key of the configuration.

    Attributes:
        name: the word after `--config.`.
        type: bool, int, float, str or tuple.
        default: the value where the user gives none; None where something else decides, see `by`.
        meaning: one or two lines for the table of `--help`.
        choices: the valid values of a key that is a choice, accepted in any case.
        expected: what a valid value is, in the words of an error message.
        valid: whether a value is what `expected` says.
        by: what decides where the default is None.
        before: the value of a run that is older than the key, where the default is None.
    """

    name: str
    type: type
    default: Any
    meaning: str
    choices: tuple[str, ...] = ()
    expected: str = ""
    valid: Callable[[Any], bool] = lambda value: True
    by: str = "data set"
    before: Any = None


# What the papers (and, for rotDigits, our own tuning) train each data set with.
_SGD_WARMUP = {"optimizer": "SGD", "lr": 0.01, "scheduler": "linear_warmup_cosine"}
_ADAM_CONSTANT = {"optimizer": "Adam", "lr": 1e-3, "scheduler": "constant"}
_PLAIN = {"weight_decay": 1e-4, "label_smoothing": 0.0, "clip_grad_norm": 0.0, "ema_decay": 0.0}
PROTOCOLS: dict[str, dict[str, Any]] = {
    "rotDigits": {
        "optimizer": "Adam",
        "lr": 4e-3,
        "scheduler": "one_cycle",
        "batch_size": 8,
        "epochs": 10,
        **_PLAIN,
    },
    "rotMNIST": {**_ADAM_CONSTANT, "batch_size": 8, "epochs": 300, **_PLAIN},
    "MNIST": {**_ADAM_CONSTANT, "batch_size": 8, "epochs": 300, **_PLAIN},
    "CIFAR10": {**_SGD_WARMUP, "batch_size": 24, "epochs": 350, **_PLAIN},
    "PCam": {**_SGD_WARMUP, "batch_size": 16, "epochs": 100, **_PLAIN},
}


_MOST = 1_000_000  # of anything counted
_COMMENT = 100  # bytes: the name of the run's folder has them, and a name has 255 at most


def _positive(name: str, default: float | None, meaning: str) -> Key:
    return Key(
        name,
        float,
        default,
        meaning,
        expected="a finite number above 0",
        valid=lambda value: math.isfinite(value) and value > 0,
    )


def _rate(name: str, default: float | None, meaning: str, before: Any = None) -> Key:
    return Key(
        name,
        float,
        default,
        meaning,
        expected="in [0, 1)",
        valid=lambda value: 0 <= value < 1,
        before=before,
    )


def _not_negative(name: str, default: float | None, meaning: str, before: Any = None) -> Key:
    return Key(
        name,
        float,
        default,
        meaning,
        expected="a finite number, at least 0",
        valid=lambda value: math.isfinite(value) and value >= 0,
        before=before,
    )


def _count(name: str, default: int | None, meaning: str, least: int = 1) -> Key:
    return Key(
        name,
        int,
        default,
        meaning,
        expected=f"at least {least} and at most {_MOST:,}",
        valid=lambda value: least <= value <= _MOST,
    )


def _increasing_epochs(steps: tuple) -> bool:
    whole = all(isinstance(step, int) and not isinstance(step, bool) for step in steps)
    return whole and all(a < b for a, b in zip((0, *steps), steps, strict=False))


SECTIONS: dict[str, tuple[Key, ...]] = {
    "What is trained": (
        Key("dataset", str, "rotDigits", f"data set: {', '.join(PROTOCOLS)}"),
        Key(
            "model",
            str,
            "p4sa",
            "network: z2sa mz2sa p4sa p8sa p12sa p16sa p4msa p8msa (self-attention on the group "
            "that the name begins with), or z2cnn (the convolutional baseline)",
        ),
        Key(
            "seed",
            int,
            0,
            "seed of weights, order of images and dropout",
            expected="in [0, 2**32)",
            valid=lambda value: 0 <= value < 2**32,
        ),
        Key("augment", bool, False, "augment the training images (the papers do not)"),
        Key(
            "eval_protocol",
            str,
            "held_out",
            "held_out: the epoch is picked on validation images and the test images are read once; "
            "paper: the epoch is picked on the test images, as the released code does",
            ("held_out", "paper"),
        ),
        Key(
            "comment",
            str,
            "",
            "a word of your own; runs that differ in it are kept apart",
            expected=f"at most {_COMMENT} bytes",
            valid=lambda value: len(os.fsencode(value)) <= _COMMENT,
        ),
    ),
    "The network": (
        Key(
            "attention_type",
            str,
            "Local",
            "window around each pixel, or all pixels",
            ("Local", "Global"),
        ),
        Key(
            "patch_size",
            int,
            None,
            "side of the window of local attention in pixels",
            expected="odd and at least 1",
            valid=lambda value: value >= 1 and value % 2 == 1,
        ),
        Key("norm_type", str, None, "normalisation", ("LayerNorm", "BatchNorm")),
        Key("activation_function", str, None, "activation", ("Swish", "ReLU")),
        _rate("dropout_att", None, "dropout on the attention coefficients"),
        _rate("dropout_values", None, "dropout on the output of an attention layer"),
        _positive("whitening_scale", None, "initial weights are N(0, whitening_scale^2 / fan_in)"),
        _not_negative(
            "position_init_scale",
            None,
            "initial position MLPs: 0: zero biases, as the released code, so that they see only "
            "the sign of a coordinate; above 0: biases U(-1, 1), last layer scaled by this",
            before=0.0,
        ),
        Key(
            "group_encoding",
            str,
            "equivariant",
            "which relative group element the group encoding sees: equivariant, relative and gevit "
            "make the network exactly equivariant, paper is what the released code does",
            ("equivariant", "relative", "gevit", "paper"),
        ),
        Key(
            "positional_encoding",
            str,
            "mlp",
            "mlp: a small network of the offset; table: a row of numbers for each offset (groups "
            "of quarter turns and mirrors only)",
            ("mlp", "table"),
        ),
        Key("backend", str, "auto", "which implementation computes the attention"),
    ),
    "Optimisation": (
        Key("optimizer", str, None, "optimiser", ("Adam", "AdamW", "SGD")),
        _rate("optimizer_momentum", 0.9, "momentum of SGD"),
        _positive("lr", None, "learning rate (its peak where the scheduler has one)"),
        Key(
            "scheduler",
            str,
            None,
            "learning rate over time",
            ("constant", "multistep", "linear_warmup_cosine", "one_cycle"),
        ),
        Key(
            "sched_decay_steps",
            tuple,
            (),
            'multistep: the epochs at which the learning rate falls, as in "(100,200)"',
            expected="whole epochs above 0 in increasing order, such as (100,200)",
            valid=_increasing_epochs,
        ),
        _positive("sched_decay_factor", 10.0, "multistep: what the learning rate is divided by"),
        _not_negative(
            "weight_decay", None, "weight decay (an L2 term of the loss; decoupled under AdamW)"
        ),
        _rate("label_smoothing", None, "share of the labels spread over all classes", before=0.0),
        _not_negative(
            "clip_grad_norm", None, "largest norm of the gradient of a step; 0: any", before=0.0
        ),
        _rate(
            "ema_decay",
            None,
            "decay of an exponential moving average of the weights, which is then what is "
            "evaluated and kept; 0: none",
            before=0.0,
        ),
        _count("batch_size", None, "images in a batch"),
        _count("epochs", None, "passes over the training images"),
    ),
    "The machine": (
        Key("device", str, "auto", "auto (CUDA where there is one), cpu, cuda or cuda:N"),
        Key(
            "amp",
            str,
            "auto",
            "mixed precision: auto (fp16 with loss scaling on CUDA under a constant learning rate, "
            "off otherwise), off (plain float32), fp16 or bf16",
            ("auto", "off", "fp16", "bf16"),
        ),
        Key(
            "compile",
            bool,
            False,
            "CUDA alone: torch.compile the network into CUDA graphs, for small batches, whose "
            "steps take longer to launch than to compute; the first steps take minutes",
        ),
        _count("num_workers", 4, "processes that read images, for PCam alone", least=0),
    ),
    "Files": (
        Key("data_dir", str, "data", "where the data sets are"),
        Key("save_dir", str, "saved", "where the run folders are"),
        Key(
            "path",
            str,
            "",
            "the run folder itself, in place of save_dir/<a name made from the config>",
        ),
        Key(
            "pretrained",
            bool,
            False,
            "load the weights of exactly this configuration and evaluate them on the test images",
        ),
        Key(
            "train",
            bool,
            None,
            "by default the opposite of pretrained; with pretrained=True, train=True fine-tunes",
            by="pretrained",
        ),
        Key(
            "smoke",
            bool,
            False,
            "check a command line: two images a split, one step, nothing is kept",
        ),
    ),
    "Tracking": (
        Key("wandb", str, "disabled", "Weights & Biases", ("disabled", "offline", "online")),
        Key("wandb_entity", str, "", "user or team there; empty: WANDB_ENTITY"),
        Key("wandb_project", str, "", "project there; empty: WANDB_PROJECT, else g_selfatt"),
    ),
}
KEYS: dict[str, Key] = {key.name: key for keys in SECTIONS.values() for key in keys}


def get_config() -> ConfigDict:
    """The default configuration, a ConfigDict whose keys are fixed and typed.

    Returns:
        One entry per Key; a default of None is a typed placeholder.
    """
    return ConfigDict(
        {
            key.name: config_dict.placeholder(key.type) if key.default is None else key.default
            for key in KEYS.values()
        }
    )
