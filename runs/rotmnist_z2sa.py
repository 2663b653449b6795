"""z2sa on rotMNIST, to the letter of the paper.

Row: Romero & Cordonnier (2021), rotMNIST, z2sa
Protocol: held_out, Adam 1e-3, constant, batch 8, 300 epochs
Command: python main.py --config=runs/rotmnist_z2sa.py
Reached: not run
Cost: 16 hours of one core, by the epochs of rotmnist_z2sa_30epochs; made for a GPU
"""

from config import get_config as defaults


def get_config():
    return defaults(dataset="rotMNIST", model="z2sa")
