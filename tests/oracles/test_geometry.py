"""The tables against the real classes, in their published sizes, and Diffusers' own converters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from diffusers.loaders import single_file_utils  # noqa: E402
from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES  # noqa: E402

from lora_convert.architectures import (  # noqa: E402
    ARCHITECTURES,
    Entry,
    Row,
    fill,
    find,
    find_all,
    skeleton,
)
from tests.oracles.models import CLASSES, layers, models  # noqa: E402

if TYPE_CHECKING:
    from torch import nn

PLACES = [(name, part.name) for name, found in ARCHITECTURES.items() for part in found.components]

SPARE = {
    "wan": ("motion_encoder.dec.direction",),
    "*": ("encoder.block.{}.layer.1.DenseReluDense.wi", "skip_connection"),
}
"""Modules that no size has which is built here: T5 v1.0 has one wi, a shortcut is where widths change."""


UNETS = ("sd1", "sd2", "sdxl", "sdxl_refiner", "kolors")

PATCHES = {("cogvideox", "patch_embed.proj")}
"""Layers that are convolutions in one size and linear in another; factors keep the shape they have."""


def entry_of(
    architecture: str, component: str, name: str, layer: Any
) -> tuple[Entry, tuple[str, ...]]:
    """The module of a layer: where its height tells, that of its height."""
    found = list(find_all(ARCHITECTURES[architecture], name, component))
    assert found, name
    out, into = layer.weight.shape[:2]
    return min(found, key=lambda one: abs(one[0].row.growth and one[0].row.growth - out / into))


@pytest.mark.parametrize(("architecture", "component"), PLACES)
def test_every_layer_of_the_class_has_one_row_of_its_kind(
    architecture: str, component: str
) -> None:
    found_rows: set[Row] = set()
    for model in models(architecture, component):
        for name, layer in layers(model).items():
            entry, digits = entry_of(architecture, component, name, layer)
            assert fill(entry.row.names("model")[entry.member], entry.wildcards(digits)) == name
            if (architecture, name) not in PATCHES:
                assert (entry.row.kind == "linear") == (layer.weight.dim() == 2), name
            found_rows.add(entry.row)
    part = ARCHITECTURES[architecture].component(component)
    assert part is not None
    missing = {row.native for row in part.rows} - {row.native for row in found_rows}
    spare = (*SPARE["*"], *SPARE.get(architecture, ()))
    assert [native for native in missing if not native.endswith(spare)] == []


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_fused_rows_have_the_ratio_of_the_real_layers(architecture: str) -> None:
    for part in ARCHITECTURES[architecture].components:
        heights: dict[str, int] = {}
        for model in models(architecture, part.name):
            heights = {name: layer.weight.shape[0] for name, layer in layers(model).items()}
            for native, row, members in modules(architecture, part.name, model):
                shares = [len(chunks) for chunks in row.chunks]
                units = {heights[name] / share for name, share in zip(members, shares, strict=True)}
                assert len(units) == 1, native


def modules(
    architecture: str, component: str, model: nn.Module
) -> Iterator[tuple[str, Row, list[str]]]:
    """Every native module of a model: its name, its row, and its members' names in the class."""
    seen = set()
    for name, layer in layers(model).items():
        entry, digits = entry_of(architecture, component, name, layer)
        numbers = entry.wildcards(digits)
        native = fill(entry.row.names("original")[0], numbers)
        if native and native not in seen:
            seen.add(native)
            yield native, entry.row, [fill(one, numbers) for one in entry.row.names("model")]


@pytest.mark.parametrize("architecture", UNETS)
def test_diffusers_converter_agrees_on_every_unet_module(architecture: str) -> None:
    """Each original weight holds an identity; the converter must put it where the table says."""
    (unet,) = models(architecture, "unet")
    table = ARCHITECTURES[architecture]
    checkpoint, expected = {}, {}
    for number, name in enumerate(unet.state_dict()):
        module, _, leaf = name.rpartition(".")
        entry, digits = find(table, module, "unet")
        if entry is not None and module != "encoder_hid_proj":  # which its authors do not have
            native = fill(entry.row.native, entry.wildcards(digits))
            checkpoint[f"model.diffusion_model.{native}.{leaf}"] = torch.full((1,), float(number))
            expected[name] = float(number)
    config = {**json.loads(unet.to_json_string()), "class_embed_type": None}
    converted = single_file_utils.convert_ldm_unet_checkpoint(checkpoint, config)
    assert {name: float(converted[name][0]) for name in expected} == expected


class Lenient(dict[str, Any]):
    """A checkpoint that has every norm a converter asks for."""

    held: frozenset[str] = frozenset()
    """The names it had; one converter asks for them when it has taken them out."""

    def __missing__(self, key: str) -> Any:
        return torch.zeros(1)

    def __contains__(self, key: object) -> bool:
        return key in self.held or super().__contains__(key)

    def pop(self, key: str, *default: Any) -> Any:
        return super().pop(key, *(default or (torch.zeros(1),)))


Converter = Callable[..., dict[str, Any]]


def converter(kind: str) -> Converter:
    """Diffusers' converter of a class's checkpoints."""
    found: Converter = SINGLE_FILE_LOADABLE_CLASSES[kind]["checkpoint_mapping_fn"]
    return found


CONVERTERS = {
    **{
        architecture: converter(sizes[0][0])
        for architecture, sizes in CLASSES.items()
        if sizes[0][0] in SINGLE_FILE_LOADABLE_CLASSES and architecture not in UNETS
    },
    # Wan's blocks, of which Diffusers converts adapters alone
    "helios": converter("WanTransformer3DModel"),
    "anyflow": converter("WanTransformer3DModel"),
}

