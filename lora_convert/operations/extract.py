"""The LoRA that a fine-tuned model is, relative to its base."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.adapter import Adapter, Delta, Scale
from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.translate import translate
from lora_convert.conversion.whole import Placed, placed
from lora_convert.errors import (
    BaseMismatchError,
    OptionError,
    ShapeError,
    UnknownArchitectureError,
)
from lora_convert.formats import COMPONENTS
from lora_convert.operations.approximating import cut, measured_errors, ranks_of
from lora_convert.operations.editing import AS_IT_WAS, destination_beside
from lora_convert.operations.merging import components_at
from lora_convert.operations.writing import Origin, check_options, plan_adapter
from lora_convert.planning import Loss
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.joined import Joined, moved
from lora_convert.storage.probe import ByteFacts
from lora_convert.tensors.arithmetic import Sum
from lora_convert.tensors.build import cast, times
from lora_convert.tensors.dtypes import FLOATS, common, holds_exactly
from lora_convert.tensors.expr import Zeros

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.conversion.whole import Place
    from lora_convert.formats import Format
    from lora_convert.operations.editing import Writing
    from lora_convert.operations.writing import ConversionPlan
    from lora_convert.storage.folders import WeightFiles
    from lora_convert.tensors.expr import Expr

_FORMAT = "kohya"
"""The format that most tools read."""
_SHOWN = 3
_WHOLE = Scale(1.0, 1.0)
"""Of what is added as it is."""


class Extraction(NamedTuple):
    """How a difference is made a LoRA."""

    rank: int
    """Of every module that has so many rows and columns."""
    fast: bool = False
    """Whether decompositions sample the difference."""
    seed: int = 0
    """Of the samples."""
    architecture: str | None = None
    component: str | None = None

    def check(self) -> None:
        """Raise OptionError for values that cannot be."""
        if self.rank < 1:
            raise OptionError("rank", self.rank, hint="for example --rank 32")
        if self.seed < 0:
            raise OptionError("seed", self.seed, hint="for example --seed 0")
        if self.architecture is not None and self.architecture not in ARCHITECTURES:
            raise OptionError("architecture", self.architecture, choices=tuple(ARCHITECTURES))
        if self.component is not None and self.component not in COMPONENTS:
            raise OptionError("component", self.component, choices=COMPONENTS)


class _Pair(NamedTuple):
    """The weights of one component, or of a checkpoint in one file, of both."""

    component: str | None
    tuned: Mapping[str, Expr]
    base: Mapping[str, Expr]
    found: Placed


class _Difference(NamedTuple):
    """What of a pair differs."""

    deltas: list[Delta]
    others: list[str]
    """Tensors that nothing in the format can change."""
    alike: int
    """Modules whose weights are the base's."""


def plan_extract(
    tuned: str | os.PathLike[str],
    base: str | os.PathLike[str],
    how: Extraction,
    *,
    writing: Writing = AS_IT_WAS,
) -> ConversionPlan:
    """Work out the LoRA of a rank that is nearest to `tuned` minus `base`, module by module.

    Biases and norms are in it as they differ, where the format holds them. Embeddings and what else no
    module is named after are losses.

    Both are checkpoints in one file in their authors' names, weights of a component, or pipelines. Which
    weights differ is read here; what is nearest is computed when the plan is applied, a module at a time.
    Raises UnknownArchitectureError where no architecture has the names, BaseMismatchError where the base
    lacks some, ShapeError where they have another shape.
    """
    how.check()
    format_ = check_options(writing.to or _FORMAT, writing.dtype, writing.losses)
    paths = os.fspath(tuned), os.fspath(base)
    with ExitStack() as closing:
        checkpoints: list[Checkpoint] = []
        architecture, pairs = _pairs(paths, how, checkpoints, closing)
        joined = Joined(*checkpoints)
        facts = ByteFacts(joined.read)
        found = [_difference(pair, paths[1], how, format_, facts) for pair in pairs]
        deltas = tuple(
            delta
            for pair, difference in zip(pairs, found, strict=True)
            for delta in translate(
                Adapter(tuple(difference.deltas), 0, {}),
                pair.found.architecture,
                "diffusers",
                facts,
            ).deltas
        )
        others = [name for difference in found for name in difference.others]
        if not deltas:
            why = f"no weight that a LoRA can change differs from {paths[1]}"
            raise OptionError("finetuned", paths[0], why=why, hint="are both the same model?")
        adapter = Adapter(deltas, 0, {})
        plan = plan_adapter(
            Origin(joined, None, architecture),
            adapter,
            format_,
            destination_beside(paths[0], "lora", format_, writing.output),
            dtype=writing.dtype,
            losses=writing.losses,
            known_losses=_losses(deltas, how.rank, others, format_),
        )
        alike = sum(difference.alike for difference in found)
        plan.fields = {"base": paths[1], "unchanged": alike, "ranks": ranks_of(adapter)}
        plan.measured = partial(measured_errors, adapter, joined.read)
        if alike:
            plan.notes = (f"{alike} modules are the base's, and have no LoRA", *plan.notes)
        closing.pop_all()
        return plan
    raise AssertionError  # the stack swallows nothing


def _losses(
    deltas: Sequence[Delta], rank: int, others: list[str], format_: Format
) -> tuple[Loss, ...]:
    modules = sum("up" in delta.tensors for delta in deltas)
    losses = [Loss("rank lowered", f"{modules} modules to {rank} at most", modules)]
    if others:
        shown = ", ".join(others[:_SHOWN]) + (", …" if len(others) > _SHOWN else "")
        detail = f"{len(others)} tensors that {format_.title} cannot change differ too: {shown}"
        losses.append(Loss("not low-rank", detail, len(others)))
    return tuple(losses)


