"""The four attention layers by name, and maps for them: small, and in float64."""

import torch

from g_selfatt import groups, nn

LAYERS = {
    "lift_local": nn.LiftLocalSelfAttention,
    "lift_global": nn.LiftSelfAttention,
    "group_local": nn.GroupLocalSelfAttention,
    "group_global": nn.GroupSelfAttention,
}


def make(kind, group="p4", channels=(4, 6, 5), num_heads=2, size=3, **options):
    """A layer; ``size`` is the window of a local one, the side of an image for a global one."""
    layer = LAYERS[kind](group, *channels, num_heads, size, dtype=torch.float64, **options)
    with torch.no_grad():  # zero biases would leave the encodings constant
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return layer


def signal(kind, group="p4", size=(5, 6), *, batch=2, channels=4):
    """A random map that a layer of this kind takes."""
    elements = [] if kind.startswith("lift") else [groups.get(group).num_elements]
    return torch.randn(batch, channels, *elements, *size, dtype=torch.float64)
