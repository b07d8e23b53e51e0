"""Bria FIBO: blocks like those of FLUX.1, so a file is known by its caption layers.

In Diffusers' names: others are not known.
"""

from __future__ import annotations

from lora_convert.architectures._text_encoders import SMOLLM3
from lora_convert.architectures._vocabulary import Architecture, Component, alike

BRIA_FIBO = Architecture(
    name="bria_fibo",
    title="Bria FIBO, in Diffusers' names",
    components=(
        Component("transformer", alike(
            "x_embedder",
            "context_embedder",
            "caption_projection.{}.linear",
            "time_embed.timestep_embedder.linear_<1,2>",
            "transformer_blocks.{}.<norm1,norm1_context>.linear",
            "transformer_blocks.{}.attn.<to_q,to_k,to_v,to_out.0>",
            "transformer_blocks.{}.attn.<add_q_proj,add_k_proj,add_v_proj,to_add_out>",
            "transformer_blocks.{}.<ff,ff_context>.net.<0.proj,2>",
            "single_transformer_blocks.{}.attn.<to_q,to_k,to_v>",
            "single_transformer_blocks.{}.<norm.linear,proj_mlp,proj_out>",
            "norm_out.linear",
            "proj_out",
        )),
        SMOLLM3,
    ),
    own=("caption_projection.", "time_embed.timestep_embedder."),
)
