"""Images and their captions in a folder: read, checked, listed. No model is read for that."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from lora_convert_train.errors import DatasetError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
METADATA = "metadata.jsonl"
_CAPTION = ".txt"
_FEW = 10


class Item(NamedTuple):
    """An image and its caption."""

    path: str
    caption: str
    width: int
    """In pixels, as it is seen: turned as its EXIF says."""
    height: int
    digest: str
    """SHA-256 of the file."""


class Dataset(NamedTuple):
    """What there is to train on, in the order of names."""

    folder: str
    items: tuple[Item, ...]
    warnings: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over all images and captions, in order."""
        parts = (f"{item.digest} {item.caption}\0" for item in self.items)
        return hashlib.sha256("".join(parts).encode()).hexdigest()


def read_dataset(
    folder: str, *, instance_prompt: str = "", missing: str = "error", trigger: str = ""
) -> Dataset:
    """Read a folder of images and captions, and decode each image once.

    Captions are `instance_prompt`, else lines of ``metadata.jsonl`` (``file_name`` and ``text``), else
    ``NAME.txt``. Where one is missing the image is an error, is left out (``skip``) or has an empty
    caption (``empty``). Raises DatasetError with all that is wrong.
    """
    if not os.path.isdir(folder):
        raise DatasetError(folder, [f"{folder}: no such folder"])
    reading = _Reading(folder, instance_prompt, missing, trigger, [], [])
    items = tuple(reading.items())
    if not items and not reading.problems:
        reading.problems.append(f"no images: {', '.join(SUFFIXES)} are read")
    if reading.problems:
        raise DatasetError(folder, reading.problems)
    return Dataset(folder, items, (*reading.warnings, *_warnings(items)))


class _Reading(NamedTuple):
    folder: str
    instance_prompt: str
    missing: str
    trigger: str
    problems: list[str]
    warnings: list[str]

    def items(self) -> Iterator[Item]:
        names = sorted(name for name in os.listdir(self.folder) if not name.startswith("."))
        images = [name for name in names if name.lower().endswith(SUFFIXES)]
        captions = self._captions(names, images)
        for name in images:
            caption = captions.get(name)
            if caption is None and self.missing == "skip":
                self.warnings.append(f"{name}: left out, it has no caption")
                continue
            if caption is None and self.missing == "error":
                self.problems.append(f"{name}: has no caption{self._where(name)}")
            item = self._item(name, caption or "")
            if item:
                yield item

    def _where(self, name: str) -> str:
        stem = os.path.splitext(name)[0]
        return f": write {stem}{_CAPTION}, or give --instance-prompt"

    def _item(self, name: str, caption: str) -> Item | None:
        path = os.path.join(self.folder, name)
        try:
            width, height = _seen_size(path)
        except Exception as error:  # noqa: BLE001 - Pillow's decoders raise whatever they like
            problem = f"{type(error).__name__}: {error}"
            self.problems.append(f"{name}: cannot be read as an image ({problem})")
            return None
        text = caption
        if self.trigger and self.trigger not in caption:
            text = f"{self.trigger}, {caption}" if caption else self.trigger
        return Item(path, text, width, height, _digest(path))

    def _captions(self, names: list[str], images: list[str]) -> dict[str, str]:
        if self.instance_prompt:
            return dict.fromkeys(images, self.instance_prompt)
        if METADATA in names:
            return self._listed(set(images))
        return self._written(names, images)

    def _written(self, names: list[str], images: list[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        stems = Counter(os.path.splitext(name)[0] for name in images)
        for stem, count in stems.items():
            if count > 1:
                both = ", ".join(name for name in images if os.path.splitext(name)[0] == stem)
                self.problems.append(f"{both}: share the caption file {stem}{_CAPTION}")
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix.lower() != _CAPTION:
                continue
            if stem not in stems:
                self.problems.append(f"{name}: is a caption without an image")
                continue
            text = self._text(name)
            if text is not None:
                found.update((i, text) for i in images if os.path.splitext(i)[0] == stem)
        return found

    def _text(self, name: str) -> str | None:
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8-sig") as file:
                text = " ".join(file.read().split())
        except UnicodeDecodeError as error:
            self.problems.append(f"{name}: is not UTF-8 ({error.reason} at byte {error.start})")
            return ""
        except OSError as error:
            self.problems.append(f"{name}: cannot be read: {error.strerror}")
            return ""
        if not text and self.missing == "error":
            self.problems.append(f"{name}: is empty (--missing-captions empty allows it)")
        return text

    def _listed(self, images: set[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        with open(os.path.join(self.folder, METADATA), "rb") as file:
            lines = file.read().splitlines()
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                name, text = entry["file_name"], entry["text"]
            except (ValueError, KeyError, TypeError):
                what = 'is no JSON object with "file_name" and "text"'
                self.problems.append(f"{METADATA}:{number}: {what}")
                continue
            if name not in images:
                self.problems.append(f"{METADATA}:{number}: {name}: no such image")
            elif name in found:
                self.problems.append(f"{METADATA}:{number}: {name}: has a caption already")
            found[str(name)] = " ".join(str(text).split())
        return found


def _seen_size(path: str) -> tuple[int, int]:
    """Width and height as EXIF turns the image; decodes all of it."""
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        image.load()
        return ImageOps.exif_transpose(image).size


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _warnings(items: tuple[Item, ...]) -> Iterator[str]:
    by_digest: dict[str, list[str]] = {}
    for item in items:
        by_digest.setdefault(item.digest, []).append(os.path.basename(item.path))
    for names in by_digest.values():
        if len(names) > 1:
            yield f"{', '.join(names)}: the same image"
    if 0 < len(items) < _FEW:
        yield f"only {len(items)} image{'s' if len(items) > 1 else ''}: {_FEW} or more teach better"
