"""What Diffusers and PEFT make of every architecture's files: ``python -m tests.oracles.loading_matrix``.

Names of architectures after it choose some. Models are the real classes in their published widths, two
blocks deep and without weights of their own: an adapter's layers are real, and what each adds to its
input is measured. `check` must say of every file what is then seen.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from diffusers.loaders import lora_pipeline
from peft import PeftModel
from safetensors.torch import load_file, save_file

import lora_convert as lc
from lora_convert.applications._diffusers import WAN
from lora_convert.architectures import ARCHITECTURES
from lora_convert.operations.adapters import AdapterArrays
from tests.laws.pairs import holds, named
from tests.laws.synthesis import parts
from tests.laws.witness import written
from tests.oracles.shallow_models import (
    Effects,
    added,
    fresh,
    made_for,
    right,
    shallow,
    wanted,
)
from tests.oracles.test_published_sizes import ATTENTION

_STABLE = ("sd1", "sd2", "kolors")
MIXINS: dict[str, str] = {
    **dict.fromkeys(_STABLE, "StableDiffusion"),
    **dict.fromkeys(("sdxl", "sdxl_refiner"), "StableDiffusionXL"),
    **dict.fromkeys(("flux", "chroma", "bria_fibo"), "Flux"),
    **dict.fromkeys(("qwen_image", "qwen_image21"), "QwenImage"),
    **dict.fromkeys(("wan", "anyflow"), "Wan"),
    **dict.fromkeys(("hunyuan_video", "framepack"), "HunyuanVideo"),
    "ace_step": "AceStep",
    "anima": "Anima",
    "auraflow": "AuraFlow",
    "bria_fibo2": "BriaFibo2",
    "cogvideox": "CogVideoX",
    "cogview4": "CogView4",
    "cosmos2": "Cosmos",
    "ernie_image": "ErnieImage",
    "flux2": "Flux2",
    "flux3": "Flux3",
    "helios": "Helios",
    "hidream": "HiDreamImage",
    "ideogram4": "Ideogram4",
    "kandinsky5": "Kandinsky",
    "krea2": "Krea2",
    "ltx2": "LTX2",
    "ltx_video": "LTXVideo",
    "lumina2": "Lumina2",
    "minimax_h3": "MiniMaxH3",
    "mochi": "Mochi1",
    "sana": "Sana",
    "sd3": "SD3",
    "skyreels_v2": "SkyReelsV2",
    "z_image": "ZImage",
}
"""By architecture: what its pipelines load adapters with. The others' pipelines load none."""

READ = ("diffusers", "kohya", "comfyui", "onetrainer", "lycoris")
"""Formats of single files."""
SCALES = ("alike", "mixed")
PARTS = ("all", "blocks", "attention")
WITH_CONDITIONS = ("blocks.", "condition_embedder.time", "condition_embedder.text", "proj_out")
SPELLINGS = ("as written", "A and B")
"""Beside ours: without alphas, as ai-toolkit and others write the authors' names."""


class Case(NamedTuple):
    """An adapter in a file, for Diffusers."""

    architecture: str
    format_name: str
    parts: str = "all"
    scales: str = "alike"
    spelling: str = "as written"


VARIANTS = (
    *(("all", scales, "as written") for scales in SCALES),
    *((some, "alike", "as written") for some in PARTS[1:]),
)


def mixin(architecture: str) -> Any:
    """The class of Diffusers that loads an architecture's adapters; None where there is none."""
    name = MIXINS.get(architecture)
    return getattr(lora_pipeline, f"{name}LoraLoaderMixin") if name else None


def loaded_by_pipeline(architecture: str, file: Path, components: tuple[str, ...]) -> Effects:
    """What ``load_lora_weights`` of the architecture's pipelines adds."""
    models = fresh(architecture, components)
    loader = type("Loader", (mixin(architecture),), {"hf_device_map": None, "components": models})()
    for name in loader._lora_loadable_modules:
        setattr(loader, name, models.get(name))
    loader.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name="one")
    return {key: v for name, model in models.items() for key, v in added(name, model).items()}


def loaded_by_model(architecture: str, file: Path, component: str) -> Effects:
    """What ``load_lora_adapter`` of a component's class adds."""
    model = fresh(architecture, (component,))[component]
    model.load_lora_adapter(
        str(file.parent),
        weight_name=file.name,
        prefix=component,
        adapter_name="one",
        low_cpu_mem_usage=True,
    )
    return added(component, model)


def loaded_by_peft(architecture: str, folder: Path, components: tuple[str, ...]) -> Effects:
    """What ``PeftModel.from_pretrained`` of each component's folder adds."""
    found: Effects = {}
    for name, model in fresh(architecture, components).items():
        path = folder / name if len(components) > 1 else folder
        found |= added(name, PeftModel.from_pretrained(model, str(path), low_cpu_mem_usage=True))
    return found


