"""For torch.hub: `torch.hub.load(repository, "create_model", "p4sa", "rotDigits")`."""

from g_selfatt.models import create_model  # noqa: F401

dependencies = ["torch", "numpy", "safetensors"]
