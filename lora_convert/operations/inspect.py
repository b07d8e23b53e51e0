"""What a file or folder is, from its header and scalars alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from math import isnan
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.conversion.gather import Gathered, adapters
from lora_convert.errors import EXIT_DONE, EXIT_UNRECOGNISED, LoraConvertError
from lora_convert.operations.opening import Opened, open_adapter
from lora_convert.operations.scaling import scale_sources

if TYPE_CHECKING:
    from lora_convert.adapter import ScaleSource
    from lora_convert.conversion.census import Candidate
    from lora_convert.conversion.detect import Detection
    from lora_convert.operations.health import Health
    from lora_convert.storage.checkpoint import Integrity

_CERTAINTY: tuple[ScaleSource, ...] = ("assumed", "config", "payload", "header", "tensor", "option")
"""The least certain source of a file's modules is what the file is said to have."""


class Inspection(NamedTuple):
    """What a checkpoint holds."""

    path: str
    """As given."""
    weights: str
    """The file, index or folder that was read."""
    container: str
    format: str | None
    architecture: str | None
    algorithms: tuple[str, ...]
    components: tuple[str, ...]
    adapters: tuple[str, ...]
    modules: int
    ranks: Mapping[str, int]
    """Rank to number of modules."""
    scales: Mapping[str, int]
    """Scale to number of modules."""
    scales_not_read: int
    """Modules on the Hub whose alphas lie so far apart that reading them would fetch the file."""
    scale_source: ScaleSource | None
    scale_paths: tuple[str, ...]
    """Documents that scales came from; of one in the file itself, its place stands behind."""
    scale_problem: str
    """Why scales could not be resolved, where they could not."""
    dtypes: tuple[str, ...]
    bytes: int
    total: int
    """Keys."""
    explained: int
    base: int
    """Frozen base tensors among the explained keys."""
    unexplained: tuple[str, ...]
    others: Mapping[str, int]
    """Explained keys that are in another format's names, by format: two spellings in one file."""
    candidates: tuple[Candidate, ...]
    known_as: str
    metadata: Mapping[str, str]
    payload: Mapping[str, Any]
    """What a training script saved beside the weights in their own file, by its place."""
    integrity: Integrity
    passed_over: tuple[str, ...]
    names: tuple[str, ...]
    health: Health | None

    @property
    def exit_code(self) -> int:
        """0 where a format was named and every key is explained, else 4."""
        return EXIT_DONE if self.format and not self.unexplained else EXIT_UNRECOGNISED

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        fields: dict[str, Any] = {
            "path": self.path,
            "weights": self.weights,
            "container": self.container,
            "format": self.format,
            "architecture": self.architecture,
            "algorithms": list(self.algorithms),
            "components": list(self.components),
            "adapters": [name for name in self.adapters if name],
            "modules": self.modules,
            "ranks": dict(self.ranks),
            "scales": dict(self.scales),
            "scales_not_read": self.scales_not_read,
            "scale_source": self.scale_source,
            "scale_paths": list(self.scale_paths),
            "dtypes": list(self.dtypes),
            "bytes": self.bytes,
            "total": self.total,
            "explained": self.explained,
            "base": self.base,
            "unexplained": list(self.unexplained),
            "others": dict(self.others),
            "candidates": [candidate._asdict() for candidate in self.candidates],
            "known_as": self.known_as or None,
            "metadata": dict(self.metadata),
            "payload": dict(self.payload),
            "integrity": self.integrity._asdict(),
            "passed_over": list(self.passed_over),
        }
        if self.scale_problem:
            fields["scale_problem"] = self.scale_problem
        if self.health is not None:
            fields["health"] = self.health.as_json()
        return fields


def inspect(
    path: str | os.PathLike[str],
    *,
    architecture: str | None = None,
    component: str | None = None,
    health: bool = False,
) -> Inspection:
    """What `path`, a file or folder, holds. Reads the header and scalars; with `health` the weights too.

    Of an address on the Hub, ``hf://user/repo``, ranges are fetched, and all of it with `health` alone.
    """
    path = os.fspath(path)
    opened = open_adapter(
        path, architecture=architecture, component=component, from_afar=not health
    )
    with opened.checkpoint:
        found = _inspection(path, opened, health=health)
        opened.checkpoint.check_unchanged()
        return found


