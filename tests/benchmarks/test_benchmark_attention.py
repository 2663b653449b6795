"""The table of the backends: a tiny case from end to end, another checkout, and mistakes."""

import json
import re
from pathlib import Path

import pytest
import torch

from benchmarks import attention, rates
from benchmarks.attention import CASES, case, figures
from benchmarks.contenders import HERE, Contender, Measurement, Worker, measure, read
from benchmarks.worker import NetworkStep
from g_selfatt.nn.self_attention import SelfAttention

TINY = case("p4sa", "rotDigits", 2)


@pytest.fixture
def tiny(monkeypatch):
    """The name of a case of milliseconds; the rates come from small products and copies."""
    monkeypatch.setitem(CASES["cpu"], "tiny", TINY)
    monkeypatch.setitem(rates.SIDE, "cpu", 256)
    monkeypatch.setitem(rates.COPIED, "cpu", 2**20)
    monkeypatch.setattr(rates, "CHANNELS", 32)
    return "tiny"


@pytest.fixture
def checkout(tmp_path):
    """Another checkout, told from this one by a version of its own."""
    folder = tmp_path / "before"
    folder.mkdir()
    for module in ("models", "datasets", "config.py"):
        (folder / module).symlink_to(HERE / module)
    (folder / "g_selfatt").mkdir()
    for path in (HERE / "g_selfatt").iterdir():
        (folder / "g_selfatt" / path.name).symlink_to(path)
    return folder


def test_a_tiny_case_from_end_to_end(capsys, tmp_path, tiny):
    file = tmp_path / "figures.json"
    arguments = ["--case", tiny, "--threads=1", "--repeats=1", f"--json={file}"]
    assert attention.main(arguments) == 0
    result = json.loads(file.read_text())
    assert set(result) == {"machine", "rates", "repeats", "cases"}
    expected = {"machine", "device", "threads", "python", "torch", "numba", "triton"}
    assert set(result["machine"]) == expected
    assert result["machine"]["torch"] == torch.__version__
    assert 1e8 < result["rates"]["multiply_adds"] < 1e15
    assert 1e7 < result["rates"]["bytes"] < 1e14
    reference, compiled = result["cases"]
    assert [reference["backend"], compiled["backend"]] == ["reference", "numba"]
    for row in (reference, compiled):
        assert row["step_ms"] > row["forward_ms"] > 0
        assert row["step_ms"] > row["floor_ms"] > 0
        assert row["memory_bytes"] > 0
        assert not row["out_of_memory"]
        assert row["times_floor"] == row["step_ms"] / row["floor_ms"]
    assert compiled["times_faster"] == reference["step_ms"] / compiled["step_ms"]
    printed = capsys.readouterr().out
    assert re.search(r"^case +backend +forward ms +step ms +memory MB", printed, re.MULTILINE)
    assert re.search(r"^tiny +reference( +[\d.]+){7}$", printed, re.MULTILINE)
    assert re.search(r"^tiny +numba( +[\d.]+){7}$", printed, re.MULTILINE)


def test_another_checkout_and_evaluation(checkout):
    """Both have their own process; that of the other checkout imports its modules."""
    contender = read(f"numba@{checkout}")
    assert str(contender) == "numba@before" and str(read("numba")) == "numba"
    (checkout / "g_selfatt" / "nn").unlink()
    with pytest.raises(ValueError, match="ended with exit code 1"):
        measure([contender], TINY, "cpu", 1, 1)
    (checkout / "g_selfatt" / "nn").symlink_to(HERE / "g_selfatt" / "nn")
    what = TINY | {"training": False, "batch": 5}
    ours, theirs = measure([read("numba"), contender], what, "cpu", 1, 2)
    for measured in (ours, theirs):
        assert measured.step_ms >= measured.forward_ms > 0


def test_a_contender_out_of_memory_is_a_result():
    first = Measurement(100.0, 200.0, 400, 500)
    contenders = [Contender("reference"), Contender("numba")]
    rows = figures("tiny", contenders, [first, Measurement(10.0, 20.0, None, None)], 2.0)
    assert [row["times_faster"] for row in rows] == [1, 10]
    assert [row["times_less_memory"] for row in rows] == [1, None]
    assert [row["times_floor"] for row in rows] == [100, 10]
    first, second = figures("tiny", contenders, [None, first], 2.0)
    assert first["out_of_memory"] and second["times_faster"] is None
    assert attention.row(first).endswith("OUT OF MEMORY")
    assert not attention.row(second).endswith("OUT OF MEMORY")


def test_contenders_take_turns(monkeypatch):
    notes = []

    def ask(worker, question):
        notes.append((worker.backend, question))
        return {"forward_ms": len(notes), "step_ms": 9.0} if question == "time" else {}

    def start(worker, contender, *_):
        worker.backend = contender.backend

    monkeypatch.setattr(Worker, "__init__", start)
    monkeypatch.setattr(Worker, "ask", ask)
    monkeypatch.setattr(Worker, "close", lambda worker: None)
    first, second = measure([Contender("a"), Contender("b")], TINY, "cpu", 1, 3)
    assert notes == [("a", "memory"), ("b", "memory"), *[("a", "time"), ("b", "time")] * 3]
    assert (first.forward_ms, second.forward_ms) == (5, 6)  # medians of 3, 5, 7 and 4, 6, 8


def test_a_step_trains_as_the_presets_say():
    step = NetworkStep("z2sa", "rotMNIST", 1, backend="reference", device="cpu")
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


def test_an_evaluation_changes_nothing():
    step = NetworkStep("z2sa", "rotDigits", 2, backend="auto", device="cpu", training=False)
    before = [p.clone() for p in step.network.parameters()]
    loss = step.forward()
    step.finish(loss)
    assert not loss.requires_grad
    assert all(torch.equal(a, b) for a, b in zip(before, step.network.parameters(), strict=True))


def test_names_of_cases_say_what_they_are():
    for cases in CASES.values():
        for name, what in cases.items():
            assert name.startswith(f"{what['dataset']}-{what['model']}-")
            assert name.endswith(f"-b{what['batch']}")
            assert ("global" in name) == (what.get("attention_type") == "Global")
            assert ("eval" in name) == (not what.get("training", True))


MISTAKES = {
    "--case nonsense": "unknown case 'nonsense' for cpu; choose from rotMNIST-p4sa-b2, ",
    "--backend numba@/nowhere": "there is no g_selfatt in /nowhere",
    "--device tpu": "invalid choice: 'tpu'",
    "--threads 0": "expected a whole number from 1 on, got '0'",
    "--repeats many": "expected a whole number from 1 on, got 'many'",
    "--json /nowhere/at/all.json": "can't open '/nowhere/at/all.json'",
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


def test_a_backend_that_cannot_run_ends_in_one_line(tiny, capsys):
    assert attention.main(["--case", tiny, "--backend", "fast", "--threads=1"]) == 2
    assert "unknown backend 'fast'" in capsys.readouterr().err


def test_cases_are_selected_once_each():
    options = attention.parse(["--case", "PCam-p4sa-b1", "PCam-p4sa-b1"])
    assert list(options.cases) == ["PCam-p4sa-b1"]
    assert options.backend == [Contender("reference"), Contender("numba")]
    assert options.backend[0].checkout == Path(attention.__file__).parents[1]
    assert len(attention.parse([]).cases) == 7
