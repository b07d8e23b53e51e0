"""Wan-Animate 2, as its authors and Diffusers name it.

The authors' blocks are inside another module (diffusers 0.42.1,
convert_wan_animate_2_transformer_to_diffusers in loaders/single_file_utils.py).
"""

from __future__ import annotations

from lora_convert.architectures._text_encoders import T5
from lora_convert.architectures._vocabulary import Architecture, Component, alike, nested, same

_BLOCK = (
    same("<self,cross>_attn.to_<q,k,v>",   "<self,cross>_attn.<q,k,v>"),
    same("<self,cross>_attn.to_out.0",     "<self,cross>_attn.o"),
    same("cross_attn.add_<k,v>_proj",      "cross_attn.<k,v>_img"),
    *alike("ffn.<0,2>"),
)

WAN_ANIMATE2 = Architecture(
    name="wan_animate2",
    title="Wan-Animate 2",
    components=(
        Component("transformer", (
            *alike("patch_embedding", kind="conv"),
            *alike("text_embedding.<0,2>", "time_embedding.<0,2>", "time_projection.1", "img_emb.proj.<1,3>"),
            *nested("blocks.{}", "blocks.{}.block", _BLOCK),
            *alike("head.head"),
        )),
        T5,
    ),
    own=("blocks.",),
)
