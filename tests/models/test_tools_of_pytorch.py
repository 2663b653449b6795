"""What docs/pytorch.md says of PyTorch's own tools: each line of its table names its test."""

import ast
import copy
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.func import functional_call
from torch.nn.utils import parametrizations, parametrize, skip_init

from g_selfatt import datasets, models, nn
from g_selfatt.backends import BACKENDS
from g_selfatt.functional import use_backend

REPOSITORY = Path(__file__).parents[2]
NETWORKS = [("p4sa", "rotDigits"), ("p4coatnet", "rotDigits"), ("p4convnet", "rotDigits")]


def make(name="p4sa", dataset="rotDigits"):
    info = datasets.INFO[dataset]
    x = torch.randn(2, info.in_channels, info.image_size, info.image_size)
    return models.create_model(name, dataset).eval(), x


def test_the_table_names_tests_that_exist():
    table = (REPOSITORY / "docs" / "pytorch.md").read_text()
    rows = re.findall(r"^\| `?torch.*\|$", table, re.MULTILINE)
    named = [re.search(r"\[(test_\w+)\]\(\.\./(tests/[\w/]+\.py)\)", row) for row in rows]
    assert len(rows) > 10 and all(named)
    for name, path in (match.groups() for match in named):
        tree = ast.parse((REPOSITORY / path).read_text())
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name, dataset", NETWORKS)
def test_a_network_compiles_into_one_graph(name, dataset):
    network, x = make(name, dataset)
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), network(x))
    compiled.train()
    compiled(x).sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


def presets():
    """Every network that differs from the others, the smallest images first."""
    known = [info for info in datasets.INFO.values() if not info.unknown]
    found = {}
    for info in sorted(known, key=lambda info: info.image_size):
        for name in models.list_models():
            try:
                arguments = models.model_entry(name).arguments_for(info)
            except ValueError:
                continue  # a network that is made for other images
            found.setdefault((name, repr(arguments)), (name, info.name))
    return list(found.values())


@pytest.mark.slow
@pytest.mark.parametrize("name, dataset", presets())
def test_every_preset_compiles_into_one_graph(name, dataset):
    torch._dynamo.reset()
    network, x = make(name, dataset)
    x = x.requires_grad_()
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    outputs = network(x), compiled(x)
    torch.testing.assert_close(*outputs)
    wanted, got = (torch.autograd.grad(out.square().sum(), x)[0] for out in outputs)
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4 * wanted.abs().max().item())


@pytest.mark.slow
def test_a_network_by_inductor_and_ahead_of_time(tmp_path):
    network, x = make()
    x = x.requires_grad_()
    expected = network(x)
    compiled = torch.compile(network, fullgraph=True)
    torch.testing.assert_close(compiled(x), expected, rtol=1e-4, atol=1e-4)
    (got,) = torch.autograd.grad(compiled(x).square().sum(), x)
    (wanted,) = torch.autograd.grad(expected.square().sum(), x)
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-3)
    batch = torch.export.Dim("batch", max=64)
    exported = torch.export.export(network, (x.detach(),), dynamic_shapes=({0: batch},))
    path = str(tmp_path / "network.pt2")
    package = torch._inductor.aoti_compile_and_package(exported, package_path=path)
    run = torch._inductor.aoti_load_package(package)
    other = torch.randn(5, *x.shape[1:])
    torch.testing.assert_close(run(other), network(other), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name, dataset", NETWORKS)
@pytest.mark.parametrize("norm", ["LayerNorm", "BatchNorm"])
def test_grad_checkpointing(name, dataset, norm):
    dropout = {} if name == "p4convnet" else {"attention_dropout_rate": 0.2}
    network = models.create_model(name, dataset, norm_type=norm, **dropout).double()
    x, before = torch.randn(4, 1, 12, 12).double(), copy.deepcopy(network.state_dict())

    def step():
        """Gradients and buffers after a step, and how many bytes its backward waited for."""
        network.load_state_dict(before)
        torch.manual_seed(1)
        saved = {}

        def note(tensor):
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = network(x).square().mean()
        network.zero_grad()
        loss.backward()
        tensors = [p.grad for p in network.parameters()] + list(network.buffers())
        return copy.deepcopy(tensors), sum(saved.values())

    (expected, bytes_kept), _ = step(), network.set_grad_checkpointing()
    (got, bytes_of_inputs), _ = step(), network.set_grad_checkpointing(enable=False)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-14)
    assert bytes_of_inputs < 0.7 * bytes_kept
    assert step()[1] == bytes_kept


