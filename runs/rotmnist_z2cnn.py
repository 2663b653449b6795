"""z2cnn on rotMNIST, to the letter of the paper: the convolutional baseline.

Row: Romero & Cordonnier (2021), rotMNIST, z2cnn
Protocol: held_out, Adam 1e-3, constant, batch 8, 300 epochs
Command: python main.py --config=runs/rotmnist_z2cnn.py
Reached: not run
Cost: an hour of one core
"""

from config import get_config as defaults


def get_config():
    return defaults(dataset="rotMNIST", model="z2cnn")
