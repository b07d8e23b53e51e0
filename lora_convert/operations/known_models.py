"""What adapters of an architecture are usually for, and the licences of the models they are for.

A licence is what the model's repository declared when it was read; what could not be read is unknown, not
supposed. Sources: the model cards' ``license``, ``license_name`` and ``license_link`` (huggingface.co, 2026).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

OTHER = "other"
"""What the Hub calls a licence that it has no name for (huggingface.co/docs/hub, repositories-licenses)."""


class Licence(NamedTuple):
    """The terms of a model, which those of an adapter of it cannot be wider than."""

    id: str
    """As the Hub has it; ``other`` where it has none, and `name` says it."""
    name: str = ""
    link: str = ""
    forbids: tuple[str, ...] = ()
    """What its text does not allow, for people: ``commercial use``."""

    @property
    def known(self) -> bool:
        """Whether anything is known of it."""
        return self.id != OTHER or bool(self.name)


UNKNOWN = Licence(OTHER)
_APACHE, _MIT = Licence("apache-2.0"), Licence("mit")
_RAIL, _RAIL_PP = Licence("creativeml-openrail-m"), Licence("openrail++")
_NC = ("commercial use",)
_HUB = "https://huggingface.co"


def _named(name: str, repository: str, file: str = "LICENSE.md", *forbids: str) -> Licence:
    return Licence(OTHER, name, f"{_HUB}/{repository}/blob/main/{file}", forbids)


_FLUX_DEV = _named(
    "flux-1-dev-non-commercial-license", "black-forest-labs/FLUX.1-dev", "LICENSE.md", *_NC
)
_FLUX2 = _named("flux-non-commercial-license", "black-forest-labs/FLUX.2-dev", "LICENSE.md", *_NC)
_STABILITY = _named("stabilityai-ai-community", "stabilityai/stable-diffusion-3.5-large")
_TERRITORY = ("use in the European Union, the United Kingdom and South Korea",)
_HUNYUAN = "tencent-hunyuan-community"

LICENCES: Mapping[str, Licence] = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": _RAIL,
    "runwayml/stable-diffusion-v1-5": _RAIL,
    "stabilityai/stable-diffusion-2-1": _RAIL_PP,
    "stabilityai/stable-diffusion-2-1-base": _RAIL_PP,
    "stabilityai/stable-diffusion-xl-base-1.0": _RAIL_PP,
    "stabilityai/stable-diffusion-3.5-large": _STABILITY,
    "stabilityai/stable-cascade": _named(
        "stable-cascade-nc-community", "stabilityai/stable-cascade", "LICENSE", *_NC
    ),
    "stabilityai/stable-cascade-prior": _named(
        "stable-cascade-nc-community", "stabilityai/stable-cascade-prior", "LICENSE", *_NC
    ),
    "black-forest-labs/FLUX.1-dev": _FLUX_DEV,
    "black-forest-labs/FLUX.1-Fill-dev": _FLUX_DEV,
    "black-forest-labs/FLUX.1-Kontext-dev": _FLUX_DEV,
    "black-forest-labs/FLUX.1-Krea-dev": _FLUX_DEV,
    "black-forest-labs/FLUX.1-schnell": _APACHE,
    "black-forest-labs/FLUX.2-dev": _FLUX2,
    "black-forest-labs/FLUX.2-klein-9B": _FLUX2,
    "black-forest-labs/FLUX.2-klein-4B": _APACHE,
    "circlestone-labs/Anima": _named(
        "circlestone-labs-non-commercial-license", "circlestone-labs/Anima", "LICENSE.md", *_NC
    ),
    "lodestones/Chroma1-HD": _APACHE,
    "lodestones/Chroma1-Base": _APACHE,
    "Qwen/Qwen-Image": _APACHE,
    "Qwen/Qwen-Image-2512": _APACHE,
    "Qwen/Qwen-Image-Edit": _APACHE,
    "Qwen/Qwen-Image-2.1": _named("qwen-research", "Qwen/Qwen-Image-2.1", "LICENSE", *_NC),
    "Tongyi-MAI/Z-Image": _APACHE,
    "Tongyi-MAI/Z-Image-Turbo": _APACHE,
    "Wan-AI/Wan2.1-T2V-14B-Diffusers": _APACHE,
    "Wan-AI/Wan2.2-T2V-A14B-Diffusers": _APACHE,
    "Wan-AI/Wan2.2-I2V-A14B-Diffusers": _APACHE,
    "Wan-AI/Wan2.2-TI2V-5B-Diffusers": _APACHE,
    "genmo/mochi-1-preview": _APACHE,
    "Efficient-Large-Model/Sana_1600M_1024px_diffusers": _APACHE,
    "HiDream-ai/HiDream-I1-Full": _MIT,
    "HiDream-ai/HiDream-I1-Dev": _MIT,
    "Alpha-VLLM/Lumina-Image-2.0": _APACHE,
    "zai-org/CogView4-6B": _APACHE,
    "PixArt-alpha/PixArt-XL-2-1024-MS": _RAIL_PP,
    "krea/Krea-2-Raw": _named("krea-2-community-license", "krea/Krea-2-Raw"),
    "krea/Krea-2-Turbo": _named("krea-2-community-license", "krea/Krea-2-Turbo"),
    "Lightricks/LTX-2": _named("ltx-2-community-license-agreement", "Lightricks/LTX-2.3", "LICENSE"),
    "Lightricks/LTX-2.3": _named("ltx-2-community-license-agreement", "Lightricks/LTX-2.3", "LICENSE"),
    "Lightricks/LTX-Video": _named(
        "ltx-video-open-weights-license", "Lightricks/LTX-Video", "LTX-Video-Open-Weights-License-0.X.txt"
    ),
    "ideogram-ai/ideogram-4-fp8": _named(
        "ideogram-4-non-commercial", "ideogram-ai/ideogram-4-fp8", "LICENSE.md", *_NC
    ),
    "hunyuanvideo-community/HunyuanVideo": _named(
        _HUNYUAN, "tencent/HunyuanVideo", "LICENSE", *_TERRITORY
    ),
    "tencent/HunyuanVideo": _named(_HUNYUAN, "tencent/HunyuanVideo", "LICENSE", *_TERRITORY),
    "tencent/HunyuanVideo-1.5": _named(_HUNYUAN, "tencent/HunyuanVideo-1.5", "LICENSE", *_TERRITORY),
    "tencent/HunyuanImage-2.1": Licence(
        OTHER, _HUNYUAN, "https://github.com/Tencent-Hunyuan/HunyuanImage-2.1/blob/master/LICENSE", _TERRITORY
    ),
    "hunyuanvideo-community/HunyuanImage-2.1-Diffusers": Licence(
        OTHER, _HUNYUAN, "https://github.com/Tencent-Hunyuan/HunyuanImage-2.1/blob/master/LICENSE", _TERRITORY
    ),
    "Tencent-Hunyuan/HunyuanDiT-Diffusers": _named(
        _HUNYUAN, "Tencent-Hunyuan/HunyuanDiT", "LICENSE.txt"
    ),
    "Tencent-Hunyuan/HunyuanDiT-v1.2-Diffusers": _named(
        _HUNYUAN, "Tencent-Hunyuan/HunyuanDiT", "LICENSE.txt"
    ),
}  # fmt: skip
"""By repository. What is not here was not read."""


class Known(NamedTuple):
    """What adapters of an architecture are usually for."""

    repository: str
    """The model that most are trained on, as diffusers 0.42 loads it in its examples; empty where none is
    known."""
    civitai: str = "Other"
    """Civitai's name for it (its API's ``baseModel``); ``Other`` where it has none that is known here."""
    makes: str = "image"
    """``image``, ``video`` or ``audio``."""


MODELS: Mapping[str, Known] = {
    "ace_step": Known("ACE-Step/acestep-v15-xl-turbo-diffusers", makes="audio"),
    "anima": Known("circlestone-labs/Anima"),
    "anyflow": Known("nvidia/AnyFlow-Wan2.1-T2V-14B-Diffusers", makes="video"),
    "auraflow": Known("fal/AuraFlow", "AuraFlow"),
    "bria_fibo": Known("briaai/FIBO"),
    "bria_fibo2": Known("briaai/Fibo-2.0-dev"),
    "chroma": Known("lodestones/Chroma1-HD", "Chroma"),
    "cogvideox": Known("THUDM/CogVideoX-5b", "CogVideoX", "video"),
    "cogview4": Known("zai-org/CogView4-6B"),
    "cosmos1": Known("nvidia/Cosmos-1.0-Diffusion-7B-Text2World", makes="video"),
    "cosmos2": Known("nvidia/Cosmos-Predict2-2B-Text2Image"),
    "ernie_image": Known(""),
    "flux": Known("black-forest-labs/FLUX.1-dev", "Flux.1 D"),
    "flux2": Known("black-forest-labs/FLUX.2-dev"),
    "flux3": Known(""),
    "framepack": Known("lllyasviel/FramePackI2V_HY", makes="video"),
    "helios": Known("BestWishYsh/Helios-Base", makes="video"),
    "hidream": Known("HiDream-ai/HiDream-I1-Full", "HiDream"),
    "hunyuan_dit": Known("Tencent-Hunyuan/HunyuanDiT-Diffusers", "Hunyuan 1"),
    "hunyuan_image": Known("hunyuanvideo-community/HunyuanImage-2.1-Diffusers"),
    "hunyuan_video": Known("hunyuanvideo-community/HunyuanVideo", "Hunyuan Video", "video"),
    "hunyuan_video15": Known("hunyuanvideo-community/HunyuanVideo-1.5-480p_t2v", makes="video"),
    "ideogram4": Known("ideogram-ai/ideogram-v4"),
    "kandinsky5": Known("kandinskylab/Kandinsky-5.0-T2V-Lite-sft-5s-Diffusers", makes="video"),
    "kolors": Known("Kwai-Kolors/Kolors-diffusers", "Kolors"),
    "krea2": Known("krea/Krea-2-Raw"),
    "ltx2": Known("Lightricks/LTX-2", "LTXV", "video"),
    "ltx_video": Known("Lightricks/LTX-Video", "LTXV", "video"),
    "lumina2": Known("Alpha-VLLM/Lumina-Image-2.0", "Lumina"),
    "minimax_h3": Known("MiniMaxAI/MiniMax-H3", makes="video"),
    "mochi": Known("genmo/mochi-1-preview", "Mochi", "video"),
    "pixart": Known("PixArt-alpha/PixArt-XL-2-1024-MS", "PixArt a"),
    "qwen_image": Known("Qwen/Qwen-Image", "Qwen"),
    "qwen_image21": Known("Qwen/Qwen-Image-2.1", "Qwen"),
    "sana": Known("Efficient-Large-Model/Sana_1600M_1024px_diffusers"),
    "sd1": Known("stable-diffusion-v1-5/stable-diffusion-v1-5", "SD 1.5"),
    "sd2": Known("stabilityai/stable-diffusion-2-1", "SD 2.1"),
    "sd3": Known("stabilityai/stable-diffusion-3.5-large", "SD 3.5 Large"),
    "sdxl": Known("stabilityai/stable-diffusion-xl-base-1.0", "SDXL 1.0"),
    "sdxl_refiner": Known("stabilityai/stable-diffusion-xl-refiner-1.0", "SDXL 1.0"),
    "skyreels_v2": Known("Skywork/SkyReels-V2-T2V-14B-720P-Diffusers", makes="video"),
    "stable_cascade": Known("stabilityai/stable-cascade-prior", "Stable Cascade"),
    "wan": Known("Wan-AI/Wan2.1-T2V-14B-Diffusers", "Wan Video", "video"),
    "wan_animate2": Known("", "Wan Video", "video"),
    "z_image": Known("Tongyi-MAI/Z-Image-Turbo", "ZImageTurbo"),
}
"""By architecture, each of them. Civitai's names as its API lists them (2025)."""

