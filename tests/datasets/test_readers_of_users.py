"""What a reader of a user's own returns is compared with the record before anything trains."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from g_selfatt import datasets
from g_selfatt.datasets import Source, TensorSplit
from g_selfatt.datasets.splits import FolderSplit

IMAGES = torch.zeros(4, 1, 4, 4, dtype=torch.uint8)
SPLIT = TensorSplit(IMAGES, torch.arange(4))
ITEMS = [(image, label) for label, image in enumerate(IMAGES)]
FACTS = {"image_size": 4, "in_channels": 1, "num_classes": 4, "mean": (0.5,), "std": (0.25,)}


class Listed:
    """A split of a user's own, without `hold_out`."""

    labels = torch.arange(4)

    def __init__(self, items=ITEMS):
        self.items = items

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.items[index]

    def head(self, count):
        return self


def load(source, protocol="held_out", **facts):
    @datasets.register(name="own", provenance="made here", **FACTS | facts)
    def read(root, *, download=True):
        return source

    return datasets.load("own", eval_protocol=protocol)


@pytest.fixture(autouse=True)
def _registry(monkeypatch):
    monkeypatch.setattr("g_selfatt.datasets.registry.INFO", dict(datasets.INFO))


def test_what_fits_is_loaded():
    for split in (SPLIT, Listed(), replace(SPLIT, labels=SPLIT.labels.int())):
        splits = load(Source(split, split, split))
        loader = datasets.make_loader(
            splits.train, splits.info, batch_size=4, device="cpu", shuffle=False, seed=0
        )
        [(images, labels)] = loader
        assert labels.dtype == torch.int64 and labels.tolist() == [0, 1, 2, 3]
        assert images.unique().tolist() == [-2.0]
    assert len(load(Source(SPLIT, None, SPLIT), held_out=1).validation) == 1
    assert len(load(Source(SPLIT, None, SPLIT), "paper").validation) == 4


@pytest.mark.parametrize(
    ("split", "words"),
    [
        (
            TensorSplit(IMAGES / 255, SPLIT.labels),
            "images that are torch.float32 .* expected uint8",
        ),
        (TensorSplit(IMAGES.expand(4, 3, 4, 4), SPLIT.labels), r"expected uint8 \(N, 1, 4, 4\)"),
        (TensorSplit(IMAGES, SPLIT.labels + 1), "labels go from 1 to 4, expected 0 to 3"),
        (TensorSplit(IMAGES, SPLIT.labels[:3]), r"labels are int64 \(3,\), expected integers \(4,"),
        (TensorSplit(IMAGES, SPLIT.labels.float()), "labels that are torch.float32, expected int"),
        (FolderSplit([("a.png", 0)], open, (4, 4, 3)), r"images are uint8 \(1, 3, 4, 4\)"),
        (FolderSplit([("a.png", 7)], open, (4, 4, 1)), "labels go from 7 to 7"),
        (FolderSplit([], open, (4, 4, 1)), "no image in test"),
        (TensorSplit(IMAGES.numpy(), SPLIT.labels), "images that are ndarray, expected a Tensor"),
        (TensorSplit(IMAGES[:0], SPLIT.labels[:0]), "no image in test"),
        ([1, 2], "a list as test, without labels, head"),
        (Listed({}), "items that are no pairs"),
        (Listed([(IMAGES[0], 3)]), r"the first is 3, labels\[0\] is not"),
    ],
)
def test_a_split_that_does_not_fit_is_named(split, words):
    with pytest.raises(ValueError, match=f"^data set own: its reader returned .*{words}"):
        load(Source(SPLIT, SPLIT, split))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"mean": 0.5}, "mean=0.5, expected a number from 0 to 1, of pixel/255, for each"),
        ({"mean": (127.0,)}, "mean=.* from 0 to 1"),
        ({"std": (float("nan"),)}, "std=.* from 0 to 1"),
        ({"mean": (0.5, 0.5, 0.5)}, r"mean=\(0.5, 0.5, 0.5\) for 1 channels"),
        ({"std": (0.0,)}, "std=.* expected numbers above 0"),
        ({"num_classes": "4"}, "num_classes='4', expected a whole number"),
        ({"classes": "abcd"}, "classes='abcd', expected a tuple of names"),
        ({"classes": ("a", "b")}, "2 classes, and num_classes=4"),
    ],
)
def test_a_fact_that_does_not_fit_is_named(facts, words):
    with pytest.raises(ValueError, match=f"^data set own: its reader or record gives {words}"):
        load(Source(SPLIT, SPLIT, SPLIT), **facts)


def test_facts_may_be_numbers_of_numpy_and_arrays():
    facts = {"mean": np.array([0.5]), "std": torch.tensor([0.25]), "num_classes": np.int64(4)}
    info = load(Source(SPLIT, SPLIT, SPLIT, facts)).info
    assert (info.mean, info.std) == ((0.5,), (0.25,))
    assert type(info.num_classes) is int


def test_what_is_no_source_is_named():
    for source, words in (
        ((SPLIT, SPLIT, SPLIT), "must return a Source.*, got tuple"),
        (None, "got NoneType"),
        (Source(SPLIT, SPLIT, SPLIT, [1]), r"facts=\[1\], expected a dictionary"),
        (Source(SPLIT, SPLIT, SPLIT, {"colour": 1}), "facts that there are not: colour"),
    ):
        with pytest.raises(ValueError, match=words):
            load(source)


def test_without_validation_the_record_says_how_many_images_serve():
    with pytest.raises(ValueError, match="no validation split: return one, or give the record"):
        load(Source(SPLIT, None, SPLIT))
    with pytest.raises(ValueError, match="Listed has no hold_out"):
        load(Source(Listed(), None, SPLIT), held_out=1)
