"""In which precision a network is trained: the trainer's business, never the network's."""

import logging
import warnings
from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.optim import Optimizer

logger = logging.getLogger(__name__)
AMP = ("auto", "off", "fp16", "bf16")
_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


class Precision:
    """Autocast, loss scaling and the count of the steps that loss scaling left out.

    fp16 needs its loss scaled so that small gradients do not become zero; where the scaled
    gradients overflow, the step is left out and the scale lowered. bf16 has the range of float32
    and needs no scaling.

    Args:
        amp: auto, off, fp16 or bf16; auto is fp16 on CUDA under a constant learning rate, as the
            authors of the paper advise, and off otherwise; off is float32 throughout, no TF32.
        device: where the network is.
        scheduler: name of the learning-rate schedule.

    Attributes:
        amp: off, fp16 or bf16.
        skipped: steps that loss scaling has left out.
    """

    def __init__(self, amp: str, device: torch.device, scheduler: str) -> None:
        if amp == "auto":
            amp = "fp16" if device.type == "cuda" and scheduler == "constant" else "off"
        elif amp != "off" and scheduler != "constant":
            logger.warning(
                "amp=%s with scheduler=%s: the authors of the paper advise mixed precision only "
                "under a constant learning rate; amp=off is the safe choice",
                amp,
                scheduler,
            )
        if amp == "off":
            torch.backends.cudnn.allow_tf32 = False
        self.amp = amp
        self.skipped = 0
        self._device_type = device.type
        self._scaler = torch.amp.GradScaler(device.type, enabled=amp == "fp16")
        if self.scales_loss:  # where the first step is left out, which is counted
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")

    @property
    def scales_loss(self) -> bool:
        """Whether steps whose scaled gradients overflow are left out."""
        return self._scaler.is_enabled()

    def autocast(self) -> AbstractContextManager:
        """The context in which the network runs forward; a no-op when amp is off."""
        if self.amp == "off":
            return torch.autocast(self._device_type, enabled=False)
        return torch.autocast(self._device_type, dtype=_TYPES[self.amp])

    def step(self, loss: Tensor, optimizer: Optimizer, clip_grad_norm: float = 0.0) -> None:
        """Backward and one step of the optimizer, or none where scaled gradients overflow.

        Args:
            loss: a scalar, of the network run under `autocast`.
            optimizer: of the network's parameters, gradients zero.
            clip_grad_norm: largest norm of all gradients together; 0 for any.
        """
        taken: list[bool] = []
        hook = optimizer.register_step_post_hook(lambda *_: taken.append(True))
        self._scaler.scale(loss).backward()
        if clip_grad_norm:
            self._scaler.unscale_(optimizer)
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, clip_grad_norm)
        self._scaler.step(optimizer)
        self._scaler.update()
        hook.remove()
        self.skipped += not taken

    def state_dict(self) -> dict:
        """The scale and the count, for the state of a run."""
        return {"scaler": self._scaler.state_dict(), "skipped": self.skipped}

    def load_state_dict(self, state: dict) -> None:
        """Put back what `state_dict` gave."""
        if self.amp == "fp16" and state["scaler"]:
            self._scaler.load_state_dict(state["scaler"])
        self.skipped = state["skipped"]
