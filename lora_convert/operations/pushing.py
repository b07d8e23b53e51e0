"""An adapter, or a pipeline, put on the Hub: converted, proved, described, and uploaded in one commit."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from lora_convert.errors import CheckpointNotFoundError, NotExpressibleError, OptionError
from lora_convert.formats import written
from lora_convert.operations.cards import Card, Image, card_of, pipeline_card
from lora_convert.operations.known_models import UNKNOWN, Licence, licence_of
from lora_convert.operations.provenance import read_provenance
from lora_convert.operations.publication import Publication, is_repository, publication
from lora_convert.operations.publishing import converted
from lora_convert.operations.sharing import METADATA_NAME
from lora_convert.storage.hub_address import DEFAULT_REVISION, HubAddress
from lora_convert.storage.hub_uploads import PAGE, commit, page_of, ready
from lora_convert.storage.pipelines import is_pipeline
from lora_convert.storage.places import HUB

USUAL = ("diffusers", "kohya")
"""Formats that are pushed where nothing else is asked."""
_IMAGES = "images"
_HIDDEN = "."
_PLACES = {
    "diffusers": "pytorch_lora_weights.safetensors",
    "kohya": "{}.safetensors",
    "peft": "peft",
}
"""Where a format's file or folder lies in the repository; another's file is in a folder of its own."""


class Pushed(NamedTuple):
    """What a push did."""

    status: Literal["pushed", "unchanged"]
    repository: str
    revision: str
    url: str
    commit: str
    private: bool | None
    """Of a repository that was made now; None for one that was there."""
    files: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        return {**self._asdict(), "files": list(self.files)}


class PushFile(NamedTuple):
    """A file that is to be in the repository."""

    name: str
    """There, with slashes."""
    path: str
    bytes: int


class PushPlan(NamedTuple):
    """All that is to be on the Hub; the files lie on the disk."""

    where: HubAddress
    private: bool
    card: Card
    chosen: tuple[str, ...]
    """Keys of the page's metadata that an option says: they win over those of a page that is there."""
    files: tuple[PushFile, ...]
    message: str
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        return {
            "repository": self.where.repository,
            "revision": self.where.revision,
            "private": self.private,
            "card": self.card.text(),
            "files": [{"name": file.name, "bytes": file.bytes} for file in self.files],
            "message": self.message,
            "warnings": list(self.warnings),
        }

    def apply(self) -> Pushed:
        """Upload it. HubError where the Hub does not take it; it is as it was then."""
        new = ready(self.where, private=self.private)
        old = "" if new else page_of(self.where)
        page = self.card.over(old, self.chosen) if old.strip() else self.card.text()
        contents: dict[str, str | bytes] = {file.name: file.path for file in self.files}
        done = commit(self.where, {**contents, PAGE: page.encode()}, self.message)
        return Pushed(
            "pushed" if done.changed else "unchanged",
            self.where.repository,
            self.where.revision,
            done.url,
            done.commit,
            self.private if new else None,
            tuple(contents),
        )


class Asked(NamedTuple):
    """What a user says of a push, over what the source says."""

    formats: tuple[str, ...] = ()
    """Empty for those of `USUAL` that the adapter has."""
    public: bool = False
    revision: str = DEFAULT_REVISION
    message: str = ""
    base_models: tuple[str, ...] = ()
    licence: str | None = None
    instance_prompt: str | None = None
    images: str | None = None
    folders: tuple[str, ...] = ()
    """Others that are to be in the repository too, by their names."""
    allow: bool = False
    """Push what the licence of the base forbids."""
    architecture: str | None = None

    @property
    def chosen(self) -> tuple[str, ...]:
        """Keys of a page's metadata that were said."""
        said = {
            "base_model": self.base_models,
            "license": self.licence,
            "license_name": self.licence,
            "license_link": self.licence,
            "instance_prompt": self.instance_prompt,
            "widget": self.images,
        }
        return tuple(name for name, value in said.items() if value)


def plan_push(source: str, repository: str, folder: str, asked: Asked = Asked()) -> PushPlan:  # noqa: B008
    """Work out a push of an adapter or pipeline; what is converted for it lies in `folder`, which is empty.

    Nothing is asked of the Hub, and no token is needed. Errors are those of converting;
    NotExpressibleError where the adapter is broken, or the licence of its base forbids what is asked.
    """
    where = _address(repository, asked.revision)
    for name in asked.formats:
        if name not in written():
            raise OptionError("formats", name, choices=tuple(written()))
    extra = tuple(file for path in asked.folders for file in _folder(path))
    message = asked.message or f"Push {os.path.basename(os.path.abspath(source))}"
    if is_pipeline(source):
        card, files, warnings = _pipeline(source, where, folder, asked)
    else:
        card, files, warnings = _adapter(source, where, folder, asked)
    return PushPlan(
        where, not asked.public, card, asked.chosen, (*files, *extra), message, warnings
    )


