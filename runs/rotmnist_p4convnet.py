"""p4convnet on rotMNIST: group convolutions, no attention.

Row: ours
Protocol: held_out, AdamW 4e-3 with one cycle, weight decay 0.02, label smoothing 0.1,
    batch 32, 20 epochs
Command: python main.py --config=runs/rotmnist_p4convnet.py
Reached: 98.63 %, mean of two seeds
Cost: 57 minutes, one core of an AMD EPYC, other work beside it
"""

from config import get_config as defaults


def get_config():
    return defaults(
        dataset="rotMNIST",
        model="p4convnet",
        optimizer="AdamW",
        lr=4e-3,
        scheduler="one_cycle",
        weight_decay=0.02,
        label_smoothing=0.1,
        batch_size=32,
        epochs=20,
    )
