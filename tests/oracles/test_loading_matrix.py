"""What is written loads in Diffusers and PEFT, and what `check` says of each file is what they do.

One architecture for each of Diffusers' converters of adapters, and one for those that have none; all are
`python -m tests.oracles.loading_matrix`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("diffusers")
pytest.importorskip("peft")

from diffusers.loaders import lora_pipeline

from lora_convert.applications._diffusers import ENCODERS
from lora_convert.architectures import ARCHITECTURES
from tests.oracles.loading_matrix import (
    MIXINS,
    Case,
    cases,
    mixin,
    model_and_peft,
    told,
)

CONVERTED = {
    "flux": "kohya_flux",
    "flux2": "kohya_flux2, non_diffusers_flux2",
    "flux3": "non_diffusers_flux3",
    "hunyuan_video": "hunyuan_video",
    "lumina2": "non_diffusers_lumina2",
    "wan": "non_diffusers_wan, musubi_wan",
    "hidream": "non_diffusers_hidream",
    "ltx_video": "non_diffusers_ltxv",
    "ltx2": "non_diffusers_ltx2",
    "qwen_image": "non_diffusers_qwen",
    "anima": "non_diffusers_anima",
    "z_image": "non_diffusers_z_image",
    "ideogram4": "non_diffusers_ideogram4",
    "krea2": "non_diffusers_krea2",
    "ace_step": "non_diffusers_ace_step",
    "minimax_h3": "non_diffusers_minimax_h3",
    "sd1": "non_diffusers",
    "sd3": "",
}
"""By architecture: what its converters in loaders/lora_conversion_utils.py are called."""

ELSEWHERE = {
    "xlabs_flux",
    "bfl_flux_control",
    "fal_kontext",
    "non_diffusers",
    "non_diffusers_lokr",
    "non_diffusers_flux2_lokr",
    "lycoris_flux2_lokr",
}
"""Converters of formats that are only read here, and of LoKr."""

WRITTEN = [
    case
    for case in cases(CONVERTED)
    if case.parts in {"all", "with conditions"} or case.format_name in {"kohya", "comfyui"}
    if case.scales == "alike" or case.format_name == "diffusers"
]


@pytest.mark.parametrize("case", WRITTEN, ids=" ".join)
def test_diffusers_does_what_is_said_of_it(case: Case, tmp_path: Path) -> None:
    assert told(case, tmp_path) == ""


@pytest.mark.parametrize("architecture", CONVERTED)
def test_peft_and_the_model_itself_load_it(architecture: str, tmp_path: Path) -> None:
    """``PeftModel.from_pretrained``, and ``load_lora_adapter(prefix=…, adapter_name=…)``."""
    assert model_and_peft(architecture, tmp_path) == ""


def test_every_converter_and_every_loader_has_its_architecture() -> None:
    converters = {
        name.removeprefix("_convert_")
        .removesuffix("_lora_to_diffusers")
        .removesuffix("_to_diffusers")
        for name in vars(lora_pipeline)
        if name.startswith("_convert_")
    }
    named = {name for names in CONVERTED.values() for name in names.split(", ") if name}
    assert converters <= named | ELSEWHERE
    loaders = {
        name.removesuffix("LoraLoaderMixin")
        for name, kind in vars(lora_pipeline).items()
        if name.endswith("LoraLoaderMixin") and kind.__module__ == lora_pipeline.__name__
    }
    of_others = {"", "Amused", "RFD4Proteina"}  # no diffusion of images, video or sound by text
    assert loaders - of_others == set(MIXINS.values())


@pytest.mark.parametrize("architecture", MIXINS)
def test_text_encoders_are_those_that_the_pipelines_load(architecture: str) -> None:
    loaded = mixin(architecture)._lora_loadable_modules
    there = {component.name for component in ARCHITECTURES[architecture].components}
    encoders = {name for name in loaded if name.startswith("text_encoder")} & there
    assert encoders == set(ENCODERS.get(architecture, ())) & there
