"""LTX-Video. Diffusers and its authors name all blocks alike."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import T5
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    alike,
    depth,
    nested,
    same,
    width,
)

_TIME = alike("emb.timestep_embedder.linear_<1,2>", "linear")

LTX_VIDEO = Architecture(
    name="ltx_video",
    title="LTX-Video",
    components=(
        Component("transformer", (
            #       diffusers     native
            same(   "proj_in",    "patchify_proj"),
            *nested("time_embed", "adaln_single", _TIME),
            *alike(
                "caption_projection.linear_<1,2>",
                "transformer_blocks.{}.attn<1,2>.<to_q,to_k,to_v,to_out.0>",
                "transformer_blocks.{}.ff.net.<0.proj,2>",
                "proj_out",
            ),
        ), norms=(
            same("transformer_blocks.{}.attn<1,2>.norm_<q,k>", "transformer_blocks.{}.attn<1,2>.<q,k>_norm"),
        )),
        T5,
    ),
    signs=(
        width("transformer_blocks.{}.attn1.to_q", 2048, 4096),
        width("transformer_blocks.{}.attn2.to_k", 2048, 4096),
        depth("transformer_blocks.{}", 28, 48),
    ),
    own=("caption_projection.", "patchify_proj", "adaln_single.", "time_embed.linear"),
)
