"""Images that show what an adapter does, with the prompts they were made with where those are known."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import CheckpointNotFoundError
from lora_convert.storage.folders import natural
from lora_convert.storage.png_texts import PARAMETERS, is_png, text_in

if TYPE_CHECKING:
    from lora_convert.operations.publication_sources import PublicationSource

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
MOST = 10
"""That are taken: more than a page shows at once."""
_LARGEST = 64 << 20
"""Bytes of an image."""
_STEP = re.compile(r"step-(\d+)")
_LAST_LINE = re.compile(r"^(Negative prompt: |(Steps|Seed): )", re.MULTILINE)
"""Where a prompt ends in A1111's parameters, and in those of lora-convert-train."""


class Preview(NamedTuple):
    """An image."""

    path: str
    prompt: str
    """Empty where it is not known."""
    parameters: str
    """What the image says of how it was made, as it says it."""

    @property
    def seed(self) -> int | None:
        """The seed, where it is said."""
        found = re.search(r"\bSeed: (\d+)", self.parameters)
        return int(found[1]) if found else None


def previews(source: PublicationSource, folder: str | None) -> tuple[Preview, ...]:
    """The images in a folder, by name; without one, the samples of the run at the checkpoint.

    CheckpointNotFoundError where there is no such folder, or no image in it.
    """
    if folder is not None:
        paths = _images(folder) if os.path.isdir(folder) else []
        if not paths:
            hint = f"give a folder that holds {', '.join(ENDINGS)}"
            raise CheckpointNotFoundError(folder, f"{folder}: holds no images", hint=hint)
    else:
        paths = _samples(source)
    return tuple(_preview(path) for path in paths[:MOST])


def _samples(source: PublicationSource) -> list[str]:
    """What ``samples/step-N`` of the run holds for the checkpoint; of its result, the last."""
    if source.run is None:
        return []
    folder = os.path.join(source.run.path, "samples")
    steps = {
        int(found[1]): os.path.join(folder, name)
        for name in (os.listdir(folder) if os.path.isdir(folder) else ())
        if (found := _STEP.fullmatch(name))
    }
    if not steps:
        return []
    wanted = source.checkpoint.step if source.checkpoint else max(steps)
    return _images(steps[wanted]) if wanted in steps else []


def _images(folder: str) -> list[str]:
    names = sorted(os.listdir(folder), key=natural)
    paths = (os.path.join(folder, name) for name in names if name.lower().endswith(ENDINGS))
    return [path for path in paths if os.path.isfile(path) and os.path.getsize(path) <= _LARGEST]


def _preview(path: str) -> Preview:
    with open(path, "rb") as file:
        data = file.read(_LARGEST)
    parameters = text_in(data, PARAMETERS) if is_png(data) else ""
    end = _LAST_LINE.search(parameters)
    prompt = parameters[: end.start()] if end else parameters
    return Preview(path, prompt.strip(), parameters)
