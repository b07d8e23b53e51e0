"""HunyuanImage 2.1, in the names that ComfyUI and Diffusers load."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import BYT5, QWEN25_VL
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

HUNYUAN_IMAGE = Architecture(
    name="hunyuan_image",
    title="HunyuanImage 2.1",
    components=(
        Component("transformer", (
            #       diffusers                                             native
            same(   "x_embedder.proj",                                    "img_in.proj", kind="conv"),
            same(   "time_guidance_embed.timestep_embedder.linear_<1,2>", "time_in.<in,out>_layer"),
            same(   "context_embedder_2.linear_<1,2,3>",                  "byt5_in.fc<1,2,3>"),
            *nested("context_embedder", "txt_in", (
                same("proj_in",                                           "input_embedder"),
                same("time_text_embed.timestep_embedder.linear_<1,2>",    "t_embedder.<in,out>_layer"),
                same("time_text_embed.text_embedder.linear_<1,2>",        "c_embedder.<in,out>_layer"),
                *nested("token_refiner.refiner_blocks.{}", "individual_token_refiner.blocks.{}", (
                    fused("attn.to_q", "attn.to_k", "attn.to_v",     into="self_attn.qkv"),
                    same( "attn.to_out.0",                                "self_attn.proj"),
                    same( "ff.net.<0.proj,2>",                            "mlp.<0,2>"),
                    same( "norm_out.linear",                              "adaLN_modulation.1"),
                )),
            )),
            *nested("transformer_blocks.{}", "double_blocks.{}", (
                same( "norm1.linear",                                     "img_mod.lin"),
                same( "norm1_context.linear",                             "txt_mod.lin"),
                fused("attn.to_q", "attn.to_k", "attn.to_v",         into="img_attn.qkv"),
                fused("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", into="txt_attn.qkv"),
                same( "attn.to_out.0",                                    "img_attn.proj"),
                same( "attn.to_add_out",                                  "txt_attn.proj"),
                same( "ff.net.<0.proj,2>",                                "img_mlp.<0,2>"),
                same( "ff_context.net.<0.proj,2>",                        "txt_mlp.<0,2>"),
            )),
            *nested("single_transformer_blocks.{}", "single_blocks.{}", (
                fused("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp", into="linear1", ratio=(1, 1, 1, 4)),
                same( "proj_out",                                         "linear2"),
                same( "norm.linear",                                      "modulation.lin"),
            )),
            same(   "proj_out",                                           "final_layer.linear"),
            swapped("norm_out.linear",                                    "final_layer.adaLN_modulation.1"),
        )),
        QWEN25_VL,
        BYT5,
    ),
    signs=(
        width("transformer_blocks.{}.attn.to_q", 3584),
        width("transformer_blocks.{}.attn.to_out.0", 3584),
        depth("transformer_blocks.{}", 20),
        depth("single_transformer_blocks.{}", 40),
    ),
    own=("byt5_in.", "context_embedder_2."),
)
