"""z2convnet on pairs of digits: same class or not, without attention.

Row: ours
Protocol: held_out, AdamW 4e-3 with one cycle, weight decay 0.02, batch 32, 10 epochs, which take as
    long as the 5 of digit_pairs_z2coatnet
Command: python main.py --config=runs/digit_pairs_z2convnet.py
Reached: 82.78 %, mean of two seeds
Cost: 112 to 113 seconds of CPU, one core of an AMD EPYC
"""

from config import get_config as defaults


def get_config():
    config = defaults(dataset="digitPairs", model="z2convnet", epochs=10)
    config.channels_per_stage = (26, 39)  # as many parameters as with attention
    return config
