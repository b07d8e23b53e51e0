"""What gaps are about: conditions on a module of a file that several applications share."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lora_convert.applications._declaration import File, Module

PEFT_LIKE = ("peft", "accelerate", "diffusers")
"""Formats without an alpha beside each module."""

UNETS = ("sd1", "sd2", "sdxl")
ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3", "text_encoder_4")
DENOISERS = ("unet", "transformer", "transformer_2", "prior", "text_conditioner")


def unseen_scale(module: Module, file: File) -> bool:
    """A scale other than 1 that stands in the header or a configuration alone."""
    return file.format in PEFT_LIKE and module.scale.value != 1.0


def peft_magnitude(module: Module, file: File) -> bool:
    """A DoRA magnitude under PEFT's name."""
    return "magnitude" in module.roles and file.format in PEFT_LIKE


def kohya_magnitude(module: Module, file: File) -> bool:
    """A DoRA magnitude under kohya's name, ``dora_scale``."""
    return "magnitude" in module.roles and file.format not in PEFT_LIKE


def magnitude_by_row(module: Module, file: File) -> bool:
    """A ``dora_scale`` whose norm runs over output rows."""
    return kohya_magnitude(module, file) and not module.by_column


def any_magnitude(module: Module, file: File) -> bool:
    """A DoRA."""
    return "magnitude" in module.roles


def trained_bias(module: Module, file: File) -> bool:
    """A trained bias under PEFT's name, ``lora_B.bias``."""
    return (
        "bias" in module.roles and file.format != "bfl"
    )  # whose biases are known for what they are


def bias_beside(module: Module, file: File) -> bool:
    """A change of the bias, ``diff_b``, beside that of the weight."""
    return "diff_b" in module.roles and len(module.roles) > 1


def kohya_oft(module: Module, file: File) -> bool:
    """A module under the prefix that sd-scripts' own OFT has."""
    return module.key.startswith("oft_unet_")


def of(*algorithms: str) -> Callable[[Module, File], bool]:
    """A module of one of these algorithms."""
    return lambda module, file: module.algorithm in algorithms


def not_of(*algorithms: str) -> Callable[[Module, File], bool]:
    """A module of another algorithm than these."""
    return lambda module, file: module.algorithm not in algorithms


def having(*roles: str) -> Callable[[Module, File], bool]:
    """A module with one of these tensors."""
    return lambda module, file: not module.roles.isdisjoint(roles)


def outside_blocks(*architectures: str) -> Callable[[Module, File], bool]:
    """A module of such a model's denoiser that is in none of its numbered blocks."""
    return lambda module, file: (
        file.architecture in architectures
        and module.component in DENOISERS
        and not any(part.isdigit() for part in module.name.split(".")[:2])
    )


def alphas_differ(module: Module, file: File) -> bool:
    """A module whose alpha is not the one that most modules of its component have."""
    rank = module.scale.divisor
    alphas = Counter(
        other.scale.alpha_at(other.scale.divisor)
        for other in file.modules
        if other.component == module.component
    )
    usual = alphas.most_common(1)[0][0]
    return module.scale.alpha_at(rank) != usual
