"""Diffusers: ``pytorch_lora_weights.safetensors``.

Today's names, the ``.lora.down`` names of 2023, and the attention processors' before them
(diffusers 0.42, loaders/lora_base.py, utils/state_dict_utils.py). The scale is in the header's
``lora_adapter_metadata``, or nowhere.
"""

from __future__ import annotations

from lora_convert.formats._declaration import Ending, Format
from lora_convert.formats._endings import FACTORS, FOREIGN, FOREIGN_PRODUCTS
from lora_convert.formats.peft import COMPONENTS

_PAIRS = (("down", "down"), ("up", "up"))

_PROCESSORS = tuple(
    Ending(role, f".processor.{old}{joint}.{word}.weight", tail=f".{module}")
    for role, word in _PAIRS
    for joint in ("_lora", ".lora")
    for old, module in (
        ("to_q", "to_q"),
        ("to_k", "to_k"),
        ("to_v", "to_v"),
        ("to_out", "to_out.0"),
    )
) + tuple(
    Ending(role, f".processor.to_out.0.lora.{word}.weight", tail=".to_out.0")
    for role, word in _PAIRS
)

_OLD_TEXT_ENCODERS = tuple(
    Ending(role, f".self_attn.to_{letter}_lora.{word}.weight", tail=f".self_attn.{letter}_proj")
    for role, word in _PAIRS
    for letter in ("q", "k", "v", "out")
)

_NORMS = tuple(
    Ending("set_weight", f".{norm}.weight", tail=f".{norm}")
    for norm in ("norm_q", "norm_k", "norm_added_q", "norm_added_k")
)
"""Whole weights beside an adapter: of these alone (loaders/lora_pipeline.py, FluxLoraLoaderMixin)."""

_DENOISER_ALONE = """
    ace_step anima anyflow auraflow bria_fibo2 cogvideox cogview4 cosmos1 cosmos2 ernie_image
    flux2 flux3 framepack helios hidream hunyuan_dit hunyuan_image hunyuan_video hunyuan_video15
    ideogram4 kandinsky5 krea2 ltx2 ltx_video lumina2 minimax_h3 mochi pixart qwen_image
    qwen_image21 sana skyreels_v2 stable_cascade wan wan_animate2 z_image
"""
"""Architectures whose mixin, if there is one, has no text encoder in its ``_lora_loadable_modules``."""

_UNREAD = {
    **dict.fromkeys(
        _DENOISER_ALONE.split(), tuple(name for name in COMPONENTS if "encoder" in name)
    ),
    "flux": ("text_encoder_2",),
    "sd3": ("text_encoder_3",),
}

DIFFUSERS = Format(
    name="diffusers",
    title="Diffusers (pytorch_lora_weights.safetensors)",
    separator=".",
    namespace="diffusers",
    # WanLoraLoaderMixin reads transformer. for both; load_into_transformer_2 says for which
    prefixes={
        **{component: (f"{component}.",) for component in COMPONENTS},
        "transformer_2": ("transformer.", "transformer_2."),
    },
    bare=True,
    endings=(
        *FACTORS,
        Ending("down", ".lora.down.weight"),
        Ending("up", ".lora.up.weight"),
        Ending("down", ".lora_linear_layer.down.weight"),
        Ending("up", ".lora_linear_layer.up.weight"),
        *_PROCESSORS,
        *_OLD_TEXT_ENCODERS,
        *_NORMS,
        *FOREIGN,
        *FOREIGN_PRODUCTS,
    ),
    # its reader infers the era of a text encoder's names from attention keys, and fails without one
    # in diffusers 0.42, utils/state_dict_utils.py
    lone_endings=(
        Ending("down", ".lora_linear_layer.down.weight"),
        Ending("up", ".lora_linear_layer.up.weight"),
    ),
    unread=_UNREAD,
    advice={"transformer_2": "load it with load_lora_weights(..., load_into_transformer_2=True)"},
    scale_in="header",
    file_name=lambda stem: "pytorch_lora_weights.safetensors",
)
