"""FLUX.3. The authors' names are those that Diffusers 0.42.1 converts from (loaders/single_file_utils.py)."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import QWEN3_VL
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    depth,
    nested,
    same,
    swapped,
    width,
)

_BLOCK = (
    same("attn.<to_q,to_k,to_v,to_out.0>", "<q_proj,k_proj,v_proj,attn_out>"),
    same("ff.linear_<in,out>",         "mlp_<in,out>"),
)

FLUX3 = Architecture(
    name="flux3",
    title="FLUX.3",
    components=(
        Component("transformer", (
            #       diffusers                                       native
            same(   "timestep_embedder.linear_<1,2>",               "time_in.<in,out>_layer"),
            same(   "context_embedder",                             "txt_in"),
            same(   "x_embedders.<image,image_cond>",               "emb_in.<image,image_cond>"),
            *nested("<early,single>_stream_modulations", "<early,single>_stream_modulations", (
                same("<image,image_cond,txt>.linear",               "<image,image_cond,txt>.lin"),
            )),
            *nested("mode_blocks.<image,image_cond>.{}", "content_mode_blocks.<image,image_cond>.{}", _BLOCK),
            *nested("txt_mode_blocks.{}", "txt_mode_blocks.{}", _BLOCK),
            *nested("single_transformer_blocks.{}", "single_blocks.{}", _BLOCK),
            same(   "proj_out",                                     "final_layer.image.linear"),
            swapped("norm_out.linear",                              "final_layer.image.adaLN_modulation.1"),
        )),
        QWEN3_VL,
    ),
    signs=(
        width("single_transformer_blocks.{}.attn.to_q", 3072),
        depth("single_transformer_blocks.{}", 28),
    ),
    own=(
        "mode_blocks.",
        "txt_mode_blocks.",
        "content_mode_blocks.",
        "single_stream_modulations.",
        "early_stream_modulations.",
        "single_blocks.",
    ),
)
