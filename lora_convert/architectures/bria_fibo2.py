"""Bria FIBO 2, in Diffusers' names: others are not known."""

from __future__ import annotations

from lora_convert.architectures._text_encoders import QWEN3_VL
from lora_convert.architectures._vocabulary import Architecture, Component, alike, depth, width

BRIA_FIBO2 = Architecture(
    name="bria_fibo2",
    title="Bria FIBO 2, in Diffusers' names",
    components=(
        Component("transformer", alike(
            "x_embedder",
            "t_embedder.mlp.<0,2>",
            "perceiver.layers.{}.<cross_attention,self_attention>.<to_q,to_k,to_v,to_out.0>",
            "perceiver.layers.{}.ffn.<w1,w2,w3>",
            "<noise_refiner,layers>.{}.attention.<to_q,to_k,to_v,to_out.0>",
            "<noise_refiner,layers>.{}.feed_forward.<w1,w2,w3>",
            "<noise_refiner,layers>.{}.adaLN_modulation.0",
            "layers.{}.cross_attention.<to_q,to_k,to_v,to_out.0>",
            "final_layer.<linear,adaLN_modulation.1>",
        )),
        QWEN3_VL,
    ),
    signs=(
        width("layers.{}.attention.to_q", 3584),
        width("layers.{}.attention.to_out.0", 3584),
        depth("layers.{}", 44),
    ),
    own=("perceiver.", "layers.{}.cross_attention."),
)
