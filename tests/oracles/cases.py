"""The adapters that are tried: which layers, and how their scale is said."""

from __future__ import annotations

from typing import Any

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
CLIP = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]

UNET = [
    *ATTENTION,
    "ff.net.0.proj",
    "ff.net.2",
    "proj_in",
    "proj_out",
    "conv1",
    "conv_shortcut",
    "time_emb_proj",
    "conv_in",
    "conv_out",
    "linear_1",
    "downsamplers.0.conv",
    "upsamplers.0.conv",
]
FLUX = [
    *ATTENTION,
    "add_q_proj",
    "add_k_proj",
    "add_v_proj",
    "to_add_out",
    "ff.net.0.proj",
    "ff_context.net.2",
    "norm1.linear",
    "norm_out.linear",
    "proj_mlp",
    "proj_out",
    "x_embedder",
    "linear_1",
]

BACKBONES = {
    "sd1": ("unet", UNET),
    "sd2": ("unet", UNET),
    "sdxl": ("unet", UNET),
    "flux": ("transformer", FLUX),
}

PER_MODULE = {
    "rank_pattern": {"to_q": 2, "proj_out": 3, "fc1": 6, r"attn1\.to_k": 5},
    "alpha_pattern": {"to_q": 1, "to_v": 0.7, "proj_out": 12, "fc2": 3},
}

SHAPES_OF_SCALE: dict[str, dict[str, Any]] = {
    "alpha is not rank": {"r": 4, "lora_alpha": 8},
    "ranks and alphas per module": {"r": 4, "lora_alpha": 6, **PER_MODULE},
    "rank-stabilised": {"r": 4, "lora_alpha": 3, "use_rslora": True},
    "rank-stabilised, per module": {"r": 4, "lora_alpha": 3, "use_rslora": True, **PER_MODULE},
    "DoRA": {"r": 4, "lora_alpha": 8, "use_dora": True},
    "DoRA, per module": {"r": 4, "lora_alpha": 6, "use_dora": True, **PER_MODULE},
}

PER_MODULE_SCALES = [name for name in SHAPES_OF_SCALE if "per module" in name]
"""The harder half of them."""


def configs(architecture: str, scale: dict[str, Any]) -> dict[str, dict[str, Any]]:
    backbone, targets = BACKBONES[architecture]
    found = {
        backbone: {"target_modules": targets, **scale},
        "text_encoder": {"target_modules": CLIP, **scale},
    }
    if architecture == "sdxl":
        found["text_encoder_2"] = {"target_modules": [*CLIP, "text_projection"], **scale}
    return found


TWO_PROJECTIONS: dict[str, dict[str, Any]] = {
    "different ranks and alphas": {
        "target_modules": ["proj_out"],
        "rank_pattern": {r".*\d+\.proj_out": 2, "^proj_out": 6},
        "alpha_pattern": {r".*\d+\.proj_out": 8, "^proj_out": 3},
    },
    "different alphas": {
        "r": 4,
        "target_modules": ["proj_out"],
        "alpha_pattern": {r".*\d+\.proj_out": 8, "^proj_out": 3},
    },
    "blocks alone": {"r": 4, "target_modules": r".*blocks\.\d+\.proj_out"},
    "the last layer alone": {"r": 4, "lora_alpha": 2, "target_modules": r"proj_out"},
    "the last layer and another of one block": {
        "r": 4,
        "target_modules": r"proj_out|single_transformer_blocks\.1\.attn\.to_q",
        "alpha_pattern": {"^proj_out": 16},
    },
}
"""FLUX names its last layer as the end of another's name, which PEFT's patterns match too. These
are anchored: PEFT sorts the patterns it saves and, reading them, takes the first that matches."""
