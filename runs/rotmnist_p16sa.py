"""p16sa on rotMNIST, to the letter of the paper.

Row: Romero & Cordonnier (2021), rotMNIST, p16sa
Protocol: held_out, Adam 1e-3, constant, batch 8, 300 epochs
Command: python main.py --config=runs/rotmnist_p16sa.py
Reached: not run
Cost: made for a GPU
"""

from config import get_config as defaults


def get_config():
    return defaults(dataset="rotMNIST", model="p16sa")
