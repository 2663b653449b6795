"""Weights on disk and checkpoints of others: strict, to the bit, one line if they do not fit."""

import json
import resource

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from g_selfatt import models
from g_selfatt.models import CheckpointError, weights
from g_selfatt.models.group_transformer_presets import PRESETS
from g_selfatt.nn import GroupLocalSelfAttention


def small(**options):
    return models.create_model("p4sa", "rotDigits", **options)


def test_saved_loaded_and_evaluated_gives_the_same_bits(tmp_path):
    model, x = small(), torch.rand(2, 1, 12, 12)
    models.save_weights(tmp_path / "w.safetensors", model, {"seed": "7"})
    other = small()
    metadata = models.load_weights(tmp_path / "w.safetensors", other)
    assert metadata["seed"] == models.read_metadata(tmp_path / "w.safetensors")["seed"] == "7"
    assert torch.equal(model.eval()(x), other.eval()(x))
    assert [f.name for f in tmp_path.iterdir()] == ["w.safetensors"]


def test_weights_that_two_layers_share_are_saved(tmp_path):
    model, other = (nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)) for _ in range(2))
    model[1].weight = model[0].weight
    models.save_weights(tmp_path / "w.safetensors", model, {})
    models.load_weights(tmp_path / "w.safetensors", other)
    assert torch.equal(other[1].weight, model[0].weight)


def test_a_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "w.safetensors"
    models.save_weights(path, small(), {})
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="do not match their sha256"):
        models.load_weights(path, small())


def test_what_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "w").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        models.load_weights(tmp_path / "w", small())
    with pytest.raises(FileNotFoundError, match="no weights at"):
        models.read_metadata(tmp_path / "absent")


def test_weights_of_another_network_are_refused_and_change_nothing(tmp_path):
    path = tmp_path / "w.safetensors"
    models.save_weights(path, small(num_channels=8), {})
    model = small()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"does not fit this GroupTransformer: .* \(and"):
        models.load_weights(path, model)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    models.save_weights(path, models.create_model("z2cnn"), {})
    with pytest.raises(CheckpointError, match="is missing"):
        models.load_weights(path, model)


def test_the_prefix_of_data_parallel_is_stripped(golden):
    case = golden("models")[1]
    prefixed = {f"module.{k}": v for k, v in case["state_dict"].items()}
    model = models.create_model("z2sa", "rotMNIST", patch_size=3)
    models.load_original_state_dict(model, prefixed)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, case["state_dict"][name])


def test_original_state_dicts_are_loaded_strictly(golden):
    state = dict(golden("models")[1]["state_dict"])
    model = models.create_model("z2sa", "rotMNIST", patch_size=3)
    with pytest.raises(ValueError, match="extra.weight is not part of the network"):
        models.load_original_state_dict(model, state | {"extra.weight": torch.zeros(1)})
    del state["transformer.6.weight"]
    with pytest.raises(ValueError, match="transformer.6.weight is missing"):
        models.load_original_state_dict(model, state)
    with pytest.raises(ValueError, match="unknown source 'timm'; choose one of gsa-nets, gevit"):
        models.load_original_state_dict(model, state, source="timm")


@pytest.mark.parametrize("index", [0, 1])
def test_gevit_networks(golden, index):
    case = golden("gevit_models")[index]
    model = models.GroupTransformer(group=case["group"], group_encoding="gevit", **case["kwargs"])
    models.load_original_state_dict(model, case["state_dict"], source="gevit")
    with torch.no_grad():
        logits = model.eval()(case["x"])
    assert (logits - case["logits"]).abs().max() < 1e-5 * case["logits"].abs().max()


