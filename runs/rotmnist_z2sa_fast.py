"""z2sa on rotMNIST by the recipe of rotmnist_p4sa_fast.

Row: ours
Protocol: held_out, Adam 4e-3 with one cycle, batch 8, 6 epochs, no dropout, smaller initial weights
Command: python main.py --config=runs/rotmnist_z2sa_fast.py
Reached: 89.11 %
Cost: 15 minutes, one core of an AMD EPYC
"""

from runs.rotmnist_p4sa_fast import get_config as base


def get_config():
    config = base()
    config.model = "z2sa"
    return config
