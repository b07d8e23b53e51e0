"""The algebra of each kind of delta: what row operations on ΔW do to its factors."""

from __future__ import annotations

from lora_convert.algorithms._contract import Algorithm, Factors, Part

ALGORITHMS: dict[str, Algorithm] = {
    "lora": Algorithm(
        name="lora",
        title="LoRA: ΔW = scale · up · down, linear, convolution and Tucker",
        needs=("down", "up"),
        may=("mid", "bias"),
    ),
    "dora": Algorithm(
        name="dora",
        title="DoRA: a LoRA whose result is rescaled to a learned magnitude",
        needs=("down", "up", "magnitude"),
        may=("mid", "bias"),
    ),
}

FOREIGN = {
    "loha": "LoHa (LyCORIS)",
    "lokr": "LoKr (LyCORIS)",
    "oft": "OFT",
    "boft": "BOFT",
    "ia3": "IA3",
    "glora": "GLoRA",
    "full": "full weight differences",
    "norm": "norm differences",
    "tlora": "T-LoRA",
    "adalora": "AdaLoRA",
    "vera": "VeRA",
    "embedding": "embedding LoRA",
    "modules_to_save": "fully trained modules (modules_to_save)",
}
"""Algorithms known by name only: their tensors are recognised, never converted in part."""

__all__ = ["ALGORITHMS", "FOREIGN", "Algorithm", "Factors", "Part"]
