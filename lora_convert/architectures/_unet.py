"""The UNet of Stable Diffusion, in Diffusers' numbering and in the original one.

Down block b, layer j is ``input_blocks[1 + 3b + j]`` and its downsampler ``input_blocks[3b + 3]``; up
block b, layer j is ``output_blocks[3b + j]``, the upsampler being the last child of that of layer 2
(original ldm/modules/diffusionmodules/openaimodel.py; Diffusers scripts/convert_original_stable_diffusion).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lora_convert.architectures._vocabulary import Component, Kind, Row, alike, nested, same

_RESNET = (
    same("conv1",         "in_layers.2", kind="conv"),
    same("time_emb_proj", "emb_layers.1"),
    same("conv2",         "out_layers.3", kind="conv"),
    same("conv_shortcut", "skip_connection", kind="conv"),
)

_TRANSFORMER = alike(
    "transformer_blocks.{}.<attn1,attn2>.<to_q,to_k,to_v,to_out.0>",
    "transformer_blocks.{}.ff.net.<0.proj,2>",
)

_RESNET_NORMS = (same("norm1", "in_layers.0"), same("norm2", "out_layers.0"))
_ATTENTION_NORMS = alike("norm", "transformer_blocks.{}.norm<1,2,3>")

_TOP = (
    same("time_embedding.linear_1", "time_embed.0"),
    same("time_embedding.linear_2", "time_embed.2"),
    same("conv_in",                 "input_blocks.0.0", kind="conv"),
    same("conv_out",                "out.2", kind="conv"),
)

_LAYERS = 2


def unet(
    attention: Sequence[bool],
    *,
    projections: Kind,
    top: tuple[Row, ...] = (),
    numbered: bool = False,
) -> Component:
    """A UNet whose down block b has attention where ``attention[b]``; up blocks mirror it.

    `projections` is the kind of ``proj_in`` and ``proj_out``: 1×1 convolutions or linear layers.
    `numbered` says that there are adapters that number its attention layers.
    """
    attend = (
        same("proj_in", "proj_in", kind=projections),
        *_TRANSFORMER,
        same("proj_out", "proj_out", kind=projections),
    )
    rows = (*_TOP, *top, *_blocks(attention, _RESNET, attend), *_samplers(attention))
    norms = (same("conv_norm_out", "out.0"), *_blocks(attention, _RESNET_NORMS, _ATTENTION_NORMS))
    return Component("unet", rows, norms=norms, walk=_walk(attention) if numbered else {})


def _blocks(
    attention: Sequence[bool], resnet: tuple[Row, ...], attend: tuple[Row, ...]
) -> tuple[Row, ...]:
    """Rows of every residual and every attention block."""
    rows: list[Row] = []
    for block, attends in enumerate(attention):
        for layer in range(_LAYERS):
            place = f"input_blocks.{1 + 3 * block + layer}"
            rows += nested(f"down_blocks.{block}.resnets.{layer}", f"{place}.0", resnet)
            if attends:
                rows += nested(f"down_blocks.{block}.attentions.{layer}", f"{place}.1", attend)
    rows += nested("mid_block.resnets.0", "middle_block.0", resnet)
    rows += nested("mid_block.attentions.0", "middle_block.1", attend)
    rows += nested("mid_block.resnets.1", "middle_block.2", resnet)
    for block, attends in enumerate(reversed(attention)):
        for layer in range(_LAYERS + 1):
            place = f"output_blocks.{3 * block + layer}"
            rows += nested(f"up_blocks.{block}.resnets.{layer}", f"{place}.0", resnet)
            if attends:
                rows += nested(f"up_blocks.{block}.attentions.{layer}", f"{place}.1", attend)
    return tuple(rows)


def _samplers(attention: Sequence[bool]) -> Iterator[Row]:
    """What makes pictures smaller and larger, behind all blocks but the last."""
    for block in range(len(attention) - 1):
        yield same(f"down_blocks.{block}.downsamplers.0.conv",
                   f"input_blocks.{3 * block + 3}.0.op", kind="conv")
    for block, attends in enumerate([*reversed(attention)][:-1]):
        child = 2 if attends else 1
        yield same(f"up_blocks.{block}.upsamplers.0.conv",
                   f"output_blocks.{3 * block + _LAYERS}.{child}.conv", kind="conv")


_NUMBERED = {
    **dict.fromkeys(("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0"), 1.0),
    "ff.net.0.proj": 8.0,
    "attn2.to_q": 1.0,
    **dict.fromkeys(("attn2.to_k", "attn2.to_v"), 0.0),
    "attn2.to_out.0": 1.0,
}
"""Linear layers below CrossAttention and GEGLU, as a block of Diffusers 0.10 to 0.14 registered them: with
``ff`` before ``attn2`` (models/attention.py, BasicTransformerBlock)."""


def _walk(attention: Sequence[bool]) -> dict[str, float]:
    """Attention layers in the order of ``modules()``: the middle block comes last, being made last."""
    up = [*enumerate(reversed(attention))]
    places = [
        *(f"down_blocks.{block}.attentions.{layer}"
          for block, attends in enumerate(attention) if attends for layer in range(_LAYERS)),
        *(f"up_blocks.{block}.attentions.{layer}"
          for block, attends in up if attends for layer in range(_LAYERS + 1)),
        "mid_block.attentions.0",
    ]
    return {
        f"{place}.transformer_blocks.0.{name}": ratio
        for place in places for name, ratio in _NUMBERED.items()
    }