CIVITAI: Mapping[str, str] = {
    "black-forest-labs/FLUX.1-schnell": "Flux.1 S",
    "black-forest-labs/FLUX.1-Krea-dev": "Flux.1 Krea",
    "black-forest-labs/FLUX.1-Kontext-dev": "Flux.1 Kontext",
    "stabilityai/stable-diffusion-3-medium-diffusers": "SD 3",
    "stabilityai/stable-diffusion-3.5-medium": "SD 3.5 Medium",
    "stabilityai/stable-diffusion-2-1": "SD 2.1 768",
    "stabilityai/sdxl-turbo": "SDXL Turbo",
    "Wan-AI/Wan2.1-T2V-14B-Diffusers": "Wan Video 14B t2v",
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers": "Wan Video 1.3B t2v",
    "Wan-AI/Wan2.2-TI2V-5B-Diffusers": "Wan Video 2.2 TI2V-5B",
    "Wan-AI/Wan2.2-T2V-A14B-Diffusers": "Wan Video 2.2 T2V-A14B",
    "Wan-AI/Wan2.2-I2V-A14B-Diffusers": "Wan Video 2.2 I2V-A14B",
    "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS": "PixArt E",
}
"""Civitai's names for models that it tells apart where an architecture does not."""
_CIVITAI_FAMILIES = (
    (re.compile(r"pony", re.IGNORECASE), "Pony"),
    (re.compile(r"illustrious", re.IGNORECASE), "Illustrious"),
    (re.compile(r"noob", re.IGNORECASE), "NoobAI"),
)
"""Models that SDXL was trained on into, by what all their names hold."""

