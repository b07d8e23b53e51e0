"""What files of training are for, told by their names and folders: a row a kind, and no name elsewhere."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from lora_convert.operations.sharing import BASES, FINAL, PIPELINES, SHARED, TRASH
from lora_convert.storage.compacted import RECIPE
from lora_convert.storage.folders import SUFFIXES, is_state

ADAPTERS = "adapters"
FROZEN = "frozen"
MODELS = "models"
RESUME = "resume"
MADE = "pipelines"
STORE = "shared"
REBUILDING = "bases"
PRUNED = "trash"
OTHER = "other"


class FileKind(NamedTuple):
    """A kind of files."""

    title: str
    good_for: str
    lost: str
    """What is lost with them."""


KINDS = {
    ADAPTERS: FileKind(
        "adapter weights", "what training made: convert, merge, share", "the checkpoint"
    ),
    FROZEN: FileKind(
        "frozen base copies",
        "the base that wrapped checkpoints carry along; it was never trained",
        "nothing that compact cannot rebuild",
    ),
    MODELS: FileKind("models", "bases to train on and to merge into", "a download"),
    RESUME: FileKind(
        "resume state",
        "optimizer, scheduler and random numbers, to go on training",
        "going on from there",
    ),
    MADE: FileKind("pipelines", "made of checkpoints, to load and look at", "the time to make"),
    STORE: FileKind(
        "shared store", "what pipelines of a run have in common", "the pipelines that link to it"
    ),
    REBUILDING: FileKind(
        "bases of compacted checkpoints",
        "what restore rebuilds the originals from",
        "the originals",
    ),
    "samples": FileKind("images and videos", "samples, and data to train on", "the pictures"),
    "logs": FileKind("logs", "losses: which checkpoint is the best", "knowing the best"),
    "caches": FileKind(
        "caches", "latents, embeddings and bytecode; made again when needed", "the time to make"
    ),
    PRUNED: FileKind("trash", "what was pruned and can be had back", "having it back"),
    OTHER: FileKind("other", "all else: configurations, code, data", "unknown"),
}
"""By what JSON calls them, in the order of those of one size."""

MARKS = (b"lora", b"hada_", b"lokr_", b".oft_", b"dora_scale", b".ia3_")
"""What stands in names of adapters of any format, those that are known by name only among them."""
WRAPPED = b".base_layer."
"""What stands in names of whole models with an adapter in them."""

_FOLDERS = {
    PIPELINES: MADE,
    SHARED: STORE,
    BASES: REBUILDING,
    TRASH: PRUNED,
    **dict.fromkeys(("samples", "sample", "validation", "previews", "media"), "samples"),
    **dict.fromkeys(
        ("logs", "log", "tensorboard", "wandb", "mlruns", "lightning_logs", "tb_logs"), "logs"
    ),
}
_FOLDER_PATTERNS = (
    (re.compile(rf".+-{FINAL}|{FINAL}"), MADE),
    (re.compile(r".*-state|optimizer_\d+"), RESUME),
    (
        re.compile(
            r"(.*[-_.])?(caches?|latents?|text_embed(ding)?s?|text_encoder_outputs?)([-_].*)?"
            r"|__pycache__|\.[a-z]+_cache",
            re.IGNORECASE,
        ),
        "caches",
    ),
)
_NAMES = {
    **dict.fromkeys(("metrics.jsonl", "loss_log.db"), "logs"),
    **dict.fromkeys(("training_state.json", "trainer_state.json"), RESUME),
}
_STATES = frozenset({*SUFFIXES[1:], ".pkl", ".distcp"})
_SUFFIXES = {
    **dict.fromkeys(
        (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jxl"),
        "samples",
    ),
    **dict.fromkeys((".mp4", ".webm", ".mov", ".avi", ".mkv"), "samples"),
    **dict.fromkeys((".log", ".wandb"), "logs"),
    **dict.fromkeys((".npz", ".pyc"), "caches"),
    **dict.fromkeys(SUFFIXES, ADAPTERS),
    RECIPE: REBUILDING,
}
_EVENTS = "events.out.tfevents"


@cache
def kind_of_folder(name: str) -> str:
    """The kind of all that is in a folder of that name; empty where each file has its own.

    >>> kind_of_folder("checkpoint_pipelines"), kind_of_folder("latents_512"), kind_of_folder("src")
    ('pipelines', 'caches', '')
    """
    if name in _FOLDERS:
        return _FOLDERS[name]
    return next((kind for pattern, kind in _FOLDER_PATTERNS if pattern.fullmatch(name)), "")


def kind_of_file(name: str) -> str:
    """The kind of a file by its name; weights count as adapters until their header says otherwise.

    >>> [kind_of_file(name) for name in ("model.safetensors", "optimizer.bin", "0.png", "a.txt")]
    ['adapters', 'resume', 'samples', 'other']
    """
    suffix = name[name.rfind(".") :]
    if suffix in _STATES and is_state(name):
        return RESUME
    kind = _SUFFIXES.get(suffix)
    if kind is None:
        kind = _NAMES.get(name) or ("logs" if name.startswith(_EVENTS) else OTHER)
    return kind
