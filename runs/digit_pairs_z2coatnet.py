"""z2coatnet on pairs of digits: same class or not, with global attention in the last stage.

Row: ours
Protocol: held_out, AdamW 4e-3 with one cycle, weight decay 0.02, batch 32, 5 epochs
Command: python main.py --config=runs/digit_pairs_z2coatnet.py
Reached: 86.45 %, mean of two seeds
Cost: 101 to 152 seconds of CPU, one core of an AMD EPYC
"""

from config import get_config as defaults


def get_config():
    config = defaults(dataset="digitPairs", model="z2coatnet")
    config.attention_per_stage = ("Off", "Global")
    config.channels_per_stage = (24, 30)
    return config
