"""Stable Diffusion 3 and 3.5 (medium, large)."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import CLIP_G, CLIP_L_PROJECTED, T5
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    alike,
    depth,
    fused,
    nested,
    same,
    swapped,
    width,
)

SD3 = Architecture(
    name="sd3",
    title="Stable Diffusion 3, 3.5",
    components=(
        Component("transformer", (
            #       diffusers                                            native
            same(   "pos_embed.proj",                                    "x_embedder.proj", kind="conv"),
            same(   "time_text_embed.timestep_embedder.linear_<1,2>",    "t_embedder.mlp.<0,2>"),
            same(   "time_text_embed.text_embedder.linear_<1,2>",        "y_embedder.mlp.<0,2>"),
            *alike("context_embedder"),
            *nested("transformer_blocks.{}", "joint_blocks.{}.x_block", (
                fused(  "attn.to_q", "attn.to_k", "attn.to_v",      into="attn.qkv"),
                fused(  "attn2.to_q", "attn2.to_k", "attn2.to_v",   into="attn2.qkv"),
                same(   "<attn,attn2>.to_out.0",                         "<attn,attn2>.proj"),
                same(   "ff.net.<0.proj,2>",                             "mlp.fc<1,2>"),
                same(   "norm1.linear",                                  "adaLN_modulation.1"),
            )),
            *nested("transformer_blocks.{}", "joint_blocks.{}.context_block", (
                fused(  "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", into="attn.qkv"),
                same(   "attn.to_add_out",                               "attn.proj"),
                same(   "ff_context.net.<0.proj,2>",                     "mlp.fc<1,2>"),
                # six times the width; in the last block, whose text goes no further, twice
                same(   "norm1_context.linear",                          "adaLN_modulation.1", growth=6),
                swapped("norm1_context.linear",                          "adaLN_modulation.1", growth=2),
            )),
            same(   "proj_out",                                          "final_layer.linear"),
            swapped("norm_out.linear",                                   "final_layer.adaLN_modulation.1"),
        )),
        CLIP_L_PROJECTED,
        CLIP_G,
        T5.named("text_encoder_3"),
    ),
    signs=(
        width("transformer_blocks.{}.attn.to_q", 1536, 2432),
        width("transformer_blocks.{}.attn.to_out.0", 1536, 2432),
        depth("transformer_blocks.{}", 24, 38),
    ),
    own=("joint_blocks.", "pos_embed."),
)
