"""CogVideoX, 1.5 included.

Native names are those of SAT, which its authors train with (diffusers,
scripts/convert_cogvideox_to_diffusers.py). SAT keeps the modulation of a block's two norms in one
layer: shift, scale and gate of both for the video, then the same for the text.
"""

from __future__ import annotations

from lora_convert.architectures._text_encoders import T5
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    depth,
    fused,
    growth,
    nested,
    same,
    shuffled,
    width,
)

_BLOCK = (
    fused("attn1.to_q", "attn1.to_k", "attn1.to_v", into="attention.query_key_value"),
    same( "attn1.to_out.0",                              "attention.dense"),
    same( "ff.net.<0.proj,2>",                           "mlp.<dense_h_to_4h,dense_4h_to_h>"),
)

COGVIDEOX = Architecture(
    name="cogvideox",
    title="CogVideoX",
    components=(
        Component("transformer", (
            #        diffusers                                  native
            same(    "patch_embed.proj",                        "mixins.patch_embed.proj"),  # linear in 1.5
            same(    "patch_embed.text_proj",                   "mixins.patch_embed.text_proj"),
            same(    "time_embedding.linear_<1,2>",             "time_embed.<0,2>"),
            shuffled("transformer_blocks.{}.norm1.linear",
                     "transformer_blocks.{}.norm2.linear", into="mixins.adaln_layer.adaLN_modulations.{}.1",
                     chunks=((0, 1, 2, 6, 7, 8), (3, 4, 5, 9, 10, 11))),
            *nested( "transformer_blocks.{}",                   "transformer.layers.{}", _BLOCK),
            same(    "norm_out.linear",                         "mixins.final_layer.adaLN_modulation.1"),
            same(    "proj_out",                                "mixins.final_layer.linear"),
        )),
        T5,
    ),
    signs=(
        width("transformer_blocks.{}.attn1.to_q", 1920, 3072),
        growth("transformer_blocks.{}.ff.net.0.proj", 4),
        depth("transformer_blocks.{}", 30, 42),
    ),
    own=("patch_embed.text_proj", "time_embedding.", "mixins.", "transformer.layers."),
)
