"""A tiny pipeline as one file in its authors' names, as checkpoints of Stable Diffusion are published."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file

from lora_convert.architectures import ARCHITECTURES, fill, find

if TYPE_CHECKING:
    import torch

_RESNET = {
    "norm1": "in_layers.0",
    "norm2": "out_layers.0",
}
_TOP = {"conv_norm_out": "out.0"}
_VAE = (
    (r"_blocks\.(\d+)\.resnets\.(\d+)", r".\1.block.\2"),
    (r"_blocks\.(\d+)\.(down|up)samplers\.0", r".\1.\2sample"),
    (r"mid_block\.attentions\.0", "mid.attn_1"),
    (r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"conv_norm_out", "norm_out"),
    (r"group_norm", "norm"),
    (r"to_out\.0", "proj_out"),
    (r"to_([qkv])\.", r"\1."),
)


def save_single_file(pipeline: Any, path: Path) -> Path:
    """Write a Stable Diffusion 1 pipeline into one file."""
    unet = {f"model.diffusion_model.{_unet(n)}": v for n, v in pipeline.unet.state_dict().items()}
    vae = {
        f"first_stage_model.{_vae(n)}": _square(n, v) for n, v in pipeline.vae.state_dict().items()
    }
    text = {
        f"cond_stage_model.transformer.text_model.{n}": v
        for n, v in pipeline.text_encoder.state_dict().items()
    }
    save_file({n: v.contiguous() for n, v in {**unet, **vae, **text}.items()}, path)
    return path


def _unet(name: str) -> str:
    module, _, leaf = name.rpartition(".")
    if module in _TOP:
        return f"{_TOP[module]}.{leaf}"
    native = _native(module)
    if native:
        return f"{native}.{leaf}"
    parent, _, last = module.rpartition(".")
    if ".transformer_blocks." in module:
        return f"{_parent(f'{parent}.attn1.to_q', 'attn1')}.{last}.{leaf}"
    if last in _RESNET:
        return f"{_parent(f'{parent}.conv1', 'in_layers')}.{_RESNET[last]}.{leaf}"
    return f"{_parent(f'{parent}.proj_in', 'proj_in')}.{last}.{leaf}"


def _native(module: str) -> str:
    entry, digits = find(ARCHITECTURES["sd1"], module, "unet")
    return fill(entry.row.native, entry.wildcards(digits)) if entry else ""


def _parent(module: str, before: str) -> str:
    return _native(module).split(f".{before}")[0]


def _vae(name: str) -> str:
    for pattern, replaced in _VAE:
        name = re.sub(pattern, replaced, name)
    found = re.match(r"decoder\.up\.(\d+)", name)
    if found:  # counted from the other end
        name = name.replace(found[0], f"decoder.up.{1 - int(found[1])}", 1)
    return name


def _square(name: str, value: torch.Tensor) -> torch.Tensor:
    """Attention there is made of convolutions."""
    linear = re.search(r"attentions\.0\.to_", name) and name.endswith("weight")
    return value[:, :, None, None] if linear else value
