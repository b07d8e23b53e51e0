"""OneTrainer: Diffusers' names flattened after ``lora_transformer_``, with an alpha beside each module.

Its UNets and text encoders are kohya's (modules/util/convert_lora_util.py, convert_to_mixture), so of those
models its files are kohya's. Its text encoders are numbered as the pipeline has them: FLUX's T5 is ``te2``.
"""

from __future__ import annotations

from lora_convert.formats._declaration import Format, Variation
from lora_convert.formats._endings import DOWN_UP

ONETRAINER = Format(
    name="onetrainer",
    title="OneTrainer (lora_transformer_, Diffusers' names with underscores)",
    separator="_",
    namespace="diffusers",
    prefixes={
        "transformer": ("lora_transformer_",),
        "text_encoder": ("lora_te1_",),
        "text_encoder_2": ("lora_te2_",),
        "text_encoder_3": ("lora_te3_",),
        "text_encoder_4": ("lora_te4_",),
    },
    variations=(
        Variation(
            ("lumina2", "sana", "qwen_image", "z_image"),
            {"text_encoder": ("lora_te_", "lora_te1_")},
        ),
    ),
    endings=DOWN_UP,
    scale_in="tensor",
    file_name=lambda stem: f"{stem}_onetrainer.safetensors",
    magnitude="column",
)
