"""Where a module's scale comes from. Each is resolved once, at reading, and keeps its source."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.adapter import Scale, ScaleSource
from lora_convert.algorithms import ALGORITHMS
from lora_convert.errors import CorruptCheckpointError
from lora_convert.formats import TUNERS, LoraConfig, read_config, trainer_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lora_convert.header import Document, Header

HEADER_KEY = "lora_adapter_metadata"
"""Where Diffusers keeps its configuration in a file's metadata (loaders/lora_base.py)."""


class Module(NamedTuple):
    """A module that needs a scale."""

    component: str
    name: str
    rank: int
    alpha: float | None
    """The value of its ``.alpha``."""
    factor: float | None
    """The value of its ``.scale``."""
    algorithm: str = "lora"


class ScaleSources(NamedTuple):
    """All that may decide scales, and what was said of it."""

    option: Callable[[Module], Scale] | None
    """What an explicit option says."""
    header: Mapping[str, LoraConfig]
    """By component; under an empty name for all."""
    configs: Mapping[str, LoraConfig]
    """From documents, by the subfolder they belong to."""
    payload: Mapping[str, LoraConfig] = {}
    """From what a training script saved beside the weights in their own file, by component."""
    in_factors: bool = False
    """Whether the factors hold the scale, so that nothing is assumed where nothing else gives it."""

    def resolve(self, module: Module) -> tuple[Scale, ScaleSource]:
        """The scale of a module and its source, by the order of precedence.

        Of algorithms without one it is 1, as the tensors themselves say.
        """
        if ALGORITHMS[module.algorithm].alpha != "scale":
            return Scale(1.0, 1.0), "tensor"
        if self.option is not None:
            return self.option(module), "option"
        if module.factor is not None:
            return Scale(module.factor, 1.0), "tensor"
        if module.alpha is not None:
            return of_alpha(module.alpha, module.rank), "tensor"
        config = self.header.get(module.component) or self.header.get("")
        if config is not None:
            return scale_from(config, module), "header"
        config = self.configs.get(module.component) or self.configs.get("")
        if config is not None:
            return scale_from(config, module), "config"
        config = self.payload.get(module.component) or self.payload.get("")
        if config is not None:
            return scale_from(config, module), "payload"
        if not module.rank:
            return Scale(1.0, 1.0), "tensor"
        return Scale(module.rank, module.rank), "tensor" if self.in_factors else "assumed"

    def settings(self, module: Module) -> Mapping[str, float]:
        """The numbers that configurations give a module's factors."""
        for configs in (self.header, self.configs, self.payload):
            config = configs.get(module.component) or configs.get("")
            if config is not None:
                return config.settings_of(_known_name(config, module.name))
        return {}


def of_alpha(alpha: float, rank: float) -> Scale:
    """The scale of an alpha; it means nothing where there is no rank (LyCORIS modules/lokr.py)."""
    return Scale(alpha, rank) if rank else Scale(1.0, 1.0)


def scale_from(config: LoraConfig, module: Module) -> Scale:
    """The scale that a configuration gives a module."""
    return config.scale_of(_known_name(config, module.name), module.rank)


def _known_name(config: LoraConfig, name: str) -> str:
    """The spelling of a module's name that a configuration uses: CLIP's root may be missing."""
    patterns = {*config.ranks, *config.alphas, *(config.targets or ())}
    if not name.startswith("text_model.") and any("text_model" in pattern for pattern in patterns):
        return f"text_model.{name}"
    return name


def header_configs(
    header: Header, path: str, prefixes: Mapping[str, tuple[str, ...]]
) -> dict[str, LoraConfig]:
    """The configurations in a file's metadata, by component.

    There they are by what stands before a component's names, which `prefixes` says: several may share one.
    """
    text = header.metadata.get(HEADER_KEY)
    if text is None:
        return {}
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptCheckpointError(path, f"its metadata {HEADER_KEY} is not JSON") from error
    if not isinstance(fields, dict):
        raise CorruptCheckpointError(path, f"its metadata {HEADER_KEY} is not a JSON object")
    grouped: dict[str, dict[str, object]] = {}
    for name, value in fields.items():
        component, dot, field = name.partition(".")
        grouped.setdefault(component if dot else "", {})[field if dot else name] = value
    configs = {
        component: read_config(values, f"{path} ({HEADER_KEY})")
        for component, values in grouped.items()
        if "r" in values or "lora_alpha" in values
    }
    for component, texts in prefixes.items():
        said = next((name for text in texts if (name := text.removesuffix(".")) in configs), None)
        if said is not None:
            configs.setdefault(component, configs[said])
    return configs


def document_configs(
    documents: Iterable[Document], modules: Iterable[Module]
) -> dict[str, LoraConfig]:
    """The configurations of documents, by the part they belong to.

    An adapter's own must agree with the ranks of its modules; one that may be about something else
    counts only if its ranks and modules agree.
    """
    listed = tuple(modules)
    configs: dict[str, LoraConfig] = {}
    for document in documents:
        if document.part in configs:
            continue
        if document.beside:
            config = read_config(document.data, document.path)
            _check(config, [m for m in listed if not document.part or m.component == document.part])
        else:
            found = _of_trainer(document)
            if found is None or not _agrees(found, listed):
                continue
            config = found
        configs[document.part] = config
    return configs


def _of_trainer(document: Document) -> LoraConfig | None:
    data = trainer_config(document.data)
    try:
        return read_config(data, document.path) if data else None
    except (CorruptCheckpointError, ValueError):
        return None


def _disagreeing(config: LoraConfig, modules: Iterable[Module]) -> Module | None:
    return next(
        (m for m in modules if m.rank and config.rank_of(_known_name(config, m.name)) != m.rank),
        None,
    )


def _check(config: LoraConfig, modules: list[Module]) -> None:
    of_lora = TUNERS["LORA"].algorithms
    other = next((m for m in modules if m.algorithm not in config.algorithms), None)
    if other is not None and not {config.kind, other.algorithm} <= {"LORA", *of_lora}:
        raise CorruptCheckpointError(
            config.path,
            f"says {config.kind}, but {other.name} is {ALGORITHMS[other.algorithm].title}",
            why="the configuration belongs to other weights, or was edited",
        )
    if other is not None:
        kind, has = ("DoRA", "no magnitude") if config.dora else ("plain LoRA", "a magnitude")
        raise CorruptCheckpointError(
            config.path,
            f"says {kind}, but {other.name} has {has}",
            why="PEFT would leave the magnitude out, or make one up",
        )
    module = _disagreeing(config, modules)
    if module is not None:
        said = config.rank_of(_known_name(config, module.name))
        raise CorruptCheckpointError(
            config.path,
            f"says rank {said} for {module.name}, whose tensors have rank {module.rank}",
            why="the configuration belongs to other weights, or was edited",
            hint="give the right one with --scale-from PATH, or --scale-from alpha=…",
        )


def _agrees(config: LoraConfig, modules: tuple[Module, ...]) -> bool:
    if _disagreeing(config, modules) is not None:
        return False
    return all(config.targets_module(_known_name(config, module.name)) for module in modules)
