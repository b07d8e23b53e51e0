"""Adapters of models in their published sizes are named, in Diffusers' names and in the authors'."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

import diffusers  # noqa: E402

from lora_convert.conversion.detect import detect  # noqa: E402
from lora_convert.header import Header  # noqa: E402
from lora_convert.tensors.source import Source  # noqa: E402
from tests.oracles.models import layers  # noqa: E402
from tests.oracles.test_geometry import modules  # noqa: E402


class Published(NamedTuple):
    """A model of a family."""

    architecture: str
    kind: str
    config: dict[str, Any]
    alike: str = ""
    """What an adapter of attention alone is named instead, since it acts there just so."""


IMAGE = {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}
PUBLISHED = {
    "Wan 14B": Published("wan", "WanTransformer3DModel", {}),
    "Wan 14B, image": Published("wan", "WanTransformer3DModel", IMAGE),
    "Wan 1.3B": Published(
        "wan", "WanTransformer3DModel", {"num_attention_heads": 12, "num_layers": 30}
    ),
    "Wan 5B": Published(
        "wan",
        "WanTransformer3DModel",
        {"in_channels": 48, "num_attention_heads": 24, "num_layers": 30},
    ),
    "Wan VACE": Published("wan", "WanVACETransformer3DModel", {}),
    "Wan-Animate 2": Published("wan_animate2", "WanAnimate2Transformer3DModel", {}),
    "Helios": Published("helios", "HeliosTransformer3DModel", {}, "wan"),
    "AnyFlow": Published("anyflow", "AnyFlowTransformer3DModel", {}, "wan"),
    "HunyuanVideo": Published("hunyuan_video", "HunyuanVideoTransformer3DModel", {}),
    "HunyuanVideo 1.5": Published("hunyuan_video15", "HunyuanVideo15Transformer3DModel", {}),
    "LTX-Video 2B": Published("ltx_video", "LTXVideoTransformer3DModel", {}),
    "LTX-Video 13B": Published(
        "ltx_video",
        "LTXVideoTransformer3DModel",
        {"num_layers": 48, "attention_head_dim": 128, "cross_attention_dim": 4096},
    ),
    "LTX-2": Published("ltx2", "LTX2VideoTransformer3DModel", {}),
    "CogVideoX 2B": Published("cogvideox", "CogVideoXTransformer3DModel", {}),
    "CogVideoX 5B": Published(
        "cogvideox", "CogVideoXTransformer3DModel", {"num_attention_heads": 48, "num_layers": 42}
    ),
    "Cosmos-Predict 1, 7B": Published("cosmos1", "CosmosTransformer3DModel", {}),
    "Mochi": Published("mochi", "MochiTransformer3DModel", {}),
    "MiniMax-H3": Published("minimax_h3", "MiniMaxH3Transformer3DModel", {}),
    "Kandinsky 5": Published("kandinsky5", "Kandinsky5Transformer3DModel", {}),
    "ACE-Step 1.5": Published("ace_step", "AceStepTransformer1DModel", {}),
    "FLUX.1": Published("flux", "FluxTransformer2DModel", {"guidance_embeds": True}),
    "FLUX.2": Published("flux2", "Flux2Transformer2DModel", {}),
}

ATTENTION = re.compile(
    r"\.(to_q|to_k|to_v|to_out\.0|to_query|to_key|to_value|to_qkv_mlp_proj|linear1|qkv|qkv_proj"
    r"|qkv_x|query_key_value|(self|cross)_attn\.[qkvo](_proj)?|to_[qkv]\.0|(img|txt)_attn_(qkv|[qkv]))$"
)


UNDECIDED = ("HunyuanVideo", "diffusers")
"""All its names and sizes are FramePack's too, whose authors kept Diffusers' names."""
CASES = [case for case in product(PUBLISHED, ("diffusers", "original")) if case != UNDECIDED]


@cache
def shapes(size: str, namespace: str) -> dict[str, tuple[int, ...]]:
    """A model's weights by the names of their modules."""
    published = PUBLISHED[size]
    with torch.device("meta"):
        model = getattr(diffusers, published.kind)(**published.config)
    weights = {name: tuple(layer.weight.shape) for name, layer in layers(model).items()}
    if namespace == "diffusers":
        return weights
    found = {}
    for native, _, members in modules(published.architecture, "transformer", model):
        height = sum(weights[name][0] for name in members)
        found[native] = (height, *weights[members[0]][1:])
    return found


def header(weights: dict[str, tuple[int, ...]], prefix: str) -> Header:
    """An adapter of these modules: names and shapes, no data."""
    entries: dict[str, tuple[int, ...]] = {}
    for module, (height, *rest) in weights.items():
        entries[f"{prefix}{module}.lora_A.weight"] = (4, *rest)
        entries[f"{prefix}{module}.lora_B.weight"] = (height, 4, *(1 for _ in rest[1:]))
    tensors = {name: Source(0, name, "F32", shape, 0, 0) for name, shape in entries.items()}
    return Header(tensors, {}, {})


def parts(weights: dict[str, tuple[int, ...]]) -> Iterator[tuple[bool, dict[str, tuple[int, ...]]]]:
    """All modules, and attention alone."""
    yield True, weights
    yield False, {name: shape for name, shape in weights.items() if ATTENTION.search(name)}


@pytest.mark.parametrize(("size", "namespace"), CASES)
def test_a_published_size_is_named(size: str, namespace: str) -> None:
    published = PUBLISHED[size]
    for whole, weights in parts(shapes(size, namespace)):
        found = detect(header(weights, "transformer."))
        wanted = published.architecture if whole else published.alike or published.architecture
        assert (found.architecture, found.ambiguous) == (wanted, False)
        assert found.unexplained == ()


@pytest.mark.parametrize("blocks", ["[3-7]", "7"])
@pytest.mark.parametrize("kind", ["double", "single"])
def test_some_blocks_of_flux_are_not_all_blocks_of_a_smaller_one(kind: str, blocks: str) -> None:
    weights = {
        name: shape
        for name, shape in shapes("FLUX.1", "original").items()
        if re.match(rf"{kind}_blocks\.{blocks}\.", name)
    }
    assert detect(header(weights, "transformer.")).architecture == "flux"


def test_names_that_nothing_tells_apart_are_ambiguous() -> None:
    for _, weights in parts(shapes(*UNDECIDED)):
        found = detect(header(weights, "transformer."))
        assert {c.architecture for c in found.candidates} >= {"hunyuan_video", "framepack"}
        assert found.ambiguous
