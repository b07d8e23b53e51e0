"""What a page says of an adapter, section by section: for repositories on the Hub and for bundles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lora_convert.algorithms import ALGORITHMS
from lora_convert.operations.usage_texts import usages

if TYPE_CHECKING:
    from lora_convert.operations.known_models import Licence
    from lora_convert.operations.publication import Publication
    from lora_convert.operations.publishing import PublishedFormat

HUB = "https://huggingface.co"
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|])")
_RANKS = 3


def sections(
    found: Publication, formats: Sequence[PublishedFormat], place: str = "."
) -> dict[str, str]:
    """Markdown by the name of the section, in order; what there is nothing to say of is left away.

    `place` is what Diffusers loads the files from: a folder, or a repository.
    """
    told = {
        "about": _about(found),
        "trigger-words": _triggers(found),
        "use": _use(found, formats, place),
        "files": _files(formats),
        "licence": licence_section(found.licence),
        "training": _training(found.training),
    }
    return {name: text for name, text in told.items() if text}


def licence_section(terms: Licence) -> str:
    """The terms, and where they are."""
    name = plain(terms.name or terms.id)
    said = f"[{name}]({terms.link})" if terms.link else name
    if not terms.known:
        said = "Not known: ask who made it, and look at the terms of the base model."
        return f"## Licence\n\n{said}"
    forbids = f" It forbids {', '.join(terms.forbids)}." if terms.forbids else ""
    return f"## Licence\n\n{said}, as the base model.{forbids}"


def plain(text: str) -> str:
    """Text that means nothing to Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    return f"`{' '.join(text.replace('`', '').split())}`"


def _about(found: Publication) -> str:
    bases = ", ".join(f"[{one.repository}]({HUB}/{one.repository})" for one in found.bases)
    inferred = " (inferred: nothing in its files says so)"
    told = inferred if found.bases and found.bases[0].inferred else ""
    rows = {
        "base model": f"{bases}{told}" if bases else "not known",
        "architecture": found.architecture or "not known",
        "algorithm": ", ".join(ALGORITHMS[name].short for name in found.algorithms),
        "rank": _numbers(found.ranks) or "–",
        "alpha": _numbers(found.alphas) or "–",
        "trained parts": f"{found.modules} modules of {', '.join(found.components)}",
    }
    return _table(("", ""), rows.items())


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in [*values][:_RANKS])


def _triggers(found: Publication) -> str:
    words = ", ".join(map(_code, found.triggers))
    return f"## Trigger words\n\nUse {words} in the prompt." if words else ""


def _use(found: Publication, formats: Sequence[PublishedFormat], place: str) -> str:
    ways = [f"### {one.title}\n\n{one.text}" for one in usages(found, formats, place)]
    return "\n\n".join(["## How to use it", *ways]) if ways else ""


def _files(formats: Sequence[PublishedFormat]) -> str:
    rows = (
        (
            f"[{file.name}]({file.name})",
            one.format,
            ", ".join(one.titles) if file == one.files[0] else "",
            f"`{file.sha256}`",
            file.auto_v2,
        )
        for one in formats
        for file in one.files
    )
    table = _table(("file", "format", "works in", "SHA-256", "AutoV2"), rows)
    proved = "Each was proved to act as the adapter it was made from, by lora-convert."
    return f"## Files\n\n{table}\n\n{proved}"


def _training(rows: Mapping[str, str]) -> str:
    cells = ((plain(name), plain(value)) for name, value in rows.items())
    return f"## Training\n\n{_table(('', ''), cells)}" if rows else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in rows)])
