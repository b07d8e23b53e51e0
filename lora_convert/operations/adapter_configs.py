"""The configurations of a checkpoint's adapters, and in what two of them differ."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from lora_convert.conversion.detect import detect
from lora_convert.conversion.gather import adapters
from lora_convert.errors import (
    AmbiguousCheckpointError,
    CheckpointNotFoundError,
    ModelMismatchError,
)
from lora_convert.formats import SYNONYMS, TUNERS, LoraConfig, read_config, trainer_config
from lora_convert.operations.addresses import resolved
from lora_convert.operations.live_models import LiveModel, config_as_json
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.compacted import exists
from lora_convert.storage.documents import CONFIG, read_document
from lora_convert.storage.folders import names_in, weight_files

_DEFAULTS: Mapping[str, object] = {
    "peft_type": "LORA",
    "r": 8,
    "lora_alpha": 8,
    "alpha": 8,
    "bias": "none",
    "init_lora_weights": True,
    "init_weights": True,
    "inference_mode": True,
    "decompose_factor": -1,
    "auto_mapping": None,
}
"""Values of PEFT's where a configuration says nothing, or nothing by None, False, 0 or an empty list."""
_NO_EFFECT = frozenset(
    {
        *("lora_dropout", "dropout", "rank_dropout", "module_dropout", "rank_dropout_scale"),
        *("inference_mode", "task_type", "auto_mapping", "peft_version", "revision"),
        *("base_model_name_or_path", "init_lora_weights", "init_weights", "runtime_config"),
        *("loftq_config", "eva_config", "corda_config", "lora_ga_config", "megatron_config"),
        *("megatron_core", "ensure_weight_tying", "qalora_group_size"),
    }
)
"""Fields that act while training, or say where from and what for: the same tensors then act the same."""
_BASE_CHANGING = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Initialisations that change the base, which the adapter is relative to (peft 0.21, lora/layer.py)."""
_UNORDERED = frozenset(
    {"target_modules", "exclude_modules", "modules_to_save", "target_parameters"}
)


class ConfigDifference(NamedTuple):
    """A field in which two configurations differ."""

    field: str
    a: Any
    b: Any
    changes_delta: bool
    """Whether the same tensors act differently under one and the other."""


def compare_configs(a: Any, b: Any) -> tuple[ConfigDifference, ...]:
    """In what two adapters' configurations differ, those fields first that change ΔW.

    Each is a path (of a checkpoint, or of an ``adapter_config.json``), a dict, or one of PEFT's objects. A
    field that is not there counts as PEFT's default, or as the same where it has no effect; one that is not
    known counts as one that changes ΔW.

    CheckpointNotFoundError where a checkpoint has none, AmbiguousCheckpointError where it has several.
    """
    one, other = _config(a), _config(b)
    found = []
    for field in sorted({*one, *other}):
        pair = [_value(config, field) for config in (one, other)]
        told = (field in one and field in other) or field not in _NO_EFFECT
        if told and pair[0] != pair[1]:
            found.append(
                ConfigDifference(field, one.get(field), other.get(field), _has_effect(field, pair))
            )
    return tuple(sorted(found, key=lambda difference: not difference.changes_delta))


def _value(config: Mapping[str, Any], field: str) -> Any:
    value = config.get(field) or _DEFAULTS.get(field)
    if field in _UNORDERED and isinstance(value, (list, tuple, set)):
        return sorted(value)
    return value


def _has_effect(field: str, pair: list[Any]) -> bool:
    if field == "init_lora_weights":
        return any(str(value).lower().startswith(_BASE_CHANGING) for value in pair)
    return field not in _NO_EFFECT


def _config(given: Any) -> Mapping[str, Any]:
    if isinstance(given, (str, os.PathLike)):
        path = os.fspath(given)
        configs = configs_in(path)
        if len(configs) != 1:
            hint = f"give the folder of one, for example {path}/{max(configs)}"
            what = f"{path}: has {len(configs)} configurations"
            raise AmbiguousCheckpointError(what, choices=[*configs], hint=hint)
        given = next(iter(configs.values()))
    return in_words_of_peft(given) if isinstance(given, Mapping) else config_as_json(given)


def in_words_of_peft(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """A configuration with a trainer's own words replaced by PEFT's."""
    if "peft_type" in given:
        return given
    words = {word for synonyms in SYNONYMS.values() for word in synonyms}
    found = trainer_config(dict(given)) or given
    return {field: value for field, value in found.items() if field not in words}


def check_scales(path: str, live: LiveModel) -> None:
    """Raise ModelMismatchError where a checkpoint's configuration gives a model's adapters other strengths.

    The tensors alone would fit, and act differently.
    """
    try:
        configs = configs_in(path)
    except CheckpointNotFoundError:
        return
    for adapter in live.adapters:
        given = in_words_of_peft(configs.get(adapter, configs.get("", {})))
        told = "peft_type" in given or {"r", "lora_alpha"} <= given.keys()
        if not told or given.get("peft_type", "LORA") not in TUNERS:
            continue
        there, here = read_config({**given}, path), read_config(live.config(adapter), "the model")
        for name, layer in live.layers(adapter).items():
            rank = getattr(layer, "r", {}).get(adapter, 0)
            scales = [config.scale_of(name, rank).value for config in (there, here)]
            if scales[0] != scales[1] or (there.kind, there.dora) != (here.kind, here.dora):
                raise ModelMismatchError(
                    f"{path}: {name} is {_strength(there, scales[0])} of adapter {adapter!r} there,"
                    f" {_strength(here, scales[1])} in the model; nothing was loaded",
                    why="the same tensors would act differently",
                    hint="lc.model_from_checkpoint(path, base) makes the model that was saved;"
                    " strict=False loads it all the same",
                )


def _strength(config: LoraConfig, scale: float) -> str:
    return f"{'DORA' if config.dora else config.kind} times {scale:g}"


def configs_in(path: str) -> dict[str, Mapping[str, Any]]:
    """The configurations of a checkpoint by adapter; under no name that of a file that has none.

    CheckpointNotFoundError where there are none.
    """
    path = resolved(path)
    if not exists(path):
        raise CheckpointNotFoundError(path)
    if path.endswith(".json"):
        found = {"": read_document(path)}
    elif os.path.isdir(path):
        places = {"": os.path.join(path, CONFIG)}
        places |= {name: os.path.join(path, name, CONFIG) for name in names_in(path)}
        found = {
            name: read_document(place) for name, place in places.items() if os.path.isfile(place)
        }
    else:
        found = _in_file(path)
    configs = {name: config for name, config in found.items() if isinstance(config, Mapping)}
    if not configs:
        why = f"{path}: has no configuration of an adapter"
        raise CheckpointNotFoundError(path, why, hint=f"give the folder that has an {CONFIG}")
    return configs


def _in_file(path: str) -> dict[str, object]:
    """Those within a file of torch's, else the one beside it."""
    with Checkpoint(weight_files(path)) as checkpoint:
        header = checkpoint.header
    if header.documents:
        certain = [one for one in header.documents if one.beside] or header.documents
        names = adapters(detect(header))
        found: dict[str, object] = {}
        for one in certain:  # the first of a name is the likeliest
            found.setdefault(one.adapter if one.adapter in names else "", one.data)
        return found
    beside = os.path.join(os.path.dirname(os.path.abspath(path)), CONFIG)
    return {"": read_document(beside)} if os.path.isfile(beside) else {}
