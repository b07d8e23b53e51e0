"""PEFT's configurations as data: in ``adapter_config.json``, in Diffusers' header, in a run's manifest.

Nothing in it is executed. Patterns are matched as peft 0.21 does (utils/other.py, get_pattern_key).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import isfinite, sqrt
from typing import Any, NamedTuple

from lora_convert.adapter import Scale
from lora_convert.errors import CorruptCheckpointError, NotExpressibleError
from lora_convert.formats._tuners import TUNERS, settings_in

_DEFAULT_RANK = 8
"""peft's own, where a configuration says nothing."""

_KNOWN_TYPES = frozenset(
    {
        "ADALORA",
        "BONE",
        "C3A",
        "FOURIERFT",
        "HRA",
        "LN_TUNING",
        "MISS",
        "POLY",
        "PROMPT_TUNING",
        "P_TUNING",
        "PREFIX_TUNING",
        "RANDLORA",
        "ROAD",
        "SHIRA",
        "TRAINABLE_TOKENS",
        "VBLORA",
        "VERA",
        "XLORA",
    }
)

_BASE_CHANGING = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Initialisations that change the base model: the adapter is relative to the changed one."""

_UNBOUNDED = re.compile(r"(?<!\\)(?:[*+]|\{\d*,\d*\})")
_QUANTIFIED_GROUP = re.compile(r"\)(?:[*+?]|\{)")
_REPEATS = re.compile(r"(?<!\\)[*+?{(]")
_LONGEST, _LONGEST_REPEATING = 50_000, 500
"""Letters of an expression: of one that lists whole names, and of one that repeats."""
_MOST_UNBOUNDED = 2


class LoraConfig(NamedTuple):
    """The part of a configuration that decides the scale of each module."""

    path: str
    kind: str
    """``peft_type``."""
    rank: int
    alpha: float
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    rank_stabilised: bool
    dora: bool
    targets: tuple[str, ...] | None
    """Names or endings of names of adapted modules; None where given as an expression."""
    base_changed_by: str
    """The initialisation, where it changed the base model."""
    base_model: str
    """Name or path of the base model, where one is given."""
    settings: Mapping[str, float] = {}
    """Numbers that belong to the factors of every module."""
    feedforward: tuple[str, ...] = ()
    """Endings of names of modules whose inputs are changed, not their outputs (IA3)."""
    feedforward_expression: str = ""
    """What their whole names match, where they are given so."""

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Algorithms that its modules can have."""
        if self.kind == "LORA":
            return ("dora",) if self.dora else ("lora",)
        return TUNERS[self.kind].algorithms

    def rank_of(self, module: str) -> int:
        """The rank of a module."""
        return int(_matching(self.ranks, module, self.rank))

    def scale_of(self, module: str, rank: int) -> Scale:
        """The scale of a module whose tensors have `rank`; 0 where they do not tell."""
        alpha = _matching(self.alphas, module, self.alpha)
        divisor = rank or self.rank_of(module)
        return Scale(alpha, sqrt(divisor) if self.rank_stabilised else divisor)

    def settings_of(self, module: str) -> Mapping[str, float]:
        """The numbers that belong to a module's factors."""
        if self.kind != "IA3":
            return self.settings
        among = module.endswith(self.feedforward)
        if self.feedforward_expression:
            among = re.fullmatch(self.feedforward_expression, module) is not None
        return {"on_input": float(among)}

    def targets_module(self, module: str) -> bool:
        """Whether the configuration adapts a module."""
        if self.targets is None:
            return True
        return _is_among(module, self.targets)


def _is_among(module: str, targets: Iterable[str]) -> bool:
    return any(module == target or module.endswith("." + target) for target in targets)


def _matching(patterns: Mapping[str, float], module: str, default: float) -> float:
    for pattern, value in patterns.items():
        if _expression(pattern).match(module):
            return value
    return default


@lru_cache(maxsize=1 << 16)
def _expression(pattern: str) -> re.Pattern[str]:
    """A pattern, compiled once: re itself forgets after 512, and each module asks for all of them."""
    return re.compile(rf"(.*\.)?({pattern})$")


SYNONYMS = {
    "r": ("rank", "lora_rank", "lora_r", "lora_dim", "network_dim", "dim"),
    "lora_alpha": ("alpha", "network_alpha"),
    "target_modules": ("targets", "lora_target_modules"),
}
"""PEFT's words, and what trainers call the same."""


