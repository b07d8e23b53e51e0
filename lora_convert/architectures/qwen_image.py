"""Qwen-Image (Edit, Layered): everyone has Diffusers' names."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import QWEN25_VL
from lora_convert.architectures._vocabulary import Architecture, Component, alike, depth, width

QWEN_IMAGE = Architecture(
    name="qwen_image",
    title="Qwen-Image",
    components=(
        Component("transformer", alike(
            "img_in",
            "txt_in",
            "time_text_embed.timestep_embedder.<linear_1,linear_2>",
            "transformer_blocks.{}.<img_mod,txt_mod>.1",
            "transformer_blocks.{}.attn.<to_q,to_k,to_v,to_out.0>",
            "transformer_blocks.{}.attn.<add_q_proj,add_k_proj,add_v_proj,to_add_out>",
            "transformer_blocks.{}.<img_mlp,txt_mlp>.net.<0.proj,2>",
            "norm_out.linear",
            "proj_out",
        ), norms=alike(
            "txt_norm",
            "transformer_blocks.{}.attn.<norm_q,norm_k,norm_added_q,norm_added_k>",
        )),
        QWEN25_VL,
    ),
    signs=(
        width("transformer_blocks.{}.attn.to_q", 3072),
        width("transformer_blocks.{}.attn.to_out.0", 3072),
        depth("transformer_blocks.{}", 60),
    ),
    own=("transformer_blocks.{}.img_mod.", "transformer_blocks.{}.txt_m"),
)
