"""kohya's module names, written down a second time and by other means than the package's tables.

sd-scripts trains SD1 and SD2 in Diffusers' names, SDXL in those of Stability's sgm, FLUX
in those of Black Forest Labs, where several of Diffusers' layers are one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_RESNET = {
    "conv1": "in_layers_2",
    "conv2": "out_layers_3",
    "time_emb_proj": "emb_layers_1",
    "conv_shortcut": "skip_connection",
}

_SGM_TOP = {
    "conv_in": "input_blocks_0_0",
    "conv_out": "out_2",
    "time_embedding.linear_1": "time_embed_0",
    "time_embedding.linear_2": "time_embed_2",
    "add_embedding.linear_1": "label_emb_0_0",
    "add_embedding.linear_2": "label_emb_0_2",
}


def flattened(module: str) -> str:
    """Diffusers' name with underscores."""
    return module.replace(".", "_")


def sgm(module: str) -> str:
    """An SDXL UNet module in sgm's numbering: three places a block, the last one resamples."""
    if module in _SGM_TOP:
        return _SGM_TOP[module]
    middle = re.match(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", module)
    if middle:
        kind, number, rest = middle.groups()
        child = 1 if kind == "attentions" else 2 * int(number)
        return f"middle_block_{child}_{_within(kind, rest)}"
    side, kind, block, layer, rest = re.match(
        r"(down|up)_blocks\.(?=\d+\.(\w+))(\d+)\.\w+\.(\d+)\.(.*)", module
    ).groups()  # type: ignore[union-attr]
    first, layer_number = 3 * int(block), int(layer)
    if kind == "downsamplers":
        return f"input_blocks_{first + 3}_0_op"
    if kind == "upsamplers":
        return f"output_blocks_{first + 2}_2_conv"
    place = (
        f"input_blocks_{first + 1 + layer_number}"
        if side == "down"
        else f"output_blocks_{first + layer_number}"
    )
    return f"{place}_{0 if kind == 'resnets' else 1}_{_within(kind, rest)}"


def _within(kind: str, rest: str) -> str:
    return _RESNET[rest] if kind == "resnets" else flattened(rest)


class FluxLayer(NamedTuple):
    """One of FLUX's own layers, and Diffusers' layers that it holds from top to bottom."""

    name: str
    parts: tuple[str, ...]
    halves_swapped: bool = False


_TOP = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in_in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in_out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in_in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in_out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in_in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in_out_layer": "time_text_embed.guidance_embedder.linear_2",
    "final_layer_linear": "proj_out",
}

_DOUBLE = {
    "img_mod_lin": ("norm1.linear",),
    "txt_mod_lin": ("norm1_context.linear",),
    "img_attn_qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn_qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "img_attn_proj": ("attn.to_out.0",),
    "txt_attn_proj": ("attn.to_add_out",),
    "img_mlp_0": ("ff.net.0.proj",),
    "img_mlp_2": ("ff.net.2",),
    "txt_mlp_0": ("ff_context.net.0.proj",),
    "txt_mlp_2": ("ff_context.net.2",),
}

_SINGLE = {
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    "linear2": ("proj_out",),
    "modulation_lin": ("norm.linear",),
}


def flux(double: int, single: int) -> tuple[FluxLayer, ...]:
    """All layers of a FLUX with that many blocks."""
    layers = [FluxLayer(name, (part,)) for name, part in _TOP.items()]
    # shift and scale, which Diffusers' AdaLayerNormContinuous takes the other way round
    layers.append(
        FluxLayer("final_layer_adaLN_modulation_1", ("norm_out.linear",), halves_swapped=True)
    )
    for count, own, theirs, inner in (
        (double, "double_blocks", "transformer_blocks", _DOUBLE),
        (single, "single_blocks", "single_transformer_blocks", _SINGLE),
    ):
        layers += [
            FluxLayer(f"{own}_{block}_{name}", tuple(f"{theirs}.{block}.{part}" for part in parts))
            for block in range(count)
            for name, parts in inner.items()
        ]
    return tuple(layers)
