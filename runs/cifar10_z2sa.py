"""z2sa on CIFAR10, to the letter of the paper.

Row: Romero & Cordonnier (2021), CIFAR10, z2sa
Protocol: held_out, SGD 0.01, momentum 0.9, 10 epochs of linear warm-up, then a cosine, batch 24,
    350 epochs; the last 5,000 training images are validation
Command: python main.py --config=runs/cifar10_z2sa.py
Reached: not run
Cost: made for a GPU
"""

from config import get_config as defaults


def get_config():
    return defaults(dataset="CIFAR10", model="z2sa")
