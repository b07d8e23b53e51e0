"""What people are told about an adapter that is given to them: gathered once, for cards and bundles."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.algorithms import ALGORITHMS
from lora_convert.operations.health import examine
from lora_convert.operations.known_models import (
    FILES,
    OTHER,
    UNKNOWN,
    Licence,
    known_model,
    licence_of,
    other_models,
)
from lora_convert.operations.metadata_keys import telling
from lora_convert.operations.opening import open_adapter
from lora_convert.operations.previews import Preview, previews
from lora_convert.operations.provenance import display_name
from lora_convert.operations.publication_sources import PublicationSource, publication_source
from lora_convert.operations.reading import read_adapter_of
from lora_convert.operations.training_facts import training_table, trigger_words
from lora_convert.storage.documents import read_document

if TYPE_CHECKING:
    from lora_convert.adapter import Adapter
    from lora_convert.operations.health import Health
    from lora_convert.operations.opening import Opened

_REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
"""A name on the Hub."""
_SLUG = re.compile(r"[^a-z0-9.]+")
_FREE = frozenset(
    {"apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "openrail", "openrail++", "creativeml-openrail-m"}
)
"""Licences under which anybody may earn money."""
_SHOWN = 3


class BaseModel(NamedTuple):
    """A model that an adapter is for."""

    repository: str
    told_by: str
    """``--base-model``, ``run.json``, ``adapter_config.json``, a key of the metadata, or the architecture."""
    licence: Licence

    @property
    def inferred(self) -> bool:
        """Whether nothing said so, and it is the usual one of the architecture."""
        return self.told_by == ARCHITECTURE


ARCHITECTURE = "the architecture"


class Publication(NamedTuple):
    """An adapter, and what there is to tell people of it."""

    name: str
    """For files and addresses: lower case, with dashes."""
    title: str
    source: PublicationSource
    format: str
    architecture: str | None
    algorithms: tuple[str, ...]
    ranks: Mapping[int, int]
    """Rank to number of modules, the most frequent first."""
    alphas: Mapping[float, int]
    modules: int
    components: tuple[str, ...]
    metadata: Mapping[str, str]
    """The file's own."""
    bases: tuple[BaseModel, ...]
    """The first is what a page shows; none where nothing is known."""
    licence: Licence
    triggers: tuple[str, ...]
    triggers_from: str
    training: Mapping[str, str]
    previews: tuple[Preview, ...]
    broken: tuple[str, ...]
    """Why it must not be given to anybody."""
    objections: tuple[str, ...]
    """What the licence of its base says against it."""
    warnings: tuple[str, ...]

    @property
    def makes(self) -> str:
        """``image``, ``video`` or ``audio``."""
        return known_model(self.architecture).makes


def publication(
    given: str,
    *,
    title: str | None = None,
    base_models: Sequence[str] = (),
    licence: str | None = None,
    instance_prompt: str | None = None,
    images: str | None = None,
    architecture: str | None = None,
) -> Publication:
    """Everything there is to tell of the adapter that `given` means; see `publication_source`.

    Every weight is read, for what is wrong with it. Options win over what the run and the file say.
    Errors are those of reading an adapter for a conversion.
    """
    source = publication_source(given)
    with ExitStack() as closing:
        opened = open_adapter(source.path, architecture=architecture)
        closing.callback(opened.checkpoint.close)
        with opened.naming():
            adapter = read_adapter_of(opened).adapter
        health = examine(opened.checkpoint, opened.detection)
        found = opened.detection
        metadata = opened.checkpoint.header.metadata
        model = None if found.ambiguous else found.architecture
        bases = _bases(source, adapter, metadata, model, base_models)
        terms = Licence(licence) if licence else bases[0].licence if bases else UNKNOWN
        words, told_by = (
            ((instance_prompt,), "--instance-prompt")
            if instance_prompt
            else trigger_words(source, metadata)
        )
        said = title or _title(source, metadata)
        ranked = [(ALGORITHMS[d.algorithm].rank(d.tensors), d.scale) for d in adapter.deltas]
        return Publication(
            name=_SLUG.sub("-", said.lower()).strip("-.") or "lora",
            title=said,
            source=source,
            format=found.format or "",
            architecture=model,
            algorithms=tuple(sorted({delta.algorithm for delta in adapter.deltas})),
            ranks=dict(Counter(rank for rank, _ in ranked if rank).most_common()),
            alphas=dict(Counter(s.alpha_at(rank) for rank, s in ranked if rank).most_common()),
            modules=len(adapter.deltas),
            components=adapter.components,
            metadata=dict(sorted(metadata.items())),
            bases=bases,
            licence=terms,
            triggers=words,
            triggers_from=told_by,
            training=training_table(source, metadata),
            previews=previews(source, images),
            broken=_broken(health),
            objections=_objections(terms, bases),
            warnings=_warnings(opened, adapter, health, bases, terms),
        )
    raise AssertionError  # the stack swallows nothing


