"""Diffusers and PEFT. What is said here is tested against the installed versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.applications._conditions import (
    alphas_differ,
    kohya_magnitude,
    outside_blocks,
)
from lora_convert.applications._declaration import Application, Gap, Reads

if TYPE_CHECKING:
    from lora_convert.applications._declaration import File, Module

_CONVERTED = (
    "anima",
    "flux2",
    "flux3",
    "ideogram4",
    "krea2",
    "ltx2",
    "minimax_h3",
    "skyreels_v2",
    "wan",
)
"""Models whose own names after ``diffusion_model.`` it converts."""
_RENAMED = ("ernie_image", "hidream", "ltx_video", "qwen_image", "z_image")
"""Models of which it puts ``transformer.`` in the place of ``diffusion_model.``, and no more."""
_AB_ALONE = ("anima", "ernie_image", "flux2", "flux3", "hidream", "krea2", "ltx2", "ltx_video")
_OF_WAN = ("blocks.", "head.", "text_embedding.", "time_embedding.", "time_projection.")
_BLOCK_OF_WAN = (
    *(f"{attention}_attn.{part}" for attention in ("self", "cross") for part in "qkvo"),
    "ffn.0",
    "ffn.2",
)
_TOP_OF_FLUX3 = ("time_in", "txt_in", "emb_in", "early_stream_", "single_stream_", "final_layer.")

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


def _down_up_or_alpha(module: Module, file: File) -> bool:
    own = file.format == "comfyui" and file.architecture in _AB_ALONE
    return own and (".lora_A." not in module.key or module.scale_source == "tensor")


def _alpha_beside_ab(module: Module, file: File) -> bool:
    own = file.format == "comfyui" and file.architecture == "z_image"
    return own and ".lora_A." in module.key and module.scale_source == "tensor"


def _outside_of_wan(module: Module, file: File) -> bool:
    own = file.format == "comfyui" and file.architecture in {"wan", "skyreels_v2"}
    return own and not module.name.startswith(_OF_WAN)


def _part_of_a_block_of_wan(module: Module, file: File) -> bool:
    if file.format != "kohya" or file.architecture not in {"wan", "skyreels_v2"}:
        return False
    names = {one.name for one in file.modules}
    block = ".".join(module.name.split(".")[:2])
    return not names.issuperset(f"{block}.{part}" for part in _BLOCK_OF_WAN) or not any(
        module.name.endswith(part) for part in (*_BLOCK_OF_WAN, ".k_img", ".v_img")
    )


def _top_of_flux3(module: Module, file: File) -> bool:
    own = file.format == "comfyui" and file.architecture == "flux3"
    return own and module.name.startswith(_TOP_OF_FLUX3)


def _flat_top_of_ideogram(module: Module, file: File) -> bool:
    return file.format == "comfyui" and outside_blocks("ideogram4")(module, file)


def _siglip(module: Module, file: File) -> bool:
    own = file.format == "kohya" and file.architecture == "z_image"
    return own and module.name.startswith("siglip_")


def _top_of_flux2(module: Module, file: File) -> bool:
    tops = ("double_stream_", "single_stream_", "final_layer.adaLN", "guidance_in", "time_guidance")
    own = file.format == "kohya" and file.architecture == "flux2"
    return own and module.name.startswith((*tops, "norm_out"))


def _unswapped(module: Module, file: File) -> bool:
    own = file.format == "comfyui" and file.architecture == "flux2"
    return own and module.name.startswith("final_layer.adaLN")


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
        Reads("kohya", ("flux2", "wan", "skyreels_v2")),
        Reads("comfyui", _CONVERTED, ("native",), ("transformer",)),
        Reads("comfyui", _RENAMED, ("diffusers",), ("transformer",)),
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
        Gap(
            "refuses",
            "lora_down and lora_up after diffusion_model., or an alpha beside",
            _CONVERTERS,
            _down_up_or_alpha,
        ),
        Gap(
            "refuses",
            "an alpha beside lora_A and lora_B after diffusion_model.",
            _CONVERTERS,
            _alpha_beside_ab,
        ),
        Gap(
            "refuses",
            "Wan's modules outside of blocks, but for the head and the embeddings of time and text",
            _CONVERTERS,
            _outside_of_wan,
        ),
        Gap(
            "refuses",
            "Ideogram's modules outside of blocks",
            _CONVERTERS,
            _flat_top_of_ideogram,
        ),
        Gap(
            "refuses",
            "under kohya's names blocks of Wan that have not all of attention and ffn, or more",
            _CONVERTERS,
            _part_of_a_block_of_wan,
        ),
        Gap(
            "drops",
            "FLUX.3's modules outside of blocks keep their authors' names",
            _CONVERTERS,
            _top_of_flux3,
        ),
        Gap("drops", "Z-Image's siglip modules under kohya's names", _CONVERTERS, _siglip),
        Gap("drops", "FLUX.2's modulations under kohya's names", _CONVERTERS, _top_of_flux2),
        Gap(
            "misreads",
            "the halves of FLUX.2's last modulation are not swapped",
            _CONVERTERS,
            _unswapped,
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
