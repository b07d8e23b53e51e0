"""What is known of how an adapter was trained: words that call it up, steps, rates; no paths."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lora_convert.errors import LoraConvertError
from lora_convert.operations.metadata_keys import telling
from lora_convert.storage.documents import MAX_DOCUMENT

if TYPE_CHECKING:
    from lora_convert.operations.publication_sources import PublicationSource

_OF_KOHYA = (
    ("steps", "ss_steps"),
    ("epochs", "ss_epoch"),
    ("learning rate", "ss_learning_rate"),
    ("text encoder learning rate", "ss_text_encoder_lr"),
    ("batch size", "ss_total_batch_size"),
    ("resolution", "ss_resolution"),
    ("images, with repeats", "ss_num_train_images"),
    ("optimizer", "ss_optimizer"),
    ("scheduler", "ss_lr_scheduler"),
    ("noise offset", "ss_noise_offset"),
    ("seed", "ss_seed"),
)
"""Rows, and where kohya's metadata says them (kohya sd-scripts, train_network.py)."""
_OF_SETTINGS = (
    ("learning rate", "optimizer", "learning_rate"),
    ("batch size", "training", "train_batch_size"),
    ("gradient accumulation", "training", "gradient_accumulation_steps"),
    ("resolution", "data", "resolution"),
    ("optimizer", "optimizer", "optimizer"),
    ("scheduler", "optimizer", "lr_scheduler"),
    ("precision", "model", "mixed_precision"),
    ("seed", "training", "seed"),
)
"""Rows, and where the ``config.toml`` of a run of lora-convert-train says them."""
_MOST_IN = 0.8
"""Share of the images whose captions hold a word that calls the whole up."""


def training_table(source: PublicationSource, metadata: Mapping[str, str]) -> dict[str, str]:
    """Rows of a table for people, by name; what is not known has none."""
    rows: dict[str, Any] = {}
    run, checkpoint = source.run, source.checkpoint
    if run is not None:
        manifest = run.manifest or {}
        steps = checkpoint.step if checkpoint else manifest.get("step")
        rows["steps"] = steps
        rows["epochs"] = checkpoint.epoch if checkpoint else None
        rows["loss"] = _loss(source)
        rows["images"] = _at(manifest, "dataset", "images")
        settings = _settings(run.path)
        rows |= {name: _at(settings, *place) for name, *place in _OF_SETTINGS}
    for name, key in _OF_KOHYA:
        rows[name] = rows.get(name) or metadata.get(key)
    told = {name: _shown(value) for name, value in rows.items()}
    return {name: text for name, text in told.items() if text and not telling(name, text)}


def sampling_steps(source: PublicationSource) -> int | None:
    """Denoising steps of the samples of a run of lora-convert-train."""
    steps = _at(_settings(source.run.path), "sampling", "sample_steps") if source.run else None
    return steps if isinstance(steps, int) else None


def trigger_words(
    source: PublicationSource, metadata: Mapping[str, str]
) -> tuple[tuple[str, ...], str]:
    """The words that call an adapter up, and who says so; none, where nothing does."""
    run = source.run
    manifest = run.manifest if run and run.manifest else {}
    settings = _settings(run.path) if run else {}
    for place, value in (
        ("run.json", manifest.get("trigger_word")),
        ("config.toml", _at(settings, "data", "trigger_word")),
        ("config.toml", _at(settings, "data", "instance_prompt")),
        ("run.json", manifest.get("instance_prompt")),
        ("run.json", _at(manifest, "args", "instance_prompt")),
        ("modelspec.trigger_phrase", metadata.get("modelspec.trigger_phrase")),
    ):
        if isinstance(value, str) and value.strip():
            return (value.strip(),), place
    tags = common_tags(metadata)
    return tags, "ss_tag_frequency" if tags else ""


def common_tags(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The tag that nearly all captions hold, as kohya's metadata count them; none where there is none.

    Where they do not say how many captions there are, it is the one tag that most of them hold.
    """
    try:
        folders = json.loads(metadata.get("ss_tag_frequency", "{}"))
        dirs = json.loads(metadata.get("ss_dataset_dirs", "{}"))
        images = sum(int(one["img_count"]) for one in dirs.values())
        counts: Counter[str] = Counter()
        for tags in folders.values():
            counts.update({str(tag).strip(): int(count) for tag, count in tags.items()})
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        return ()
    (tag, count), (_, next_) = [*counts.most_common(2), ("", 0), ("", 0)][:2]
    often = count >= _MOST_IN * images if images else count > next_
    return (tag,) if tag and often else ()


def _loss(source: PublicationSource) -> float | None:
    if source.run is None or source.checkpoint is None:
        return None
    from lora_convert.operations.losses import loss_of, read_losses

    try:
        found = read_losses(source.run)
    except LoraConvertError:  # a log that is broken is no reason not to publish
        return None
    return loss_of(source.checkpoint, found) if found else None


def _settings(folder: str) -> Mapping[str, Any]:
    path = os.path.join(folder, "config.toml")
    try:
        if os.path.getsize(path) > MAX_DOCUMENT:
            return {}
        import tomllib

        with open(path, "rb") as file:
            return tomllib.load(file)
    except (OSError, ValueError):
        return {}


def _at(document: Mapping[str, Any], *place: str) -> Any:
    value: Any = document
    for key in place:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
