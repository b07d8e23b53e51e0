"""How training tools lay out their runs: a row a tool, and nothing about a tool anywhere else.

Names were read in the tools' sources, November 2026: sd-scripts ``library/train_util.py``
(``EPOCH_FILE_NAME``, ``STEP_FILE_NAME``), OneTrainer ``modules/trainer/GenericTrainer.py`` and
``modules/util/TrainProgress.py``, ai-toolkit ``jobs/process``, DiffSynth-Studio
``diffsynth/trainers/utils.py``, diffusers ``examples/``, transformers ``Trainer``.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from lora_convert.operations.sharing import BASES, FINAL, LORAS, PIPELINES
from lora_convert.storage.documents import CONFIG

CheckpointKind = Literal["file", "folder", "backup"]
"""A weights file, a folder with one in it, or a folder kept to go on from."""

MADE_HERE = (PIPELINES, LORAS, FINAL, BASES)
"""Folders of a run that this package writes: never a source."""

_SUFFIX = r"\.(safetensors|pt|pth|ckpt|bin)"


class Place(NamedTuple):
    """Where checkpoints of one kind lie, and what they are called."""

    kind: CheckpointKind
    names: re.Pattern[str]
    """Of the whole name. Its groups: `step`, `epoch`, and `name`, which tells runs of one folder apart."""
    folder: str = ""
    """Of the run's folders; empty for the run itself."""
    inside: str = ""
    """The weights in a checkpoint's folder, where opening the folder would not find them."""


class Layout(NamedTuple):
    """What a tool leaves behind."""

    tool: str
    title: str
    places: tuple[Place, ...]
    """Of two checkpoints of one step, that of the earlier place counts."""
    final_files: tuple[str, ...] = ()
    """Names of the last weights, without suffix; ``{}`` stands for the checkpoints' `name`."""
    final_folder: str = ""
    signs: frozenset[str] = frozenset()
    """Files of which one lies in every checkpoint's folder."""
    others: frozenset[str] = frozenset()
    """Files that lie in none: signs of other tools with the same names."""
    state: str = ""
    """Name of the folder beside a checkpoint that training goes on from; ``{}`` stands for its stem."""
    shared: bool = False
    """Whether the folder is often that of other files too, which then are no part of the run."""
    logs: tuple[str, ...] = ("",)
    """Folders, seen from the run, in and below which its logs lie."""


def layout_of(tool: str) -> Layout:
    """The row of a tool."""
    return next(layout for layout in LAYOUTS if layout.tool == tool)


def _names(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


_NUMBERED = Place("folder", _names(r"checkpoint-(?P<step>\d+)"))
_WEIGHTS = ("pytorch_lora_weights", "adapter_model")
_SIMPLETUNER = frozenset({"training_state.json"})
_TRAINER = frozenset({"trainer_state.json", CONFIG})

LAYOUTS = (
    Layout(
        "accelerate",
        "Accelerate states in a folder of their own, and lora-convert-train",
        (_NUMBERED._replace(folder="checkpoints"),),
        final_folder="lora_weights",
    ),
    Layout(
        "simpletuner",
        "SimpleTuner",
        (_NUMBERED,),
        final_files=_WEIGHTS,
        signs=_SIMPLETUNER,
        others=frozenset({CONFIG}),
    ),
    Layout(
        "trainer",
        "transformers' Trainer, and loops that save with PEFT or lora_convert",
        (_NUMBERED,),
        final_files=_WEIGHTS,
        signs=_TRAINER,
    ),
    Layout(
        "diffusers",
        "the training scripts of Diffusers",
        (_NUMBERED,),
        final_files=_WEIGHTS,
        others=_SIMPLETUNER | _TRAINER,
    ),
    Layout(
        "epoch-step",
        "scripts that count epochs too",
        (Place("folder", _names(r"checkpoint-(?P<epoch>\d+)-(?P<step>\d+)")),),
        final_files=_WEIGHTS,
    ),
    Layout(
        "kohya",
        "sd-scripts and musubi-tuner",
        (
            Place("file", _names(rf"(?P<name>.+)-step(?P<step>\d{{8}}){_SUFFIX}")),
            Place("file", _names(rf"(?P<name>.+)-(?P<epoch>0\d{{5}}){_SUFFIX}")),
        ),
        final_files=("{}",),
        state="{}-state",
        shared=True,
        logs=("", "../logs", "../log"),
    ),
    Layout(
        "onetrainer",
        "OneTrainer workspaces",
        (
            Place(
                "file",
                _names(rf".*-save-(?P<step>\d+)-(?P<epoch>\d+)-\d+{_SUFFIX}"),
                folder="save",
            ),
            Place(
                "backup",
                _names(r".*-backup-(?P<step>\d+)-(?P<epoch>\d+)-\d+"),
                folder="backup",
                inside="lora/lora.safetensors",
            ),
        ),
    ),
    Layout(
        "ai-toolkit",
        "ai-toolkit",
        (Place("file", _names(rf"(?P<name>.+)_(?P<step>0\d{{8}}){_SUFFIX}")),),
        final_files=("{}",),
    ),
    Layout(
        "diffsynth",
        "DiffSynth-Studio",
        (
            Place("file", _names(rf"step-(?P<step>0|[1-9]\d*){_SUFFIX}")),
            Place("file", _names(rf"epoch-(?P<epoch>0|[1-9]\d*){_SUFFIX}")),
        ),
    ),
)
