"""MiniMax-H3: video with sound.

Native names are the authors', with q, k and v one above the other, as all published single files
have them. Another model of the same shape (``transformer_ref``) follows references; no native name tells.
"""

from __future__ import annotations

from lora_convert.architectures._text_encoders import QWEN3_VL
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

_BLOCK = (
    fused(  "attn.to_q",
            "attn.to_k",
            "attn.to_v",      into="attn.qkv_proj"),
    same(   "attn.to_out.0",       "attn.out_proj"),
    swapped("ff.net.0.proj",       "mlp.fc1"),
    same(   "ff.net.2",            "mlp.fc2"),
)

_TRANSFORMER = Component("transformer", (
    #       diffusers                         native
    same(   "<proj_in,audio_proj_in>",        "<video,audio>_patch_proj"),
    same(   "context_embedder",               "condition_proj"),
    same(   "time_embedder.linear_<1,2>",     "time_embedder.proj_<in,out>"),
    *nested("token_refiner.refiner_blocks.{}", "token_refiner.blocks.{}", _BLOCK),
    *nested("transformer_blocks.{}",          "blocks.{}", (*_BLOCK, *alike("adaln_proj.linear"))),
    same(   "norm_out.linear",                "final_layer.adaln_proj.linear"),
    same(   "<proj_out,audio_proj_out>",      "final_layer.<video,audio>_out"),
))

MINIMAX_H3 = Architecture(
    name="minimax_h3",
    title="MiniMax-H3",
    components=(
        _TRANSFORMER,
        _TRANSFORMER.named("transformer_ref"),
        QWEN3_VL,
    ),
    signs=(width("transformer_blocks.{}.attn.to_q", 5376), depth("transformer_blocks.{}", 50)),
    own=("token_refiner.", "transformer_blocks.{}.adaln_proj.", "blocks.{}.attn.qkv_proj", "audio_proj_"),
)