def _address(repository: str, revision: str) -> HubAddress:
    """A repository's address; OptionError for a name that none can have."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    name, hint = repository.removeprefix(HUB), "for example: me/my-lora"
    if not is_repository(name):
        why = "a repository has a user or organisation, a slash and a name"
        raise OptionError("repo_id", repository, why=why, hint=hint)
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        why = str(error).splitlines()[0]
        raise OptionError("repo_id", repository, why=why, hint=hint) from None
    return HubAddress(name, revision, "")


def _adapter(
    source: str, where: HubAddress, folder: str, asked: Asked
) -> tuple[Card, list[PushFile], tuple[str, ...]]:
    found = publication(
        source,
        base_models=asked.base_models,
        licence=asked.licence,
        instance_prompt=asked.instance_prompt,
        images=asked.images,
        architecture=asked.architecture,
    )
    if found.objections and not asked.allow:
        raise NotExpressibleError(
            f"{source}: is not pushed: {'; '.join(found.objections)}",
            hint="--license gives it another, --allow pushes it as it is",
        )
    wanted = asked.formats or tuple(_usual(found))
    places = {name: _place(name, found) for name in wanted}
    formats = converted(found, wanted, folder, places)
    pictures = [
        (Image(f"{_IMAGES}/{number}{os.path.splitext(one.path)[1].lower()}", one.prompt), one.path)
        for number, one in enumerate(found.previews)
    ]
    card = card_of(found, formats, [image for image, _ in pictures], where.repository)
    files = [
        PushFile(file.name, os.path.join(folder, *file.name.split("/")), file.bytes)
        for one in formats
        for file in one.files
    ]
    files += [_file(image.name, path) for image, path in pictures]
    losses = (f"{one.format}: {loss}" for one in formats for loss in one.losses)
    return card, files, (*found.warnings, *losses)


def _usual(found: Publication) -> Iterator[str]:
    """The usual formats that have names for the adapter, or else its own."""
    able = [
        name
        for name in USUAL
        if found.architecture
        and all(written()[name].names(one, found.architecture) for one in found.components)
    ]
    yield from able or [found.format if found.format in written() else USUAL[0]]


def _place(name: str, found: Publication) -> str:
    return _PLACES.get(name, f"{name}/{{}}.safetensors").format(found.name)


def _pipeline(
    source: str, where: HubAddress, folder: str, asked: Asked
) -> tuple[Card, list[PushFile], tuple[str, ...]]:
    """A pipeline as it is; it says itself what it was made of, where it was made here."""
    for name, value in (
        ("formats", asked.formats),
        ("images", asked.images),
        ("instance-prompt", asked.instance_prompt),
    ):
        if value:
            why = "a pipeline is pushed as it is"
            raise OptionError(name, value, why=why, hint="push the LoRA that is merged into it")
    made = _without_paths(read_provenance(source))
    said = made["base"].get("name", "") if made else ""
    bases = asked.base_models or ((said,) if is_repository(said) else ())
    terms = licence_of(bases[0]) if bases else UNKNOWN
    licence = Licence(asked.licence) if asked.licence else terms
    warnings = () if bases else ("nothing names the base (--base-model)",)
    title = str(made.get("display_name") or os.path.basename(os.path.abspath(source)))
    about = str(made.get("description") or "")
    card = pipeline_card(title, about, bases, licence, where.repository)
    files = [file for file in _inside(source, "") if file.name != METADATA_NAME]
    if made:
        path = os.path.join(folder, METADATA_NAME)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(made, file, indent=2)
        files.append(_file(METADATA_NAME, path))
    return card, files, warnings


def _without_paths(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a pipeline was made of, without where that lies on this machine; nothing where it is not known."""
    source, base = document.get("source"), document.get("base")
    if not isinstance(source, dict) or not isinstance(base, dict):
        return {}
    called = str(base.get("name") or "")
    name = called if is_repository(called) else os.path.basename(os.path.abspath(called))
    return {
        **document,
        "description": str(document.get("description") or "").replace(called, name),
        "source": {key: value for key, value in source.items() if key != "path"},
        "base": {**{key: value for key, value in base.items() if key != "path"}, "name": name},
    }


def _folder(path: str) -> Iterator[PushFile]:
    if not os.path.isdir(path):
        raise CheckpointNotFoundError(path, f"{path}: is no folder")
    yield from _inside(path, f"{os.path.basename(os.path.abspath(path))}/")


def _inside(folder: str, start: str) -> Iterator[PushFile]:
    """Files of a folder and those in it, but hidden ones."""
    for inner, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(_HIDDEN))
        for name in sorted(names):
            if not name.startswith(_HIDDEN):
                path = os.path.join(inner, name)
                there = os.path.relpath(path, folder).replace(os.sep, "/")
                yield _file(f"{start}{there}", path)


def _file(name: str, path: str) -> PushFile:
    return PushFile(name, path, os.path.getsize(path))
