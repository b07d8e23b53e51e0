"""Save a model that is being trained: its adapters or all of it, and what training goes on from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.errors import OptionError
from lora_convert.operations.checkpoint_files import (
    ADAPTER,
    CONFIG_KEY,
    DEFAULT,
    OPTIMIZER,
    OPTIMIZER_KEY,
    OWN,
    PAYLOADS,
    SCHEDULER,
    SCHEDULER_KEY,
    STATE,
    WEIGHTS_KEY,
    WHOLE,
)
from lora_convert.operations.live_files import put_folder, put_state
from lora_convert.operations.live_models import PREFIX, LiveModel
from lora_convert.operations.live_tensors import on_cpu, state_on_cpu, tensor_file
from lora_convert.operations.saving import Saving
from lora_convert.planning import TensorFile, TextFile
from lora_convert.storage.documents import CONFIG
from lora_convert.storage.folders import is_plain
from lora_convert.storage.memory import Memory
from lora_convert.storage.parents import made_folder

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


def save_checkpoint(
    model: Module,
    path: str | os.PathLike[str],
    *,
    optimizer: Any = None,
    scheduler: Any = None,
    epoch: int | None = None,
    step: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    base: bool = False,
    tag: str | None = None,
    background: bool = False,
) -> Saving:
    """Save a model's adapters, with the states that training goes on from; the whole model with `base`.

    A path that ends in .pth or .pt is one file of torch's, with ``model_state_dict``,
    ``optimizer_state_dict``, ``scheduler_state_dict``, ``epoch``, ``step``, ``metadata`` and ``config``. Any
    other is a folder: of the adapter "default" ``adapter_model.safetensors`` and ``adapter_config.json`` as
    PEFT saves them, of others the same in subfolders of their names, with `base` ``model.safetensors``;
    ``optimizer.bin``, ``scheduler.bin``, ``training_state.json``. With a `tag` that is the checkpoint's name
    in the folder `path`. It appears whole, in place of an older one of that name, or not at all.

    Tensors keep their dtypes and bits. With `background` all are copied before this returns, and
    `Saving.wait` raises what fails; without, it is raised here, and the checkpoint is on the disk. Wrappers
    (DDP, torch.compile, DeepSpeed) are looked through. `metadata` must be JSON.

    Unless `base`, OptionError for a model without adapters, or with trained tensors outside of them.
    NotExpressibleError for states that could be read back only by running code. DestinationExistsError where
    something else has the name, or the disk cannot exchange two folders (Windows: give each checkpoint a name
    of its own, or one that ends in .pth). OutputError where the disk fails.
    """
    target = _target(os.fspath(path), tag)
    live = LiveModel(model)
    if not base:
        _check_covered(live)
    tensors = live.state if base else live.adapter_tensors()
    saved = _Saved(
        target,
        {name: on_cpu(tensor, copied=background) for name, tensor in tensors.items()},
        live.adapters,
        {adapter: live.config(adapter) for adapter in live.adapters},
        {
            name: state_on_cpu(one.state_dict(), name, copied=background)
            for name, one in ((OPTIMIZER_KEY, optimizer), (SCHEDULER_KEY, scheduler))
            if one is not None
        },
        _told(epoch, step, metadata),
        base,
    )
    saving = Saving(target)
    saving.begin(saved.write, background=background)
    return saving


def _check_covered(live: LiveModel) -> None:
    """Raise OptionError where a checkpoint of the adapters would leave out what is trained."""
    own = live.adapter_tensors()
    trained = (name for name, one in live.module.named_parameters() if one.requires_grad)
    lost = [name for name in trained if name not in own]
    kind = type(live.module).__name__
    if not own:
        raise OptionError("model", kind, why="it has no adapters", hint="save it with base=True")
    if lost:
        why = f"{len(lost)} trained tensors are in no adapter, for example {lost[0]}"
        hint = "save it with base=True; or freeze them, if they are not to be trained"
        raise OptionError("model", kind, why=why, hint=hint)


def _target(path: str, tag: str | None) -> str:
    if tag is not None:
        if not is_plain(tag):
            raise OptionError("tag", tag, why="it is no name of a file")
        path = os.path.join(path, tag)
    return os.path.abspath(path)


def _told(epoch: object, step: object, metadata: object) -> dict[str, Any]:
    """What there is to say of the training, as JSON has it."""
    given = {"epoch": epoch, "step": step, "metadata": metadata}
    try:
        text = json.dumps(given, default=_number)
    except (TypeError, ValueError) as error:
        raise OptionError("metadata", metadata, why=f"it is not JSON: {error}") from error
    found: dict[str, Any] = json.loads(text)
    return {name: value for name, value in found.items() if value is not None}


def _number(value: Any) -> Any:
    """A number of numpy's or torch's as Python's."""
    if getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(f"{type(value).__name__} is no value of JSON")


class _Saved(NamedTuple):
    """All that a checkpoint is to hold, on the CPU."""

    target: str
    tensors: Mapping[str, Tensor]
    """By their names in the model."""
    adapters: Mapping[str, Mapping[str, str]]
    """Names in the model by those in PEFT's files."""
    configs: Mapping[str, Mapping[str, Any]]
    states: Mapping[str, Any]
    told: Mapping[str, Any]
    whole: bool

    def write(self) -> None:
        """Write the file, or the folder."""
        if self.target.endswith(PAYLOADS):
            with made_folder(os.path.dirname(self.target)):
                put_state(self.target, self._payload(), replace=True)
            return
        names = {OPTIMIZER_KEY: OPTIMIZER, SCHEDULER_KEY: SCHEDULER}
        memory = Memory()
        put_folder(
            self.target,
            [*self._files(memory)],
            memory,
            states={names[key]: state for key, state in self.states.items()},
            replace=True,
            own=_own(self.target),
        )

    def _payload(self) -> dict[str, Any]:
        configs = dict(self.configs)
        config = next(iter(configs.values())) if len(configs) == 1 else configs
        found = {WEIGHTS_KEY: dict(self.tensors), **self.states, **self.told}
        return {**found, CONFIG_KEY: config} if config else found

    def _files(self, memory: Memory) -> Iterator[TensorFile | TextFile]:
        if self.whole:
            yield tensor_file(WHOLE, self.tensors, memory)
        for adapter, names in self.adapters.items():
            part = "" if adapter == DEFAULT else f"{adapter}/"
            if not self.whole:
                tensors = {PREFIX + own: self.tensors[name] for own, name in names.items()}
                yield tensor_file(f"{part}{ADAPTER}", tensors, memory)
            alone = self.whole and len(self.adapters) == 1
            yield _document("" if alone else part, CONFIG, self.configs[adapter])
        yield _document("", STATE, self.told)


def _document(part: str, name: str, content: Mapping[str, Any]) -> TextFile:
    return TextFile(f"{part}{name}", json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _own(target: str) -> set[str]:
    """What an older checkpoint of that name may hold: it goes with it."""
    try:
        with os.scandir(target) as entries:
            parts = ["", *(f"{entry.name}/" for entry in entries if entry.is_dir())]
    except OSError:
        parts = []
    return {f"{part}{name}" for part in parts for name in OWN}
