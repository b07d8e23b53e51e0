"""Diffusers' own converters of adapters put every row where the tables say."""

from __future__ import annotations

from typing import NamedTuple

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers.loaders import lora_conversion_utils  # noqa: E402

from tests.oracles.models import layers, models  # noqa: E402
from tests.oracles.test_geometry import modules  # noqa: E402


class Reader(NamedTuple):
    """A function that reads an architecture's adapters, and which of their modules it reads rightly."""

    architecture: str
    function: str
    before: str
    """What stands before the authors' names."""
    begins: tuple[str, ...] = ("",)
    """How the names of those modules begin."""
    component: str = "transformer"
    options: tuple[str, ...] = ()


PROJECTION = "text_embedding_projection"
READERS = (
    Reader("wan", "non_diffusers_wan_lora", "diffusion_model.", ("blocks.", "head.", "t")),
    Reader("helios", "non_diffusers_wan_lora", "diffusion_model.", ("blocks.",)),
    Reader("hunyuan_video", "hunyuan_video_lora", "", ("double_blocks.", "single_blocks.")),
    Reader("ltx2", "non_diffusers_ltx2_lora", "diffusion_model."),
    Reader(
        "ltx2", "non_diffusers_ltx2_lora", "", (f"{PROJECTION}.agg",), "connectors", (PROJECTION,)
    ),
    Reader("minimax_h3", "non_diffusers_minimax_h3_lora", "diffusion_model."),
    Reader("ace_step", "non_diffusers_ace_step_lora", "base_model.model.", ("layers.",)),
)


@pytest.mark.parametrize("reader", READERS, ids=lambda one: f"{one.architecture}-{one.component}")
def test_every_row_is_where_diffusers_puts_it(reader: Reader) -> None:
    model, *_ = models(reader.architecture, reader.component)
    heights = {name: layer.weight.shape[0] for name, layer in layers(model).items()}
    native, expected, first = {}, {}, 0
    for name, row, members in modules(reader.architecture, reader.component, model):
        if not name.startswith(reader.begins):
            continue
        up = torch.arange(first, first + sum(heights[member] for member in members))[:, None]
        first += len(up)
        native[f"{reader.before}{name}.lora_A.weight"] = torch.zeros(1, 4)
        native[f"{reader.before}{name}.lora_B.weight"] = up
        chunks = up.chunk(len(row.order))
        for member, own in zip(members, row.chunks, strict=True):
            rows = torch.cat([chunks[chunk] for chunk in own])
            expected[f"{reader.component}.{member}.lora_B.weight"] = rows.flatten().tolist()
    convert = getattr(lora_conversion_utils, f"_convert_{reader.function}_to_diffusers")
    converted = convert(native, *reader.options)
    found = {name: rows.flatten().tolist() for name, rows in converted.items() if "_B" in name}
    assert len(expected) > 0
    assert found == expected
