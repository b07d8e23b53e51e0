"""HunyuanVideo 1.5.

Native names are its authors', who keep q, k and v apart (diffusers,
scripts/convert_hunyuan_video1_5_to_diffusers.py).
"""

from __future__ import annotations

from lora_convert.architectures._text_encoders import BYT5, QWEN25_VL_TEXT
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    depth,
    fused,
    nested,
    same,
    swapped,
    width,
)

_REFINER = (
    fused(  "attn.to_q",
            "attn.to_k",
            "attn.to_v",                into="self_attn_qkv"),
    same(   "attn.to_out.0",                 "self_attn_proj"),
    same(   "ff.net.<0.proj,2>",             "mlp.fc<1,2>"),
    same(   "norm_out.linear",               "adaLN_modulation.1"),
)

_TEXT = (
    same(   "proj_in",                                       "input_embedder"),
    same(   "time_text_embed.timestep_embedder.linear_<1,2>", "t_embedder.mlp.<0,2>"),
    same(   "time_text_embed.text_embedder.linear_<1,2>",    "c_embedder.linear_<1,2>"),
    *nested("token_refiner.refiner_blocks.{}",               "individual_token_refiner.blocks.{}", _REFINER),
)

_BLOCK = (
    same(   "<norm1,norm1_context>.linear",  "<img,txt>_mod.linear"),
    same(   "attn.to_<q,k,v>",               "img_attn_<q,k,v>"),
    same(   "attn.add_<q,k,v>_proj",         "txt_attn_<q,k,v>"),
    same(   "attn.<to_out.0,to_add_out>",    "<img,txt>_attn_proj"),
    same(   "<ff,ff_context>.net.<0.proj,2>", "<img,txt>_mlp.fc<1,2>"),
)

HUNYUAN_VIDEO15 = Architecture(
    name="hunyuan_video15",
    title="HunyuanVideo 1.5",
    components=(
        Component("transformer", (
            #       diffusers                                   native
            same(   "x_embedder.proj",                          "img_in.proj", kind="conv"),
            same(   "image_embedder.linear_<1,2>",              "vision_in.proj.<1,3>"),
            same(   "time_embed.timestep_embedder.linear_<1,2>", "time_in.mlp.<0,2>"),
            *nested("context_embedder",                         "txt_in", _TEXT),
            same(   "context_embedder_2.linear_<1,2,3>",        "byt5_in.fc<1,2,3>"),
            *nested("transformer_blocks.{}",                    "double_blocks.{}", _BLOCK),
            same(   "proj_out",                                 "final_layer.linear"),
            swapped("norm_out.linear",                          "final_layer.adaLN_modulation.1"),
        )),
        QWEN25_VL_TEXT,
        BYT5,
    ),
    signs=(width("transformer_blocks.{}.attn.to_q", 2048), depth("transformer_blocks.{}", 54)),
    own=("image_embedder.", "vision_in.", "context_embedder_2.", "byt5_in.", "double_blocks.{}.img_attn_q"),
)
