"""mz2convnet on CIFAR10: convolutions that are equivariant to the mirror, no attention.

Row: ours
Protocol: held_out, AdamW 4e-3 with one cycle, weight decay 0.02, label smoothing 0.1,
    batch 32, 15 epochs, training images shifted and mirrored; the last 5,000 are validation
Command: python main.py --config=runs/cifar10_mz2convnet.py
Reached: 88.45 %, one seed
Cost: 126 minutes, two cores of an AMD EPYC, for a part of it one
"""

from runs.rotmnist_p4convnet import get_config as base


def get_config():
    config = base()
    config.dataset = "CIFAR10"
    config.model = "mz2convnet"
    config.epochs = 15
    config.augment = True
    return config
