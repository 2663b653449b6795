"""p4sa on upright MNIST, tested on turned digits.

Row: ours
Protocol: held_out, Adam 4e-3 with one cycle, batch 8, 6 epochs, all else as in rotmnist_p4sa_long;
    nothing turned in training or validation
Command: python main.py --config=runs/upright_mnist_p4sa.py
Reached: 89.71 %
Cost: 67 minutes of CPU, one core of an Intel Xeon, the test images included, other work beside it
"""

from runs.rotmnist_p4sa_long import get_config as base


def get_config():
    config = base()
    config.dataset = "uprightMNIST"
    config.epochs = 6
    return config
