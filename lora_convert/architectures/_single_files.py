"""Checkpoints in one file, as the models' authors publish them: what stands before each component's names.

Prefixes and OpenCLIP's names are those that Diffusers converts from (0.42.1,
loaders/single_file_utils.py); OpenCLIP keeps q, k and v of a layer in one parameter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lora_convert.architectures._vocabulary import Architecture, Component, fused, same

if TYPE_CHECKING:
    from collections.abc import Mapping

_IN = "text_model.encoder.layers.{}"
_OUT = "transformer.resblocks.{}"
_OPEN_CLIP = (
    fused(
        f"{_IN}.self_attn.q_proj",
        f"{_IN}.self_attn.k_proj",
        f"{_IN}.self_attn.v_proj",
        into=f"{_OUT}.attn.in_proj",
    ),
    same(f"{_IN}.self_attn.out_proj", f"{_OUT}.attn.out_proj"),
    same(f"{_IN}.mlp.fc1", f"{_OUT}.mlp.c_fc"),
    same(f"{_IN}.mlp.fc2", f"{_OUT}.mlp.c_proj"),
)
"""Text encoders in OpenCLIP's names."""


class SingleFile(NamedTuple):
    """How one file holds an architecture's components."""

    prefixes: Mapping[str, tuple[str, ...]]
    """By component, the likeliest first."""
    open_clip: tuple[str, ...] = ()
    """Components that are in OpenCLIP's names."""

    def named(self, architecture: Architecture) -> Architecture:
        """The architecture with the native names that such a file has."""
        components = (
            Component(part.name, _OPEN_CLIP) if part.name in self.open_clip else part
            for part in architecture.components
        )
        return architecture._replace(components=tuple(components))

    def keys(self, component: str, module: str) -> tuple[str, ...]:
        """What the names of a module's tensors may begin with; ``weight`` follows."""
        end = "_" if module.endswith(".attn.in_proj") else "."
        return tuple(f"{prefix}{module}{end}" for prefix in self.prefixes.get(component, ()))


_MODEL = ("model.diffusion_model.",)

SINGLE_FILES: dict[str, SingleFile] = {
    "sd1": SingleFile({"unet": _MODEL, "text_encoder": ("cond_stage_model.transformer.",)}),
    "sd2": SingleFile(
        {"unet": _MODEL, "text_encoder": ("cond_stage_model.model.",)}, open_clip=("text_encoder",)
    ),
    "sdxl": SingleFile(
        {
            "unet": _MODEL,
            "text_encoder": ("conditioner.embedders.0.transformer.",),
            "text_encoder_2": ("conditioner.embedders.1.model.",),
        },
        open_clip=("text_encoder_2",),
    ),
    "flux": SingleFile(
        {
            "transformer": (*_MODEL, ""),
            "text_encoder": ("text_encoders.clip_l.transformer.",),
            "text_encoder_2": ("text_encoders.t5xxl.transformer.",),
        }
    ),
}
"""By the architecture's name."""
