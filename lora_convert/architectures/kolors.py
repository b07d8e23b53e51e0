"""Kolors: the UNet of Stable Diffusion XL, known by the layer that takes its text encoder's states."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import CHATGLM
from lora_convert.architectures._unet import unet
from lora_convert.architectures._vocabulary import Architecture, alike, same

KOLORS = Architecture(
    name="kolors",
    title="Kolors",
    components=(
        unet(
            (False, True, True),
            projections="linear",
            top=(
                same("add_embedding.linear_1", "label_emb.0.0"),
                same("add_embedding.linear_2", "label_emb.0.2"),
                *alike("encoder_hid_proj"),
            ),
        ),
        CHATGLM,
    ),
    own=("encoder_hid_proj",),
)
