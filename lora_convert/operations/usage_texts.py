"""How to use an adapter's files in each application, for those who get them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lora_convert.operations.publication import Publication
    from lora_convert.operations.publishing import PublishedFile, PublishedFormat

_FOLDERS = {
    "comfyui": "Put {file} into `ComfyUI/models/loras` and choose it in a *Load LoRA* node.",
    "a1111": "Put {file} into `models/Lora` and write `<lora:{stem}:1>` into the prompt.",
    "forge": "Put {file} into `models/Lora` and write `<lora:{stem}:1>` into the prompt.",
    "invokeai": "Add {file} in the Model Manager (*Add Model*, *Scan Folder*).",
    "sd.cpp": "Put {file} into the folder of `--lora-model-dir` and write `<lora:{stem}:1>` into the prompt.",
}
_LOADING = """import torch
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained("{base}", torch_dtype=torch.bfloat16).to("cuda")
pipe.load_lora_weights("{place}"{name})
{make} = pipe("{prompt}").{makes}s[0]"""


class Usage(NamedTuple):
    """What to do in one application."""

    application: str
    title: str
    text: str
    """Markdown."""


def usages(
    found: Publication, formats: Sequence[PublishedFormat], place: str = "."
) -> tuple[Usage, ...]:
    """What to do in each application that loads one of the formats right; the first that it does.

    `place` is what Diffusers loads them from: a folder, or a repository.
    """
    told: dict[str, Usage] = {}
    for one in sorted(formats, key=lambda one: one.format != "diffusers"):
        for application, title in zip(one.works_in, one.titles, strict=True):
            file = one.files[0]
            if application == "diffusers":
                text = f"```python\n{_in_diffusers(found, file, place)}\n```"
            elif application in _FOLDERS:
                stem = file.name.rpartition("/")[2].removesuffix(".safetensors")
                text = _FOLDERS[application].format(file=f"`{file.name}`", stem=stem)
            else:
                continue
            told.setdefault(application, Usage(application, title, text))
    order = ["diffusers", *_FOLDERS]
    return tuple(sorted(told.values(), key=lambda one: order.index(one.application)))


def example_prompt(found: Publication) -> str:
    """A prompt to try: that of the first preview, else the words that call it up."""
    prompts = [one.prompt for one in found.previews if one.prompt]
    return prompts[0] if prompts else ", ".join(found.triggers) or "a photo"


def _in_diffusers(found: Publication, file: PublishedFile, place: str) -> str:
    folder, _, name = file.name.rpartition("/")
    makes = "frame" if found.makes == "video" else found.makes
    base = found.bases[0].repository if found.bases else "BASE_MODEL"
    prompt = example_prompt(found).replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    usual = name == "pytorch_lora_weights.safetensors"
    given = "" if usual and not folder else f', weight_name="{name}"'
    if folder:
        given = f', subfolder="{folder}"{given}'
    return _LOADING.format(
        base=base, place=place, name=given, prompt=prompt, make=makes, makes=makes
    )
