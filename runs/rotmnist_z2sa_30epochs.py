"""z2sa on rotMNIST, the first 30 of the 300 epochs of the paper.

Row: ours, a tenth of the epochs of the paper
Protocol: held_out, Adam 1e-3, constant, batch 8, 30 epochs
Command: python main.py --config=runs/rotmnist_z2sa_30epochs.py
Reached: 92.26 %
Cost: 100 minutes, one core of an AMD EPYC
"""

from config import get_config as defaults


def get_config():
    return defaults(dataset="rotMNIST", model="z2sa", epochs=30)
