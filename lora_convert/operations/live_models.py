"""A torch module with PEFT's layers: its adapters, and what each of their tensors is called in a file.

PEFT itself says which tensors are an adapter's (peft 0.21, utils/save_and_load.py), so that every kind of
adapter it knows is covered, and what it leaves out by mistake is an error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.errors import NotExpressibleError, OptionError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

PREFIX = "base_model.model."
"""What PEFT's wrapper puts before names of the model in it."""
_COMPILED = "_orig_mod."
_SHARDED = ("FullyShardedDataParallel", "FSDPModule")


def unwrapped(model: Any) -> Module:
    """The module within torch.compile, DataParallel, DDP and DeepSpeed's engine.

    OptionError for what is no module, or is sharded, so that no process has the whole.
    """
    from torch import nn

    while True:
        if not isinstance(model, nn.Module):
            raise OptionError("model", type(model).__name__, why="it is no torch.nn.Module")
        kind = type(model).__name__
        if kind in _SHARDED:
            why = "its tensors lie in several processes"
            raise OptionError("model", kind, why=why, hint="save with FSDP's own state_dict")
        if kind == "OptimizedModule":
            model = getattr(model, _COMPILED.rstrip("."))
        elif kind == "DeepSpeedEngine" or isinstance(
            model, (nn.DataParallel, nn.parallel.DistributedDataParallel)
        ):
            model = model.module
        else:
            return model


def canonical(name: str) -> str:
    """A tensor's name without those of wrappers within the model.

    >>> canonical("net._orig_mod.base_model.model.down.to_q.lora_A.default.weight")
    'net.down.to_q.lora_A.default.weight'
    """
    return name.replace(_COMPILED, "").replace(PREFIX, "")


class _Host(NamedTuple):
    """A module that PEFT has put adapters in."""

    path: str
    """Of the module in the model, with a dot after it; empty for the model itself."""
    module: Module


