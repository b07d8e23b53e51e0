"""Stable Cascade, stage C."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import CLIP_G
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    alike,
    fused,
    nested,
    same,
)

_BLOCKS = "<down_blocks,up_blocks>.{}.{}"

STABLE_CASCADE = Architecture(
    name="stable_cascade",
    title="Stable Cascade",
    components=(
        Component("prior", (
            *alike("<clip_txt_mapper,clip_txt_pooled_mapper,clip_img_mapper>"),
            *alike("embedding.1", "down_downscalers.1.1", "up_upscalers.0.1", "clf.1", kind="conv"),
            *nested(_BLOCKS, _BLOCKS, (
                *alike("channelwise.<0,4>", "<mapper,mapper_sca,mapper_crp>", "kv_mapper.1"),
                *alike("depthwise", kind="conv"),
                #     diffusers                                                    native
                fused("attention.to_q", "attention.to_k", "attention.to_v",   into="attention.attn.in_proj"),
                same( "attention.to_out.0",                                        "attention.attn.out_proj"),
            )),
        )),
        CLIP_G.named("text_encoder"),
    ),
    own=("down_blocks.{}.{}.", "up_blocks.{}.{}.", "clip_txt_"),
)
