"""CogView4, in Diffusers' names: others are not known."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import GLM
from lora_convert.architectures._vocabulary import Architecture, Component, alike, width

COGVIEW4 = Architecture(
    name="cogview4",
    title="CogView4, in Diffusers' names",
    components=(
        Component("transformer", alike(
            "patch_embed.<proj,text_proj>",
            "time_condition_embed.<timestep_embedder,condition_embedder>.<linear_1,linear_2>",
            "transformer_blocks.{}.norm1.linear",
            "transformer_blocks.{}.attn1.<to_q,to_k,to_v,to_out.0>",
            "transformer_blocks.{}.ff.net.<0.proj,2>",
            "norm_out.linear",
            "proj_out",
        )),
        GLM,
    ),
    signs=(
        width("transformer_blocks.{}.attn1.to_q", 4096, 2560),
        width("transformer_blocks.{}.norm1.linear", 512),
    ),
    own=("time_condition_embed.",),
)
