"""FramePack: HunyuanVideo that sees earlier frames at three scales. Its authors keep Diffusers' names."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import CLIP_L, LLAMA_MODEL
from lora_convert.architectures._vocabulary import Architecture, Component, alike, depth, width

FRAMEPACK = Architecture(
    name="framepack",
    title="FramePack",
    components=(
        Component("transformer", (
            *alike("x_embedder.proj", "clean_x_embedder.<proj,proj_2x,proj_4x>", kind="conv"),
            *alike(
                "image_projection.<up,down>",
                "time_text_embed.<timestep,text,guidance>_embedder.linear_<1,2>",
                "context_embedder.proj_in",
                "context_embedder.time_text_embed.<timestep,text>_embedder.linear_<1,2>",
                "context_embedder.token_refiner.refiner_blocks.{}.attn.<to_q,to_k,to_v,to_out.0>",
                "context_embedder.token_refiner.refiner_blocks.{}.ff.net.<0.proj,2>",
                "context_embedder.token_refiner.refiner_blocks.{}.norm_out.linear",
                "transformer_blocks.{}.<norm1,norm1_context>.linear",
                "transformer_blocks.{}.attn.<to_q,to_k,to_v,add_q_proj,add_k_proj,add_v_proj>",
                "transformer_blocks.{}.attn.<to_out.0,to_add_out>",
                "transformer_blocks.{}.<ff,ff_context>.net.<0.proj,2>",
                "single_transformer_blocks.{}.attn.<to_q,to_k,to_v>",
                "single_transformer_blocks.{}.<norm.linear,proj_mlp,proj_out>",
                "norm_out.linear",
                "proj_out",
            ),
        ), norms=alike(
            "transformer_blocks.{}.attn.<norm_q,norm_k,norm_added_q,norm_added_k>",
            "single_transformer_blocks.{}.attn.<norm_q,norm_k>",
        )),
        LLAMA_MODEL,
        CLIP_L.named("text_encoder_2"),
    ),
    signs=(
        width("transformer_blocks.{}.attn.to_q", 3072),
        width("single_transformer_blocks.{}.attn.to_q", 3072),
        depth("transformer_blocks.{}", 20),
        depth("single_transformer_blocks.{}", 40),
    ),
    own=("clean_x_embedder.", "image_projection."),
)
