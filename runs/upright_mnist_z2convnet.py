"""z2convnet, a plain CNN, on upright MNIST, tested on turned digits.

Row: ours
Protocol: held_out, AdamW 4e-3 with one cycle, weight decay 0.02, label smoothing 0.1,
    batch 32, 6 epochs, nothing turned in training or validation
Command: python main.py --config=runs/upright_mnist_z2convnet.py
Reached: 42.62 %, one seed
Cost: 4 minutes of CPU, one core of an AMD EPYC, the test images included
"""

from runs.upright_mnist_p4convnet import get_config as base


def get_config():
    config = base()
    config.model = "z2convnet"
    config.stem_channels = 24
    config.channels_per_stage = (40, 67)
    return config
