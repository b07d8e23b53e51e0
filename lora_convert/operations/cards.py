"""The page of a repository on the Hub that holds an adapter: its metadata and its text.

Sections that are made here stand between marks, so that a card which somebody has edited keeps all else
when the next version is pushed. What the Hub makes of the metadata: huggingface.co/docs/hub, model-cards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.operations.known_models import OTHER
from lora_convert.operations.page_sections import HUB, licence_section, plain, sections

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

    from lora_convert.operations.known_models import Licence
    from lora_convert.operations.publication import Publication
    from lora_convert.operations.publishing import PublishedFormat

_TASKS = {"image": "text-to-image", "video": "text-to-video", "audio": "text-to-audio"}
_MARK = "<!-- lora-convert: {} -->"
_END = "<!-- lora-convert: end -->"
_SECTION = re.compile(r"<!-- lora-convert: ([\w-]+) -->\n.*?" + re.escape(_END), re.DOTALL)


class Image(NamedTuple):
    """A picture of the page's gallery."""

    name: str
    """In the repository."""
    prompt: str


class Card(NamedTuple):
    """A page: what its header says, and sections by the mark they stand behind."""

    metadata: Mapping[str, Any]
    title: str
    sections: Mapping[str, str]

    def text(self) -> str:
        """The page as it is in ``README.md``."""
        body = [f"# {plain(self.title)}", *(_marked(n, text) for n, text in self.sections.items())]
        return _page(self.metadata, "\n\n".join(body))

    def over(self, old: str, chosen: Iterable[str]) -> str:
        """The page with what people have changed in an `old` one: its text, and its header but `chosen`.

        Sections of ours are the new ones, where they stand; what the old page has not comes at its end.
        """
        header, body = _parted(old)
        new = {name: value for name, value in self.metadata.items() if name in {*chosen}}
        placed: set[str] = set()

        def section(found: re.Match[str]) -> str:
            placed.add(found[1])
            text = self.sections.get(found[1])
            return _marked(found[1], text) if text else ""

        kept = _SECTION.sub(section, body).rstrip()
        more = [_marked(n, text) for n, text in self.sections.items() if n not in placed]
        return _page({**self.metadata, **header, **new}, "\n\n".join([kept.lstrip("\n"), *more]))


def card_of(
    found: Publication,
    formats: Sequence[PublishedFormat],
    images: Sequence[Image],
    repository: str,
) -> Card:
    """The page of a publication in some formats, in a repository."""
    gallery = {"gallery": "<Gallery />"} if images else {}
    told = sections(found, formats, repository)
    return Card(_metadata(found, formats, images), found.title, {**gallery, **told})


def pipeline_card(
    title: str, about: str, bases: Sequence[str], licence: Licence, repository: str
) -> Card:
    """The page of a whole pipeline that an adapter was merged into."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        base_model=bases[0] if len(bases) == 1 else [*bases] or None,
        base_model_relation="merge" if bases else None,
        library_name="diffusers",
        **_licence_said(licence, bases),
        pipeline_tag="text-to-image",
        tags=["text-to-image", "diffusers", "lora"],
    )
    use = (
        "## How to use it\n\n```python\nfrom diffusers import DiffusionPipeline\n\n"
        f'pipeline = DiffusionPipeline.from_pretrained("{repository}")\n```'
    )
    told = {"about": plain(about), "use": use, "licence": licence_section(licence)}
    return Card(_said(data), title, {name: text for name, text in told.items() if text})


def _metadata(
    found: Publication, formats: Sequence[PublishedFormat], images: Sequence[Image]
) -> dict[str, Any]:
    from huggingface_hub import ModelCardData

    task = _TASKS[found.makes]
    bases = [base.repository for base in found.bases]
    diffusers = any(one.format == "diffusers" for one in formats)
    tags = (task, "lora", "diffusers" if diffusers else "", found.architecture, "template:sd-lora")
    shown = [{"text": one.prompt or " ", "output": {"url": one.name}} for one in images]
    data = ModelCardData(
        base_model=bases[0] if len(bases) == 1 else bases or None,
        base_model_relation="adapter" if bases else None,
        library_name="diffusers" if diffusers else None,
        **_licence_said(found.licence, bases),
        pipeline_tag=task,
        tags=[*dict.fromkeys(filter(None, tags))],
        instance_prompt=", ".join(found.triggers) or None,
        widget=shown or None,
    )
    return _said(data)


def _said(data: ModelCardData) -> dict[str, Any]:
    return dict(data.to_dict())  # type: ignore[no-untyped-call]


def _licence_said(terms: Licence, bases: Sequence[str]) -> dict[str, Any]:
    """The licence as the Hub asks for it; one that is unknown is to be looked for on the base's page."""
    if terms.id != OTHER:
        return {"license": terms.id}
    page = f"{HUB}/{bases[0]}" if bases else f"{HUB}/docs/hub/repositories-licenses"
    return {
        "license": OTHER,
        "license_name": terms.name or "unknown",
        "license_link": terms.link or page,
    }


def _marked(name: str, text: str) -> str:
    return f"{_MARK.format(name)}\n{text}\n{_END}"


def _page(metadata: Mapping[str, Any], body: str) -> str:
    from huggingface_hub import ModelCardData

    header = ModelCardData(**metadata).to_yaml()
    return f"---\n{header}\n---\n\n{body}\n"


def _parted(page: str) -> tuple[dict[str, Any], str]:
    """A page's metadata, as far as they can be read, and its text."""
    from huggingface_hub import ModelCard

    try:
        card = ModelCard(page, ignore_metadata_errors=True)
    except Exception:  # noqa: BLE001 - whatever YAML's parser says, the text is kept
        return {}, page.partition("\n---\n")[2]
    return dict(card.data.to_dict()), card.text  # type: ignore[no-untyped-call]
