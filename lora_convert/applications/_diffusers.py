"""What Diffusers gets wrong of what it reads. Held against the installed version, for every architecture.

`tests/oracles/loading_matrix.py` loads files of every format with it, whole and in parts.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lora_convert.applications._conditions import alphas_differ, kohya_magnitude
from lora_convert.applications._declaration import Gap

if TYPE_CHECKING:
    from lora_convert.applications._declaration import File, Module

PIPELINES = "diffusers 0.42, loaders/lora_pipeline.py"
CONVERTERS = "diffusers 0.42, loaders/lora_conversion_utils.py"

ENCODERS = {
    **dict.fromkeys(("sd1", "sd2", "kolors", "flux", "chroma", "bria_fibo"), ("text_encoder",)),
    **dict.fromkeys(("sdxl", "sdxl_refiner", "sd3"), ("text_encoder", "text_encoder_2")),
}
"""By architecture: text encoders that its pipelines load adapters into; the others' load none."""

WAN = ("wan", "anyflow", "helios", "skyreels_v2")
FLUX = ("flux", "chroma")

_OF_WAN = ("blocks.", "head.", "text_embedding.", "time_embedding.", "time_projection.")
_INSIDE = {
    **dict.fromkeys(WAN, _OF_WAN),
    "ideogram4": ("layers.",),
}
"""By architecture: how names of modules begin that its converter knows; it fails on any other.

Of Wan with lora_down and lora_up, blocks alone."""
_BLOCK_OF_WAN = (
    *(f"{attention}_attn.{part}" for attention in ("self", "cross") for part in "qkvo"),
    "ffn.0",
    "ffn.2",
)

_TOP_OF_FLUX = ("img_in", "txt_in", "time_in.", "vector_in.", "guidance_in.", "final_layer.")
_DROPPED = {
    **dict.fromkeys(FLUX, _TOP_OF_FLUX),
    "flux2": ("double_stream_", "single_stream_", "final_layer.adaLN", "guidance_in", "norm_out"),
    "z_image": ("siglip_",),
    "kolors": ("input_blocks.", "middle_block.", "output_blocks."),
}
"""By architecture: how names of modules begin that are left out of kohya's files."""

_FAILS_ON_ENCODERS: dict[str, tuple[str, ...]] = {
    "onetrainer": (),
    "kohya": ("minimax_h3", "kolors"),
    "diffusers": ("ace_step",),
}
"""By format: architectures, all where none is named, whose converter takes text encoders for the denoiser."""

_TOP_OF_FLUX3 = ("time_in", "txt_in", "emb_in", "early_stream_", "single_stream_", "final_layer.")
_TOP_OF_TRANSFORMERS = (
    "x_embedder",
    "context_embedder",
    "time_text_embed.",
    "norm_out.",
    "proj_out",
)
_AB_ALONE = ("anima", "ernie_image", "flux2", "flux3", "hidream", "krea2", "ltx2", "ltx_video")


def _never_loaded(module: Module, file: File) -> bool:
    known = ENCODERS.get(file.architecture or "", ())
    return module.component.startswith("text_encoder") and module.component not in known


def _flattened(module: Module, file: File) -> bool:
    """Whether Diffusers takes a file for kohya's: FLUX's with its endings, under any prefix."""
    dotted = file.format == "comfyui" and file.architecture in FLUX
    return file.format == "kohya" or (dotted and ".lora_down." in module.key)


def _dropped(module: Module, file: File) -> bool:
    names = _DROPPED.get(file.architecture or "", ())
    denoiser = module.component in {"transformer", "unet"}
    return denoiser and bool(names) and _flattened(module, file) and module.name.startswith(names)


def _outside(module: Module, file: File) -> bool:
    inside = _INSIDE.get(file.architecture or "", ())
    denoiser = module.component == "transformer"
    native = file.format in {"kohya", "comfyui"}
    if file.architecture in WAN and ".lora_A." not in module.key:
        inside = inside[:1]
    return denoiser and bool(inside) and native and not module.name.startswith(inside)


def _part_of_a_block_of_wan(module: Module, file: File) -> bool:
    if file.format != "kohya" or file.architecture not in WAN:
        return False
    names = {one.name for one in file.modules}
    block = ".".join(module.name.split(".")[:2])
    return not names.issuperset(f"{block}.{part}" for part in _BLOCK_OF_WAN) or not any(
        module.name.endswith(part) for part in (*_BLOCK_OF_WAN, ".k_img", ".v_img")
    )


def _unknown_to_converter(module: Module, file: File) -> bool:
    """Modules that kohya's names have, and the architecture's converter fails on."""
    if not _flattened(module, file):
        return False
    return (
        (file.architecture == "chroma" and module.name.startswith("distilled_guidance_layer."))
        or (file.architecture == "qwen_image21" and ".img_mlp." in module.name)
        or (
            file.architecture == "sdxl_refiner"
            and module.component == "unet"
            and ".transformer_blocks." not in module.name
        )
    )


