"""XLabs: FLUX's attention alone, as processors of its blocks: read only.

``lora1`` is the image's, ``lora2`` the text's; a single block's ``qkv_lora`` is the first part of its
``linear1``. There is no alpha: the scale is 1 (XLabs-AI/x-flux, src/flux/modules/layers.py).
"""

from __future__ import annotations

from lora_convert.formats._declaration import Ending, Format

_MODULES = {
    "qkv_lora1": ".img_attn.qkv",
    "qkv_lora2": ".txt_attn.qkv",
    "proj_lora1": ".img_attn.proj",
    "proj_lora2": ".txt_attn.proj",
    "qkv_lora": ".linear1_qkv",
    "proj_lora": ".linear2",
}

XLABS = Format(
    name="xlabs",
    title="XLabs (FLUX attention processors)",
    separator=".",
    namespace="native",
    prefixes={"transformer": ("diffusion_model.",)},
    bare=True,
    endings=tuple(
        Ending(role, f".processor.{name}.{role}.weight", tail=module)
        for name, module in _MODULES.items()
        for role in ("down", "up")
    ),
    scale_in="factors",
    file_name=lambda stem: f"{stem}_xlabs.safetensors",
    written=False,
)
