"""What a training script saved around its weights: where they are, what gives their scale, the rest.

Layouts found in the wild: the weights alone; under ``state_dict`` (Lightning), ``model``,
``model_state_dict`` or ``module`` (DeepSpeed); by component (``unet``, ``text_encoder``); beside
``lora_config``, ``epoch``, ``optimizer`` and the like.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from lora_convert.errors import AmbiguousCheckpointError, CorruptCheckpointError
from lora_convert.formats import COMPONENTS
from lora_convert.storage.describing import (
    Budget,
    content,
    described,
    is_number,
    plain,
    shortened,
)
from lora_convert.storage.pickled import Record, Tensor

MAX_DEPTH = 16
"""Dicts in dicts; weights lie at most four deep."""
MAX_PLACES = 100_000
"""Dicts that are looked at, outermost first."""
_MOST_REST = 1_000
_MOST_LOOKED_AT = 1_000_000
MAX_VALUES = 100_000
"""Of a configuration: a few patterns for each of thousands of modules."""
_MOST_CONFIGS = 20
_STATE = re.compile(r"optim|sched|scaler|rng|random|ema(_|$)|shadow|grad|loss")
"""Names beneath which no weights are looked for."""
_ADAPTER = re.compile(r"lora|hada_|lokr_|oft_|ia3_|vera_")
"""What the names of an adapter's tensors hold, in any format."""
_COMPONENT = re.compile(rf"({'|'.join(COMPONENTS)})(_lora)?(_layers|_state_dict|_sd|_weights)?$")
_CERTAIN = ("lora_config", "peft_config")
_CONFIGS = (*_CERTAIN, "config", "args", "hparams", "hyper_parameters", "network_args")
_NUMBER_WORDS = ("alpha", "scale")


class Config(NamedTuple):
    """A configuration found in a payload."""

    place: str
    component: str
    certain: bool
    """Whether its name says that it is the adapter's own."""
    data: dict[str, Any]
    adapter: str
    """Its own name, where it is one of several below a configuration's name."""


class Payload(NamedTuple):
    """A payload, taken apart."""

    tensors: dict[str, Tensor]
    numbers: dict[str, float]
    """Plain numbers among the tensors, such as an alpha."""
    configs: tuple[Config, ...]
    metadata: dict[str, str]
    rest: dict[str, Any]
    """By place: everything else, as JSON has it, long things by a description."""


class _Place(NamedTuple):
    path: tuple[str, ...]
    value: Mapping[object, Any]

    @property
    def name(self) -> str:
        return _joined(self.path)


def take_apart(tree: object, path: str) -> Payload:
    """The parts of an unpickled checkpoint; `path` is for messages.

    AmbiguousCheckpointError where several places hold an adapter and their names do not tell apart.
    """
    if isinstance(tree, (list, tuple)) and len(tree) <= _MOST_REST:
        tree = _numbered(tree, path)
    places = _places(tree)
    chosen = _chosen([*places.values()], path)
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, float] = {}
    for component, place in chosen:
        for key, value in place.value.items():
            name = _named(str(key), component)
            if type(value) is Tensor:
                _add(tensors, name, value, path)
            elif _is_number(key, value):
                _add(numbers, name, float(value), path)
    inner = {place.path[:depth] for _, place in chosen for depth in range(len(place.path) + 1)}
    metadata = places[("metadata",)].value if ("metadata",) in places else {}
    return Payload(
        tensors,
        numbers,
        _configs([*places.values()], inner, path),
        {key: value for key, value in metadata.items() if type(key) is type(value) is str},
        _rest(places, inner or {()}, {place.path for _, place in chosen}),
    )


def _numbered(items: list[object] | tuple[object, ...], path: str) -> dict[str, object]:
    """A list's items by number; matrices in pairs are factors, up and down in turn.

    So the first of all trainers saved them, a text encoder's beside the UNet's (cloneofsimo/lora,
    lora_diffusion/lora.py, save_lora_weight).
    """
    shapes = [item.shape if type(item) is Tensor else () for item in items]
    pairs = [*zip(shapes[::2], shapes[1::2], strict=False)]
    if len(shapes) % 2 or not all(len(u) == len(d) > 1 and u[1] == d[0] for u, d in pairs):
        return {str(at): item for at, item in enumerate(items)}
    component = "text_encoder" if path.endswith(".text_encoder.pt") else "unet"
    return {
        f"{component}:{at // 2}:{'down' if at % 2 else 'up'}": item for at, item in enumerate(items)
    }