def cases(architectures: Iterable[str]) -> Iterator[Case]:
    """Every file that can be written for an architecture with a loader."""
    for architecture in architectures:
        for format_name in READ if architecture in MIXINS else ():
            if holds(format_name, architecture):
                yield from (Case(architecture, format_name, *variant) for variant in VARIANTS)
        if architecture in WAN:
            for spelling in SPELLINGS:
                yield Case(architecture, "comfyui", "with conditions", "alike", spelling)
        if architecture in MIXINS and holds("comfyui", architecture):
            yield from (Case(architecture, "comfyui", some, "alike", "A and B") for some in PARTS)


def part_of(made: AdapterArrays, parts: str) -> AdapterArrays:
    """All modules, those of blocks, attention's, or of Wan blocks with layers of time and text."""
    if parts == "blocks":
        kept = [m for m in made.modules if any(map(str.isdigit, m.module.split(".")))]
    elif parts == "attention":
        kept = [m for m in made.modules if ATTENTION.search(m.module)]
    elif parts == "with conditions":
        kept = [m for m in made.modules if m.module.startswith(WITH_CONDITIONS)]
    else:
        return made
    return made._replace(modules=tuple(kept))


def respelled(file: str) -> None:
    """Write a file again as trainers do that leave alpha out, which is the rank then."""
    tensors = load_file(file)
    named_anew = {
        key.replace("lora_down", "lora_A").replace("lora_up", "lora_B"): tensor
        for key, tensor in tensors.items()
        if not key.endswith(".alpha")
    }
    save_file(named_anew, file)


def told(case: Case, folder: Path) -> str:
    """What `check` says wrongly of a file; empty where it is as Diffusers does."""
    architecture, format_name, parts, scales, spelling = case
    components = named(architecture, format_name)
    if parts != "all" or spelling == "A and B":
        components = components[:1]
    made = part_of(made_for(architecture, components, scales), parts)
    if spelling == "A and B":
        made = made._replace(modules=tuple(m._replace(scale=1.0) for m in made.modules))
    file = written(folder, format_name, made)
    if spelling == "A and B":
        respelled(file)
    said = lc.check(file, application="diffusers", architecture=architecture).loadings[0]
    expected, found, why = wanted(made), Effects(), ""
    try:
        found = loaded_by_pipeline(architecture, Path(file), components)
    except Exception as error:  # noqa: BLE001 - whatever a loader raises, the file was not loaded
        why = f" ({type(error).__name__}: {str(error)[:160]})"
    is_right = right(found, expected)
    written_for_it = format_name != "diffusers" or is_right or said.findings
    if (said.right, bool(said.applied)) == (is_right, bool(found)) and written_for_it:
        return ""
    wrong = [key for key in found if not right({key: found[key]}, {key: expected.get(key, 0)})]
    return (
        f"{' '.join(case)}: said {said.right}, {said.applied} of {said.modules},"
        f" {[finding.what for finding in said.findings]}; loaded {len(found)} of {len(expected)},"
        f" without {sorted(expected.keys() - found.keys())[:3]}, wrong {wrong[:3]}{why}"
    )


def model_and_peft(architecture: str, folder: Path) -> str:
    """What is wrong with files for ``load_lora_adapter`` and for PEFT; empty where nothing is."""
    components = named(architecture, "peft")
    made = made_for(architecture, components, "mixed")
    output = written(folder, "peft", made)
    if not right(loaded_by_peft(architecture, Path(output), components), wanted(made)):
        return f"{architecture}: PEFT adds other weights"
    first = parts(architecture)[0].name
    if not hasattr(shallow(architecture, first), "load_lora_adapter"):
        return (
            f"{architecture}: its class has no load_lora_adapter" if architecture in MIXINS else ""
        )
    alone = made._replace(modules=tuple(m for m in made.modules if m.component == first))
    file = written(folder, "diffusers", alone)
    if not right(loaded_by_model(architecture, Path(file), first), wanted(alone)):
        return f"{architecture}: load_lora_adapter adds other weights"
    return ""


def problem(case: Case | str) -> str:
    """What is wrong with a case, or with an architecture's own files; empty where nothing is."""
    with TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        try:
            if isinstance(case, str):
                return model_and_peft(case, Path(folder))
            return told(case, Path(folder))
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            name = case if isinstance(case, str) else " ".join(case)
            return f"{name}: {type(error).__name__}: {str(error)[:300]}"


def _quiet() -> None:
    """Loaders say at length what is compared here."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")


def main() -> None:
    """Run all, print what is wrong and how many there were."""
    chosen = sys.argv[1:] or list(ARCHITECTURES)
    every: list[Case | str] = [*cases(chosen), *chosen]
    with ProcessPoolExecutor(initializer=_quiet) as pool:
        found = [text for text in pool.map(problem, every) if text]
    print(*found, f"{len(every) - len(found)} of {len(every)} files act as is said", sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
