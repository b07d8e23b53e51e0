"""What adapters a model in memory has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.operations.live_models import LiveModel, layers_of, unwrapped

if TYPE_CHECKING:
    from torch.nn import Module


class AdapterDescription(NamedTuple):
    """One adapter of a model."""

    name: str
    kind: str
    """PEFT's word for it: LORA, LOKR, …"""
    active: bool
    modules: tuple[str, ...]
    """The modules that it changes, by their names in the base."""
    ranks: Mapping[int, int]
    """Modules by rank; none of kinds that have no rank."""
    scales: Mapping[float, int]
    """Modules by the factor before B·A, alpha over rank or over its square root."""
    parameters: int


class ModelDescription(NamedTuple):
    """A model's adapters, and how much of it is trained."""

    adapters: tuple[AdapterDescription, ...]
    parameters: int
    trainable: int
    """Parameters that training changes now, those of the base among them."""

    @property
    def trainable_share(self) -> float:
        """The part of all parameters that is trained, from 0 to 1."""
        return self.trainable / self.parameters if self.parameters else 0.0

    def as_json(self) -> dict[str, Any]:
        """The fields, for JSON."""
        adapters = [one._asdict() for one in self.adapters]
        return {**self._asdict(), "adapters": adapters, "trainable_share": self.trainable_share}


def is_lora_model(model: Module) -> bool:
    """Whether PEFT's layers are in a model, of whatever kind, wrapped or not."""
    return any(True for _ in layers_of(unwrapped(model)))


def describe_model(model: Module) -> ModelDescription:
    """A model's adapters, the modules they change, their ranks, and how much of the model is trained."""
    live = LiveModel(model)
    parameters = [*live.module.parameters()]
    return ModelDescription(
        tuple(_described(live, name) for name in live.adapters),
        sum(one.numel() for one in parameters),
        sum(one.numel() for one in parameters if one.requires_grad),
    )


def _described(live: LiveModel, adapter: str) -> AdapterDescription:
    layers = live.layers(adapter)
    ranks, scales = (
        Counter(
            getattr(layer, field)[adapter]
            for layer in layers.values()
            if adapter in getattr(layer, field, ())
        )
        for field in ("r", "scaling")
    )
    return AdapterDescription(
        adapter,
        str(live.config(adapter).get("peft_type", "")),
        adapter in live.active,
        tuple(layers),
        dict(ranks),
        dict(scales),
        sum(live.state[name].numel() for name in live.adapters[adapter].values()),
    )