def _places(tree: object) -> dict[tuple[str, ...], _Place]:
    """Every dict by its path, outermost first; each once, however often it is referred to."""
    places: dict[tuple[str, ...], _Place] = {}
    waiting: list[tuple[tuple[str, ...], object]] = [((), tree)]
    seen = set()
    for where, value in waiting:  # grows while it is read
        found = content(value)
        if type(found) is not dict or id(found) in seen or len(where) > MAX_DEPTH:
            continue
        if len(places) == MAX_PLACES:
            break
        seen.add(id(found))
        places[where] = _Place(where, found)
        waiting += [
            ((*where, key), item)
            for key, item in found.items()
            if type(key) is str and type(item) in {dict, Record}
        ]
    return places


def _chosen(places: list[_Place], path: str) -> list[tuple[str, _Place]]:
    """The dicts that hold the weights, with the component each is of, where that is told."""
    holding = [place for place in places if Tensor in map(type, place.value.values())]
    holding = [place for place in holding if not any(map(_STATE.search, place.path))] or holding
    adapters = [place for place in holding if _is_adapter(place)]
    largest = sorted(holding, key=lambda place: -len(place.value))[:1]
    listed = [(_component(place.path), place) for place in adapters or largest]
    components = {component for component, _ in listed}
    if len(components) < len(listed) or (len(listed) > 1 and "" in components):
        raise AmbiguousCheckpointError(
            f"{path}: {len(listed)} parts of it hold an adapter",
            choices=[place.name or "(the whole)" for _, place in listed][:10],
            hint="save the one you want by itself",
        )
    return listed


def _is_adapter(place: _Place) -> bool:
    """Whether a factor is there; a tensor without dimensions is at most somebody's alpha."""
    return any(
        type(value) is Tensor and value.shape and _ADAPTER.search(str(key))
        for key, value in place.value.items()
    )


def _component(path: tuple[str, ...]) -> str:
    matches = (_COMPONENT.match(part) for part in reversed(path))
    return next((match[1] for match in matches if match), "")


def _named(key: str, component: str) -> str:
    """A key of a part, with the part's component before it unless it tells that itself."""
    told = not component or key.startswith(("lora_", f"{component}."))
    return key if told else f"{component}.{key}"


def _is_number(key: object, value: object) -> bool:
    """Whether a plain number stands where others keep a module's alpha or scale."""
    told = isinstance(key, str) and "." in key and key.rpartition(".")[2] in _NUMBER_WORDS
    return told and is_number(value)


def _add(found: dict[str, Any], name: str, value: object, path: str) -> None:
    if name in found:
        raise CorruptCheckpointError(path, f"two of its parts hold {shortened(name)!r}")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise CorruptCheckpointError(path, f"the name {shortened(name)!r} is no text") from error
    found[name] = value


def _configs(places: list[_Place], inner: set[tuple[str, ...]], path: str) -> tuple[Config, ...]:
    """Configurations that give an alpha, those certain to be the adapter's first.

    `inner` are the paths of the weights and of what they lie in: an alpha may stand there too.
    """
    found = [
        place
        for place in places
        if (place.path in inner or any(name in place.path for name in _CONFIGS))
        and _gives_alpha(place.value)
    ]
    found.sort(key=lambda place: not _is_certain(place.path))
    configs = (_config(place, path) for place in found[:_MOST_CONFIGS])
    return tuple(config for config in configs if config is not None)


def _config(place: _Place, path: str) -> Config | None:
    """The configuration at a place; None where it is too long to be one."""
    certain = _is_certain(place.path)
    budget = Budget(MAX_VALUES)
    fields = {key: value for key, value in place.value.items() if type(value) is not Tensor}
    data = plain(fields, budget)
    if budget.left >= 0:
        *_, above, name = ("", "", *place.path)
        adapter = name if above in _CONFIGS else ""
        return Config(place.name, _component(place.path), certain, data, adapter)
    if certain:
        problem = f"its {place.name} holds more than {MAX_VALUES:,} values"
        raise CorruptCheckpointError(path, problem)
    return None


def _is_certain(path: tuple[str, ...]) -> bool:
    return any(name in path for name in _CERTAIN)


def _gives_alpha(value: Mapping[object, Any]) -> bool:
    return any(
        isinstance(key, str)
        and "." not in key
        and key.endswith("alpha")
        and is_number(content(number))
        for key, number in value.items()
    )


def _rest(
    places: Mapping[tuple[str, ...], _Place],
    inner: set[tuple[str, ...]],
    chosen: set[tuple[str, ...]],
) -> dict[str, Any]:
    """What is not weights, by place: beside them, and beside what they lie in."""
    rest: dict[str, Any] = {}
    budget = Budget(_MOST_LOOKED_AT)
    for where in sorted(inner & places.keys()):
        for key, item in places[where].value.items():
            weights = where in chosen and (type(item) is Tensor or _is_number(key, item))
            if weights or (*where, key) in inner:
                continue
            if len(rest) == _MOST_REST:
                return rest | {"…": "and more"}
            rest[_joined((*where, str(key)))] = described(item, budget)
    return rest


def _joined(path: tuple[str, ...]) -> str:
    return ".".join(map(shortened, path))
