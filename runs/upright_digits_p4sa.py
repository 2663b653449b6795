"""p4sa on upright digits, tested on turned ones.

Row: ours
Protocol: held_out, Adam 4e-3 with one cycle, batch 8, 10 epochs, nothing turned in training or
    validation
Command: python main.py --config=runs/upright_digits_p4sa.py
Reached: 61.22 %, mean of three seeds
Cost: 45 seconds of one core of an AMD EPYC
"""

from runs.rotdigits_p4sa import get_config as base


def get_config():
    config = base()
    config.dataset = "uprightDigits"
    return config
