"""Hunyuan-DiT 1.1, 1.2."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import BERT, T5
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    alike,
    depth,
    fused,
    same,
    swapped,
    width,
)

HUNYUAN_DIT = Architecture(
    name="hunyuan_dit",
    title="Hunyuan-DiT",
    components=(
        Component("transformer", (
            #       diffusers                                              native
            same(   "text_embedder.linear_<1,2>",                          "mlp_t5.<0,2>"),
            same(   "time_extra_emb.pooler.<k,q,v,c>_proj",                "pooler.<k,q,v,c>_proj"),
            same(   "pos_embed.proj",                                      "x_embedder.proj", kind="conv"),
            same(   "time_extra_emb.timestep_embedder.linear_<1,2>",       "t_embedder.mlp.<0,2>"),
            same(   "time_extra_emb.extra_embedder.linear_<1,2>",          "extra_embedder.<0,2>"),
            fused(  "blocks.{}.attn1.to_q",
                    "blocks.{}.attn1.to_k",
                    "blocks.{}.attn1.to_v",                           into="blocks.{}.attn1.Wqkv"),
            same(   "blocks.{}.attn1.to_out.0",                            "blocks.{}.attn1.out_proj"),
            same(   "blocks.{}.attn2.to_q",                                "blocks.{}.attn2.q_proj"),
            fused(  "blocks.{}.attn2.to_k",
                    "blocks.{}.attn2.to_v",                           into="blocks.{}.attn2.kv_proj"),
            same(   "blocks.{}.attn2.to_out.0",                            "blocks.{}.attn2.out_proj"),
            same(   "blocks.{}.ff.net.<0.proj,2>",                         "blocks.{}.mlp.fc<1,2>"),
            same(   "blocks.{}.norm1.linear",                              "blocks.{}.default_modulation.1"),
            *alike("blocks.{}.skip_linear"),
            same(   "proj_out",                                            "final_layer.linear"),
            swapped("norm_out.linear",                                     "final_layer.adaLN_modulation.1"),
        )),
        BERT,
        T5.named("text_encoder_2"),
    ),
    signs=(
        width("blocks.{}.attn1.to_q", 1408),
        width("blocks.{}.attn1.to_out.0", 1408),
        depth("blocks.{}", 40),
    ),
    own=("time_extra_emb.", "pooler.", "mlp_t5."),
)
