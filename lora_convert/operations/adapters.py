"""Adapters as arrays, for programs: read one, change it, write it in any format."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.adapter import Adapter, Delta, Scale
from lora_convert.algorithms import ALGORITHMS, Factors
from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.gather import chosen_adapter
from lora_convert.conversion.read import read
from lora_convert.conversion.translate import translate
from lora_convert.errors import NotExpressibleError, OptionError
from lora_convert.operations.destination import destination
from lora_convert.operations.opening import open_adapter
from lora_convert.operations.recognising import check_recognised
from lora_convert.operations.scaling import scale_sources
from lora_convert.operations.writing import Origin, check_options, plan_adapter
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.folders import NO_FILES
from lora_convert.storage.probe import ByteFacts
from lora_convert.tensors.evaluate import evaluate, held

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.algorithms._contract import Algebra
    from lora_convert.operations.applying import Result
    from lora_convert.planning import LossPolicy
    from lora_convert.tensors.evaluate import Array
    from lora_convert.tensors.ranges import Range


class ModuleArrays(NamedTuple):
    """What an adapter adds to one module, as arrays."""

    component: str
    module: str
    """Dotted path, in Diffusers' names."""
    algorithm: str
    tensors: Mapping[str, Array]
    """By role, as `lora_convert.algorithms` lists them: of LoRA down (r, I, …) and up (O, r, …)."""
    scale: float
    settings: Mapping[str, float] = {}
    """Numbers that belong to the tensors: OFT's constraint, say."""

    def weight_change(self) -> Array:
        """ΔW in float64: of LoRA scale · up · down, in the shape of the module's weight.

        For DoRA this is the change before the rescaling, which needs the base weight. Of convolutions some
        algorithms give inputs and kernel as one number. NotExpressibleError for those that multiply the
        base weight: `merged_weight` takes it.
        """
        change = self._algebra.change(self._factors())
        if change is None:
            raise NotExpressibleError(
                f"{self.module}: {self.algorithm} has no change of its own",
                why="it multiplies the base weight",
                hint="merged_weight(base) gives the weight that comes of it",
            )
        return evaluate(change, _in_memory)

    def merged_weight(self, base: Array) -> Array:
        """What a base weight becomes, in float64."""
        weight = base.astype("float64")
        # a bias that is changed too needs one to be added to
        wide = {"weight": held(weight), "bias": held(weight.reshape(len(weight), -1)[:, 0])}
        merged = self._algebra.merged(self.module, wide, self._factors(), 1.0)
        return evaluate(merged.get("weight", wide["weight"]), _in_memory)

    @property
    def _algebra(self) -> Algebra:
        return ALGORITHMS[self.algorithm].algebra

    def _factors(self) -> Factors:
        """As expressions, in float64 where they are factors."""
        wide = {
            role: held(array if array.dtype.kind in "iu" else array.astype("float64"))
            for role, array in self.tensors.items()
        }
        given = Factors(wide, Scale(self.scale, 1.0), self.settings)
        return self._algebra.canonical(self.module, given)


def _in_memory(extent: Range) -> bytes:
    raise AssertionError(f"{extent} is in no file")


class AdapterArrays(NamedTuple):
    """An adapter, as arrays."""

    modules: tuple[ModuleArrays, ...]
    architecture: str | None
    metadata: Mapping[str, str]


def read_adapter(
    path: str | os.PathLike[str],
    *,
    adapter: str | None = None,
    component: str | None = None,
    architecture: str | None = None,
    scale_from: str | None = None,
) -> AdapterArrays:
    """Read a file or folder of any format, scales resolved, modules in Diffusers' names."""
    opened = open_adapter(os.fspath(path), architecture=architecture, component=component)
    with opened.checkpoint as checkpoint:
        check_recognised(opened)
        header, detection = checkpoint.header, opened.detection
        gathered = opened.gathered(chosen_adapter(detection, adapter, checkpoint.path))
        found = read(header, detection, gathered, scale_sources(opened, gathered, scale_from))
        name = detection.architecture
        named = translate(
            found, ARCHITECTURES[name] if name else None, "diffusers", ByteFacts(checkpoint.read)
        )
        modules = tuple(
            ModuleArrays(
                delta.component,
                delta.module,
                delta.algorithm,
                {role: evaluate(tensor, checkpoint.read) for role, tensor in delta.tensors.items()},
                delta.scale.value,
                delta.settings,
            )
            for delta in named.deltas
        )
        checkpoint.check_unchanged()
    return AdapterArrays(modules, name, found.metadata)


def write_adapter(
    adapter: AdapterArrays,
    path: str | os.PathLike[str],
    *,
    to: str = "diffusers",
    force: bool = False,
    dtype: str | None = None,
    losses: LossPolicy = "warn",
    verify: bool = True,
) -> Result:
    """Write arrays in format `to`; `path` is a file that ends in .safetensors, or a folder."""
    format_ = check_options(to, dtype, losses)
    path = os.fspath(path)
    if adapter.architecture is not None and adapter.architecture not in ARCHITECTURES:
        raise OptionError("architecture", adapter.architecture, choices=tuple(ARCHITECTURES))
    deltas = tuple(_delta(module) for module in adapter.modules)
    place = destination(format_, path, os.path.dirname(path), "adapter")
    with plan_adapter(
        Origin(Checkpoint(NO_FILES), None, adapter.architecture),
        Adapter(deltas, 0, adapter.metadata),
        format_,
        place,
        dtype=dtype,
        losses=losses,
    ) as plan:
        return plan.apply(force=force, verify=verify)


def _delta(module: ModuleArrays) -> Delta:
    algorithm = ALGORITHMS[module.algorithm]
    tensors = {role: held(array) for role, array in module.tensors.items()}
    rank = algorithm.rank(tensors)
    scale = Scale(module.scale * rank, rank) if rank else Scale(module.scale, 1.0)
    given = Factors(tensors, scale, module.settings)
    factors = algorithm.algebra.canonical(module.module, given)
    return Delta(
        module.component,
        module.module,
        "diffusers",
        module.algorithm,
        factors.tensors,
        factors.scale,
        "option",
        factors.settings,
    )