_KEPT = "its authors keep Diffusers' names"
_UNKNOWN = "no other names are known than Diffusers'"
_SCRIPT = "diffusers, scripts/convert_{}_to_diffusers.py, which is not installed with it"
WITHOUT_CONVERTER = {
    "framepack": _KEPT,
    "kandinsky5": _KEPT,
    "cogview4": _UNKNOWN,
    "bria_fibo": _UNKNOWN,
    "bria_fibo2": _UNKNOWN,
    "ideogram4": "its converter of adapters is held in test_adapter_converters.py",
    "ace_step": "its converter of adapters is held in test_adapter_converters.py",
    "cogvideox": _SCRIPT.format("cogvideox"),
    "hunyuan_dit": _SCRIPT.format("hunyuandit"),
    "hunyuan_image": _SCRIPT.format("hunyuan_image"),
    "hunyuan_video15": _SCRIPT.format("hunyuan_video1_5"),
    "pixart": _SCRIPT.format("pixart"),
}
"""Architectures of whose checkpoints the installed Diffusers has no converter: what their names are from."""


def test_every_architecture_is_held_against_a_converter_or_says_why_not() -> None:
    held = {*UNETS, *CONVERTERS}
    assert not held & WITHOUT_CONVERTER.keys()
    assert held | WITHOUT_CONVERTER.keys() == set(ARCHITECTURES) == set(CLASSES)


def test_those_without_other_names_have_none() -> None:
    for architecture, why in WITHOUT_CONVERTER.items():
        rows = ARCHITECTURES[architecture].components[0].rows
        assert all(row.diffusers == (row.native,) for row in rows) == (why in {_KEPT, _UNKNOWN})


UNCONVERTED = {
    "skyreels_v2": "fps_projection",
    "ltx2": "prompt_adaln|audio_prompt_adaln",  # of LTX-2.3, which adapters' converter knows
    "sana": "time_embed.guidance_embedder|time_embed.timestep_embedder",  # of Sana-Sprint
}


def rows_of_converter(architecture: str, model: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    """A native checkpoint whose every row has a number of its own, and where each must arrive."""
    (component, *_) = (part.name for part in ARCHITECTURES[architecture].components)
    heights = {name: layer.weight.shape[0] for name, layer in layers(model).items()}
    biased = {name for name, layer in layers(model).items() if layer.bias is not None}
    checkpoint, expected = Lenient(), {}
    before = "net." if architecture.startswith("cosmos") else ""
    first = 1
    for native, row, members in modules(architecture, component, model):
        total = sum(heights[name] for name in members)
        joint = "_" if native.endswith(".attn.in_proj") else "."
        for leaf in ("weight", "bias") if members[0] in biased else ("weight",):
            whole = torch.arange(first, first + total)
            whole = whole[:, None] if leaf == "weight" else whole
            first += total
            checkpoint[f"{before}{native}{joint}{leaf}"] = whole
            chunks = whole.split(total // len(row.order))
            for name, own in zip(members, row.chunks, strict=True):
                expected[f"{name}.{leaf}"] = torch.cat([chunks[chunk] for chunk in own])
    for name, native, shape in norms_of(architecture, component, model):
        values = torch.arange(first, first + shape.numel()).reshape(shape)
        first += shape.numel()
        expected[name] = values
        # a norm's weight is a scale in some authors' names
        for leaf in ("weight", "scale") if name.endswith(".weight") else ():
            checkpoint[f"{before}{native}.{leaf}"] = values
        if not name.endswith(".weight"):
            checkpoint[f"{before}{native}"] = values
    checkpoint.held = frozenset(checkpoint)
    return checkpoint, expected


def norms_of(
    architecture: str, component: str, model: nn.Module
) -> Iterator[tuple[str, str, torch.Size]]:
    """Every parameter of a norm that the table has: its name, its native module, its shape."""
    part = ARCHITECTURES[architecture].component(component)
    assert part is not None
    for name, parameter in model.named_parameters():
        entry, digits = find(ARCHITECTURES[architecture], name.removesuffix(".weight"), component)
        if entry is not None and entry.row in part.norms:
            yield (
                name,
                fill(entry.row.names("original")[0], entry.wildcards(digits)),
                parameter.shape,
            )


@pytest.mark.parametrize(("architecture", "component"), PLACES)
def test_every_norm_is_one_of_the_class(architecture: str, component: str) -> None:
    part = ARCHITECTURES[architecture].component(component)
    assert part is not None
    found = {
        native
        for model in models(architecture, component)
        for _, native, _ in norms_of(architecture, component, model)
    }
    wanted = {row.names("original")[0] for row in part.norms}
    patterns = {name for name in wanted if any(skeleton(name)[0] == skeleton(n)[0] for n in found)}
    assert patterns == wanted


@pytest.mark.parametrize("architecture", CONVERTERS)
def test_diffusers_converter_agrees_on_every_row(architecture: str) -> None:
    """Each original weight's rows hold their own numbers: splits, swapped halves, any other order show."""
    part = ARCHITECTURES[architecture].components[0]
    for model in models(architecture, part.name):
        checkpoint, expected = rows_of_converter(architecture, model)
        converted = CONVERTERS[architecture](checkpoint, config={})
        for name, rows in expected.items():
            if name.rpartition(".")[0].startswith(
                tuple(UNCONVERTED.get(architecture, "-").split("|"))
            ):
                continue
            torch.testing.assert_close(converted[name], rows, rtol=0, atol=0, msg=name)