def trainer_config(data: object) -> dict[str, object] | None:
    """A trainer's own configuration in PEFT's words; None where it says nothing of rank or alpha.

    What it says may stand under ``lora``.
    """
    if not isinstance(data, dict):
        return None
    inner = data.get("lora")
    found: dict[str, object] = {**(inner if isinstance(inner, dict) else data)}
    for word, others in SYNONYMS.items():
        named = next((name for name in (word, *others) if found.get(name) is not None), word)
        if named in found:
            found[word] = found[named]
    return found if "r" in found or "lora_alpha" in found else None


def read_config(data: object, path: str) -> LoraConfig:
    """The configuration in a JSON document; CorruptCheckpointError where a field is not what it must be."""
    fields = _Fields(data, path)
    kind = fields.text("peft_type", "LORA")
    if kind in _KNOWN_TYPES:
        raise NotExpressibleError(
            f"{path}: peft_type is {kind}; what is converted is {', '.join(TUNERS)}",
            hint="load it with PEFT; where that can merge it, merge_and_unload() makes a whole model of it",
        )
    if kind not in TUNERS:
        raise fields.wrong("peft_type", kind)
    start = fields.data.get("init_lora_weights", True)
    changed = start if isinstance(start, str) and start.lower().startswith(_BASE_CHANGING) else ""
    targets, feedforward = (
        fields.data.get(name) for name in ("target_modules", "feedforward_modules")
    )
    alpha = TUNERS[kind].alpha or "lora_alpha"
    base = fields.data.get("base_model_name_or_path")
    return LoraConfig(
        path=path,
        kind=kind,
        # of what has no rank, r is a number of blocks and may be 0
        rank=fields.rank("r", fields.data.get("r", _DEFAULT_RANK)) if TUNERS[kind].alpha else 0,
        alpha=fields.number(alpha, fields.data.get(alpha, _DEFAULT_RANK)),
        ranks={
            key: fields.rank("rank_pattern", value)
            for key, value in fields.patterns("rank_pattern")
        },
        alphas={
            key: fields.number("alpha_pattern", value)
            for key, value in fields.patterns("alpha_pattern")
        },
        rank_stabilised=fields.flag("use_rslora"),
        dora=fields.flag("use_dora"),
        targets=tuple(map(str, targets)) if isinstance(targets, list) else None,
        base_changed_by=changed,
        base_model=base if isinstance(base, str) else "",
        settings={
            name: fields.number(name, value)
            for name, value in settings_in(kind, fields.data).items()
        },
        feedforward=tuple(map(str, feedforward)) if isinstance(feedforward, list) else (),
        feedforward_expression=fields.expression("feedforward_modules", feedforward),
    )


class _Fields:
    """The fields of a document, each of the type it must have."""

    def __init__(self, data: object, path: str) -> None:
        self.path = path
        if not isinstance(data, dict):
            raise CorruptCheckpointError(path, "is not a JSON object")
        self.data: dict[str, Any] = data

    def wrong(self, name: str, value: object) -> CorruptCheckpointError:
        shown = repr(value) if len(repr(value)) < 60 else repr(value)[:60] + "…"
        return CorruptCheckpointError(
            self.path, f"{name} is {shown}", why="not a value that PEFT could use"
        )

    def text(self, name: str, default: str) -> str:
        value = self.data.get(name, default)
        if not isinstance(value, str):
            raise self.wrong(name, value)
        return value

    def flag(self, name: str) -> bool:
        value = self.data.get(name, False)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise self.wrong(name, value)

    def rank(self, name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 31:
            raise self.wrong(name, value)
        return value

    def number(self, name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
            raise self.wrong(name, value)
        return float(value)

    def patterns(self, name: str) -> Iterable[tuple[str, object]]:
        value = self.data.get(name) or {}
        if not isinstance(value, dict):
            raise self.wrong(name, value)
        for pattern in value:
            self._check_pattern(name, pattern)
        return value.items()

    def expression(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            return ""
        self._check_pattern(name, value)
        return value

    def _check_pattern(self, name: str, pattern: str) -> None:
        """Refuse expressions that could match for ever: they come from strangers."""
        if (
            len(pattern) > _LONGEST
            or (len(pattern) > _LONGEST_REPEATING and _REPEATS.search(pattern))
            or _QUANTIFIED_GROUP.search(pattern)
            or len(_UNBOUNDED.findall(pattern)) > _MOST_UNBOUNDED
        ):
            raise CorruptCheckpointError(
                self.path,
                f"{name} holds the expression {pattern[:60]!r}",
                why="expressions that nest repetitions are not evaluated",
            )
        try:
            re.compile(pattern)
        except re.error as error:
            raise self.wrong(name, pattern) from error


def _is_finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:
        return False
