"""HiDream-I1: everyone has Diffusers' names."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import CLIP_G, CLIP_L_PROJECTED, LLAMA, T5
from lora_convert.architectures._vocabulary import Architecture, Component, alike, width

HIDREAM = Architecture(
    name="hidream",
    title="HiDream-I1",
    components=(
        Component("transformer", alike(
            "t_embedder.timestep_embedder.<linear_1,linear_2>",
            "p_embedder.pooled_embedder.<linear_1,linear_2>",
            "x_embedder.proj",
            "caption_projection.{}.linear",
            "<double_stream_blocks,single_stream_blocks>.{}.block.adaLN_modulation.1",
            "<double_stream_blocks,single_stream_blocks>.{}.block.attn1.<to_q,to_k,to_v,to_out>",
            "double_stream_blocks.{}.block.attn1.<to_q_t,to_k_t,to_v_t,to_out_t>",
            "<double_stream_blocks,single_stream_blocks>.{}.block.ff_i.shared_experts.<w1,w2,w3>",
            "<double_stream_blocks,single_stream_blocks>.{}.block.ff_i.experts.{}.<w1,w2,w3>",
            "double_stream_blocks.{}.block.ff_t.<w1,w2,w3>",
            "final_layer.<linear,adaLN_modulation.1>",
        )),
        CLIP_L_PROJECTED,
        CLIP_G,
        T5.named("text_encoder_3"),
        LLAMA.named("text_encoder_4"),
    ),
    signs=(
        width("double_stream_blocks.{}.block.attn1.to_q", 2560),
    ),
    own=("double_stream_blocks.", "single_stream_blocks."),
)
