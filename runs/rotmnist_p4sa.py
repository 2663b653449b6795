"""p4sa on rotMNIST, to the letter of the paper.

Row: Romero & Cordonnier (2021), rotMNIST, p4sa
Protocol: held_out, Adam 1e-3, constant, batch 8, 300 epochs
Command: python main.py --config=runs/rotmnist_p4sa.py
Published: 97.46 % by the authors, 96.42 % by others with a held-out epoch
Reached: not run
Cost: 50 hours of one core, by the epochs of rotmnist_p4sa_fast; made for a GPU
"""

from config import get_config as defaults


def get_config():
    return defaults(dataset="rotMNIST", model="p4sa")
