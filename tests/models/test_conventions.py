"""Networks as timm's users expect them: features, another classifier, no data set's preset."""

import warnings

import pytest
import torch

from g_selfatt import models
from g_selfatt.testing import assert_equivariant, equivariance_error

NETWORKS = [("p4sa", "rotDigits"), ("z2cnn", "rotMNIST"), ("p4coatnet", "rotDigits")]


@pytest.mark.parametrize(("name", "dataset"), NETWORKS)
def test_features_head_and_another_classifier(name, dataset):
    model = models.create_model(name, dataset).eval()
    size = 12 if dataset == "rotDigits" else 28
    x = torch.rand(2, 1, size, size)
    with torch.no_grad():
        logits = model(x)
        features = model.forward_features(x)
        torch.testing.assert_close(model.forward_head(features), logits)
        pooled = model.forward_head(features, pre_logits=True)
        assert pooled.shape == (2, model.num_features)
        model.reset_classifier(3)
        assert (model(x).shape, model.num_classes) == ((2, 3), 3)
        model.reset_classifier(0)
        torch.testing.assert_close(model(x), pooled)


@pytest.mark.parametrize(("name", "dataset"), NETWORKS)
def test_no_classes_gives_features(name, dataset):
    model = models.create_model(name, dataset, num_classes=0).eval()
    size = 12 if dataset == "rotDigits" else 28
    assert model(torch.rand(2, 1, size, size)).shape == (2, model.num_features)


def test_trained_weights_with_another_number_of_classes(tmp_path):
    trained = models.create_model("p4sa", "rotDigits", pretrained=True)
    model = models.create_model("p4sa", "rotDigits", pretrained=True, num_classes=3)
    last = f"transformer.{len(model.transformer) - 1}.weight"
    assert model.state_dict()[last].shape[0] == 3
    for name, tensor in trained.state_dict().items():
        assert name == last or torch.equal(model.state_dict()[name], tensor)
    assert model.network_record["arguments"]["num_classes"] == 3


@pytest.mark.parametrize(("name", "dataset"), [*NETWORKS[:2], ("p4convnet", "rotDigits")])
def test_a_new_last_layer_has_the_dtype_of_the_others_and_no_accuracy(name, dataset):
    model = models.create_model(name, dataset, pretrained=True).double()
    known = model.pretrained_config
    model.reset_classifier(3)
    size = known["image_size"]
    assert model(torch.rand(2, 1, size, size, dtype=torch.float64)).shape == (2, 3)
    assert model.network_record["arguments"]["num_classes"] == 3
    left = model.pretrained_config
    assert known.keys() - left.keys() == {"name", "classes", "test_accuracy", "parameters"}
    assert left == {key: known[key] for key in left} | {"num_classes": 3}


def test_without_the_preset_of_a_data_set():
    model = models.create_model("p4sa", None, image_size=32, in_channels=3, num_classes=5).eval()
    x = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        logits, turned = model.double()(x), model(x.rot90(1, (2, 3)))
    assert logits.shape == (1, 5)
    assert (turned - logits).abs().max() < 1e-9 * logits.abs().max()
    cnn = models.create_model("z2cnn", None, image_size=28, in_channels=1, num_classes=5)
    assert cnn(torch.rand(2, 1, 28, 28)).shape == (2, 5)
    with pytest.raises(ValueError, match="z2cnn is made for 28×28 grey images, those of none are"):
        models.create_model("z2cnn", None, image_size=32, in_channels=1, num_classes=5)
    with pytest.raises(ValueError, match="dataset=folder needs image_size, in_channels too"):
        models.create_model("p4convnet", "folder", num_classes=2)
    with pytest.raises(ValueError, match="dataset=None needs in_channels, num_classes too"):
        models.create_model("p4sa", None, image_size=32)


@pytest.mark.parametrize(
    ("name", "options"),
    [("p4sa", {}), ("p4sa", {"attention_type": "Global"}), ("p4coatnet", {})],
)
def test_images_that_are_not_square(name, options):
    torch.manual_seed(0)
    facts = {"image_size": (16, 24), "in_channels": 1, "num_classes": 3}
    model = models.create_model(name, None, **facts, **options)
    x = torch.rand(1, 1, 16, 24, dtype=torch.float64)
    assert_equivariant(model.double(), "p4", x)
    with pytest.raises(ValueError, match=r"must be a side or \(height, width\), got \(16, 24, 1\)"):
        models.create_model(name, None, **facts | {"image_size": (16, 24, 1)})


@pytest.mark.parametrize(
    ("name", "size", "exact"),
    [
        ("p4sa", 64, "72×72"),
        ("p4sa", 96, "104×104"),  # as in the paper
        ("mz2sa", (64, 72), ""),  # columns are mirrored only
        ("mz2sa", (72, 64), "72×72"),
        ("z2sa", 64, ""),
    ],
)
def test_a_size_that_breaks_equivariance_is_said_once(name, size, exact):
    torch.manual_seed(0)
    model = models.create_model(name, "PCam", image_size=size).double().eval()
    height, width = (size, size) if isinstance(size, int) else size
    x = torch.rand(1, 3, height, width, dtype=torch.float64)
    with warnings.catch_warnings(record=True) as caught, torch.no_grad():
        warnings.simplefilter("always")
        model(x), model(x)
    said = [str(warning.message) for warning in caught]
    errors = equivariance_error(model, model.group, x).exact
    assert (max(errors.values()) > 1e-3) == bool(exact) == bool(said)
    if exact:
        assert len(said) == 1 and said[0].endswith(f"the next size that is exact is {exact}")
        height, width = map(int, exact.split("×"))
        x = torch.rand(1, 3, height, width, dtype=torch.float64)
        assert_equivariant(model, model.group, x)


def test_pooled_by_their_mean_logits_do_not_grow_with_the_image():
    torch.manual_seed(0)
    spread = {}
    for pooling in ("sum", "mean"):
        model = models.create_model("p4sa", "rotMNIST", spatial_pooling=pooling).eval()
        with torch.no_grad():
            spread[pooling] = [model(torch.rand(2, 1, s, s)).std() for s in (28, 60)]
    assert spread["sum"][1] > 4 * spread["sum"][0]
    assert spread["mean"][1] < 2 * spread["mean"][0]
    with pytest.raises(ValueError, match="unknown spatial_pooling 'max'; choose one of sum, mean"):
        models.create_model("p4sa", "rotMNIST", spatial_pooling="max")
