"""What trainers write, in names copied from their own sources: named rightly, read wholly, converted.

Two blocks of each, of the published widths, so that nothing but names and shapes tells what they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import lora_convert as lc

Shape = tuple[int, int]
"""Outputs and inputs of a layer."""

WAN = {
    **{f"blocks.{{}}.{a}_attn.{n}": (5120, 5120) for a in ("self", "cross") for n in "qkvo"},
    "blocks.{}.ffn.0": (13824, 5120),
    "blocks.{}.ffn.2": (5120, 13824),
}
FLUX = {
    "double_blocks.{}.img_attn.qkv": (9216, 3072),
    "double_blocks.{}.img_attn.proj": (3072, 3072),
    "double_blocks.{}.txt_mlp.0": (12288, 3072),
    "double_blocks.{}.img_mod.lin": (18432, 3072),
    "single_blocks.{}.linear1": (21504, 3072),
    "single_blocks.{}.linear2": (3072, 15360),
    "single_blocks.{}.modulation.lin": (9216, 3072),
}
FLUX_OF_DIFFUSERS = {
    **{f"transformer_blocks.{{}}.attn.{n}": (3072, 3072) for n in ("to_q", "to_k", "to_out.0")},
    "transformer_blocks.{}.ff.net.0.proj": (12288, 3072),
    "single_transformer_blocks.{}.proj_mlp": (12288, 3072),
    "single_transformer_blocks.{}.proj_out": (3072, 15360),
}
FLUX2 = {
    "double_blocks.{}.img_attn.qkv": (18432, 6144),
    "double_blocks.{}.img_mlp.0": (36864, 6144),
    "single_blocks.{}.linear1": (55296, 6144),
    "single_blocks.{}.linear2": (6144, 24576),
}
FLUX_OF_MFLUX = {
    **{f"transformer_blocks.{{}}.attn.{n}": (3072, 3072) for n in ("to_q", "to_out.0")},
    "transformer_blocks.{}.ff.linear1": (12288, 3072),
    "transformer_blocks.{}.ff_context.linear2": (3072, 12288),
    "single_transformer_blocks.{}.proj_out": (3072, 15360),
}
FLUX2_OF_DIFFUSERS = {
    "transformer_blocks.{}.attn.add_q_proj": (6144, 6144),
    "transformer_blocks.{}.ff.linear_in": (36864, 6144),
    "single_transformer_blocks.{}.attn.to_qkv_mlp_proj": (55296, 6144),
}
QWEN = {
    **{
        f"transformer_blocks.{{}}.attn.{n}": (3072, 3072)
        for n in ("to_q", "add_k_proj", "to_add_out")
    },
    "transformer_blocks.{}.img_mod.1": (18432, 3072),
    "transformer_blocks.{}.txt_mlp.net.0.proj": (12288, 3072),
}
TENCENT = {
    "double_blocks.{}.img_attn_qkv": (9216, 3072),
    "double_blocks.{}.txt_attn_proj": (3072, 3072),
    "double_blocks.{}.img_mlp.fc1": (12288, 3072),
    "single_blocks.{}.linear1": (21504, 3072),
    "single_blocks.{}.modulation.linear": (9216, 3072),
}
FRAMEPACK = {
    "transformer_blocks.{}.attn.to_q": (3072, 3072),
    "single_transformer_blocks.{}.attn.to_k": (3072, 3072),
    "clean_x_embedder.proj": (3072, 64),
}
Z_IMAGE = {
    **{f"layers.{{}}.attention.{n}": (3840, 3840) for n in ("to_q", "to_k", "to_v", "to_out.0")},
    "layers.{}.feed_forward.w1": (10240, 3840),
    "context_refiner.{}.feed_forward.w2": (3840, 10240),
}
LUMINA2 = {
    "layers.{}.attention.qkv": (3840, 2304),
    "layers.{}.attention.out": (2304, 2304),
    "noise_refiner.{}.feed_forward.w1": (9216, 2304),
}
SD3 = {
    "joint_blocks.{}.x_block.attn.qkv": (4608, 1536),
    "joint_blocks.{}.context_block.attn.qkv": (4608, 1536),
    "joint_blocks.{}.x_block.mlp.fc1": (6144, 1536),
}
HUNYUAN_IMAGE = {
    "double_blocks.{}.img_attn.qkv": (10752, 3584),
    "double_blocks.{}.txt_mod.lin": (21504, 3584),
    "single_blocks.{}.linear1": (25088, 3584),
    "byt5_in.fc1": (2048, 1472),
}
CHROMA = {
    "double_blocks.{}.img_attn.qkv": (9216, 3072),
    "single_blocks.{}.linear1": (21504, 3072),
    "distilled_guidance_layer.layers.{}.in_layer": (5120, 5120),
}
ANIMA = {
    "blocks.{}.self_attn.q_proj": (2048, 2048),
    "blocks.{}.cross_attn.output_proj": (2048, 2048),
    "blocks.{}.mlp.layer1": (8192, 2048),
    "llm_adapter.blocks.{}.self_attn.q_proj": (1024, 1024),
}
KREA2 = {
    **{f"blocks.{{}}.attn.{n}": (6144, 6144) for n in ("wq", "wo", "gate")},
    "blocks.{}.mlp.gate": (16384, 6144),
    "txtfusion.refiner_blocks.{}.attn.wq": (2560, 2560),
}
MOCHI = {
    "blocks.{}.attn.qkv_x": (9216, 3072),
    "blocks.{}.attn.qkv_y": (9216, 1536),
    "blocks.{}.attn.proj_x": (3072, 3072),
    "blocks.{}.attn.proj_y": (1536, 3072),
}
SDXL = {
    "input_blocks.4.1.transformer_blocks.{}.attn1.to_q": (640, 640),
    "middle_block.1.transformer_blocks.{}.attn2.to_k": (1280, 2048),
    "output_blocks.0.1.transformer_blocks.{}.ff.net.0.proj": (10240, 1280),
}
SDXL_OF_DIFFUSERS = {
    "down_blocks.1.attentions.0.transformer_blocks.{}.attn1.to_q": (640, 640),
    "mid_block.attentions.0.transformer_blocks.{}.attn2.to_k": (1280, 2048),
    "up_blocks.0.attentions.1.transformer_blocks.{}.ff.net.0.proj": (10240, 1280),
}
HIDREAM = {
    "double_stream_blocks.{}.block.attn1.to_q": (2560, 2560),
    "single_stream_blocks.{}.block.ff_i.experts.0.w1": (6912, 2560),
}


class Tool(NamedTuple):
    """A file as a tool writes it."""

    written_by: str
    layers: dict[str, Shape]
    before: str
    pair: tuple[str, str]
    format: str
    architecture: str
    alpha: bool = False
    separator: str = "."


KOHYA = (".lora_down.weight", ".lora_up.weight")
PEFT = (".lora_A.weight", ".lora_B.weight")


def kohya(written_by: str, layers: dict[str, Shape], architecture: str) -> Tool:
    return Tool(written_by, layers, "lora_unet_", KOHYA, "kohya", architecture, True, "_")


TOOLS = (
    kohya("sd-scripts networks/lora.py", SDXL, "sdxl"),
    kohya("sd-scripts networks/lora_flux.py", FLUX, "flux"),
    kohya("sd-scripts networks/lora_flux.py, Chroma", CHROMA, "chroma"),
    kohya("sd-scripts networks/lora_sd3.py", SD3, "sd3"),
    kohya("sd-scripts networks/lora_lumina.py", LUMINA2, "lumina2"),
    kohya("sd-scripts networks/lora_hunyuan_image.py", HUNYUAN_IMAGE, "hunyuan_image"),
    kohya("sd-scripts networks/lora_anima.py", ANIMA, "anima"),
    kohya("musubi-tuner networks/lora_wan.py", WAN, "wan"),
    kohya("musubi-tuner networks/lora.py, HunyuanVideo", TENCENT, "hunyuan_video"),
    kohya("musubi-tuner networks/lora_framepack.py", FRAMEPACK, "framepack"),
    kohya("musubi-tuner networks/lora_qwen_image.py", QWEN, "qwen_image"),
    kohya("musubi-tuner networks/lora_flux_2.py", FLUX2, "flux2"),
    kohya("musubi-tuner networks/lora_zimage.py", Z_IMAGE, "z_image"),
    kohya("musubi-tuner networks/lora_krea2.py", KREA2, "krea2"),
    kohya("SimpleTuner, SDXL for ComfyUI", SDXL_OF_DIFFUSERS, "sdxl"),
    Tool("fal's Kontext trainer", FLUX, "base_model.model.", PEFT, "peft", "flux"),
    Tool(
        "diffusion-pipe, HunyuanVideo",
        TENCENT,
        "diffusion_model.",
        PEFT,
        "comfyui",
        "hunyuan_video",
    ),
    Tool("diffusion-pipe, Wan", WAN, "diffusion_model.", PEFT, "comfyui", "wan"),
    Tool("diffusion-pipe, FLUX", FLUX_OF_DIFFUSERS, "transformer.", PEFT, "diffusers", "flux"),
    Tool("musubi-tuner convert_lora.py", WAN, "diffusion_model.", PEFT, "comfyui", "wan"),
    Tool("Mochi's own trainer", MOCHI, "", (".lora_A", ".lora_B"), "dotted", "mochi"),
    Tool("SimpleTuner, diffusers", QWEN, "transformer.", PEFT, "diffusers", "qwen_image"),
    Tool("SimpleTuner, comfyui", QWEN, "diffusion_model.", PEFT, "comfyui", "qwen_image", True),
    Tool("SimpleTuner, lycoris", QWEN, "lycoris_", KOHYA, "lycoris", "qwen_image", True, "_"),
    Tool("ai-toolkit, FLUX", FLUX_OF_DIFFUSERS, "transformer.", PEFT, "diffusers", "flux"),
    Tool("ai-toolkit, FLUX.2", FLUX2, "diffusion_model.", PEFT, "comfyui", "flux2"),
    Tool("ai-toolkit, Qwen-Image", QWEN, "diffusion_model.", PEFT, "comfyui", "qwen_image"),
    Tool("ai-toolkit, Z-Image", Z_IMAGE, "diffusion_model.", PEFT, "comfyui", "z_image"),
    Tool("ai-toolkit, HiDream", HIDREAM, "diffusion_model.", PEFT, "comfyui", "hidream"),
    Tool(
        "OneTrainer", FLUX_OF_DIFFUSERS, "lora_transformer_", KOHYA, "onetrainer", "flux", True, "_"
    ),
    Tool("OneTrainer, internal", FLUX_OF_DIFFUSERS, "transformer.", KOHYA, "dotted", "flux", True),
    Tool("OneTrainer, original", FLUX, "", PEFT, "dotted", "flux", True),
    Tool("OneTrainer, comfy", FLUX, "diffusion_model.", PEFT, "comfyui", "flux", True),
    Tool(
        "DiffSynth",
        QWEN,
        "",
        (".lora_A.default.weight", ".lora_B.default.weight"),
        "accelerate",
        "qwen_image",
    ),
    Tool("mflux 0.5", FLUX_OF_MFLUX, "transformer.", (".lora_A", ".lora_B"), "mflux", "flux"),
    Tool("mflux of today", FLUX2_OF_DIFFUSERS, "transformer.", PEFT, "diffusers", "flux2"),
)


def tensors_of(tool: Tool) -> dict[str, np.ndarray]:
    """A file of rank 1: two blocks, and an alpha beside each module where the tool writes one."""
    found: dict[str, np.ndarray] = {}
    for number, (pattern, (height, width)) in enumerate(tool.layers.items()):
        for block in range(2 if "{}" in pattern else 1):
            name = tool.before + pattern.format(block).replace(".", tool.separator)
            found[name + tool.pair[0]] = np.full((1, width), 1.0 + number, "float16")
            found[name + tool.pair[1]] = np.full((height, 1), 1.0 + block, "float16")
            if tool.alpha:
                found[f"{name}.alpha"] = np.array(0.5, "float32")
    return found


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.written_by)
def test_it_is_named_read_and_converted(tool: Tool, tmp_path: Path) -> None:
    tensors = tensors_of(tool)
    file = tmp_path / "lora.safetensors"
    save_file(tensors, file)
    found = lc.inspect(str(file))
    assert (found.format, found.architecture) == (tool.format, tool.architecture)
    assert (found.explained, found.unexplained) == (len(tensors), ())
    ups = sum(key.endswith(tool.pair[1]) for key in tensors)
    for to in ("diffusers", "comfyui"):
        result = lc.convert(str(file), to, output=str(tmp_path / f"{to}.safetensors"))
        assert result.plan["modules"] == ups
        assert result.proof is not None
        assert result.proof.exact
    adapter = lc.read_adapter(str(file))
    assert {module.scale for module in adapter.modules} == {0.5 if tool.alpha else 1.0}


def test_a_distilled_wan_has_biases_norms_and_modulation(tmp_path: Path) -> None:
    """As published by who distilled it. ComfyUI passes ``diff_m`` over; written for it, it is found."""
    tensors: dict[str, np.ndarray] = {}
    for block in range(2):
        place = f"diffusion_model.blocks.{block}"
        for name in ("self_attn.q", "cross_attn.k_img"):
            tensors[f"{place}.{name}.lora_down.weight"] = np.ones((1, 5120), "float16")
            tensors[f"{place}.{name}.lora_up.weight"] = np.ones((5120, 1), "float16")
            tensors[f"{place}.{name}.diff_b"] = np.ones(5120, "float16")
        for name in ("self_attn.norm_q", "cross_attn.norm_k_img", "norm3"):
            tensors[f"{place}.{name}.diff"] = np.ones(5120, "float16")
        tensors[f"{place}.norm3.diff_b"] = np.ones(5120, "float16")
        tensors[f"{place}.diff_m"] = np.ones((1, 6, 5120), "float16")
    tensors["diffusion_model.head.diff_m"] = np.ones((1, 2, 5120), "float16")
    file = tmp_path / "wan.safetensors"
    save_file(tensors, file)
    found = lc.inspect(str(file))
    assert (found.architecture, found.unexplained) == ("wan", ())
    result = lc.convert(str(file), "comfyui", output=str(tmp_path / "out.safetensors"))
    written = load_file(result.output)
    assert "diffusion_model.blocks.1.modulation.diff" in written
    assert "diffusion_model.head.modulation.diff" in written
    assert {k for k in written if not k.endswith(".alpha")} == {
        key.replace("diff_m", "modulation.diff") for key in tensors
    }


def test_lycoris_trains_norms_too(tmp_path: Path) -> None:
    """``train_norm`` (lycoris/kohya.py), in both names of a UNet and in the text encoder."""
    places = (
        "lora_unet_down_blocks_0_resnets_0_norm1",
        "lora_unet_mid_block_attentions_0_transformer_blocks_0_norm3",
        "lora_te_text_model_encoder_layers_0_layer_norm2",
    )
    tensors = {
        f"{p}.{role}": np.ones(320, "float16") for p in places for role in ("w_norm", "b_norm")
    }
    tensors["lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"] = (
        np.ones((1, 768), "float16")
    )
    tensors["lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight"] = (
        np.ones((1280, 1), "float16")
    )
    file = tmp_path / "norms.safetensors"
    save_file(tensors, file)
    found = lc.inspect(str(file))
    assert (found.architecture, found.unexplained) == ("sd1", ())
    result = lc.convert(str(file), "comfyui", output=str(tmp_path / "out.safetensors"))
    assert "diffusion_model.input_blocks.1.0.in_layers.0.w_norm" in load_file(result.output)


def test_a_part_that_xlabs_names_is_written_as_the_whole_module(tmp_path: Path) -> None:
    """``linear1`` holds q, k and v above the rest, for which XLabs trains nothing."""
    tensors = {
        "single_blocks.0.processor.qkv_lora.down.weight": np.ones((2, 3072), "float16"),
        "single_blocks.0.processor.qkv_lora.up.weight": np.ones((9216, 2), "float16"),
        "double_blocks.0.processor.qkv_lora1.down.weight": np.ones((2, 3072), "float16"),
        "double_blocks.0.processor.qkv_lora1.up.weight": np.ones((9216, 2), "float16"),
    }
    file = tmp_path / "xlabs.safetensors"
    save_file(tensors, file)
    result = lc.convert(str(file), "kohya", output=str(tmp_path / "out.safetensors"))
    up = load_file(result.output)["lora_unet_single_blocks_0_linear1.lora_up.weight"]
    assert up.shape == (21504, 2)
    assert (up[:9216] == 1).all()
    assert not up[9216:].any()


def test_framepack_of_full_depth_is_not_taken_for_hunyuan_video(tmp_path: Path) -> None:
    """Both have the same blocks in Diffusers' names; the trainer that flattens them names FramePack so."""
    tensors: dict[str, np.ndarray] = {}
    for pattern, depth in (("transformer_blocks", 20), ("single_transformer_blocks", 40)):
        for block in range(depth):
            name = f"lora_unet_{pattern}_{block}_attn_to_q"
            tensors[f"{name}.lora_down.weight"] = np.ones((1, 3072), "float16")
            tensors[f"{name}.lora_up.weight"] = np.ones((3072, 1), "float16")
    file = tmp_path / "framepack.safetensors"
    save_file(tensors, file)
    assert lc.inspect(str(file)).architecture == "framepack"
