"""Every key of a run: type, default, meaning and valid values; no other file holds a default.

`python main.py --help` prints this table. A default of None reads "by data set": the protocol in
the record of the data set has those of the optimization, the file of the network those of the
network, and training/settings.py fills them in. Choices are read from where they are defined, and
keys that one data set or network has for itself stand in its file. A file of one's own is given by
`--config=other.py` and starts from this one:

    from config import get_config as defaults

    def get_config():
        return defaults(model="p8sa")
"""

import os
from itertools import pairwise
from typing import Any

from ml_collections import ConfigDict

from g_selfatt.config_keys import Key, choices_of, count, not_negative, positive, rate, registered
from g_selfatt.datasets import EVAL_PROTOCOLS, list_datasets

_COMMENT = 100  # bytes: the name of the run's folder has them, and a name has 255 at most
_NETWORKS = registered("g_selfatt.models", "register_model")
MODELS = tuple(name for _, names in _NETWORKS for name in names)


def _increasing_epochs(steps: tuple) -> bool:
    whole = all(isinstance(step, int) and not isinstance(step, bool) for step in steps)
    return whole and all(a < b for a, b in pairwise((0, *steps)))


SECTIONS: dict[str, tuple[Key, ...]] = {
    "What is trained": (
        Key("dataset", str, "rotDigits", f"data set: {', '.join(list_datasets())}"),
        Key(
            "model",
            str,
            "p4sa",
            f"network: {' '.join(MODELS)}; the name begins with its group",
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
            "weights",
            str,
            "",
            "start from these trained weights, a run folder or the full name of shipped weights: "
            "their architecture, with a new last layer where the classes are others",
        ),
        Key(
            "freeze",
            str,
            "none",
            "backbone: only the last layer is trained; with weights",
            choices_of("training.transfer", "FREEZE"),
        ),
        Key(
            "eval_protocol",
            str,
            "held_out",
            "held_out: the epoch is picked on validation images and the test images are read once; "
            "paper: the epoch is picked on the test images, as the released code does",
            EVAL_PROTOCOLS,
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
            choices_of("g_selfatt.models.group_transformer", "ATTENTION_TYPES"),
        ),
        Key(
            "patch_size",
            int,
            None,
            "side of the window of local attention in pixels",
            expected="odd and at least 1",
            valid=lambda value: value >= 1 and value % 2 == 1,
        ),
        Key(
            "norm_type",
            str,
            None,
            "normalization",
            choices_of("g_selfatt.nn.elementary", "NORMS"),
        ),
        Key(
            "activation_function",
            str,
            None,
            "activation",
            choices_of("g_selfatt.nn.elementary", "ACTIVATIONS"),
        ),
        rate(
            "dropout_att",
            None,
            "dropout on the attention coefficients",
            argument="attention_dropout_rate",
        ),
        rate(
            "dropout_values",
            None,
            "dropout on the output of an attention layer",
            argument="value_dropout_rate",
        ),
        positive("whitening_scale", None, "initial weights are N(0, whitening_scale^2 / fan_in)"),
        not_negative(
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
            choices_of("g_selfatt.functional.encoding", "_ENCODINGS"),
        ),
        Key(
            "positional_encoding",
            str,
            "mlp",
            "mlp: a small network of the offset; table: a row of numbers for each offset (groups "
            "of quarter turns and mirrors only)",
            choices_of("g_selfatt.nn.self_attention", "POSITIONAL_ENCODINGS"),
        ),
        Key(
            "spatial_pooling",
            str,
            "sum",
            "over space at the end of the network: sum, as in the paper, or mean, which does not "
            "depend on the size of the images",
            choices_of("g_selfatt.functional.pooling", "REDUCTIONS"),
        ),
        Key("backend", str, "auto", "of the attention: auto, triton, numba, recompute, reference"),
    ),
    "Optimization": (
        Key(
            "optimizer",
            str,
            None,
            "optimizer",
            choices_of("training.optimizers", "OPTIMIZERS"),
        ),
        rate("optimizer_momentum", 0.9, "momentum of SGD; one_cycle has its own"),
        positive("lr", None, "learning rate (its peak where the scheduler has one)"),
        Key(
            "scheduler",
            str,
            None,
            "learning rate over time",
            choices_of("training.schedulers", "SCHEDULERS"),
        ),
        Key(
            "sched_decay_steps",
            tuple,
            (),
            'multistep: the epochs at which the learning rate falls, as in "(100,200)"',
            expected="whole epochs above 0 in increasing order, such as (100,200)",
            valid=_increasing_epochs,
        ),
        positive("sched_decay_factor", 10.0, "multistep: what the learning rate is divided by"),
        not_negative(
            "weight_decay", None, "weight decay (an L2 term of the loss; decoupled under AdamW)"
        ),
        rate("label_smoothing", None, "share of the labels spread over all classes", before=0.0),
        not_negative(
            "clip_grad_norm", None, "largest norm of the gradient of a step; 0: any", before=0.0
        ),
        rate(
            "ema_decay",
            None,
            "decay of an exponential moving average of the weights, which is then what is "
            "evaluated and kept; 0: none",
            before=0.0,
        ),
        count("batch_size", None, "images in a batch"),
        count("epochs", None, "passes over the training images"),
    ),
    "The machine": (
        Key("device", str, "auto", "auto (CUDA where there is one), cpu, cuda or cuda:N"),
        Key(
            "amp",
            str,
            "auto",
            "mixed precision: auto (fp16 with loss scaling on CUDA under a constant learning rate, "
            "off otherwise), off (plain float32), fp16 or bf16",
            choices_of("training.precision", "AMP"),
        ),
        Key(
            "compile",
            bool,
            False,
            "CUDA only: torch.compile the network into CUDA graphs, for small batches, whose "
            "steps take longer to launch than to compute; the first steps take minutes",
        ),
        count(
            "num_workers",
            4,
            "processes that read images, for data sets that do not fit in memory",
            least=0,
        ),
    ),
    "Files": (
        Key("data_dir", str, "data", "where the data sets are"),
        Key("save_dir", str, "saved", "where the run folders are"),
        positive(
            "checkpoint_minutes", 10.0, "the state of a run is written so often, and at each epoch"
        ),
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
            "repeat",
            bool,
            False,
            "train a finished run again, into a folder of its own; otherwise its command says what "
            "it has come to",
        ),
        Key(
            "extend",
            bool,
            False,
            "go on from the finished run of the same configuration with fewer epochs, under a "
            "schedule that does not depend on their number (constant, multistep)",
        ),
        Key(
            "smoke",
            bool,
            False,
            "check a command line: two images a split, one step, nothing is kept",
        ),
    ),
    "Tracking": (
        Key(
            "wandb",
            str,
            "disabled",
            "Weights & Biases",
            choices_of("training.tracking", "MODES"),
        ),
        Key("tensorboard", bool, False, "figures of each epoch for TensorBoard, in the run folder"),
        Key("wandb_entity", str, "", "user or team there; empty: WANDB_ENTITY"),
        Key("wandb_project", str, "", "project there; empty: WANDB_PROJECT, else g_selfatt"),
    ),
}
KEYS: dict[str, Key] = {key.name: key for keys in SECTIONS.values() for key in keys}


def get_config(**values: Any) -> ConfigDict:
    """The default configuration, a ConfigDict whose values are typed.

    Args:
        values: values of keys in place of their defaults, those that the network or the data set
            has for itself too.

    Returns:
        One entry per Key; a default of None is a typed placeholder.
    """
    config = ConfigDict({key.name: key.typed_default() for key in KEYS.values()})
    config.update(values)
    return config
