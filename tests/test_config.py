"""The table of keys, the command line that fills it, and every mistake refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import config
from config import KEYS, get_config
from g_selfatt import datasets, models
from g_selfatt.backends.registry import check_backend_name
from g_selfatt.models.registry import model_entry
from training import command_line, settings
from training.errors import ConfigError
from training.values import check_values

# The keys of the released code's command lines, each with a value as one writes it there.
AUTHORS = {
    "dataset": ("rotMNIST", "rotMNIST"),
    "model": ("p4sa", "p4sa"),
    "optimizer": ("SGD", "SGD"),
    "optimizer_momentum": ("0.8", 0.8),
    "device": ("cpu", "cpu"),
    "scheduler": ("multistep", "multistep"),
    "sched_decay_steps": ("(100,200)", (100, 200)),
    "sched_decay_factor": ("5", 5.0),
    "lr": ("0.001", 0.001),
    "norm_type": ("LayerNorm", "LayerNorm"),
    "attention_type": ("Local", "Local"),
    "activation_function": ("Swish", "Swish"),
    "patch_size": ("7", 7),
    "dropout_att": ("0.1", 0.1),
    "dropout_values": ("0", 0.0),
    "whitening_scale": ("1.41421356", 1.41421356),
    "weight_decay": ("1e-4", 1e-4),
    "batch_size": ("8", 8),
    "epochs": ("300", 300),
    "seed": ("3", 3),
    "comment": ("second try", "second try"),
    "pretrained": ("True", True),
    "train": ("True", True),
    "augment": ("False", False),
    "path": ("saved/mine", "saved/mine"),
}


def settled(*arguments: str):
    resolved = settings.resolve(command_line.parse(arguments))
    settings.check(resolved)
    return resolved


@pytest.mark.parametrize("separator", ["=", " "])
def test_the_authors_long_command_line_sets_every_key(separator):
    arguments = []
    for name, (text, _) in AUTHORS.items():
        arguments += f"--config.{name}{separator}{text}".split(" ", 1 if separator == " " else 0)
    resolved = settled(*arguments)
    assert {name: resolved[name] for name in AUTHORS} == {n: v for n, (_, v) in AUTHORS.items()}


@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [
        ("--config.sched_decay_steps=100", "sched_decay_steps", (100,)),
        ("--config.sched_decay_steps=(5, 6)", "sched_decay_steps", (5, 6)),
        ("--config.pretrained", "pretrained", True),
        ("--config.augment=true", "augment", True),
        ("--noconfig.train", "train", False),
        ("--config.lr=1", "lr", 1.0),
        ("--config.norm_type=batchnorm", "norm_type", "BatchNorm"),
        ("--config.attention_type=global", "attention_type", "Global"),
        ("--config.data_dir=~/slides", "data_dir", str(Path.home() / "slides")),
    ],
)
def test_other_ways_of_writing_a_value(argument, name, value):
    parsed = command_line.parse([argument])
    assert parsed[name] == value
    assert type(parsed[name]) is type(value)


@pytest.mark.parametrize("dataset", datasets.list_datasets())
def test_a_data_set_alone_gives_its_protocol_and_its_network(dataset):
    resolved = settled(f"--config.dataset={dataset.upper()}")
    info = datasets.INFO[dataset]
    preset = models.model_entry("p4sa").arguments_for(info)
    assert resolved.dataset == dataset
    assert {name: resolved[name] for name in vars(info.protocol)} == vars(info.protocol)
    assert resolved.dropout_att == preset["attention_dropout_rate"]
    assert resolved.whitening_scale == preset["whitening_scale"]
    assert None not in resolved.values()


def test_the_protocols_are_those_of_the_paper():
    paper = {
        "rotMNIST": ("Adam", 1e-3, "constant", 1e-4, 8, 300, 5, 0.1, 0.1),
        "CIFAR10": ("SGD", 0.01, "linear_warmup_cosine", 1e-4, 24, 350, 5, 0.1, 0.0),
        "PCam": ("SGD", 0.01, "linear_warmup_cosine", 1e-4, 16, 100, 5, 0.1, 0.1),
    }
    names = ("optimizer", "lr", "scheduler", "weight_decay", "batch_size", "epochs")
    names += ("patch_size", "dropout_att", "dropout_values")
    for dataset, expected in paper.items():
        resolved = settled(f"--config.dataset={dataset}")
        assert tuple(resolved[name] for name in names) == expected
        assert (resolved.optimizer_momentum, resolved.augment) == (0.9, False)


def test_names_of_data_sets_and_models_in_any_case_have_one_spelling():
    resolved = settled("--config.dataset=mnist_ROT", "--config.model=P4MSA")
    assert (resolved.dataset, resolved.model) == ("rotMNIST", "p4msa")


def test_the_table_agrees_with_the_tables_it_names():
    assert sorted(models.list_models()) == sorted(config.MODELS)
    assert KEYS["dataset"].meaning.endswith(", ".join(datasets.list_datasets()))
    assert set(AUTHORS) < set(KEYS)
    check_values(get_config())  # every default is a valid value


@pytest.mark.parametrize(("columns", "width"), [(80, 80), (200, 120)])
def test_help_fits_the_terminal(columns, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    longest = max(len(line) for line in command_line.help_text().splitlines())
    assert width - 12 < longest <= width


def test_help_is_a_table_of_every_key_within_100_columns(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    text = command_line.help_text()
    assert max(len(line) for line in text.splitlines()) <= 100
    for key in KEYS.values():
        [line] = [line for line in text.splitlines() if line.startswith(f"  {key.name} ")]
        assert line.split()[1] == key.type.__name__
        assert all(choice in text for choice in key.choices)
    words = " ".join(text.split())
    assert all(key.expected in words for key in KEYS.values())
    own = {key.name for name in models.list_models() for key in model_entry(name).keys}
    assert own <= set(words.split())
    for name in KEYS["backend"].meaning.split(": ")[1].split(", "):
        check_backend_name(name)


def test_a_key_of_another_network_or_data_set_is_said_to_be_one():
    for key, value in (("image_size", "32"), ("channels_per_stage", "(4,6)")):
        with pytest.raises(ConfigError, match=f"^{key}: a key of other networks or data sets, not"):
            command_line.parse([f"--config.{key}={value}"])


def test_a_config_file_of_ones_own(tmp_path):
    file = tmp_path / "own.py"
    start = "from config import get_config as defaults\ndef get_config():\n    c = defaults()\n"
    file.write_text(start + "    c.model = 'p8sa'\n    return c\n")
    parsed = command_line.parse([f"--config={file}", "--config.seed=4"])
    assert (parsed.model, parsed.seed, parsed.dataset) == ("p8sa", 4, "rotDigits")

    file.write_text(start + "    c.modle = 'p8sa'\n    return c\n")
    with pytest.raises(ConfigError, match=r"^modle: no such key, did you mean --config\.model\?"):
        command_line.parse([f"--config={file}"])
    with pytest.raises(ConfigError, match=r"absent_p4s'; did you.*=runs/rotdigits_p4sa\.py\?$"):
        command_line.parse(["--config=rotdigits_absent_p4s"])


# Command line, the key that the message must begin with, words it must have.
BAD = [
    ("bath_size=3", "bath_size", "did you mean --config.batch_size?"),
    ("lr=abc", "lr", "'abc', expected float"),
    ("epochs=1.5", "epochs", "'1.5', expected int"),
    ("train=maybe", "train", "expected bool"),
    ("lr=-1", "lr", "above 0"),
    ("lr=0", "lr", "above 0"),
    ("lr=nan", "lr", "got nan"),
    ("lr=inf", "lr", "got inf"),
    ("weight_decay=nan", "weight_decay", "at least 0"),
    ("weight_decay=-0.1", "weight_decay", "at least 0"),
    ("whitening_scale=0", "whitening_scale", "above 0"),
    ("position_init_scale=-1", "position_init_scale", "at least 0"),
    ("label_smoothing=1", "label_smoothing", "[0, 1)"),
    ("ema_decay=1", "ema_decay", "[0, 1)"),
    ("clip_grad_norm=inf", "clip_grad_norm", "a finite number, at least 0"),
    ("optimizer_momentum=1", "optimizer_momentum", "[0, 1)"),
    ("dropout_att=1", "dropout_att", "[0, 1)"),
    ("dropout_values=-0.1", "dropout_values", "[0, 1)"),
    ("dropout_values=nan", "dropout_values", "[0, 1)"),
    ("patch_size=4", "patch_size", "odd"),
    ("patch_size=-3", "patch_size", "odd"),
    ("patch_size=13", "patch_size", "at most 12, the side of the images of rotDigits"),
    ("batch_size=0", "batch_size", "at least 1"),
    ("batch_size=-8", "batch_size", "at least 1"),
    ("epochs=0", "epochs", "at least 1"),
    (f"epochs={'9' * 400}", "epochs", "9..., expected at least 1 and at most 1,000,000"),
    (f"comment={'x' * 260}", "comment", "at most 100 bytes"),
    (f"comment={'é' * 51}", "comment", "at most 100 bytes"),
    ("num_workers=-1", "num_workers", "at least 0"),
    ("seed=-1", "seed", "[0, 2**32)"),
    ("seed=4294967296", "seed", "[0, 2**32)"),
    ("sched_decay_steps=(200,100)", "sched_decay_steps", "increasing"),
    ("sched_decay_steps=(0,100)", "sched_decay_steps", "above 0"),
    ("sched_decay_steps=(1.5,)", "sched_decay_steps", "whole"),
    ("sched_decay_factor=0", "sched_decay_factor", "above 0"),
    ("scheduler=multistep", "sched_decay_steps", "multistep needs them"),
    (
        "scheduler=multistep sched_decay_steps=(4,10) epochs=10",
        "sched_decay_steps",
        "got (4, 10), expected epochs below 10",
    ),
    ("scheduler=cosine", "scheduler", "constant, multistep, linear_warmup_cosine, one_cycle"),
    ("dataset=imagenet", "dataset", ", ".join(datasets.list_datasets())),
    ("model=p5sa", "model", ", ".join(models.list_models())),
    ("optimizer=lbfgs", "optimizer", "Adam, AdamW, SGD"),
    ("norm_type=GroupNorm", "norm_type", "LayerNorm, BatchNorm"),
    ("attention_type=Axial", "attention_type", "Local, Global"),
    ("activation_function=GELU", "activation_function", "Swish, ReLU"),
    ("group_encoding=none", "group_encoding", "equivariant, relative, gevit, paper"),
    ("positional_encoding=sine", "positional_encoding", "mlp, table"),
    ("eval_protocol=test", "eval_protocol", "held_out, paper"),
    ("amp=fp8", "amp", "auto, off, fp16, bf16"),
    ("wandb=on", "wandb", "disabled, offline, online"),
    ("backend=magic", "backend", "auto, "),
    ("device=tpu", "device", "auto, cpu, cuda or cuda:N"),
    ("device=cuda:99", "device", "valid: auto, cpu"),
    ("train=False", "train", "pretrained=True"),
    ("device=cpu amp=fp16", "amp", "fp16 needs CUDA"),
    ("device=cpu compile=True", "compile", "True needs CUDA"),
    ("model=z2cnn dataset=CIFAR10", "model", "MNIST, rotMNIST"),
    ("model=z2cnn", "model", "28×28"),
    *(
        (f"model={model} positional_encoding=table", "positional_encoding", f"model={model}")
        for model in ("p8sa", "p12sa", "p16sa", "p8msa")
    ),
]


@pytest.mark.parametrize(("overrides", "key", "words"), BAD)
def test_a_bad_value_gives_one_line_that_names_the_key(overrides, key, words):
    with pytest.raises(ConfigError) as caught:
        settled(*(f"--config.{override}" for override in overrides.split()))
    message = str(caught.value)
    assert message.startswith(f"{key}: ")
    assert words in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--lr=3"], "did you mean --config.lr?"),
        (["foo"], "'foo': expected --config.key=value"),
        (["--config.lr"], "Missing value for flag --config.lr"),
        (["--config.seed=4", "--config=other.py"], "before a value for --config"),
        (["--noconfig.train=True"], "does not take an argument"),
    ],
)
def test_a_malformed_command_line_gives_one_line(arguments, words):
    with pytest.raises(ConfigError) as caught:
        command_line.parse(arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [
        "patch_size=23 dataset=rotMNIST",  # the largest window of the paper's study
        "patch_size=99 attention_type=Global",  # which has no window
        "model=p4msa positional_encoding=table",
        "model=z2cnn dataset=mnist",
        "pretrained=True train=False",
        "amp=bf16 device=cpu",
    ],
)
def test_what_is_possible_is_not_refused(overrides):
    settled(*(f"--config.{override}" for override in overrides.split()))


def test_auto_is_cuda_where_there_is_one():
    assert settings.choose_device("auto").type == ("cpu", "cuda")[torch.cuda.is_available()]
    assert settings.choose_device("cpu") == torch.device("cpu")


def test_train_is_by_default_the_opposite_of_pretrained():
    assert settled().train
    assert not settled("--config.pretrained=True").train
    assert settled("--config.pretrained=True", "--config.train=True").train


def test_resolving_twice_changes_nothing_and_leaves_the_argument_alone():
    once = settings.resolve(given := get_config())
    assert given.lr is None
    assert json.dumps(settings.resolve(once).to_dict()) == json.dumps(once.to_dict())


def test_values_of_a_config_that_no_parser_has_seen_are_checked_too():
    for name, value in (("epochs", True), ("seed", "0"), ("comment", 3), ("model", None)):
        changed = get_config().to_dict() | {name: value}
        with pytest.raises(ConfigError, match=f"^{name}: got {value!r}, expected "):
            check_values(changed)