class LiveModel:
    """A model as its checkpoints see it."""

    def __init__(self, model: Module) -> None:
        self.module = unwrapped(model)
        self.state: dict[str, Tensor] = {
            name: tensor
            for name, tensor in self.module.state_dict().items()
            if hasattr(tensor, "detach")  # modules may keep other things there
        }
        self._check()

    def _check(self) -> None:
        for name, tensor in self.state.items():
            if tensor.is_meta or hasattr(tensor, "full_tensor"):
                why = "it is on the meta device" if tensor.is_meta else "it is sharded"
                hint = "gather or load the model first"
                raise NotExpressibleError(f"{name} is not in this process", why=why, hint=hint)

    @cached_property
    def hosts(self) -> tuple[_Host, ...]:
        """The outermost modules with adapters."""
        found: list[_Host] = []
        for name, module in self.module.named_modules():
            path = f"{name}." if name else ""
            if _configs(module) and not any(path.startswith(host.path) for host in found):
                found.append(_Host(path, module))
        return tuple(found)

    @cached_property
    def adapters(self) -> dict[str, dict[str, str]]:
        """By adapter, of every tensor its name in the model by its canonical name in PEFT's file."""
        found: dict[str, dict[str, str]] = {}
        for host in self.hosts:
            for adapter in _configs(host.module):
                names = found.setdefault(adapter, {})
                names.update(self._names(host, adapter))
        return found

    def _names(self, host: _Host, adapter: str) -> Iterator[tuple[str, str]]:
        """PEFT's names of one adapter's tensors, told apart by which tensor stands under each."""
        from peft import get_peft_model_state_dict

        inner = {
            name.removeprefix(host.path): tensor
            for name, tensor in self.state.items()
            if name.startswith(host.path)
        }
        own = {id(tensor): name for name, tensor in inner.items()}
        given: Mapping[str, Tensor] = get_peft_model_state_dict(
            host.module, state_dict=inner, adapter_name=adapter, save_embedding_layers=False
        )
        taken = {own.get(id(tensor)) for tensor in given.values()}
        lost = {*_layer_tensors(host.module, adapter, inner)} - taken
        if lost or None in taken:
            shown = min(lost) if lost else "what it has learned"
            raise NotExpressibleError(
                f"adapter {adapter!r}: PEFT has no name for {shown} in a file",
                why="the adapter's name is that of a module, or it is of a kind that is in no layer",
                hint="save the whole model with base=True, or call the adapter something else",
            )
        for name, tensor in given.items():
            yield canonical(host.path + name), host.path + own[id(tensor)]

    @cached_property
    def names(self) -> dict[str, str]:
        """Every tensor's name by its canonical one, which may be its own where two would be the same."""
        found = {canonical(name): name for name in self.state}
        return found if len(found) == len(self.state) else {name: name for name in self.state}

    def adapter_tensors(self) -> dict[str, Tensor]:
        """The tensors of all adapters by their names in the model, in its order."""
        own = {name for names in self.adapters.values() for name in names.values()}
        return {name: tensor for name, tensor in self.state.items() if name in own}

    def set(self, tensors: Mapping[str, Tensor]) -> None:
        """Give tensors of the model other values."""
        import torch

        with torch.no_grad():
            for name, tensor in tensors.items():
                self.state[name].copy_(tensor)

    @property
    def active(self) -> tuple[str, ...]:
        """The adapters that ``set_adapter`` has made active."""
        found: dict[str, None] = {}
        for _, layer in layers_of(self.module):
            found |= dict.fromkeys(layer.active_adapters)
        return tuple(found)

    def layers(self, adapter: str) -> dict[str, Any]:
        """PEFT's layers that have an adapter, by the names of their modules in the base."""
        return {
            canonical(f"{path}.").rstrip("."): layer
            for path, layer in layers_of(self.module)
            if _has(layer, adapter)
        }

    def config(self, adapter: str) -> dict[str, Any]:
        """An adapter's configuration as PEFT saves it.

        Where the adapter is in parts of the model only, its targets are those modules by name: by that in the
        base, and by that in the model, which files of torch's have.
        """
        hosts = [host for host in self.hosts if adapter in _configs(host.module)]
        found = [config_as_json(_configs(host.module)[adapter]) for host in hosts]
        if len(hosts) == 1 and not hosts[0].path:
            return found[0]
        live = {name for name, layer in layers_of(self.module) if _has(layer, adapter)}
        targets = sorted(live | {*self.layers(adapter)})
        whole = {"exclude_modules": None, "layers_to_transform": None, "layers_pattern": None}
        given = [{**one, **whole, "target_modules": targets} for one in found]
        if any(one != given[0] for one in given):
            raise NotExpressibleError(
                f"adapter {adapter!r}: parts of the model have it with different configurations",
                hint="save each part by a call of its own, or call the adapters differently",
            )
        return given[0]


def config_as_json(config: Any) -> dict[str, Any]:
    """A configuration of PEFT's as its ``save_pretrained`` writes it."""

    def plain(value: Any) -> Any:
        if isinstance(value, (set, frozenset)):
            return sorted(value, key=str)
        return value.value if isinstance(value, Enum) else str(value)

    fields: dict[str, Any] = json.loads(json.dumps(config.to_dict(), default=plain))
    return {**fields, "inference_mode": True}


def layers_of(model: Module) -> Iterator[tuple[str, Any]]:
    """PEFT's layers in a model, by name."""
    if "peft" not in sys.modules:  # whose layers then cannot be there
        return
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in model.named_modules():
        if isinstance(module, BaseTunerLayer):
            yield name, module


def _configs(module: Module) -> Mapping[str, Any]:
    found = getattr(module, "peft_config", None)
    return found if isinstance(found, Mapping) else {}


def _has(layer: Any, adapter: str) -> bool:
    return any(adapter in getattr(layer, name, ()) for name in layer.adapter_layer_names)


def _layer_tensors(host: Module, adapter: str, state: Mapping[str, object]) -> Iterator[str]:
    """The names of all tensors that PEFT's layers hold of an adapter."""
    starts = {
        f"{path}.{name}.{adapter}"
        for path, layer in layers_of(host)
        for name in layer.adapter_layer_names
    }
    for name in state:
        parts = name.split(".")
        if any(".".join(parts[:count]) in starts for count in range(2, len(parts) + 1)):
            yield name
