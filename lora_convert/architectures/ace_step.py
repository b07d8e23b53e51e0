"""ACE-Step 1.5, music.

Native names are its authors', below their module ``decoder`` (diffusers 0.42.1,
loaders/lora_conversion_utils.py, and scripts/convert_ace_step_to_diffusers.py).
"""

from __future__ import annotations

from lora_convert.architectures._text_encoders import QWEN3
from lora_convert.architectures._vocabulary import Architecture, Component, alike, same, width

ACE_STEP = Architecture(
    name="ace_step",
    title="ACE-Step 1.5",
    components=(
        Component("transformer", (
            #    diffusers                                   native
            same("proj_in_conv",                             "proj_in.1", kind="conv"),
            same("proj_out_conv",                            "proj_out.1", kind="conv"),
            *alike(
                "condition_embedder",
                "<time_embed,time_embed_r>.<linear_1,linear_2,time_proj>",
            ),
            same("layers.{}.<self,cross>_attn.to_<q,k,v>",   "layers.{}.<self,cross>_attn.<q,k,v>_proj"),
            same("layers.{}.<self,cross>_attn.to_out.0",     "layers.{}.<self,cross>_attn.o_proj"),
            *alike("layers.{}.mlp.<gate,up,down>_proj"),
        )),
        QWEN3,
    ),
    signs=(width("layers.{}.cross_attn.to_q", 2048),),
    own=("proj_in_conv", "proj_in.1", "proj_out_conv", "proj_out.1", "time_embed_r."),
)
