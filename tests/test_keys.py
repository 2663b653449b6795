"""Choices are read from where they are defined, without importing what defines them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import config
from config import KEYS
from g_selfatt import datasets, functional, nn
from g_selfatt.config_keys import ROOT, choices_of, declared_keys
from g_selfatt.models import group_transformer, list_models, model_entry
from training import optimizers, precision, schedulers, tracking, transfer


@pytest.mark.parametrize(
    ("name", "defined"),
    [
        ("attention_type", group_transformer.ATTENTION_TYPES),
        ("norm_type", nn.NORMS),
        ("activation_function", nn.ACTIVATIONS),
        ("group_encoding", functional.GROUP_ENCODINGS),
        ("spatial_pooling", functional.REDUCTIONS),
        ("positional_encoding", nn.POSITIONAL_ENCODINGS),
        ("eval_protocol", datasets.EVAL_PROTOCOLS),
        ("optimizer", optimizers.OPTIMIZERS),
        ("scheduler", schedulers.SCHEDULERS),
        ("amp", precision.AMP),
        ("freeze", transfer.FREEZE),
        ("wandb", tracking.MODES),
    ],
)
def test_a_choice_is_typed_only_where_it_is_defined(name, defined):
    """The table has what the modules have, and its own source has no choice of more than a word."""
    assert KEYS[name].choices == tuple(defined)
    source = ast.parse(Path(config.__file__).read_text())
    for node in ast.walk(source):
        if isinstance(node, (ast.Tuple, ast.List)) and len(node.elts) > 1:
            assert not {getattr(element, "value", None) for element in node.elts} & set(defined)


def test_every_key_with_choices_is_compared_with_their_definition():
    compared = test_a_choice_is_typed_only_where_it_is_defined.pytestmark[0].args[1]
    assert {name for name, _ in compared} == {key.name for key in KEYS.values() if key.choices}


def test_the_table_needs_neither_torch_nor_numpy():
    program = (
        "import sys; from training import command_line; command_line.help_text()\n"
        "command_line.parse(['--config.model=p8sa'])\n"
        "sys.exit(str([name for name in ('torch', 'numpy') if name in sys.modules] or ''))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_what_is_not_defined_is_an_error():
    with pytest.raises(ValueError, match="training.schedulers defines no CHOICES"):
        choices_of("training.schedulers", "CHOICES")


def test_keys_of_one_network_or_data_set_are_known_by_name_without_importing_it():
    own = {key.name for name in list_models() for key in model_entry(name).keys}
    assert own == set(declared_keys("g_selfatt.models")) - set(KEYS)
    own = {key.name for info in datasets.INFO.values() for key in info.keys}
    assert own == set(declared_keys("g_selfatt.datasets"))