def _pairs(
    paths: tuple[str, str], how: Extraction, checkpoints: list[Checkpoint], closing: ExitStack
) -> tuple[str, list[_Pair]]:
    """The architecture, and the weights of both by component, opened."""
    tuned, base = (components_at(path) for path in paths)
    lacking = [name for name in tuned if name not in base]
    if len(tuned) > 1 and lacking:
        raise BaseMismatchError(paths[1], lacking)
    if len(tuned) != len(base):
        both = "one file and one file, or a pipeline and a pipeline"
        raise OptionError("base", paths[1], why=f"what is compared is {both}")
    name = how.architecture
    pairs = []
    for component, files in sorted(tuned.items(), key=lambda item: item[0] not in _MAIN):
        other = base.get(component) or next(iter(base.values()))
        one = _opened(files, checkpoints, closing)
        found = placed(one.header, architecture=name, component=component or how.component)
        if found is None:
            continue  # an autoencoder, say
        name = found.architecture.name
        first = sum(len(c.files) for c in checkpoints[:-1])
        weights = [{key: moved(t, first) for key, t in one.header.tensors.items()}]
        second = _opened(other, checkpoints, closing)
        first += len(one.files)
        weights.append({key: moved(t, first) for key, t in second.header.tensors.items()})
        pairs.append(_Pair(component or None, weights[0], weights[1], found))
    if name is None or not pairs:
        raise UnknownArchitectureError(
            f"{paths[0]}: no known architecture has these names",
            why="a model in its authors' names, a pipeline or one of its components is wanted",
        )
    return name, pairs


_MAIN = ("unet", "transformer")
"""Components that say which architecture it is."""


def _opened(files: WeightFiles, checkpoints: list[Checkpoint], closing: ExitStack) -> Checkpoint:
    checkpoint = closing.enter_context(Checkpoint(files))
    checkpoints.append(checkpoint)
    return checkpoint


def _difference(
    pair: _Pair, base: str, how: Extraction, format_: Format, facts: ByteFacts
) -> _Difference:
    places = pair.found.places
    missing = [name for name in places if name not in pair.base]
    if missing:
        raise BaseMismatchError(base, missing)
    deltas: dict[str, Delta] = {}
    beside: dict[str, str] = {}
    others = []
    alike = 0
    for name, tuned in pair.tuned.items():
        other = pair.base.get(name)
        if other is None or tuned.dtype not in FLOATS or other.dtype not in FLOATS:
            continue
        place, weight = places.get(name), f"{name.removesuffix('.bias')}.weight"
        if tuned.shape != other.shape:
            raise ShapeError(name, f"is {list(tuned.shape)}, and {list(other.shape)} in {base}")
        if _same(tuned, other, facts):
            alike += place is not None
        elif place is not None and len(tuned.shape) > 1:
            deltas[name] = _delta(place, "lora", *_factors(tuned, other, how))
        elif place is not None and format_.holds("norm", "w_norm"):
            change = cast(_change(tuned, other), tuned.dtype)
            deltas[name] = _delta(place, "norm", {"w_norm": change}, _WHOLE)
        elif name.endswith(".bias") and weight in places:
            beside[weight] = name
        else:
            others.append(name)
    others += _add_beside(pair, deltas, beside, format_)
    return _Difference([*deltas.values()], others, alike)


def _add_beside(
    pair: _Pair, deltas: dict[str, Delta], biases: Mapping[str, str], format_: Format
) -> list[str]:
    """Put biases, by the names of their weights, into deltas; the names of those that have no place."""
    left = []
    for weight, name in biases.items():
        place, dtype = pair.found.places[weight], pair.tuned[weight].dtype
        change = cast(_change(pair.tuned[name], pair.base[name]), dtype)
        alone, role = _delta(place, "full", {}, _WHOLE), "diff_b"
        if len(pair.tuned[weight].shape) == 1:
            nothing: Expr = Zeros(dtype, change.shape)
            alone, role = _delta(place, "norm", {"w_norm": nothing}, _WHOLE), "b_norm"
        found = deltas.get(weight, alone)
        roles = (role, "bias") if found.algorithm == "lora" else (role,)
        if any(format_.holds(found.algorithm, held) for held in roles):
            deltas[weight] = found._replace(tensors={**found.tensors, role: change})
        else:
            left.append(name)
    return left


def _delta(place: Place, algorithm: str, tensors: dict[str, Expr], scale: Scale) -> Delta:
    return Delta(
        place.component, place.module, place.namespace, algorithm, tensors, scale, "option"
    )


def _change(tuned: Expr, base: Expr) -> Expr:
    return Sum(tuned, times(base, -1.0))


def _same(one: Expr, other: Expr, facts: ByteFacts) -> bool:
    """Whether two weights are equal as far as the narrower dtype can tell."""
    if one.dtype != other.dtype:
        narrow, wide = (one, other) if holds_exactly(one.dtype, other.dtype) else (other, one)
        one, other = narrow, cast(wide, narrow.dtype)
    return facts.same(one, other)


def _factors(tuned: Expr, base: Expr, how: Extraction) -> tuple[dict[str, Expr], Scale]:
    change = _change(tuned, base)
    rank = min(how.rank, tuned.shape[0], prod(tuned.shape[1:]))
    dtype = common((tuned.dtype, base.dtype))
    return cut(change, rank, dtype, how.seed if how.fast else None), Scale(rank, rank)
