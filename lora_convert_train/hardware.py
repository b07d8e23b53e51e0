"""Where to train, and in which precision."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import OptionError

if TYPE_CHECKING:
    import torch

    from lora_convert_train.settings import Settings


class Hardware(NamedTuple):
    """What was chosen of what there is."""

    device: torch.device
    precision: str
    """``no``, ``fp16`` or ``bf16``."""
    notes: tuple[str, ...]

    @property
    def dtype(self) -> torch.dtype:
        """Of frozen weights and of what the denoiser is given."""
        import torch

        return {"fp16": torch.float16, "bf16": torch.bfloat16}.get(self.precision, torch.float32)


def is_first_process() -> bool:
    """Whether this process speaks and writes for all that train together (torchrun's RANK)."""
    return os.environ.get("RANK", "0") == "0"


def hardware_for(settings: Settings) -> Hardware:
    """The device of the settings, ``auto`` being the fastest there is; OptionError for one that is not."""
    import torch

    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    name = settings.device
    if name == "auto":
        name = next(one for one, is_there in there.items() if is_there)
    if not there[name]:
        usable = ", ".join(one for one, is_there in there.items() if is_there)
        raise OptionError("device", name, why=f"this machine has: {usable}", hint="--device auto")
    notes = []
    precision = settings.mixed_precision
    if precision == "fp16" and name == "cpu":
        precision = "no"
        notes.append("mixed precision fp16 → no: a CPU cannot train in fp16")
    _check_quantized(settings.quantize, name, precision)
    return Hardware(torch.device(name), precision, tuple(notes))


def _check_quantized(kind: str, device: str, precision: str) -> None:
    """OptionError where a denoiser cannot be kept so (diffusers 0.42, quantizers/bitsandbytes)."""
    if kind in ("nf4", "int8") and device != "cuda":
        why = f"bitsandbytes quantises on CUDA alone, and this trains on {device}"
        raise OptionError("quantize", kind, why=why, hint="--quantize fp8 --mixed-precision bf16")
    if kind == "fp8" and precision == "no":
        why = "what is kept in fp8 is computed in a wider type, which is to be another than float32"
        raise OptionError("quantize", kind, why=why, hint="--mixed-precision bf16")


def free_memory(device: torch.device) -> int:
    """Bytes that `device` has left."""
    import psutil  # type: ignore[import-untyped]  # accelerate and PEFT bring it
    import torch

    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)
