"""What training and evaluation share: device, precision, data and network of a configuration."""

import logging
from dataclasses import replace
from pathlib import Path

import torch
from ml_collections import ConfigDict

from g_selfatt import datasets
from training import distributed, pretrained
from training.batch_norm import synchronise
from training.evaluation import PIXELS
from training.imbalance import warn_of_imbalance
from training.machine import processor
from training.network import compile_network, create_network
from training.precision import Precision
from training.seeding import seed_everything

logger = logging.getLogger(__name__)


class Experiment:
    """A configuration with its data loaded and its network made.

    Args:
        config: resolved and checked.
        weights: of an earlier run, to be evaluated or trained further; None where there are none.
        device: of this process.

    Attributes:
        splits: the data.
        model: (B, C, H, W) to logits (B, classes), on the device, as the seed draws it.
        precision: autocast and loss scaling.
        parameters: their number.
        machine: device and precision, in words.
        selected_on: the images that pick the best epoch: validation or test.
    """

    def __init__(self, config: ConfigDict, weights: Path | None, device: torch.device) -> None:
        self.config = config
        self.weights = weights
        self.device = device
        self.precision = Precision(config.amp, device, config.scheduler)
        self.machine = f"{_name(device)}, amp {self.precision.amp}"
        own = {key.keyword: config[key.name] for key in datasets.INFO[config.dataset].keys}
        self.splits = distributed.first_on_each_machine(
            lambda: datasets.load(
                config.dataset,
                config.data_dir,
                eval_protocol=config.eval_protocol,
                limit=config.batch_size if config.smoke else None,
                **own,
            )
        )
        if weights and not config.train:
            info = pretrained.as_trained(weights, self.splits.info)
            self.splits = replace(self.splits, info=info)
        if config.train and not config.smoke:
            warn_of_imbalance(self.splits.train.labels, self.splits.info.class_names)
        seed_everything(config.seed)
        self.model = synchronise(create_network(config, self.splits.info, device, weights), device)
        if distributed.rank() > 0:  # the same weights everywhere, but not the same dropout
            seed_everything(distributed.seed_here(config.seed))
        if config.compile:
            compile_network(self.model, self.splits.info, device, self.precision)
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())
        logger.info(
            "%s on %s (%s): %s parameters, %s training images, %s",
            *(config.model, config.dataset, self.splits.info.provenance),
            *(f"{self.parameters:,}", f"{len(self.splits.train):,}", self.machine),
        )
        self.selected_on = "test" if config.eval_protocol == "paper" else "validation"
        if self.selected_on == "test":
            logger.warning(
                "eval_protocol=paper: the best epoch is picked on the test images, as in the "
                "released code, so the test accuracy is optimistic"
            )

    def batches(self, split: str, shuffle: bool = False) -> datasets.Loader:
        """The share of this process in the batches of a split.

        Args:
            split: train, validation or test.
            shuffle: as for training, augmented where the configuration says so.
        """
        config, batch_size = self.config, self.config.batch_size
        if split != "train":
            pixels = PIXELS[self.device.type] // self.splits.info.image_size**2
            batch_size = max(batch_size, pixels - pixels % distributed.size())
        return datasets.make_loader(
            getattr(self.splits, split),
            self.splits.info,
            batch_size,
            device=self.device,
            shuffle=shuffle,
            seed=config.seed,
            augment=config.augment and shuffle,
            num_workers=config.num_workers,
            share=(distributed.rank(), distributed.size()),
        )


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{processor()}, {threads} {'thread' if threads == 1 else 'threads'}"