def test_a_single_layer_of_the_released_code_loads(golden):
    case = next(c for c in golden("layers") if (c["group"], c["kind"]) == ("p4m", "group_local"))
    layer = GroupLocalSelfAttention("p4m", **case["kwargs"], group_encoding="paper")
    models.load_original_state_dict(layer, case["state_dict"])
    torch.testing.assert_close(layer(case["x"]), case["y"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("group", "encoding", "source", "words"),
    [
        ("p4", "equivariant", "gsa-nets", "'equivariant' in place of 'paper'"),
        ("p4", "paper", "gevit", "'paper' in place of 'gevit'"),
        ("p4m", "gevit", "gevit", "p4m has mirrors"),
        ("p4", "paper", "gsa-nets", ""),
        ("p4", "gevit", "gevit", ""),
        ("z2", "equivariant", "gsa-nets", ""),  # one element has one encoding
    ],
)
def test_weights_whose_numbers_do_not_come_out_are_said_to(recwarn, group, encoding, source, words):
    layer = GroupLocalSelfAttention(group, 2, 3, 2, 1, 3, group_encoding=encoding)
    models.load_original_state_dict(layer, layer.state_dict(), source=source)
    said = "".join(str(one.message) for one in recwarn)
    assert words in said and bool(said) == bool(words)


def test_batch_norm_state_travels_too(tmp_path):
    model = small(norm_type="BatchNorm")
    model(torch.rand(4, 1, 12, 12))
    models.save_weights(tmp_path / "w", model, {})
    other = small(norm_type="BatchNorm")
    models.load_weights(tmp_path / "w", other)
    assert torch.equal(
        model.lifting_normalization.running_mean, other.lifting_normalization.running_mean
    )
    assert isinstance(other.lifting_normalization, nn.BatchNorm3d)


def run_folder(path, model, **results):
    path.mkdir(parents=True)
    config = {"model": "p4sa", "dataset": "rotDigits"}
    metadata = {"config": json.dumps(config), "results": json.dumps(results), "data": "made here"}
    models.save_weights(path / models.WEIGHTS, model, metadata)
    return path


def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path):
    path = tmp_path / "weights.safetensors"
    models.save_weights(path, nn.Linear(2, 2), {})
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            models.save_weights(path, nn.Linear(20, 20), {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == before


def test_a_run_is_loaded_by_its_folder_whatever_the_preset_is_by_now(tmp_path, monkeypatch):
    model, x = small(num_channels=8, patch_size=3), torch.rand(2, 1, 12, 12)
    folder = run_folder(tmp_path / "mine", model, test_accuracy=0.5, parameters=1)
    monkeypatch.setitem(PRESETS, "rotDigits", PRESETS["rotDigits"] | {"num_heads": 2})
    again = models.load_model(folder)
    assert torch.equal(model.eval()(x), again.eval()(x))
    assert again.pretrained_config["name"] == "mine"
    assert again.pretrained_config["provenance"] == "made here"


def test_listing_leaves_out_what_is_damaged(tmp_path, caplog):
    run_folder(tmp_path / "good", small(), test_accuracy=0.5, parameters=1)
    broken = run_folder(tmp_path / "broken", small()) / models.WEIGHTS
    broken.write_bytes(broken.read_bytes()[:50])
    (tmp_path / "other").mkdir()
    models.save_weights(tmp_path / "other" / models.WEIGHTS, small(), {})
    (tmp_path / "theirs" / models.WEIGHTS).mkdir(parents=True)  # as a file of another user
    assert [weights.name for weights in models.list_weights(tmp_path)] == ["good"]
    assert "broken" in caplog.text and "was not written by training" in caplog.text
    assert models.list_weights(tmp_path / "absent") == []


def test_shipped_weights_that_are_damaged_harm_nobody_else(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(weights, "SAVED", tmp_path)
    assert models.list_pretrained() == []  # saved/ was emptied
    (tmp_path / weights.SHIPPED).write_text("good\nbroken\nnot-fetched\n")
    for name in ("good", "broken"):
        run_folder(tmp_path / name, small(), test_accuracy=0.5, parameters=1)
    broken = tmp_path / "broken" / models.WEIGHTS
    broken.write_bytes(broken.read_bytes()[:50])
    assert [found.name for found in models.list_pretrained()] == ["good"]
    assert caplog.text.count("; left out") == 1
    with pytest.raises(CheckpointError, match="broken"):
        models.list_pretrained("Broken")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_though_their_digest_is_right(tmp_path, value):
    model, path = small(), tmp_path / "w.safetensors"
    name, weight = next(iter(model.named_parameters()))
    weight.data.view(-1)[0] = value
    models.save_weights(path, model, {})
    with pytest.raises(CheckpointError, match=f"{name} has NaN or infinite numbers"):
        models.load_weights(path, small())


def test_weights_of_another_dtype_are_refused_though_their_digest_is_right(tmp_path):
    models.save_weights(tmp_path / "w.safetensors", small().double(), {})
    with pytest.raises(CheckpointError, match="is torch.float64, the network has torch.float32"):
        models.load_weights(tmp_path / "w.safetensors", small())


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.float8_e5m2])
def test_weights_of_another_kind_of_numbers_are_refused(tmp_path, dtype):
    module = torch.nn.Linear(2, 2, bias=False)
    other = torch.nn.Module()
    other.register_buffer("weight", torch.ones(2, 2).to(dtype))
    models.save_weights(tmp_path / "w.safetensors", other, {})
    with pytest.raises(CheckpointError, match=f"weight is {dtype}, the network has torch.float32"):
        models.load_weights(tmp_path / "w.safetensors", module)


def test_trained_networks_take_the_default_dtype():
    name = models.list_pretrained("rotDigits-p4convnet*")[0].name
    x = torch.randn(2, 1, 12, 12, dtype=torch.float64)
    expected = models.create_model(name, pretrained=True).eval().double()(x)
    torch.set_default_dtype(torch.float64)
    try:
        network = models.create_model(name, pretrained=True).eval()
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(network(x), expected)


NESTED = 200_000


@pytest.mark.parametrize(
    "config",
    ["{", "null", "[1]", "[" * NESTED + "]" * NESTED, '{"model": "p4sa"}'],
    ids=["no JSON", "null", "a list", "nested", "lacking keys"],
)
def test_the_metadata_of_strangers_are_left_out_with_a_word(tmp_path, caplog, config):
    path = tmp_path / "theirs" / models.WEIGHTS
    models.save_weights(path, small(), {"config": config, "results": "{}"})
    assert models.list_weights(tmp_path) == []
    (said,) = caplog.messages
    assert f"{path} was not written by training: config is no JSON with dataset" in said
    with pytest.raises(CheckpointError, match="was not written by training") as caught:
        models.Weights.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lacking", ["config", "results", "network"])
def test_weights_that_lack_what_made_them_are_refused(tmp_path, lacking):
    path = run_folder(tmp_path / "theirs", small(), test_accuracy=0.5, parameters=1)
    path = path / models.WEIGHTS
    tensors, metadata = load_file(path), models.read_metadata(path)
    for without, message in (
        ({}, f"it lacks {lacking}$"),
        ({lacking: "{}"}, f"{lacking} is no JSON with [a-z_]+, [a-z_]+$"),
    ):
        kept = {name: text for name, text in metadata.items() if name != lacking}
        save_file(tensors, path, kept | without)
        with pytest.raises(CheckpointError, match=f"{path} was not written by training: {message}"):
            models.Weights.read(path)


def test_an_accuracy_is_only_told_of_what_was_measured(tmp_path):
    name = "rotDigits-p4sa-local5-seed0-0a670760"
    (weights,) = models.list_pretrained(name)
    same = models.create_model(name, pretrained=True, value_dropout_rate=0.1, backend="reference")
    assert same.pretrained_config["test_accuracy"] == weights.results["test_accuracy"] > 0.9
    other = models.create_model(name, pretrained=True, patch_size=3)
    assert "test_accuracy" not in other.pretrained_config
    other.save_pretrained(tmp_path)
    assert "Test accuracy" not in (tmp_path / "README.md").read_text()
    with pytest.raises(ValueError, match="p4sa has no argument 'patchsize'; it has "):
        models.create_model(name, pretrained=True, patchsize=3)
