"""`python -m g_selfatt.testing`, on modules of someone else's."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from g_selfatt import groups
from g_selfatt.testing import equivariance_error
from g_selfatt.testing.__main__ import main

THEIRS = """
import torch
from torch import nn
from g_selfatt import groups, nn as gnn

def blur():  # the same in all directions
    layer = nn.Conv2d(3, 3, 3, padding=1, bias=False)
    nn.init.constant_(layer.weight, 0.1)
    return layer

def convolution():
    return nn.Conv2d(3, 3, 3, padding=1)

def upright():  # knows left from right, not up from down
    layer = blur()
    with torch.no_grad():
        layer.weight[..., 0] = 0.2
    return layer

def not_a_number():
    return nn.Conv2d(3, 3, 1).apply(lambda m: nn.init.constant_(m.weight, float("nan")))

def on_group():
    return gnn.GroupLocalSelfAttention(groups.get("p4"), 3, 6, 4, 2, 3, 0.1)

def number():
    return 3

def broken():
    raise RuntimeError("no weights\\nhere")

instance = blur()
"""


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("theirs", None)


def run(capsys, *arguments):
    """Exit code, lines of stdout, stderr."""
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


def test_the_command_prints_the_measured_errors(theirs, capsys):
    arguments = ("--module", "theirs:upright", "--group", "p2m", "--size", "8x9", "--seed", "5")
    code, lines, _ = run(capsys, *arguments)
    import theirs as module

    torch.manual_seed(5)
    layer = module.upright().double()
    x = torch.randn(2, 3, 8, 9, dtype=torch.float64)
    expected = equivariance_error(layer, groups.get("p2m"), x)
    printed = [re.fullmatch(r" +(\d)  (.*\S) +(\S+)", line).groups() for line in lines[1:-1]]
    assert [(int(h), f"{expected[int(h)]:.1e}") for h, _, _ in printed] == [
        (h, error) for h, (_, _, error) in enumerate(printed)
    ]
    actions = [action for _, action, _ in printed]
    assert actions == ["identity", "turn by 180°", "mirror, line at 0°", "mirror, line at 90°"]
    # Left and right change places in elements 1 and 2.
    assert code == 1 and lines[-1].endswith("tolerance 1e-09; elements 1, 2 are above")


@pytest.mark.parametrize(
    "arguments, code, verdict",
    [
        (["theirs:blur"], 0, "Conv2d is equivariant to p4m: tolerance 1e-09"),
        (["theirs:instance", "--dtype", "float32"], 0, "tolerance 1e-04"),
        (["theirs:convolution"], 1, "Conv2d is not equivariant to p4m"),
        (["theirs:convolution", "--tolerance", "10"], 0, "tolerance 1e"),
        (["theirs:not_a_number"], 1, "elements 0, 1, 2, 3, 4, 5, 6, 7 are above"),
    ],
)
def test_the_exit_code_is_the_verdict(theirs, capsys, arguments, code, verdict):
    got = run(capsys, "--module", *arguments, "--group", "p4m", "--size", "7")
    assert got[0] == code and verdict in got[1][-1] and not got[2]


def test_inputs_on_the_group_and_elements_between_pixels(theirs, capsys):
    code, lines, _ = run(
        capsys, "--module", "theirs:on_group", "--group", "p4", "--on-group", "--size", "6"
    )
    assert code == 0 and len(lines) == 6
    code, lines, _ = run(capsys, "--module", "theirs:blur", "--group", "p8", "--size", "9")
    assert code == 0 and lines[2].endswith("interpolated, not judged")
    assert "is equivariant to elements 0, 2, 4, 6 of p8:" in lines[-1]
    code, lines, _ = run(capsys, "--module", "theirs:blur", "--group", "p3", "--size", "9")
    assert (code, lines[-1]) == (1, "no element of p3 but the identity can be judged")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nowhere:blur", "--group", "p4"], "ModuleNotFoundError: No module named 'nowhere'"),
        (["theirs:blurr", "--group", "p4"], "has no attribute 'blurr'"),
        (["theirs", "--group", "p4"], "expected PACKAGE:FACTORY, got 'theirs'"),
        (["theirs:number", "--group", "p4"], "expected a torch.nn.Module, got int"),
        (["theirs:broken", "--group", "p4"], "RuntimeError: no weights here"),
        (["theirs:blur", "--group", "p4x"], "unknown group 'p4x'"),
        (["theirs:blur", "--group", "p4", "--channels", "2"], "RuntimeError: Given groups=1"),
        (["theirs:blur", "--group", "p4", "--size", "0"], "expected pixels as 32 or 24x32"),
        (["theirs:blur", "--group", "p4", "--tolerance", "-1"], "expected a number from 0 on"),
        (["theirs:blur"], "required: --group"),
    ],
)
def test_mistakes_end_in_one_line(theirs, capsys, arguments, message):
    code, lines, error = run(capsys, "--module", *arguments)
    assert code == 2 and not lines
    assert message in error and error.count("\n") == 1


def test_the_current_folder_is_where_modules_are_found(theirs):
    command = [sys.executable, "-m", "g_selfatt.testing"]
    command += ["--module", "theirs:convolution", "--group", "p4", "--size", "6"]
    environment = {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, cwd=theirs, env=environment, capture_output=True, text=True)
    assert ran.returncode == 1 and "not equivariant to p4" in ran.stdout and not ran.stderr


def test_a_network_is_judged_as_an_invariant(theirs, capsys, monkeypatch):
    import theirs as module

    pooled = nn.Sequential(module.blur(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    monkeypatch.setattr(module, "instance", pooled)
    code, *_ = run(capsys, "--module", "theirs:instance", "--group", "p4m", "--size", "6")
    assert code == 0
