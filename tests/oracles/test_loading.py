"""What `check` says of Diffusers and PEFT is what they do with the same file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from diffusers.loaders import lora_pipeline
from safetensors.torch import load_file, save_file

import lora_convert as lc
from lora_convert.architectures import ARCHITECTURES
from lora_convert.formats import FORMATS
from tests.laws.synthesis import adapter
from tests.oracles.acting import (
    Weights,
    adapted_pipeline,
    added_by,
    loaded_by_diffusers,
    loaded_by_peft,
    saved,
)
from tests.oracles.cases import SHAPES_OF_SCALE, configs

ROUNDING = 1e-6
SCALES = ("alpha is not rank", "ranks and alphas per module", "DoRA")
CASES = [
    (architecture, format_name, scale)
    for architecture in ("sd1", "sdxl", "flux")
    for format_name in ("diffusers", "kohya", "comfyui", "onetrainer", "lycoris")
    for scale in SCALES
    if not (format_name == "onetrainer" and architecture != "flux")
    # its converter of FLUX's fused layers knows one width only, 3072: see loading_matrix.py
    if not (format_name in {"kohya", "comfyui"} and architecture == "flux")
]


def acts_right(loaded: Weights, expected: Weights) -> bool:
    """Whether every weight that the adapter touches is touched, and as it should be."""
    return loaded.keys() == expected.keys() and all(
        (loaded[key] - expected[key]).norm() <= ROUNDING * expected[key].norm() for key in expected
    )


@pytest.mark.parametrize(("architecture", "format_name", "scale"), CASES)
def test_diffusers_does_what_is_said_of_it(
    architecture: str, format_name: str, scale: str, tmp_path: Path
) -> None:
    wanted = configs(architecture, SHAPES_OF_SCALE[scale])
    named = {
        name: config
        for name, config in wanted.items()
        if FORMATS[format_name].names(name, architecture)
    }
    adapters = adapted_pipeline(architecture, named)
    source = str(saved(adapters, tmp_path / "peft"))
    if len(named) == 1:
        source = f"{source}/{next(iter(named))}"
    result = lc.convert(
        source, format_name, output=str(tmp_path / "file.safetensors"), architecture=architecture
    )
    said = lc.check(result.output, application="diffusers", architecture=architecture)
    try:
        loaded = loaded_by_diffusers(architecture, Path(result.output))
    except Exception:  # noqa: BLE001 - whatever a loader raises, the file was not loaded
        loaded = {}
    [loading] = said.loadings
    assert loading.right == acts_right(loaded, added_by(adapters)), loading
    assert bool(loading.applied) == bool(loaded), loading


MIXINS = {
    "anima": "Anima",
    "ernie_image": "ErnieImage",
    "flux2": "Flux2",
    "flux3": "Flux3",
    "hidream": "HiDreamImage",
    "ideogram4": "Ideogram4",
    "krea2": "Krea2",
    "ltx2": "LTX2",
    "ltx_video": "LTXVideo",
    "minimax_h3": "MiniMaxH3",
    "qwen_image": "QwenImage",
    "sd3": "SD3",
    "skyreels_v2": "SkyReelsV2",
    "wan": "Wan",
    "z_image": "ZImage",
}
LOADERS = {
    **MIXINS,
    "ace_step": "AceStep",
    "anyflow": "Wan",
    "auraflow": "AuraFlow",
    "bria_fibo": "Flux",
    "bria_fibo2": "BriaFibo2",
    "chroma": "Flux",
    "cogvideox": "CogVideoX",
    "cogview4": "CogView4",
    "cosmos1": "Cosmos",
    "cosmos2": "Cosmos",
    "flux": "Flux",
    "framepack": "HunyuanVideo",
    "helios": "Helios",
    "hunyuan_video": "HunyuanVideo",
    "hunyuan_video15": "HunyuanVideo",
    "kandinsky5": "Kandinsky",
    "kolors": "StableDiffusion",
    "lumina2": "Lumina2",
    "mochi": "Mochi1",
    "qwen_image21": "QwenImage",
    "sana": "Sana",
    "sd1": "StableDiffusion",
    "sd2": "StableDiffusion",
    "sdxl": "StableDiffusionXL",
    "sdxl_refiner": "StableDiffusionXL",
    "wan_animate2": "Wan",
}
WITHOUT = {"hunyuan_dit", "hunyuan_image", "pixart", "stable_cascade"}
"""Architectures whose pipelines load no adapters."""


def test_components_that_diffusers_never_loads_are_known() -> None:
    assert LOADERS.keys() | WITHOUT == {*ARCHITECTURES}
    for architecture, name in LOADERS.items():
        mixin = getattr(lora_pipeline, f"{name}LoraLoaderMixin")
        loaded = {*mixin._lora_loadable_modules}
        unread = {*FORMATS["diffusers"].unread.get(architecture, ())}
        for part in ARCHITECTURES[architecture].components:
            assert (part.name in unread) == (part.name not in loaded), (architecture, part.name)


FORMS = ("kohya", "onetrainer", "lycoris", "comfyui", "comfyui A B", "comfyui A B alpha")


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("architecture", MIXINS)
def test_diffusers_converts_what_is_said_to_be_right(
    architecture: str, form: str, whole: bool, tmp_path: Path
) -> None:
    format_name = form.partition(" ")[0]
    made = adapter(architecture, components=("transformer",))
    if not whole:
        made = made._replace(modules=tuple(m for m in made.modules if in_block(m.module)))
    if form == "comfyui A B":
        made = made._replace(modules=tuple(m._replace(scale=1.0) for m in made.modules))
    path = tmp_path / "file.safetensors"
    lc.write_adapter(made, path, to=format_name)
    if form != format_name:
        _call_ab(path, alpha=form.endswith("alpha"))
    [loading] = lc.check(path, application="diffusers", architecture=architecture).loadings
    assert loading.right == converted_right(architecture, path, made), loading


def in_block(name: str) -> bool:
    return any(part.isdigit() for part in name.split(".")[:2])


def _call_ab(path: Path, *, alpha: bool) -> None:
    tensors = {
        key.replace("lora_down", "lora_A").replace("lora_up", "lora_B"): tensor
        for key, tensor in load_file(path).items()
        if alpha or not key.endswith(".alpha")
    }
    save_file(tensors, path, {"format": "pt"})


def converted_right(architecture: str, path: Path, made: lc.AdapterArrays) -> bool:
    """Whether Diffusers' mixin gives every module its change under its own name, and nothing else."""
    mixin = getattr(lora_pipeline, f"{MIXINS[architecture]}LoraLoaderMixin")
    try:
        found = mixin.lora_state_dict(str(path))
    except Exception:  # noqa: BLE001 - whatever a loader raises, the file was not loaded
        return False
    tensors, alphas = found if isinstance(found, tuple) else (found, None)
    if alphas or len(tensors) != 2 * len(made.modules):
        return False
    for module in made.modules:
        name = f"transformer.{module.module}"
        down, up = (tensors.get(f"{name}.lora_{side}.weight") for side in "AB")
        if down is None or up is None:
            return False
        change = (up.double().flatten(1) @ down.double().flatten(1)).numpy()
        if not np.allclose(change, module.weight_change().reshape(change.shape), atol=1e-4):
            return False
    return True


@pytest.mark.parametrize("scale", SCALES)
def test_peft_does_what_is_said_of_it(scale: str, tmp_path: Path) -> None:
    adapters = adapted_pipeline("sdxl", configs("sdxl", SHAPES_OF_SCALE[scale]))
    source = saved(adapters, tmp_path / "peft")
    assert lc.check(source, application="peft").exit_code == 0
    assert acts_right(loaded_by_peft("sdxl", source), added_by(adapters))
