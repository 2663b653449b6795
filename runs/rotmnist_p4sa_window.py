"""p4sa on rotMNIST with a window of another size: 3, 5, 7, 9, 11, 15, 19 or 23 pixels, or global.

Row: Romero & Cordonnier (2021), rotMNIST, the study of the neighbourhood
Protocol: held_out, Adam 1e-3, constant, batch 8, 300 epochs
Command: python main.py --config=runs/rotmnist_p4sa_window.py:7
Reached: not run
Cost: made for a GPU
"""

from config import get_config as defaults


def get_config(window="5"):
    """The configuration of one window, which the command line gives after a colon.

    Args:
        window: its side in pixels, odd, or "global".
    """
    config = defaults(dataset="rotMNIST", model="p4sa")
    if window == "global":
        config.attention_type = "Global"
    elif window.isdigit():
        config.patch_size = int(window)
    else:
        raise ValueError(f"got {window!r} after the colon, expected an odd number or global")
    return config
