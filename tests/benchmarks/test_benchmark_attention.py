"""The table of the backends: a tiny case from end to end, its verdicts, and mistakes."""

import json
import re

import pytest
import torch

from benchmarks import attention, report
from benchmarks.cases import CASES, Bars, Case
from benchmarks.measurement import Measurement, compare
from benchmarks.steps import NetworkStep
from benchmarks.timing import time_in_turns
from g_selfatt.nn.self_attention import SelfAttention

TINY = Case("tiny", "p4sa", "rotDigits", 2, Bars(step=0.001, aim=1e9, memory=1e-9))


def test_a_tiny_case_from_end_to_end(capsys, tmp_path):
    file = tmp_path / "figures.json"
    attention.measure([TINY], ["numba"], device="cpu", threads=1, repeats=1, json_file=file)
    figures = json.loads(file.read_text())
    assert set(figures) == {"machine", "peak_rates", "repeats", "cases"}
    expected = {"machine", "device", "threads", "python", "torch", "numba", "triton"}
    assert set(figures["machine"]) == expected
    assert figures["machine"]["torch"] == torch.__version__
    reference, ours = figures["cases"]
    assert [reference["backend"], ours["backend"]] == ["reference", "numba"]
    for row in (reference, ours):
        assert row["step_ms"] > row["forward_ms"] > 0
        assert row["step_ms"] > row["floor_ms"] > 0
        assert row["memory_bytes"] > 0
        assert not row["out_of_memory"]
        assert row["times_floor"] == row["step_ms"] / row["floor_ms"]
    assert ours["times_faster"] == reference["step_ms"] / ours["step_ms"]
    assert ours["bars_met"] == {"step": True, "aim": False, "memory": True}
    printed = capsys.readouterr().out
    assert re.search(r"^case +backend +forward ms +step ms +memory MB", printed, re.MULTILINE)
    assert re.search(r"^tiny +reference( +[\d.]+){5}$", printed, re.MULTILINE)
    assert re.search(
        r"^tiny +numba( +[\d.]+){7}  step 0.001× met, aim 1e\+09× MISSED, memory 1e-09× met$",
        printed,
        re.MULTILINE,
    )


def measured(backend, step_ms, memory_bytes, out_of_memory=False):
    return Measurement("tiny", backend, step_ms, step_ms, memory_bytes, None, out_of_memory, 2.0)


def test_bars_are_met_from_the_bar_on():
    reference = measured("reference", 100.0, 400)
    compared = compare(reference, measured("numba", 20.0, 100), Bars(5, 5.01, 4))
    assert (compared.faster, compared.less_memory) == (5, 4)
    assert compared.met == {"step": True, "aim": False, "memory": True}
    assert compare(reference, measured("numba", 20.0, None), Bars(6, None, 4)).met == {
        "step": False,
        "memory": None,
    }


def test_a_reference_out_of_memory_is_a_result():
    reference = measured("reference", None, None, out_of_memory=True)
    ours = measured("numba", 20.0, 100)
    bars = Bars(20, None, None, outlives=True)
    assert compare(reference, ours, bars).met == {"step": None, "outlives": True}
    assert compare(ours, ours, bars).met["outlives"] is None
    failed = measured("numba", None, None, out_of_memory=True)
    assert compare(reference, failed, bars).met["outlives"] is False
    first, second = report.rows(Case("tiny", "", "", 1, bars), [reference, ours])
    assert first.endswith("OUT OF MEMORY")
    assert second.endswith("runs where the reference is out of memory met")


class Noted:
    """A step that writes down when it is done."""

    def __init__(self, name, notes):
        self.name, self.notes = name, notes

    def forward(self):
        self.notes.append(f"{self.name} forward")

    def finish(self, output):
        self.notes.append(f"{self.name} finish")


def test_steps_take_turns():
    notes = []
    times = time_in_turns({name: Noted(name, notes) for name in "ab"}, "cpu", 3)
    assert notes == ["a forward", "a finish", "b forward", "b finish"] * 3
    assert times["a"].step_ms >= times["a"].forward_ms > 0


def test_a_step_trains_as_the_presets_say():
    step = NetworkStep(
        "z2sa", "rotMNIST", attention_type="Local", batch=1, backend="reference", device="cpu"
    )
    layers = [m for m in step.network.modules() if isinstance(m, SelfAttention)]
    assert {(m.attention_dropout_rate, m.training, m.backend) for m in layers} == {
        (0.1, True, "reference")
    }
    before = [p.clone() for p in step.network.parameters()]
    step.finish(step.forward())
    after = list(step.network.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert step.forward().isfinite()
    assert all(p.grad is None for p in after)


def test_names_of_cases_are_unique_and_buildable():
    for cases in CASES.values():
        names = [case.name for case in cases]
        assert len(set(names)) == len(names)
        for case in cases:
            assert case.model in case.name and case.dataset in case.name
            assert case.name.endswith(f"-b{case.batch}")
            assert ("global" in case.name) == (case.attention_type == "Global")


MISTAKES = {
    "--case nonsense": "unknown case 'nonsense' for cpu; choose from rotMNIST-p4sa-b2, ",
    "--backend reference": "invalid choice: 'reference'",
    "--device tpu": "expected cpu or cuda, got 'tpu'",
    "--threads 0": "expected a whole number from 1 on, got '0'",
    "--repeats many": "expected a whole number from 1 on, got 'many'",
    "--json /nowhere/at/all.json": "cannot write '/nowhere/at/all.json': No such file",
    "--rep 3": "unrecognized arguments: --rep 3",
}
if not torch.cuda.is_available():
    MISTAKES["--device cuda"] = "there is no CUDA here"


@pytest.mark.parametrize("arguments", MISTAKES)
def test_a_mistake_ends_in_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        attention.main(arguments.split())
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert MISTAKES[arguments] in printed.err
    assert printed.err.startswith("python -m benchmarks.attention: ")
    assert printed.err.count("\n") == 1


def test_cases_are_selected_once_each():
    options = attention.parse(["--case", "PCam-p4sa-b1", "--case", "PCam-p4sa-b1"])
    assert [case.name for case in options.cases] == ["PCam-p4sa-b1"]
    assert options.backend == ["numba"]
    assert len(attention.parse([]).cases) == 6
