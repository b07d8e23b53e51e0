"""Adapters as arrays, for programs: read one, change it, write it in any format."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.adapter import Adapter, Delta, Scale
from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.gather import chosen_adapter
from lora_convert.conversion.read import read
from lora_convert.conversion.translate import translate
from lora_convert.errors import OptionError
from lora_convert.operations.convert import Origin, check_options, plan_adapter
from lora_convert.operations.destination import destination
from lora_convert.operations.opening import open_adapter
from lora_convert.operations.recognising import check_recognised
from lora_convert.operations.scaling import scale_sources
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.folders import NO_FILES
from lora_convert.storage.probe import ByteFacts
from lora_convert.tensors.evaluate import evaluate, held, product

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.operations.applying import Result
    from lora_convert.planning import LossPolicy
    from lora_convert.tensors.evaluate import Array


class ModuleArrays(NamedTuple):
    """What an adapter adds to one module, as arrays."""

    component: str
    module: str
    """Dotted path, in Diffusers' names."""
    algorithm: str
    tensors: Mapping[str, Array]
    """By role: down (r, I, …), up (O, r, …), and where present mid, magnitude, bias."""
    scale: float

    def weight_change(self) -> Array:
        """ΔW = scale · up · down in float64, in the shape of the module's weight.

        For DoRA this is the change before the rescaling, which needs the base weight.
        """
        return product(self.tensors, self.scale)


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
    rank = module.tensors["down"].shape[0]
    return Delta(
        module.component,
        module.module,
        "diffusers",
        module.algorithm,
        {role: held(array) for role, array in module.tensors.items()},
        Scale(module.scale * rank, rank),
        "option",
    )
