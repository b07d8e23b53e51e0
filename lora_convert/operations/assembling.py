"""Apply a pipeline's plan: place what the base has, write what the adapter changes, publish the folder."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lora_convert.errors import DestinationExistsError, OptionError
from lora_convert.operations.pieces import Given, Piece
from lora_convert.operations.provenance import (
    Told,
    files_of,
    is_whole,
    provenance,
    read_provenance,
)
from lora_convert.operations.reading import check_finite
from lora_convert.operations.sharing import METADATA_NAME
from lora_convert.planning import TensorFile, TextFile
from lora_convert.storage.atomic import check_space, staged_file, staged_folder, sync, sync_folder
from lora_convert.storage.files import SourceFile
from lora_convert.storage.flushing import Flushing
from lora_convert.storage.hashes import hash_of
from lora_convert.storage.linking import file_system, method_for, place
from lora_convert.storage.parents import made_folder
from lora_convert.storage.positions import write_at
from lora_convert.storage.store import (
    digest_of,
    find,
    known_digest,
    made_before,
    put_file,
    put_written,
)
from lora_convert.storage.writer import check_written, write_tensor_file
from lora_convert.tensors.walk import sources

if TYPE_CHECKING:
    from lora_convert.operations.pipeline import PipelinePlan

Progress = Callable[[int], None]

_DOCUMENT = 1 << 20
"""Bytes up to which a file of the base is copied rather than linked: documents get edited."""


class Assembled(NamedTuple):
    """What became of a pipeline."""

    status: Literal["written", "unchanged"]
    output: str
    written: int
    """Bytes that the disk took, the store's included."""
    placed: Mapping[str, int]
    """Files by how they came: ``copy``, ``reflink``, ``hardlink``, ``symlink``, ``written``."""
    seconds: float
    fingerprint: str
    """Of all that its weights were made of."""
    plan: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        fields = {key: value for key, value in self._asdict().items() if key != "plan"}
        return {**self.plan, **fields, "placed": dict(self.placed)}


class Need(NamedTuple):
    """What a piece takes of the disk."""

    own: int
    """Bytes for this pipeline alone."""
    shared: int = 0
    """Bytes in the store of its run."""
    name: str = ""
    """What is the same for pipelines of one run that have it in common."""
    stored: bool = False
    """Whether it is in the store already."""