def _inspection(path: str, opened: Opened, *, health: bool) -> Inspection:
    checkpoint, detection, _ = opened
    header = checkpoint.header
    gathered, problem = _gathered(opened)
    scales = _Scales({}, 0, None, (), problem) if problem else _scales(opened, gathered)
    examined = None
    if health:
        from lora_convert.operations.health import examine

        examined = examine(checkpoint, detection)
    foreign = sorted({r.foreign for r in detection.foreign.values() if r.foreign})
    placed = [*detection.readings.values(), *detection.foreign.values()]
    return Inspection(
        path=path,
        weights=checkpoint.path,
        container=checkpoint.container,
        format=detection.format,
        architecture=_architecture(detection),
        algorithms=(*sorted({entry.algorithm for entry in gathered}), *foreign),
        components=tuple(dict.fromkeys(r.component for r in placed if r.component)),
        adapters=adapters(detection),
        modules=len({(entry.component, entry.module) for entry in gathered}),
        ranks={
            str(rank): n for rank, n in sorted(Counter(e.rank for e in gathered if e.rank).items())
        },
        scales=scales.counts,
        scales_not_read=scales.unread,
        scale_source=scales.source,
        scale_paths=scales.paths,
        scale_problem=scales.problem,
        dtypes=_dtypes(opened, gathered),
        bytes=checkpoint.size,
        total=len(header.tensors),
        explained=detection.explained + len(detection.others) + len(detection.embeddings),
        base=detection.base,
        unexplained=tuple(key for key in detection.unexplained if key not in detection.others),
        others=Counter(detection.others.values()),
        candidates=detection.candidates,
        known_as=detection.known_as,
        metadata=header.metadata,
        payload=header.rest,
        integrity=checkpoint.integrity,
        passed_over=opened.passed_over,
        names=tuple(header.tensors),
        health=examined,
    )


def _architecture(detection: Detection) -> str | None:
    return None if detection.ambiguous else detection.architecture


def _gathered(opened: Opened) -> tuple[tuple[Gathered, ...], str]:
    if opened.detection.format is None:
        return (), ""
    try:
        return opened.gathered(), ""
    except LoraConvertError as error:  # a broken alpha or a double is health, not a refusal
        return opened.gathered(lenient=True), error.what


class _Scales(NamedTuple):
    counts: dict[str, int]
    unread: int
    source: ScaleSource | None
    paths: tuple[str, ...]
    problem: str


def _scales(opened: Opened, gathered: tuple[Gathered, ...]) -> _Scales:
    with_rank = [entry for entry in gathered if entry.rank]
    if not with_rank:
        return _Scales({}, 0, None, (), "")
    try:
        sources = scale_sources(opened, with_rank, None)
    except LoraConvertError as error:
        return _Scales({}, 0, None, (), error.what)
    resolved = [sources.resolve(entry.as_module) for entry in with_rank]
    used = {source for _, source in resolved}
    counted = Counter(f"{scale.value:g}" for scale, _ in resolved if not isnan(scale.value))
    unread = len(resolved) - counted.total()
    source = next(source for source in _CERTAINTY if source in used)
    configs = [*(sources.configs.values() if "config" in used else ())]
    configs += sources.payload.values() if "payload" in used else ()
    paths = tuple(config.path for config in configs)
    return _Scales(dict(counted.most_common()), unread, source, paths, "")


def _dtypes(opened: Opened, gathered: tuple[Gathered, ...]) -> tuple[str, ...]:
    """Of the adapter's factors; of everything where there is none."""
    factors = {tensor.dtype for entry in gathered for tensor in entry.tensors.values()}
    return tuple(
        sorted(factors or {tensor.dtype for tensor in opened.checkpoint.header.tensors.values()})
    )
