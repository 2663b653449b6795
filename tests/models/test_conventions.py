"""Networks as timm's users expect them: features, another classifier, no data set's preset."""

import pytest
import torch

import models

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


def test_without_the_preset_of_a_data_set():
    model = models.create_model("p4sa", None, image_size=32, in_channels=3, num_classes=5).eval()
    x = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        logits, turned = model.double()(x), model(x.rot90(1, (2, 3)))
    assert logits.shape == (1, 5)
    assert (turned - logits).abs().max() < 1e-9 * logits.abs().max()
    with pytest.raises(ValueError, match="dataset=None needs in_channels, num_classes too"):
        models.create_model("p4sa", None, image_size=32)
