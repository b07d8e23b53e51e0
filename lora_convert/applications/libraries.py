"""Diffusers and PEFT. What is said here is tested against the installed versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.applications._conditions import alphas_differ, kohya_magnitude
from lora_convert.applications._declaration import Application, Gap, Reads

if TYPE_CHECKING:
    from lora_convert.applications._declaration import File, Module

_PIPELINES = "diffusers 0.42, loaders/lora_pipeline.py"
_CONVERTERS = "diffusers 0.42, loaders/lora_conversion_utils.py"
_TOP_OF_FLUX = ("x_embedder", "context_embedder", "time_text_embed.", "norm_out.", "proj_out")
_NATIVE_TOP_OF_FLUX = ("img_in", "txt_in", "time_in.", "vector_in.", "guidance_in.", "final_layer.")


def _second_encoder_of_flux(module: Module, file: File) -> bool:
    return file.architecture == "flux" and module.component == "text_encoder_2"


def _top_of_flux(module: Module, file: File) -> bool:
    own = module.component == "transformer" and file.architecture in {"flux", "chroma"}
    return own and file.format == "kohya" and module.name.startswith(_NATIVE_TOP_OF_FLUX)


def _onetrainer_without_attention(module: Module, file: File) -> bool:
    own = file.format == "onetrainer" and module.component == "transformer"
    return own and ".attn." not in module.name and not module.name.startswith(_TOP_OF_FLUX)


def _encoder_beside_onetrainer(module: Module, file: File) -> bool:
    return file.format == "onetrainer" and module.component.startswith("text_encoder")


def _kohya_alphas_of_attention(module: Module, file: File) -> bool:
    attention = ".to_" in module.name or module.component.startswith("text_encoder")
    unets = file.architecture in {"sd1", "sd2", "sdxl"}
    return file.format == "kohya" and unets and attention and alphas_differ(module, file)


def _cores(module: Module, file: File) -> bool:
    return file.format == "kohya" and (
        "mid" in module.roles or module.algorithm not in {"lora", "dora"}
    )


def _third_encoder(module: Module, file: File) -> bool:
    return module.component in {"text_encoder_3", "text_encoder_4"}


DIFFUSERS = Application(
    name="diffusers",
    title="Diffusers",
    source=_PIPELINES,
    writes={"": "diffusers"},
    reads=(
        Reads("diffusers", namespaces=("diffusers",)),
        Reads("kohya", ("sd1", "sd2", "sdxl", "flux", "qwen_image", "z_image", "minimax_h3")),
        Reads("onetrainer", ("flux",)),
        Reads("xlabs", ("flux",)),
        Reads("bfl", ("flux",)),
        Reads("comfyui", ("flux3", "krea2", "ltx2", "minimax_h3", "anima"), namespaces=("native",)),
        Reads(
            "comfyui",
            ("qwen_image", "hidream", "ernie_image", "z_image"),
            namespaces=("diffusers",),
        ),
    ),
    gaps=(
        Gap("drops", "FLUX's T5 is never loaded", _PIPELINES, _second_encoder_of_flux),
        Gap(
            "drops", "text encoders beyond the second are never loaded", _PIPELINES, _third_encoder
        ),
        Gap(
            "drops",
            "FLUX's modules outside of blocks lose their component, and are left out",
            _CONVERTERS,
            _top_of_flux,
        ),
        Gap(
            "refuses",
            "of OneTrainer's names it understands attention alone, and fails on others",
            _CONVERTERS,
            _onetrainer_without_attention,
        ),
        Gap(
            "refuses",
            "text encoders beside OneTrainer's names",
            _CONVERTERS,
            _encoder_beside_onetrainer,
        ),
        Gap(
            "misreads",
            "alphas that differ between modules: attention has the most common one",
            "diffusers 0.42, utils/peft_utils.py",
            _kohya_alphas_of_attention,
        ),
        Gap(
            "misreads",
            "dora_scale is left out: a DoRA acts as a plain LoRA",
            _PIPELINES,
            kohya_magnitude,
        ),
        Gap("refuses", "its converter knows LoRA factors alone", _CONVERTERS, _cores),
    ),
)

PEFT = Application(
    name="peft",
    title="PEFT",
    source="peft 0.21, utils/save_and_load.py",
    writes={"": "peft"},
    reads=(Reads("peft", namespaces=("model",)),),
)
