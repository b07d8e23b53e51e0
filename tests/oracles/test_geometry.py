"""The tables against the real classes, in their published sizes, and Diffusers' own converters."""

from __future__ import annotations

import json
from functools import cache
from itertools import product

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")

from diffusers.loaders import single_file_utils  # noqa: E402
from torch import nn  # noqa: E402

from lora_convert.architectures import ARCHITECTURES, Component, Row, fill, find  # noqa: E402

SDXL = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
UNETS = {
    "sd1": {"cross_attention_dim": 768},
    "sd2": {"cross_attention_dim": 1024, "use_linear_projection": True},
    "sdxl": SDXL,
}
CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "projection_dim": 768,
}
CLIP_H = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
}
CLIP_G = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
}
T5 = {
    "d_model": 64,
    "d_kv": 8,
    "d_ff": 96,
    "num_layers": 3,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
}


@cache
def model(architecture: str, component: str) -> nn.Module:
    """The real class, without weights."""
    with torch.device("meta"):
        if component == "unet":
            return diffusers.UNet2DConditionModel(**UNETS[architecture])
        if component == "transformer":
            return diffusers.FluxTransformer2DModel(guidance_embeds=True)
        if (architecture, component) == ("flux", "text_encoder_2"):
            return transformers.T5EncoderModel(transformers.T5Config(**T5))
        if component == "text_encoder_2":
            config = transformers.CLIPTextConfig(**CLIP_G)
            return transformers.CLIPTextModelWithProjection(config)
        sizes = CLIP_H if architecture == "sd2" else CLIP_L
        return transformers.CLIPTextModel(transformers.CLIPTextConfig(**sizes))


PLACES = [(name, part.name) for name, found in ARCHITECTURES.items() for part in found.components]


@pytest.mark.parametrize(("architecture", "component"), PLACES)
def test_every_layer_of_the_class_has_one_row_of_its_kind(
    architecture: str, component: str
) -> None:
    found_rows: set[Row] = set()
    table = ARCHITECTURES[architecture]
    for name, layer in model(architecture, component).named_modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        entry, digits = find(table, name, component)
        assert entry is not None, name
        assert fill(entry.row.names("model")[entry.member], entry.wildcards(digits)) == name
        assert entry.row.kind == ("conv" if isinstance(layer, nn.Conv2d) else "linear"), name
        found_rows.add(entry.row)
    part = table.component(component)
    assert isinstance(part, Component)
    missing = {row.native for row in part.rows} - {row.native for row in found_rows}
    # T5 v1.0 has one wi where v1.1 has two; a shortcut is there where the width changes
    spare = ("encoder.block.{}.layer.1.DenseReluDense.wi", "skip_connection")
    assert all(native.endswith(spare) for native in missing)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_fused_rows_have_the_ratio_of_the_real_layers(architecture: str) -> None:
    for part in ARCHITECTURES[architecture].components:
        layers = dict(model(architecture, part.name).named_modules())
        for row in part.rows:
            names = [name.format(*"000") for name in row.names("model")]
            if len(names) > 1:
                heights = [layers[name].weight.shape[0] for name in names]
                assert [height // heights[0] for height in heights] == [len(c) for c in row.chunks]


@pytest.mark.parametrize("architecture", UNETS)
def test_diffusers_converter_agrees_on_every_unet_module(architecture: str) -> None:
    """Each original weight holds an identity; the converter must put it where the table says."""
    unet = model(architecture, "unet")
    table = ARCHITECTURES[architecture]
    checkpoint, expected = {}, {}
    for number, (name, weight) in enumerate(unet.state_dict().items()):
        module, _, leaf = name.rpartition(".")
        entry, digits = find(table, module, "unet")
        if entry is not None:
            native = fill(entry.row.native, entry.wildcards(digits))
            checkpoint[f"model.diffusion_model.{native}.{leaf}"] = torch.full((1,), float(number))
            expected[name] = float(number)
        del weight
    config = {**json.loads(unet.to_json_string()), "class_embed_type": None}
    converted = single_file_utils.convert_ldm_unet_checkpoint(_with_norms(checkpoint, unet), config)
    assert {name: float(converted[name][0]) for name in expected} == expected


def _with_norms(checkpoint: dict[str, torch.Tensor], unet: nn.Module) -> dict[str, torch.Tensor]:
    """The few norms that the converter asks for by name."""
    for name in ("out.0.weight", "out.0.bias"):
        checkpoint[f"model.diffusion_model.{name}"] = torch.zeros(1)
    return checkpoint


def test_diffusers_converter_agrees_on_every_row_of_flux() -> None:
    """Each original weight's rows hold their own numbers: splits and swapped halves show."""
    (part,) = (c for c in ARCHITECTURES["flux"].components if c.name == "transformer")
    layers = dict(model("flux", "transformer").named_modules())
    checkpoint, expected = {}, {}
    for number, row in enumerate(part.rows):
        for digits in product("01", repeat=row.native.count("{}")):
            names = [fill(name, digits) for name in row.diffusers]
            heights = [layers[name].weight.shape[0] for name in names]
            rows = (
                torch.arange(sum(heights)).float()
                + 1e6 * number
                + 1e5 * int(digits[0] if digits else 0)
            )
            for leaf in ("weight", "bias"):
                native = rows[:, None] if leaf == "weight" else rows
                checkpoint[f"{fill(row.native, digits)}.{leaf}"] = native.clone()
                parts = native.roll(sum(heights) // 2, 0) if row.order == (1, 0) else native
                for name, piece in zip(names, parts.split(heights), strict=True):
                    expected[f"{name}.{leaf}"] = piece
    for block in range(2):
        for stream in ("img", "txt"):
            for norm in ("query_norm", "key_norm"):
                checkpoint[f"double_blocks.{block}.{stream}_attn.norm.{norm}.scale"] = torch.zeros(
                    1
                )
        for norm in ("query_norm", "key_norm"):
            checkpoint[f"single_blocks.{block}.norm.{norm}.scale"] = torch.zeros(1)
    converted = single_file_utils.convert_flux_transformer_checkpoint_to_diffusers(dict(checkpoint))
    for name, rows in expected.items():
        torch.testing.assert_close(converted[name], rows, rtol=0, atol=0)
