"""p4sa on rotMNIST by the recipe of rotmnist_p4sa_long, with turned training images.

Row: ours
Protocol: held_out, Adam 4e-3 with one cycle, batch 8, 15 epochs; BatchNorm, heads that start at
    offsets of their own, mean over space, label smoothing 0.1, gradients clipped at norm 1,
    weights averaged (0.999), no dropout, training images turned by any angle
Command: python main.py --config=runs/rotmnist_p4sa_long_turned.py
Reached: 98.09 %, one seed
Cost: 146 minutes, two cores of an AMD EPYC, for a part of it one
"""

from runs.rotmnist_p4sa_long import get_config as base


def get_config():
    config = base()
    config.augment = True
    return config