def _down_up_or_alpha(module: Module, file: File) -> bool:
    own = file.format == "comfyui" and file.architecture in _AB_ALONE
    return own and (".lora_A." not in module.key or module.scale_source == "tensor")


def _alpha_beside_ab(module: Module, file: File) -> bool:
    own = file.format == "comfyui" and file.architecture == "z_image"
    return own and ".lora_A." in module.key and module.scale_source == "tensor"


def _dotted_flux_with_ab(module: Module, file: File) -> bool:
    own = file.format == "comfyui" and file.architecture in FLUX
    return own and ".lora_down." not in module.key


def _native_z_image(module: Module, file: File) -> bool:
    if file.format != "comfyui" or file.architecture != "z_image":
        return False
    with_alpha = module.scale_source == "tensor"
    known = with_alpha and module.name.endswith(".attention.out")
    return "diffusers" not in module.namespaces and not known


def _top_of_flux3(module: Module, file: File) -> bool:
    own = file.format == "comfyui" and file.architecture == "flux3"
    return own and module.name.startswith(_TOP_OF_FLUX3)


def _unswapped(module: Module, file: File) -> bool:
    own = file.format == "comfyui" and file.architecture == "flux2"
    return own and module.name.startswith("final_layer.adaLN")


def _onetrainer_without_attention(module: Module, file: File) -> bool:
    own = file.format == "onetrainer" and module.component == "transformer"
    return own and ".attn." not in module.name and not module.name.startswith(_TOP_OF_TRANSFORMERS)


def _encoder_beside(module: Module, file: File) -> bool:
    models = _FAILS_ON_ENCODERS.get(file.format)
    there = models is not None and (not models or file.architecture in models)
    return there and module.component.startswith("text_encoder")


def _kohya_alphas_of_attention(module: Module, file: File) -> bool:
    attention = ".to_" in module.name or module.component.startswith("text_encoder")
    attention = attention or ".transformer_blocks." in module.name
    unets = file.architecture in {"sd1", "sd2", "sdxl", "sdxl_refiner"}
    return file.format == "kohya" and unets and attention and alphas_differ(module, file)


def _rank_of_projection(module: Module, file: File) -> bool:
    """CLIP's last layer, which is made of the rank that most modules have."""
    if file.format != "kohya" or not module.name.endswith("text_projection"):
        return False
    ranks = Counter(o.scale.divisor for o in file.modules if o.component == module.component)
    return module.scale.divisor != ranks.most_common(1)[0][0]


def _cores(module: Module, file: File) -> bool:
    return file.format == "kohya" and (
        "mid" in module.roles or module.algorithm not in {"lora", "dora"}
    )


GAPS = (
    Gap(
        "drops",
        "the model's pipelines load no adapter into this text encoder",
        PIPELINES,
        _never_loaded,
    ),
    Gap(
        "drops",
        "modules outside of what its converter names are left out",
        CONVERTERS,
        _dropped,
    ),
    Gap(
        "drops",
        "ComfyUI's names of FLUX are read with lora_down and lora_up, and left out otherwise",
        CONVERTERS,
        _dotted_flux_with_ab,
    ),
    Gap(
        "drops",
        "modules that Z-Image's authors call otherwise are left out",
        CONVERTERS,
        _native_z_image,
    ),
    Gap(
        "drops",
        "FLUX.3's modules outside of blocks are left out",
        CONVERTERS,
        _top_of_flux3,
    ),
    Gap(
        "refuses",
        "its converter knows modules of blocks alone, and fails on others",
        CONVERTERS,
        _outside,
    ),
    Gap(
        "refuses",
        "under kohya's names blocks of Wan that have not all of attention and ffn, or more",
        CONVERTERS,
        _part_of_a_block_of_wan,
    ),
    Gap(
        "refuses",
        "its converter of kohya's names fails on these modules",
        CONVERTERS,
        _unknown_to_converter,
    ),
    Gap(
        "refuses",
        "lora_down and lora_up after diffusion_model., or an alpha beside",
        CONVERTERS,
        _down_up_or_alpha,
    ),
    Gap(
        "refuses",
        "an alpha beside lora_A and lora_B after diffusion_model.",
        CONVERTERS,
        _alpha_beside_ab,
    ),
    Gap(
        "refuses",
        "of OneTrainer's names it understands attention alone, and fails on others",
        CONVERTERS,
        _onetrainer_without_attention,
    ),
    Gap(
        "refuses",
        "text encoders beside the denoiser, which its converter takes for parts of that",
        CONVERTERS,
        _encoder_beside,
    ),
    Gap(
        "misreads",
        "the halves of FLUX.2's last modulation are not swapped",
        CONVERTERS,
        _unswapped,
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
        PIPELINES,
        kohya_magnitude,
    ),
    Gap(
        "refuses",
        "text_projection has another rank than most modules",
        "diffusers 0.42, utils/peft_utils.py",
        _rank_of_projection,
    ),
    Gap("refuses", "its converter knows LoRA factors alone", CONVERTERS, _cores),
)
