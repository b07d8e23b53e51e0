"""ModelSpec 1.0.1: what a file's metadata say of its model, for programs that list models.

Stability-AI/ModelSpec, README.md; what must be there as kohya sd-scripts has it, library/sai_model_spec.py at
10bfcb9 (2026). SwarmUI and InvokeAI look at ``modelspec.architecture`` first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.formats import Format

PREFIX = "modelspec."
VERSION = "1.0.1"
HASH = f"{PREFIX}hash_sha256"
_MUST = ("sai_model_spec", "architecture", "implementation", "title", "resolution")
_ADAPTER = "/lora"
_RESOLUTION = re.compile(r"\d+x\d+")
_HASH = re.compile(r"0x[0-9a-f]{64}")


class Spec(NamedTuple):
    """What ModelSpec has for an architecture."""

    ids: tuple[str, ...]
    """Names of the models that an adapter of it can be for. Where there is one it is written; the first
    of several is, if they are one model's names."""
    implementation: str
    """The authors' code, by whose names tensors are called."""
    resolution: str = ""
    """Of the images that the model makes."""
    models: int = 1
    """How many models `ids` are names of; only who trained knows which of several it was."""


_STABILITY = "https://github.com/Stability-AI/generative-models"
_COSMOS = "https://github.com/nvidia-cosmos/cosmos-predict2"

SPECS: Mapping[str, Spec] = {
    # kohya sd-scripts, library/sai_model_spec.py at 10bfcb9 (2026)
    "sd1": Spec(("stable-diffusion-v1",), _STABILITY, "512x512"),
    "sd2": Spec(("stable-diffusion-v2-768-v", "stable-diffusion-v2-512"), _STABILITY, models=2),
    "sdxl": Spec(("stable-diffusion-xl-v1-base", "stable-diffusion-xl-v0_9-base"), _STABILITY, "1024x1024"),
    "sdxl_refiner": Spec(("stable-diffusion-xl-v1-refiner",), _STABILITY, "1024x1024"),
    "sd3": Spec(
        (
            "stable-diffusion-v3-medium", "stable-diffusion-v3.5-medium", "stable-diffusion-v3.5-large",
            "stable-diffusion-3-medium", "stable-diffusion-3-3-5-medium", "stable-diffusion-3-3-5-large",
        ),
        "https://github.com/Stability-AI/sd3.5", "1024x1024", models=3,
    ),
    "flux": Spec(
        ("flux-1-dev", "Flux.1-dev", "flux-1-schnell", "Flux.1-schnell", "flux-1"),
        "https://github.com/black-forest-labs/flux", "1024x1024",
    ),
    "chroma": Spec(("chroma",), "https://huggingface.co/lodestones/Chroma", "1024x1024"),
    "lumina2": Spec(("lumina-2", "lumina"), "https://github.com/Alpha-VLLM/Lumina-Image-2.0", "1024x1024"),
    # kohya musubi-tuner, utils/sai_model_spec.py (2026)
    "flux2": Spec(
        ("Flux.2-dev", "Flux.2-klein-4b", "Flux.2-klein-9b"),
        "https://github.com/black-forest-labs/flux2", "1024x1024", models=3,
    ),
    "hunyuan_video": Spec(("hunyuan-video",), "https://github.com/Tencent/HunyuanVideo", "1280x720"),
    "hunyuan_video15": Spec(
        ("hunyuan-video-1.5",), "https://github.com/Tencent-Hunyuan/HunyuanVideo-1.5", "1280x720"
    ),
    "framepack": Spec(("framepack",), "https://github.com/lllyasviel/FramePack", "1280x720"),
    "kandinsky5": Spec(("Kandinsky-5",), "https://github.com/kandinskylab/kandinsky-5", "1280x720"),
    "qwen_image": Spec(
        (
            "Qwen-Image", "Qwen-Image-Edit", "Qwen-Image-Edit-Plus", "Qwen-Image-Edit-2511",
            "Qwen-Image-Layered",
        ),
        "https://github.com/QwenLM/Qwen-Image", "1328x1328",
    ),
    "wan": Spec(
        (
            "wan2.1", "wan-2_1-text2video-14b", "wan-2_1-text2video-1_3b", "wan-2_1-image2video-14b",
            "wan-2_2-ti2v-5b", "wan-2_2-image2video-14b",
        ),
        "https://github.com/Wan-Video/Wan2.1", "1280x720",
    ),
    "z_image": Spec(("Z-Image",), "https://github.com/Tongyi-MAI/Z-Image", "1024x1024"),
    # SwarmUI, src/Text2Image/T2IModelClassSorter.cs at 002982c (2025)
    "auraflow": Spec(("auraflow-v1",), "https://github.com/cloneofsimo/minRF", "1024x1024"),
    "cosmos2": Spec(
        ("nvidia-cosmos-predict2-t2i-2b", "nvidia-cosmos-predict2-t2i-14b"), _COSMOS, "1024x1024", models=2
    ),
    "hidream": Spec(
        ("hidream-i1", "hidream-i1-edit"), "https://github.com/HiDream-ai/HiDream-I1", "1024x1024"
    ),
    "hunyuan_image": Spec(
        ("hunyuan-image-2_1",), "https://github.com/Tencent-Hunyuan/HunyuanImage-2.1", "2048x2048"
    ),
    "ltx_video": Spec(("lightricks-ltx-video",), "https://github.com/Lightricks/LTX-Video", "768x512"),
    "mochi": Spec(("genmo-mochi-1",), "https://github.com/genmoai/mochi", "848x480"),
    "sana": Spec(("nvidia-sana-1600",), "https://github.com/NVlabs/Sana", "1024x1024"),
    "stable_cascade": Spec(
        ("stable-cascade-v1-stage-c",), "https://github.com/Stability-AI/StableCascade", "1024x1024"
    ),
}  # fmt: skip
"""By architecture. Nobody has published a name for what is not here."""