def test_what_is_computed_again_runs_where_it_ran_first(monkeypatch):
    """The backward is outside of `use_backend`; backends that keep other tensors would clash."""
    ran = []
    for name, backend in list(BACKENDS.items()):
        noted = replace(backend, run=lambda i, n=name, r=backend.run: ran.append(n) or r(i))
        monkeypatch.setitem(BACKENDS, name, noted)
    network, x = make("p4sa")
    network.set_grad_checkpointing()
    with use_backend("reference"):
        loss = network(x).square().sum()
    forward = len(ran)
    with use_backend("recompute"):
        loss.backward()
        assert set(ran) == {"reference"} and len(ran) > forward
        network(x)
    assert ran[-1] == "recompute"


@pytest.mark.parametrize("norm", ["LayerNorm", "BatchNorm"])
def test_several_backwards_through_what_is_computed_again(norm):
    network = models.create_model("p4sa", "rotDigits", norm_type=norm)
    x = torch.randn(4, 1, 12, 12)
    weight = network.lifting_self_attention.query.weight
    network.set_grad_checkpointing()
    loss = network(x).square().sum()
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    first, second = (torch.autograd.grad(loss, weight, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second) and first.any()
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in network.named_buffers())


def test_grad_checkpointing_under_torch_func():
    network, x = make("p4sa")
    weights = {name: weight.detach() for name, weight in network.named_parameters()}

    def loss(weights):
        return functional_call(network, weights, (x,)).square().sum()

    expected = torch.func.grad(loss)(weights)
    network.set_grad_checkpointing()
    got = torch.func.grad(loss)(weights)
    assert all(torch.equal(got[name], expected[name]) for name in expected)


