"""Wan 2.1 and 2.2: text, image, first and last frame to video, VACE, Animate.

Native names are Wan's, which musubi-tuner and ComfyUI keep. Wan 2.2 has two models of one shape, for
much noise (``transformer``) and for little (``transformer_2``); no name in a file tells them apart.
"""

from __future__ import annotations

from lora_convert.architectures._text_encoders import T5
from lora_convert.architectures._vocabulary import (
    Architecture,
    Component,
    depth,
    fused,
    native_only,
    same,
    width,
)
from lora_convert.architectures._wan import BASE, BASE_NORMS, IMAGE, IMAGE_NORMS, VACE, VACE_NORMS

_FACE = (
    #      diffusers                         native
    same( "pose_patch_embedding",            "pose_patch_embedding", kind="conv"),
    same( "face_encoder.<conv1_local,conv2,conv3>",
                                             "face_encoder.<conv1_local,conv2,conv3>.conv", kind="conv"),
    same( "face_encoder.out_proj",           "face_encoder.out_proj"),
    same( "face_adapter.{}.to_<q,out>",      "face_adapter.fuser_blocks.{}.<linear1_q,linear2>"),
    fused("face_adapter.{}.to_k",
          "face_adapter.{}.to_v",       into="face_adapter.fuser_blocks.{}.linear1_kv"),
)

_NETWORK = "motion_encoder.enc.net_app.convs"

_MOTION = (
    same("motion_encoder.conv_in",           f"{_NETWORK}.0.0", kind="conv"),
    same("motion_encoder.conv_out",          f"{_NETWORK}.8", kind="conv"),
    *(
        same(f"motion_encoder.res_blocks.{block}.<conv1,conv2,conv_skip>",
             f"{_NETWORK}.{block + 1}.<conv1.0,conv2.1,skip.1>", kind="conv")
        for block in range(7)
    ),
    same("motion_encoder.motion_network.{}", "motion_encoder.enc.fc.{}"),
    native_only("motion_encoder.dec.direction"),  # Diffusers has it as a parameter without a module
)

_TRANSFORMER = Component(
    "transformer",
    (*BASE, *IMAGE, *VACE, *_FACE, *_MOTION),
    norms=(*BASE_NORMS, *IMAGE_NORMS, *VACE_NORMS),
)

WAN = Architecture(
    name="wan",
    title="Wan 2.1, Wan 2.2",
    components=(
        _TRANSFORMER,
        _TRANSFORMER.named("transformer_2"),
        T5,
    ),
    signs=(width("blocks.{}.attn1.to_q", 1536, 3072, 5120), depth("blocks.{}", 30, 40)),
    own=(
        "blocks.",
        "vace_blocks.",
        "condition_embedder.",
        "patch_embedding",
        "vace_patch_embedding",
        "pose_patch_embedding",
        "text_embedding.",
        "time_embedding.",
        "time_projection.",
        "img_emb.",
        "head.",
        "proj_out",
        "scale_shift_table",
        "face_",
        "motion_encoder.",
    ),
)