def problems(metadata: Mapping[str, str], architecture: str | None) -> tuple[str, ...]:
    """What is wrong with a file's ModelSpec, in sentences; nothing where it has none."""
    said = {k.removeprefix(PREFIX): v for k, v in metadata.items() if k.startswith(PREFIX)}
    if not said:
        return ()
    missing = [f"{PREFIX}{name}" for name in _MUST if not said.get(name)]
    found = [f"ModelSpec {VERSION} needs {', '.join(missing)} too"] if missing else []
    name = said.get("architecture", "")
    base, _, kind = name.partition("/")
    if name and kind != _ADAPTER[1:]:
        found.append(f"{PREFIX}architecture is {name}; that of a LoRA ends in {_ADAPTER}")
    spec = SPECS.get(architecture or "")
    if name and spec and base.lower() not in {one.lower() for one in spec.ids}:
        right = " or ".join(one + _ADAPTER for one in spec.ids[: max(spec.models, 1)])
        found.append(f"{PREFIX}architecture is {name}, but its tensors are for {right}")
    if said.get("resolution") and not _RESOLUTION.fullmatch(said["resolution"]):
        found.append(f"{PREFIX}resolution is {said['resolution']}; it is WIDTHxHEIGHT")
    if said.get("hash_sha256") and not _HASH.fullmatch(said["hash_sha256"].lower()):
        found.append(f"{HASH} is no 0x and 64 hexadecimal digits")
    return tuple(found)


def block(
    metadata: Mapping[str, str], architecture: str | None, format_: Format | None, name: str
) -> dict[str, str]:
    """A whole ModelSpec of what is known: metadata as they are, the architecture, a file's name.

    OptionError where the architecture has no published name, or several models share it, and none is said.
    """
    spec = SPECS.get(architecture or "")
    named = metadata.get(f"{PREFIX}architecture", "")
    if not named and (spec is None or spec.models > 1):
        raise OptionError(
            f"{PREFIX}architecture",
            "",
            choices=[f"{one}{_ADAPTER}" for one in spec.ids] if spec else (),
            why=f"nobody has published a name for {architecture or 'an unknown architecture'}",
            hint=f"say it: {PREFIX}architecture=NAME{_ADAPTER}",
        )
    authors = spec.implementation if spec else ""
    diffusers = format_ is not None and format_.namespace_for(architecture) != "native"
    fields = {
        "sai_model_spec": VERSION,
        "architecture": named or f"{spec.ids[0] if spec else ''}{_ADAPTER}",
        "implementation": "diffusers" if diffusers else authors,
        "title": metadata.get("ss_output_name", "") or name,
        "resolution": _resolution(metadata.get("ss_resolution", ""))
        or (spec.resolution if spec else ""),
        "date": _date(metadata.get("ss_training_finished_at", "")),
    }
    said = {f"{PREFIX}{key}": value for key, value in fields.items() if value}
    return {**said, **{key: value for key, value in metadata.items() if key.startswith(PREFIX)}}


def _resolution(text: str) -> str:
    """``512x768`` of what kohya writes: ``(512, 768)``, or one number."""
    sides = re.findall(r"\d+", text)
    return "x".join((*sides, *sides)[:2]) if len(sides) in {1, 2} else ""


def _date(seconds: str) -> str:
    """The day on which training ended, in UTC, of seconds since 1970."""
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(float(seconds), UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return ""


def thumbnail(path: str, side: int = 256) -> str:
    """An image as the data URL that ``modelspec.thumbnail`` holds: a JPEG of at most `side` pixels.

    OptionError where there is no image at `path`; MissingExtraError without Pillow.
    """
    import base64
    import io

    from lora_convert.errors import MissingExtraError

    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("a thumbnail", "train") from error
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise OptionError("thumbnail", path, why=f"it is no image: {error}") from error
    small.thumbnail((side, side))
    held = io.BytesIO()
    small.save(held, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(held.getvalue()).decode()}"