class Assembly(NamedTuple):
    """How a plan is applied."""

    plan: PipelinePlan
    store: str | None = None
    """Folder of what checkpoints of a run share; without one every pipeline stands for itself."""
    verify: bool = True
    progress: Progress = lambda done: None
    told: Told = Told()

    def run(
        self, *, force: bool = False, renew: bool = False, whole_files: bool = False
    ) -> Assembled:
        """Write the pipeline: the folder appears whole or not at all.

        One that was made of the same is left alone; any other is an error, unless it is ours and `renew`
        is given. With `force` whatever is there is made again. The old one is exchanged in one step;
        DestinationExistsError where it has files in it that were not put there by us.
        """
        started = time.perf_counter()
        output = os.path.abspath(self.plan.output)
        hashes = (partial(digest_of, self.store) if self.store else _hash) if whole_files else None
        document = provenance(self.plan, self.told, hashes)
        there = read_provenance(output)
        if not force and is_whole(output, there, document["fingerprint"]):
            return self._assembled("unchanged", document, 0, Counter(), started)
        self._check_apart(output)
        replace = force or (renew and "fingerprint" in there)
        if os.path.lexists(output) and not replace:
            raise DestinationExistsError(self.plan.output)
        parent = os.path.dirname(output)
        needed = self.cost()
        told = TextFile(METADATA_NAME, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        written, methods = 0, Counter[str]()
        with made_folder(parent), staged_folder(output) as staged:
            check_space(parent, needed)
            for piece in (*self.plan.pieces, Piece(told, False)):
                path = os.path.join(staged.path, *piece.content.name.split("/"))
                os.makedirs(os.path.dirname(path), exist_ok=True)
                method, size = self._put(piece, path)
                methods[method] += 1
                written += size
            for folder, _, _ in os.walk(staged.path):
                sync_folder(folder)
            self.plan.joined.check_unchanged()
            staged.publish(replace=replace, own=files_of(there))
        return self._assembled("written", document, written, methods, started)

    def _check_apart(self, output: str) -> None:
        """Raise OptionError where the pipeline would take the place of what it is made from."""
        inside = os.path.join(os.path.realpath(output), "")
        parts = [self.plan.base.path, *(file.path for file in self.plan.joined.files)]
        if any(os.path.join(os.path.realpath(part), "").startswith(inside) for part in parts):
            why = "what the pipeline is made from lies there"
            raise OptionError("output", self.plan.output, why=why, hint="choose another with -o")

    def cost(self) -> int:
        """Bytes that the disk would take now, the store's included."""
        needs = [*self.needs()]
        return sum(need.own + (0 if need.stored else need.shared) for need in needs)

    def needs(self) -> Iterator[Need]:
        """What each piece would take of the disk."""
        folder = os.path.dirname(os.path.abspath(self.plan.output))
        return (self._need(piece, folder) for piece in self.plan.pieces)

    def _need(self, piece: Piece, folder: str) -> Need:
        content, link = piece.content, self.plan.options.link
        small = isinstance(content, Given) and content.size < _DOCUMENT
        if small or isinstance(content, TextFile):
            return Need(content.size)
        if self.store is None or not piece.common:
            linked = isinstance(content, Given) and method_for(content.path, folder, link) != "copy"
            return Need(0 if linked else content.size)
        if isinstance(content, Given):
            name, digest = content.path, known_digest(self.store, content.path)
            there = find(self.store, digest or "-", content.size)
        else:
            recipe = self._recipe(content, lambda path: known_digest(self.store or "", path))
            name, there = content.name, made_before(self.store, recipe) if recipe else None
        own = 0 if self._links(folder) else content.size
        return Need(own, content.size, name, there is not None)

    def _links(self, folder: str) -> bool:
        """Whether entries of the store come into the pipeline without being copied."""
        return method_for(None, folder, self.plan.options.link, ours=True) != "copy"

    @property
    def copying(self) -> str:
        """What is to be said before: that the disk has no links, and what that costs; else nothing."""
        folder = os.path.dirname(os.path.abspath(self.plan.output))
        if self.store is None or self.plan.options.link != "auto":
            return ""
        shared = sum(piece.content.size for piece in self.plan.pieces if piece.common)
        told = without_links(folder)
        return f"{told}, {shared:,} bytes" if told else ""

    def _assembled(
        self,
        status: Literal["written", "unchanged"],
        document: Mapping[str, Any],
        written: int,
        methods: Counter[str],
        started: float,
    ) -> Assembled:
        made_of, plan = document["fingerprint"], self.plan
        seconds = time.perf_counter() - started
        return Assembled(status, plan.output, written, methods, seconds, made_of, plan.as_json())

    def _put(self, piece: Piece, path: str) -> tuple[str, int]:
        """Put one piece under its path; how, and the bytes that took."""
        content, link = piece.content, self.plan.options.link
        if isinstance(content, TextFile):
            _write(
                path,
                content.size,
                lambda descriptor: write_at(descriptor, content.text.encode(), 0),
            )
            return "written", content.size
        if isinstance(content, Given) and content.size < _DOCUMENT:
            return place(content.path, path, "copy")
        if self.store is None or not piece.common:
            if isinstance(content, Given):
                return place(content.path, path, link)
            _write(path, content.size, lambda descriptor: self._tensors(content, descriptor))
            return "written", content.size
        if isinstance(content, Given):
            put = put_file(self.store, content.path, progress=self.progress)
        else:
            put = put_written(
                self.store,
                lambda descriptor: self._tensors(content, descriptor),
                size=content.size,
                recipe=self._recipe(content, partial(digest_of, self.store)),
            )
        placed = place(put.entry.path, path, link, ours=True)
        return placed.method, placed.written + put.written

    def _tensors(self, file: TensorFile, descriptor: int) -> None:
        """Write a file of tensors, and read it back."""
        written = write_tensor_file(descriptor, file, self.plan.joined, self.progress, check_finite)
        with Flushing(descriptor):
            check_written(descriptor, file.name, written, self.plan.joined, data=self.verify)

    def _recipe(self, file: TensorFile, digest: Callable[[str], str]) -> str:
        """All that a file's bytes depend on; nothing where they are the checkpoint's own.

        The base's files stand in it by their hashes; nothing too where one of those is not known.
        """
        own = len(self.plan.opened.checkpoint.files)
        used = {source.file for tensor in file.tensors.values() for source in sources(tensor)}
        if any(number < own for number in used):
            return ""
        digests = {number: digest(self.plan.joined.files[number].path) for number in used}
        if not all(digests.values()):
            return ""
        return repr((file.head(), sorted(digests.items()), sorted(file.tensors.items())))


def without_links(folder: str) -> str:
    """What it means for pipelines in a folder that its disk has no links; nothing where it has them."""
    if method_for(None, folder, "auto", ours=True) != "copy":
        return ""
    return f"{file_system(folder) or 'this disk'} has no links: each pipeline copies what it shares"


def _write(path: str, size: int, write: Callable[[int], None]) -> None:
    with staged_file(path, size) as (descriptor, staged):
        write(descriptor)
        sync(descriptor)
        staged.publish(replace=False)


def _hash(path: str) -> str:
    file = SourceFile(path)
    try:
        return hash_of(file)
    finally:
        file.close()
