"""Adapters merged into models in memory: into their weights, or into a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any

from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.grounding import grounded
from lora_convert.conversion.merge import keys_of_pipeline, merge
from lora_convert.conversion.translate import translate
from lora_convert.errors import DestinationExistsError, NotExpressibleError
from lora_convert.operations.addresses import resolved
from lora_convert.operations.checkpoint_files import PAYLOADS, WHOLE
from lora_convert.operations.live_files import put_file, put_folder, put_state
from lora_convert.operations.live_models import LiveModel, canonical, layers_of
from lora_convert.operations.live_tensors import on_cpu, read_tensor, tensor_file
from lora_convert.operations.reading import Reading, check_finite, notes_on_effect, read_adapter_of
from lora_convert.planning import TensorFile, TextFile
from lora_convert.storage.memory import Memory
from lora_convert.storage.parents import made_folder
from lora_convert.storage.probe import ByteFacts

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from lora_convert.adapter import Delta
    from lora_convert.architectures import Architecture


def merge_into(model: Module, path: str | os.PathLike[str], scale: float = 1.0) -> tuple[str, ...]:
    """Add a file's adapter to a model's weights, `scale` times; returns the names of those that changed.

    The file is of any format that is read. What is added is worked out in fp32 as ``lora-convert merge``
    does, and rounded once to each weight's dtype. All of it is worked out before the model is changed.

    BaseMismatchError where a module of the adapter has no weight in the model, ShapeError where it has one
    of another shape, NotExpressibleError or VerificationError where the adapter or a sum is not finite; the
    model is then as it was.
    """
    live, memory = LiveModel(model), Memory()
    names = {canonical(name).replace(".base_layer.", "."): name for name in live.state}
    tensors = {name: on_cpu(live.state[own], copied=False) for name, own in names.items()}
    weights = tensor_file("weights", tensors, memory).tensors
    with ExitStack() as closing:
        opened = Reading().opened(resolved(os.fspath(path)), closing)
        first = len(memory.files)
        memory.files += opened.checkpoint.files
        with opened.naming():
            found = read_adapter_of(opened, first_file=first)
            notes_on_effect(found.adapter, memory.read)
            known = opened.detection.architecture
            architecture = ARCHITECTURES[known] if known else None
            facts = ByteFacts(memory.read)
            deltas = translate(found.adapter, architecture, "diffusers", facts).deltas
            keys = partial(_keys, architecture)
            where = type(live.module).__name__
            if found.changed_by:
                deltas = grounded(weights, deltas, keys, changed_by=found.changed_by, where=where)
            merged = merge(weights, deltas, keys, strength=scale, where=where)
        changed = {}
        for name in sorted(merged.changed):
            expr = merged.tensors[name]
            changed[names[name]] = read_tensor(
                expr, memory.read, partial(check_finite, name, expr.dtype)
            )
        opened.checkpoint.check_unchanged()
    live.set(changed)
    return tuple(changed)


def _keys(architecture: Architecture | None, delta: Delta) -> Iterator[str]:
    """What a delta's module may be called in the model: readers leave out what all names begin with."""
    for start in keys_of_pipeline(architecture, delta):
        yield from (canonical(start), f"module.{canonical(start)}")


def save_merged(model: Module, path: str | os.PathLike[str]) -> str:
    """Write a model with its active adapters merged, as the base's class loads it; the model stays as it is.

    PEFT merges, one layer at a time and in float64; each weight is rounded once to its own dtype. A path that
    ends in .safetensors is one file, in .pth or .pt a state for ``load_state_dict``; any other a folder, of
    models of Diffusers and Transformers one for ``from_pretrained``.

    DestinationExistsError where something is there, NotExpressibleError for layers that cannot be merged:
    quantised ones, and those of adapters that have no merge.
    """
    target = os.path.abspath(os.fspath(path))
    if os.path.lexists(target):
        raise DestinationExistsError(target, hint="choose another name, or remove it first")
    live, memory = LiveModel(model), Memory()
    tensors = dict(merged_state(live))
    with made_folder(os.path.dirname(target)):
        if target.endswith(PAYLOADS):
            put_state(target, tensors)
        elif target.endswith(".safetensors"):
            put_file(target, tensor_file(os.path.basename(target), tensors, memory), memory)
        else:
            put_folder(target, [*_files(live.module, tensors, memory)], memory)
    return target


def _files(
    module: Any, tensors: dict[str, Tensor], memory: Memory
) -> Iterator[TensorFile | TextFile]:
    """What ``from_pretrained`` of the model's class looks for; of any other class the weights alone."""
    base: Any = module.get_base_model() if hasattr(module, "get_base_model") else module
    config: Any = base if hasattr(base, "save_config") else getattr(base, "config", None)
    diffusers = config is base
    yield tensor_file(
        "diffusion_pytorch_model.safetensors" if diffusers else WHOLE, tensors, memory
    )
    if hasattr(config, "to_json_string"):
        yield TextFile("config.json", config.to_json_string())


def merged_state(live: LiveModel) -> Iterator[tuple[str, Tensor]]:
    """A model's tensors on the CPU under its base's names, active adapters merged; a layer at a time."""
    from peft.utils.other import AuxiliaryTrainingWrapper

    special = {f"{path}.": layer for path, layer in layers_of(live.module)}
    for path, module in live.module.named_modules():
        if isinstance(module, AuxiliaryTrainingWrapper):
            special[f"{path}."] = module
    inside: dict[str, None] = {}
    for name, tensor in live.state.items():
        path = next((start for start in _starts(name) if start in special), "")
        if not path:
            yield canonical(name), on_cpu(tensor, copied=False)
        elif path not in inside:
            inside[path] = None
            for own, merged in _merged(special[path], path):
                yield canonical(path + own), merged


def _starts(name: str) -> Iterator[str]:
    """The modules that a tensor lies in, the outermost first."""
    at = name.find(".")
    while at >= 0:
        yield name[: at + 1]
        at = name.find(".", at + 1)


def _merged(layer: Any, path: str) -> Iterator[tuple[str, Tensor]]:
    """A layer's tensors once its active adapters are merged, in their own dtypes."""
    from peft.utils import ModulesToSaveWrapper

    if isinstance(layer, ModulesToSaveWrapper):
        active = [name for name in layer.active_adapters if name in layer.modules_to_save]
        off = layer.disable_adapters or not active
        chosen = layer.original_module if off else layer.modules_to_save[active[0]]
        yield from ((name, on_cpu(t, copied=False)) for name, t in chosen.state_dict().items())
        return
    if any(True for _ in layers_of(layer.base_layer)):
        raise _unmergeable(path, "adapters of several parameters of one module lie in one another")
    if not hasattr(layer, "merge"):
        raise _unmergeable(path, f"{type(layer).__name__} has no merge")
    base = layer.get_base_layer().state_dict()
    copy = deepcopy(layer).cpu().double()
    if not (layer.disable_adapters or layer.merged):
        try:
            copy.merge(safe_merge=True)
        except (ValueError, RuntimeError, NotImplementedError, AttributeError) as error:
            raise _unmergeable(path, str(error)) from error
    for name, tensor in copy.get_base_layer().state_dict().items():
        if name not in base:
            raise _unmergeable(path, f"its base has no {name}")
        yield name, on_cpu(tensor.to(base[name].dtype), copied=False)


def _unmergeable(path: str, why: str) -> NotExpressibleError:
    hint = "load the base in fp32 or bf16; or save the adapters with lc.save_checkpoint"
    return NotExpressibleError(f"{path.rstrip('.')}: cannot be merged", why=why, hint=hint)
