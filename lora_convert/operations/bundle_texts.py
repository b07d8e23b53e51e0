"""The documents of a bundle: for people, for web UIs, for Civitai and for programs that manage LoRAs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.operations.page_sections import plain, sections
from lora_convert.operations.training_facts import sampling_steps
from lora_convert.storage.png_texts import PARAMETERS, is_png, size_of, with_text

if TYPE_CHECKING:
    from lora_convert.operations.previews import Preview
    from lora_convert.operations.publication import Publication
    from lora_convert.operations.publishing import PublishedFile, PublishedFormat

_TYPES = {"dora": "DoRA", "loha": "LoCon", "lokr": "LoCon"}
"""Civitai's types of models, by algorithm; LORA for all others (its API, ``ModelType``)."""


class Picture(NamedTuple):
    """A preview as it lies in a bundle."""

    name: str
    data: bytes
    preview: Preview


def readme(
    found: Publication, formats: Sequence[PublishedFormat], pictures: Sequence[Picture]
) -> str:
    """``README.md``: what it is, how to use it, under which terms, with which hashes."""
    first = [f"![{plain(one.preview.prompt or found.title)}]({one.name})" for one in pictures[:1]]
    return (
        "\n\n".join([f"# {plain(found.title)}", *first, *sections(found, formats).values()]) + "\n"
    )


def sums(files: Sequence[PublishedFile]) -> str:
    """``SHA256SUMS``, as ``sha256sum --check`` reads it."""
    return "".join(f"{one.sha256}  {one.name}\n" for one in files)


def civitai_info(
    found: Publication,
    formats: Sequence[PublishedFormat],
    pictures: Sequence[Picture],
    base: str,
) -> str:
    """``NAME.civitai.info``: a version as Civitai's API has it, which web UIs' extensions read."""
    fields: dict[str, Any] = {
        "name": found.title,
        "baseModel": base,
        "trainedWords": list(found.triggers),
        "description": None,
        "model": {"name": found.title, "type": _type(found)},
        "files": [_civitai_file(one.files[0], primary=one is formats[0]) for one in formats],
        "images": [_civitai_image(one) for one in pictures],
    }
    return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"


def _type(found: Publication) -> str:
    return next((_TYPES[name] for name in found.algorithms if name in _TYPES), "LORA")


def _civitai_file(file: PublishedFile, *, primary: bool) -> dict[str, Any]:
    hashes = {"SHA256": file.sha256.upper(), "AutoV2": file.auto_v2}
    name = file.name.rpartition("/")[2]
    return {
        "name": name,
        "sizeKB": file.bytes / 1024,
        "type": "Model",
        "primary": primary,
        "hashes": hashes,
    }


def _civitai_image(picture: Picture) -> dict[str, Any]:
    said: dict[str, Any] = {"prompt": picture.preview.prompt} if picture.preview.prompt else {}
    if picture.preview.seed is not None:
        said["seed"] = picture.preview.seed
    width, height = size_of(picture.data) if is_png(picture.data) else (None, None)
    return {"url": picture.name, "width": width, "height": height, "meta": said or None}


def manager_metadata(
    found: Publication, file: PublishedFile, pictures: Sequence[Picture], base: str
) -> str:
    """``NAME.metadata.json``: what ComfyUI-Lora-Manager keeps beside a LoRA (py/utils/models.py, 003ee55).

    Path and time are those of whoever gets it: the manager corrects the one, and the other is none.
    """
    stem = file.name.removesuffix(".safetensors")
    fields: dict[str, Any] = {
        "file_name": stem,
        "model_name": found.title,
        "file_path": file.name,
        "size": file.bytes,
        "modified": 0.0,
        "sha256": file.sha256,
        "base_model": base,
        "preview_url": pictures[0].name if pictures else "",
        "from_civitai": False,
        "tags": [],
        "modelDescription": "",
        "civitai": {"trainedWords": list(found.triggers)},
        "usage_tips": "{}",
    }
    return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"


def picture(found: Publication, preview: Preview, name: str, file: PublishedFile) -> Picture:
    """A preview under its name; a PNG whose prompt is known says how it was made, as A1111 does.

    What says so already is left as it is.
    """
    with open(preview.path, "rb") as opened:
        data = opened.read()
    steps = sampling_steps(found.source)
    if is_png(data) and preview.prompt and "Steps: " not in preview.parameters:
        width, height = size_of(data)
        stem = file.name.rpartition("/")[2].removesuffix(".safetensors")
        said = (
            ("Steps", steps),
            ("Seed", preview.seed),
            ("Size", f"{width}x{height}"),
            ("Lora hashes", f'"{stem}: {file.auto_v2.lower()}"'),
        )
        line = ", ".join(f"{key}: {value}" for key, value in said if value is not None)
        data = with_text(data, PARAMETERS, f"{preview.prompt} <lora:{stem}:1>\n{line}")
    return Picture(name, data, preview)
