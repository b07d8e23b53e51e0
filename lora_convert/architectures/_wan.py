"""The modules that Wan and the models derived from it share.

Diffusers reads adapters of all of them by one pair of converters, and checkpoints of most by one more
(0.42.1, loaders/lora_conversion_utils.py and loaders/single_file_utils.py).
"""

from __future__ import annotations

from lora_convert.architectures._vocabulary import nested, same

_BLOCK = (
    same("attn<1,2>.to_<q,k,v>",  "<self,cross>_attn.<q,k,v>"),
    same("attn<1,2>.to_out.0",    "<self,cross>_attn.o"),
    same("ffn.net.<0.proj,2>",    "ffn.<0,2>"),
)

_BLOCK_NORMS = (
    same("attn<1,2>.norm_<q,k>",  "<self,cross>_attn.norm_<q,k>"),
    same("norm2",                 "norm3"),
    same("scale_shift_table",     "modulation"),
)

BASE = (
    #    diffusers                                       native
    same("patch_embedding",                              "patch_embedding", kind="conv"),
    same("condition_embedder.text_embedder.linear_<1,2>", "text_embedding.<0,2>"),
    same("condition_embedder.time_embedder.linear_<1,2>", "time_embedding.<0,2>"),
    same("condition_embedder.time_proj",                 "time_projection.1"),
    *nested("blocks.{}", "blocks.{}", _BLOCK),
    same("proj_out",                                     "head.head"),
)
"""From text to video."""

IMAGE = (
    same("condition_embedder.image_embedder.ff.net.<0.proj,2>", "img_emb.proj.<1,3>"),
    same("blocks.{}.attn2.add_<k,v>_proj",               "blocks.{}.cross_attn.<k,v>_img"),
)
"""What a model that looks at CLIP's view of an image has besides."""

VACE = (
    same("vace_patch_embedding",                         "vace_patch_embedding", kind="conv"),
    *nested("vace_blocks.{}", "vace_blocks.{}", _BLOCK),
    same("vace_blocks.{}.proj_<in,out>",                 "vace_blocks.{}.<before,after>_proj"),
)
"""What VACE has besides."""

BASE_NORMS = (
    *nested("blocks.{}", "blocks.{}", _BLOCK_NORMS),
    same("scale_shift_table",                            "head.modulation"),
)
"""Normalisations, and the modulation that follows them: a parameter of its own."""

IMAGE_NORMS = (
    same("condition_embedder.image_embedder.norm<1,2>",  "img_emb.proj.<0,4>"),
    same("blocks.{}.attn2.norm_added_k",                 "blocks.{}.cross_attn.norm_k_img"),
)

VACE_NORMS = nested("vace_blocks.{}", "vace_blocks.{}", _BLOCK_NORMS)
