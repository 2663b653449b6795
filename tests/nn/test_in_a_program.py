"""Layers in programs of others: threads, devices without memory, tracers, checkpoints, FSDP."""

import copy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from four_layers import LAYERS, make, signal
from torch.utils.checkpoint import checkpoint

from g_selfatt import groups, models
from g_selfatt.functional import acted_offsets


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_threads_share_a_layer(backend):
    layer = make("group_global", backend=backend).eval()
    inputs = [signal("group_global", size=size) for size in ((3, 4), (4, 3), (5, 5), (2, 6))]
    with torch.no_grad():
        expected = [layer(x) for x in inputs]

    def work(first):
        with torch.no_grad():
            for i in range(100):
                which = (first + i) % len(inputs)
                if not torch.equal(layer(inputs[which]), expected[which]):
                    return False
        return True

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(work, range(4)))
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_made_without_memory(kind):
    trained, x = make(kind), signal(kind)
    with torch.device("meta"):
        layer = make(kind)
    assert layer(x.to("meta")).device.type == "meta"
    assigned = copy.deepcopy(layer)
    layer.to_empty(device="cpu").load_state_dict(trained.state_dict())
    assigned.load_state_dict(trained.state_dict(), assign=True)
    assert torch.equal(layer(x), trained(x)) and torch.equal(assigned(x), trained(x))


def test_groups_and_their_tables_do_not_depend_on_the_device_context():
    with torch.device("meta"):
        made = [groups.get(name) for name in ("p4m", "p8", "mz2")]
        offsets = acted_offsets(made[0], (3, 3), 1, torch.float64, torch.device("cpu"))
    for group in made:
        expected = groups.get(group.name)
        assert torch.equal(group.multiplication_table, expected.multiplication_table)
        assert torch.equal(group.matrices, expected.matrices)
        assert group.elements.tolist() == list(range(group.num_elements))
    expected = acted_offsets(groups.get("p4m"), (3, 3), 1, torch.float64, torch.device("cpu"))
    assert torch.equal(offsets, expected)


def test_layers_of_the_cpu_run_under_another_default_device():
    layer, x = make("lift_local", backend="numba", attention_dropout_rate=0.3), signal("lift_local")
    turn, plane = groups.get("p8").act_on_signal, torch.rand(1, 1, 5, 6)
    torch.manual_seed(0)
    expected = layer(x), turn(plane, 1)
    torch.manual_seed(0)
    with torch.device("meta"):
        got = layer(x), turn(plane, 1)
        got[0].sum().backward()
    assert torch.equal(got[0], expected[0]) and torch.equal(got[1], expected[1])
    assert layer.query.weight.grad.isfinite().all()


def test_a_network_made_without_memory():
    trained = models.create_model("p4sa", "rotDigits").eval()
    with torch.device("meta"):
        network = models.create_model("p4sa", "rotDigits").eval()
    assert {p.device.type for p in network.parameters()} == {"meta"}
    assigned = copy.deepcopy(network)
    network.to_empty(device="cpu").load_state_dict(trained.state_dict())
    assigned.load_state_dict(trained.state_dict(), assign=True)
    x = torch.randn(2, 1, 12, 12)
    assert torch.equal(network(x), trained(x)) and torch.equal(assigned(x), trained(x))


def test_a_tracer_leaves_nothing_behind():
    """In a fresh process and with a group each, where no table has been computed before."""
    program = (
        "import torch\n"
        "from torch._subclasses import FakeTensorMode\n"
        "from g_selfatt import nn\n"
        "def export(layer, x):\n"
        "    torch.export.export(layer, (x,), strict=False)\n"
        "def strict_export(layer, x):\n"
        "    torch.export.export(layer, (x,), strict=True)\n"
        "def fake(layer, x):\n"
        "    with FakeTensorMode(allow_non_fake_inputs=True): layer(x)\n"
        "for trace, group in ((export, 'p4'), (strict_export, 'mz2'), (fake, 'p2')):\n"
        "    layer = nn.GroupLocalSelfAttention(group, 3, 6, 3, 2, 3).eval()\n"
        "    x = torch.randn(1, 3, layer.group.num_elements, 5, 5)\n"
        "    assert not layer.group._tables\n"
        "    trace(layer, x)\n"
        "    assert type(layer(x)) is torch.Tensor, trace\n"
        "    assert {type(t) for t in layer.group._tables.values()} == {torch.Tensor}, trace\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True)


@pytest.mark.parametrize("backend", ["reference", "recompute", "numba"])
@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing(backend, reentrant):
    layer, x = make("group_local", backend=backend), signal("group_local").requires_grad_()

    def gradients(out):
        return torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])

    expected = gradients(layer(x))
    layer_twice = copy.deepcopy(layer)
    out = checkpoint(layer_twice, x, use_reentrant=reentrant)
    out.square().sum().backward()
    got = [x.grad, *(p.grad for p in layer_twice.parameters())]
    assert all(map(torch.equal, got, expected))


def test_fsdp_trains_as_one_process_does(one_process):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    layer, x = make("group_local", backend="numba"), signal("group_local")
    sharded = copy.deepcopy(layer)
    fully_shard(sharded, mesh=init_device_mesh("cpu", (1,)))
    for one in (layer, sharded):
        optimizer = torch.optim.SGD(one.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            one(x).square().mean().backward()
            optimizer.step()
    for a, b in zip(sharded.parameters(), layer.parameters(), strict=True):
        torch.testing.assert_close(a.full_tensor(), b)


def test_half_precision_on_the_cpu_skips_no_step():
    """Position MLPs compute in float32: their norm makes gradients beyond float16."""
    torch.manual_seed(0)
    kinds = ("lift_local", "group_local")
    network = torch.nn.Sequential(*(make(kind, channels=(3, 6, 3)) for kind in kinds)).float()
    x, target = torch.randn(4, 3, 8, 8), torch.randn(4, 3, 4, 8, 8)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    scaler, scales = torch.amp.GradScaler("cpu"), []
    for _ in range(40):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.float16):
            loss = (network(x) - target).square().mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    first_fit = scales.index(min(scales))
    assert first_fit < 5 and len(set(scales[first_fit:])) == 1
