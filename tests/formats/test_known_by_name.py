"""What is not read is called what it is."""

from __future__ import annotations

import pytest

from lora_convert.formats._foreign import known_as

WHOLE = "a whole model without an adapter"

MODELS = {
    "stable diffusion in one file": (
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight",
        "model.diffusion_model.out.0.bias",
        "first_stage_model.decoder.conv_in.weight",
        "cond_stage_model.transformer.text_model.embeddings.position_ids",
        "alphas_cumprod",
        "model_ema.decay",
        "model_ema.diffusion_modelout0bias",
        "model.diffusion_model.time_embed.0.weight",
        "cond_stage_model.transformer.text_model.final_layer_norm.weight",
        "first_stage_model.decoder.conv_in.bias",
    ),
    "flux in its authors' names": (
        "double_blocks.0.img_attn.qkv.weight",
        "double_blocks.0.img_attn.norm.query_norm.scale",
        "double_blocks.0.img_attn.norm.key_norm.scale",
        "single_blocks.0.norm.query_norm.scale",
        "final_layer.linear.bias",
    ),
    "flux for comfyui": ("model.diffusion_model.double_blocks.0.img_attn.qkv.weight",),
    "a unet of diffusers": ("conv_in.weight", "down_blocks.0.resnets.0.conv1.bias"),
}
ADAPTERS = {
    "LLLite": ("lllite_unet_input_blocks_4_1.down.0.weight", "lllite_unet_x.up.0.weight"),
    "Custom Diffusion": ("mid_block.attn2.processor.to_k_custom_diffusion.weight",),
    "textual inversion": ("clip_l", "clip_g"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_whole_model_is_never_taken_for_an_adapter(name: str) -> None:
    assert known_as(MODELS[name], MODELS[name]) == WHOLE


@pytest.mark.parametrize("title", ADAPTERS)
def test_an_adapter_is_never_taken_for_a_whole_model(title: str) -> None:
    assert title in known_as(ADAPTERS[title], ADAPTERS[title])
