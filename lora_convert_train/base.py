"""The base model: a pipeline's folder, whose parts are loaded one by one and let go again."""

from __future__ import annotations

import json
import os
from typing import Any

from lora_convert_train.errors import BaseModelError

INDEX = "model_index.json"
_WEIGHTS = (".safetensors", ".bin")


class Base:
    """A pipeline of Diffusers on this machine, none of it loaded yet."""

    def __init__(self, folder: str, variant: str = "") -> None:
        """Raises BaseModelError where the folder holds no pipeline."""
        self.folder = folder
        self.variant = variant
        try:
            with open(os.path.join(folder, INDEX), encoding="utf-8") as file:
                self.index: dict[str, Any] = json.load(file)
        except (OSError, ValueError) as error:
            raise BaseModelError(
                f"{folder}: is no pipeline of Diffusers",
                why=f"{INDEX}: {error}",
                hint="give the folder of a pipeline, or a repository such as "
                "stable-diffusion-v1-5/stable-diffusion-v1-5",
            ) from error

    @property
    def pipeline(self) -> str:
        """Name of the pipeline's class."""
        return str(self.index.get("_class_name", ""))

    def config(self, part: str) -> dict[str, Any]:
        """The configuration of a part, as it lies in the folder."""
        for name in ("config.json", "scheduler_config.json"):
            path = os.path.join(self.folder, part, name)
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    found: dict[str, Any] = json.load(file)
                return found
        raise BaseModelError(f"{self.folder}: has no {part}", hint="get the base again")

    def kind(self, part: str) -> Any:
        """The class of a part. BaseModelError for one of another library: nothing else is imported."""
        import diffusers
        import transformers

        library, name = self.index[part]
        found = getattr(
            {"diffusers": diffusers, "transformers": transformers}.get(library), name, None
        )
        if found is None:
            raise BaseModelError(
                f"{self.folder}: its {part} is a {library}.{name}, which is not known here",
                hint="give a base whose parts are classes of Diffusers and transformers",
            )
        return found

    def load(self, part: str, dtype: Any = None, **options: Any) -> Any:
        """A part, loaded: a model with its weights frozen and of `dtype`, a tokenizer, a scheduler."""
        kind = self.kind(part)
        if dtype is not None:
            options["torch_dtype" if self.index[part][0] == "diffusers" else "dtype"] = dtype
        if self.variant and dtype is not None:
            options["variant"] = self.variant
        loaded = kind.from_pretrained(os.path.join(self.folder, part), **options)
        if hasattr(loaded, "requires_grad_"):
            loaded.requires_grad_(False)
            loaded.eval()
        return loaded

    def files(self, part: str) -> list[str]:
        """Paths of all files of a part, of weights only those that `load` reads."""
        folder = os.path.join(self.folder, part)
        paths = []
        for place, folders, names in os.walk(folder):
            folders.sort()
            paths += [os.path.join(place, name) for name in sorted(names)]
        weights = [path for path in paths if path.endswith(_WEIGHTS)]
        safe = [path for path in weights if path.endswith(_WEIGHTS[0])]
        unread = {*weights} - {*(safe or weights)}
        return [path for path in paths if path not in unread]


def open_base(name: str, revision: str = "", variant: str = "") -> Base:
    """The base of a name: a folder, else a repository, fetched where the Hub's cache has it not."""
    if os.path.isdir(name):
        return Base(name, variant)
    from diffusers import DiffusionPipeline

    try:
        folder = DiffusionPipeline.download(
            name, revision=revision or None, variant=variant or None
        )
    except Exception as error:
        raise BaseModelError(
            f"{name}: is no folder here, and cannot be fetched from the Hub",
            why=str(error).splitlines()[0],
            hint="look at its spelling; HF_TOKEN is needed for repositories with a licence to accept; "
            "runwayml/stable-diffusion-v1-5 is at stable-diffusion-v1-5/stable-diffusion-v1-5 now",
        ) from error
    return Base(str(folder), variant)