def test_grad_checkpointing_under_the_compiler():
    layer = nn.GroupLocalSelfAttention("mz2", 2, 3, 2, 1, 3)
    # In float64: gradients of biases that change nothing are rounding errors.
    block = nn.TransformerBlock(2, 2, layer, "BatchNorm", "Swish", 0, 0.0).double()
    nn.set_grad_checkpointing(block)
    twin, x = copy.deepcopy(block), torch.randn(2, 2, 2, 5, 6).double()
    compiled = torch.compile(twin, fullgraph=True, backend="aot_eager")
    for one in (block, compiled):
        one(x).square().sum().backward()
    for a, b in zip(twin.parameters(), block.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    torch.testing.assert_close(list(twin.buffers()), list(block.buffers()))


def test_a_network_without_blocks_refuses_to_checkpoint():
    network = models.create_model("z2cnn", "rotMNIST")
    network.set_grad_checkpointing(enable=False)
    with pytest.raises(ValueError, match="CNN has no blocks to checkpoint"):
        network.set_grad_checkpointing()


def test_skip_init():
    arguments = ("p4", 3, 6, 3, 2, 3)
    trained, x = nn.GroupLocalSelfAttention(*arguments), torch.randn(2, 3, 4, 5, 6)
    layer = skip_init(nn.GroupLocalSelfAttention, *arguments)
    layer.load_state_dict(trained.state_dict())
    assert torch.equal(layer(x), trained(x))


@pytest.mark.parametrize("part", ["query", "wout", "row_embedding.0", "group_embedding"])
def test_parametrizations(part):
    layer, x = nn.GroupLocalSelfAttention("p4", 3, 6, 3, 2, 3), torch.randn(2, 3, 4, 5, 6)
    expected = layer(x)
    module = layer.get_submodule(part)
    parametrizations.weight_norm(module)
    torch.testing.assert_close(layer(x), expected)
    with torch.no_grad():
        module.parametrizations.weight.original0.mul_(2)
    assert not torch.allclose(layer(x), expected)
    changed = layer(x)
    parametrize.remove_parametrizations(module, "weight")
    torch.testing.assert_close(layer(x), changed)


@pytest.mark.parametrize("part", ["query", "key", "value"])
def test_an_adapter_in_place_of_a_projection(part):
    layer, x = nn.GroupLocalSelfAttention("p4", 3, 6, 3, 2, 3), torch.randn(2, 3, 4, 5, 6)
    expected = layer(x)
    setattr(layer, part, torch.nn.Sequential(getattr(layer, part)))
    torch.testing.assert_close(layer(x), expected)
    assert layer.double()(x.double()).dtype == torch.float64


def test_an_average_of_models():
    network, x = make()
    average = torch.optim.swa_utils.AveragedModel(network)
    average.update_parameters(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3)
    average.update_parameters(network)
    for mean, tripled in zip(average.module.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(mean, tripled * (2 / 3))
    assert average(x).shape == (2, 10)


@pytest.mark.parametrize("name, dataset", NETWORKS)
def test_memory_formats_change_nothing(name, dataset):
    network, x = make(name, dataset)
    expected = network(x)
    network.to(memory_format=torch.channels_last)
    assert all(p.is_contiguous() for p in network.parameters() if p.dim() == 5)
    torch.testing.assert_close(network(x.to(memory_format=torch.channels_last)), expected)
    assert network.to(torch.float64)(x.double()).dtype == torch.float64


@pytest.mark.parametrize("name, dataset", [*NETWORKS, ("z2cnn", "rotMNIST")])
def test_graphs_of_torch_fx(name, dataset):
    network, x = make(name, dataset)
    traced = torch.fx.symbolic_trace(network)
    torch.testing.assert_close(traced(x), network(x))
    targets = {node.target for node in traced.graph.nodes if node.op == "call_module"}
    kinds = (nn.LiftLocalSelfAttention, nn.GroupLocalSelfAttention, nn.LiftConv, nn.GroupConv)
    assert targets >= {name for name, m in network.named_modules() if isinstance(m, kinds)}


def test_feature_extractor_of_torchvision():
    extraction = pytest.importorskip("torchvision.models.feature_extraction")
    network, x = make()
    extractor = extraction.create_feature_extractor(network, {"lifting_self_attention": "lifted"})
    expected = network.lifting_self_attention(x)
    torch.testing.assert_close(extractor(x)["lifted"], expected)


def test_distributed_data_parallel(one_process):
    network, x = nn.LiftLocalSelfAttention("p4", 1, 6, 4, 2, 3), torch.randn(2, 1, 5, 6)
    parallel = torch.nn.parallel.DistributedDataParallel(copy.deepcopy(network))
    for one in (network, parallel):
        one(x).square().sum().backward()
    for a, b in zip(parallel.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_weights_of_a_compiled_network_are_those_of_the_network(tmp_path):
    network, x = make()
    models.save_weights(tmp_path / "weights", torch.compile(network), {})
    for wrap in (lambda other: other, torch.compile):
        other, _ = make()
        models.load_weights(tmp_path / "weights", wrap(other))
        assert torch.equal(other(x), network(x))


def test_an_exponential_average_with_buffers():
    network, x = make()
    for weight in network.parameters():  # at the start, the group term is still tiny
        torch.nn.init.normal_(weight)
    ema = torch.optim.swa_utils.get_ema_multi_avg_fn(0.9995)
    average = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=ema, use_buffers=True)
    for _ in range(5):
        average.update_parameters(network)
    assert torch.equal(average(x), network(x))
