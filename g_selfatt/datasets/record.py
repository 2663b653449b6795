"""The record of a data set: its facts, its reader, its augmentation, its protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from g_selfatt.config_keys import Key

if TYPE_CHECKING:
    from g_selfatt.datasets.augment import Transform
    from g_selfatt.datasets.splits import Source


@dataclass(frozen=True)
class Protocol:
    """How a data set is trained where the user does not say; the default is that of rotMNIST.

    Each attribute is a key of config.py.
    """

    optimizer: str = "Adam"
    lr: float = 1e-3
    scheduler: str = "constant"
    weight_decay: float = 1e-4
    batch_size: int = 8
    epochs: int = 300
    label_smoothing: float = 0.0
    clip_grad_norm: float = 0.0
    ema_decay: float = 0.0


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set: its facts, its reader, its augmentation, its protocol.

    What only the files tell (a folder's classes, its mean) has its default here, and the reader
    returns it.

    Attributes:
        name: the canonical name, a key of `INFO`.
        read: the reader, `read(root, *, download, **options) -> Source`. Args: folder of all data
            sets, whether missing files may be downloaded, and the values of `keys`.
        provenance: one line on where the pixels come from.
        fingerprint: what changes when the images do; empty where `provenance` says it all.
        image_size: height and width of an image in pixels; 0 where the reader tells.
        in_channels: channels of an image; 0 where the reader tells.
        num_classes: number of classes, labels are 0 … num_classes − 1; 0 where the reader tells.
        mean: mean of pixel/255, one number per channel; empty where the reader tells.
        std: standard deviation of pixel/255, one number per channel; empty where the reader tells.
        classes: names of the classes in the order of their labels; empty where they are digits.
        augmentation: the transformations of ``augment=True``, in the order they are applied.
        held_out: how many of the last training images serve as validation; 0 where the data set
            has a validation split of its own.
        protocol: how it is trained by default.
        keys: keys of the configuration that this data set adds, handed to the reader.
        located: whether ``data_dir`` is the data set itself, so that it tells one run from another.
        aliases: other spellings of the name.
    """

    name: str
    read: Callable[..., Source]
    provenance: str
    fingerprint: str = ""
    image_size: int = 0
    in_channels: int = 0
    num_classes: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    classes: tuple[str, ...] = ()
    augmentation: tuple[Transform, ...] = ()
    held_out: int = 0
    protocol: Protocol = Protocol()
    keys: tuple[Key, ...] = ()
    located: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of every class, in the order of their labels."""
        return self.classes or tuple(str(label) for label in range(self.num_classes))

    @property
    def unknown(self) -> tuple[str, ...]:
        """The names of the facts that only the reader tells."""
        needed = ("image_size", "in_channels", "num_classes", "mean", "std")
        return tuple(name for name in needed if not getattr(self, name))