FILES = {
    "v1-5-pruned": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sd_xl_base_1.0": "stabilityai/stable-diffusion-xl-base-1.0",
    "flux1-dev": "black-forest-labs/FLUX.1-dev",
    "flux1-schnell": "black-forest-labs/FLUX.1-schnell",
    "sd3.5_large": "stabilityai/stable-diffusion-3.5-large",
    "chroma1-hd": "lodestones/Chroma1-HD",
    "z_image_turbo": "Tongyi-MAI/Z-Image-Turbo",
}
"""What the authors' single files begin with: kohya's metadata name the file that was trained on."""


def known_model(architecture: str | None) -> Known:
    """What adapters of an architecture are usually for; of an unknown one nothing is known."""
    return MODELS.get(architecture or "", Known(""))


def other_models(repository: str, architecture: str | None) -> tuple[str, ...]:
    """The architectures that a repository is the usual one of, where this is none of them."""
    named = tuple(
        name for name, known in MODELS.items() if repository and known.repository == repository
    )
    return () if architecture in named else named


def licence_of(repository: str) -> Licence:
    """The licence of a model's repository; UNKNOWN where it was not read."""
    lowered = repository.lower()
    return next((found for name, found in LICENCES.items() if name.lower() == lowered), UNKNOWN)


def civitai_name(architecture: str | None, repository: str) -> str:
    """What Civitai calls the model that an adapter is for."""
    if architecture == "sdxl":
        for pattern, name in _CIVITAI_FAMILIES:
            if pattern.search(repository):
                return name
    return CIVITAI.get(repository, known_model(architecture).civitai)
