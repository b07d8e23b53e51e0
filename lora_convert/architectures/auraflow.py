"""AuraFlow."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import T5
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    depth,
    nested,
    same,
    swapped,
    width,
)

AURAFLOW = Architecture(
    name="auraflow",
    title="AuraFlow",
    components=(
        Component("transformer", (
            #       diffusers                                             native
            same(   "time_step_proj.linear_<1,2>",                        "t_embedder.mlp.<0,2>"),
            same(   "context_embedder",                                   "cond_seq_linear"),
            same(   "pos_embed.proj",                                     "init_x_linear"),
            *nested("joint_transformer_blocks.{}", "double_layers.{}", (
                same("attn.<to_q,to_k,to_v,to_out.0>",                    "attn.w2<q,k,v,o>"),
                same("attn.<add_q_proj,add_k_proj,add_v_proj,to_add_out>", "attn.w1<q,k,v,o>"),
                same("ff.<linear_1,linear_2,out_projection>",             "mlpX.<c_fc1,c_fc2,c_proj>"),
                same("ff_context.<linear_1,linear_2,out_projection>",     "mlpC.<c_fc1,c_fc2,c_proj>"),
                same("<norm1,norm1_context>.linear",                      "mod<X,C>.1"),
            )),
            *nested("single_transformer_blocks.{}", "single_layers.{}", (
                same("attn.<to_q,to_k,to_v,to_out.0>",                    "attn.w1<q,k,v,o>"),
                same("ff.<linear_1,linear_2,out_projection>",             "mlp.<c_fc1,c_fc2,c_proj>"),
                same("norm1.linear",                                      "modCX.1"),
            )),
            same(   "proj_out",                                           "final_linear"),
            swapped("norm_out.linear",                                    "modF.1"),
        )),
        T5,
    ),
    signs=(
        width("joint_transformer_blocks.{}.attn.to_q", 3072),
        depth("single_transformer_blocks.{}", 32),
    ),
    own=("joint_transformer_blocks.", "double_layers.", "single_layers."),
)