def _title(source: PublicationSource, metadata: Mapping[str, str]) -> str:
    """A name for people: what the metadata call it, or else the run or file."""
    said = metadata.get("modelspec.title", "").strip()
    if said and "@" not in said:  # kohya's LoRA@ and a time
        return said
    name = metadata.get("ss_output_name", "").strip()
    if name and source.run is None:
        return display_name(name, None)
    step = source.checkpoint.step if source.checkpoint else None
    return display_name(source.run.path if source.run else source.path, step)


def _bases(
    source: PublicationSource,
    adapter: Adapter,
    metadata: Mapping[str, str],
    architecture: str | None,
    given: Sequence[str],
) -> tuple[BaseModel, ...]:
    if given:
        return tuple(BaseModel(name, "--base-model", licence_of(name)) for name in given)
    run = source.run
    told = (
        ("run.json", run.base_model if run and run.manifest else None),
        ("adapter_config.json", run.base_model if run else None),
        ("adapter_config.json", adapter.base_model),
        ("ss_sd_model_name", _of_file(metadata.get("ss_sd_model_name", ""))),
        ("modelspec.architecture", _of_file(metadata.get("modelspec.architecture", ""))),
    )
    for told_by, name in told:
        repository = _repository(name or "")
        if repository:
            return (BaseModel(repository, told_by, licence_of(repository)),)
    usual = known_model(architecture).repository
    return (BaseModel(usual, ARCHITECTURE, licence_of(usual)),) if usual else ()


def _repository(name: str) -> str:
    """The repository that a name is, or that a pipeline's folder says it was; empty where it is neither."""
    if os.path.isdir(name):
        try:
            index = read_document(os.path.join(name, "model_index.json"))
        except Exception:  # noqa: BLE001 - no folder of a pipeline: it tells nothing
            return ""
        said = index.get("_name_or_path") if isinstance(index, dict) else None
        name = said if isinstance(said, str) and not os.path.exists(said) else ""
    return name if is_repository(name) else ""


def is_repository(name: str) -> bool:
    """Whether a name can be one of the Hub's."""
    return bool(_REPOSITORY.fullmatch(name)) and not name.startswith(".")


def _of_file(name: str) -> str:
    """The repository of an authors' single file, or of ModelSpec's name for the model."""
    base = re.split(r"[\\/]", name)[-1].lower()
    if name.lower().partition("/")[0] in {"flux-1-schnell", "flux.1-schnell"}:
        return "black-forest-labs/FLUX.1-schnell"
    return next((known for start, known in FILES.items() if base.startswith(start)), "")


def _broken(health: Health) -> tuple[str, ...]:
    found = []
    if health.non_finite:
        found.append(f"values that are not finite in {_listed(health.non_finite)}")
    if health.incomplete:
        found.append(f"modules that lack a tensor: {_listed(health.incomplete)}")
    return tuple(found)


def _objections(terms: Licence, bases: tuple[BaseModel, ...]) -> tuple[str, ...]:
    """Where the terms that an adapter is given under are wider than those of a base."""
    return tuple(
        f"{base.repository} ({base.licence.name or base.licence.id}) forbids commercial use,"
        f" which {terms.id} allows"
        for base in bases
        if "commercial use" in base.licence.forbids and terms.id in _FREE
    )


def _warnings(
    opened: Opened,
    adapter: Adapter,
    health: Health,
    bases: tuple[BaseModel, ...],
    terms: Licence,
) -> tuple[str, ...]:
    found = []
    if health.zero_up:
        idle = len(health.zero_up)
        what = "every module is" if idle == len(adapter.deltas) else f"{idle} modules are"
        found.append(f"{what} all zeros: it does nothing there")
    assumed = sum(delta.scale_source == "assumed" for delta in adapter.deltas)
    if assumed:
        found.append(f"nothing says the alpha of {assumed} modules; alpha = rank is assumed")
    if bases and bases[0].inferred:
        found.append(
            f"nothing names the base; {bases[0].repository} is the usual one (--base-model says another)"
        )
    if bases and other_models(bases[0].repository, opened.detection.architecture):
        found.append(
            f"{bases[0].told_by} names {bases[0].repository}, which is not that of"
            f" {opened.detection.architecture}, as its tensors are"
        )
    if not bases:
        found.append("nothing names the base (--base-model)")
    if not terms.known or (terms.id == OTHER and not terms.name):
        found.append("the licence of the base is not known here: it is published as 'other'")
    metadata = opened.checkpoint.header.metadata
    private = sorted(key for key, value in metadata.items() if telling(key, value))
    if private:
        found.append(
            f"its metadata tell of the machine or data: {_listed(private)} (lora-convert metadata strip)"
        )
    return tuple(found)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
