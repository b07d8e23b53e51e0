"""SkyReels-V2: Wan 2.1, and the frame rate as a condition."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import T5
from lora_convert.architectures._vocabulary import Architecture, Component, same
from lora_convert.architectures._wan import BASE, BASE_NORMS, IMAGE, IMAGE_NORMS

SKYREELS_V2 = Architecture(
    name="skyreels_v2",
    title="SkyReels-V2",
    components=(
        Component("transformer", (
            #    diffusers                      native
            *BASE,
            *IMAGE,
            same("fps_projection.net.<0.proj,2>", "fps_projection.<0,2>"),
        ), norms=(*BASE_NORMS, *IMAGE_NORMS)),
        T5,
    ),
    own=("fps_projection.",),
)
