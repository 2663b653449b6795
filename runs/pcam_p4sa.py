"""p4sa on PCam, to the letter of the paper.

Row: Romero & Cordonnier (2021), PCam, p4sa
Protocol: held_out, SGD 0.01, momentum 0.9, 10 epochs of linear warm-up, then a cosine, batch 16,
    100 epochs; PCam's own validation images
Command: python main.py --config=runs/pcam_p4sa.py
Reached: not run
Cost: made for a GPU
"""

from config import get_config as defaults


def get_config():
    return defaults(dataset="PCam", model="p4sa")
