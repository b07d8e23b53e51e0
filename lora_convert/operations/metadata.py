"""Edit what a file says of itself: its metadata, and no byte of its weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.errors import NotExpressibleError, OptionError
from lora_convert.formats import FORMATS
from lora_convert.operations import metadata_keys as keys
from lora_convert.operations.metadata_plan import Edit, MetadataPlan, listed_in
from lora_convert.operations.model_spec import HASH, PREFIX, block, problems, thumbnail
from lora_convert.operations.opening import open_adapter
from lora_convert.storage.relabelling import relabelling

if TYPE_CHECKING:
    from lora_convert.operations.opening import Opened


class Shown(NamedTuple):
    """What a file says of itself."""

    path: str
    format: str | None
    architecture: str | None
    metadata: Mapping[str, str]
    listed: str
    """The base under which A1111 lists it; empty for any."""
    problems: tuple[str, ...]
    """What is wrong with its ModelSpec, where it has one."""

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        return {**self._asdict(), "metadata": dict(self.metadata), "problems": list(self.problems)}


def show_metadata(path: str | os.PathLike[str], *, architecture: str | None = None) -> Shown:
    """What a safetensors file says of itself, or the one that a folder or a run's address means."""
    with ExitStack() as closing:
        opened = _opened(os.fspath(path), closing, architecture=architecture, from_afar=True)
        found, metadata = opened.detection, opened.checkpoint.header.metadata
        name = None if found.ambiguous else found.architecture
        return Shown(
            opened.checkpoint.files[0].path,
            found.format,
            name,
            dict(sorted(metadata.items())),
            listed_in(opened, metadata),
            problems(metadata, name),
        )
    raise AssertionError  # the stack swallows nothing


def plan_set(
    path: str | os.PathLike[str],
    values: Mapping[str, Any],
    *,
    output: str | None = None,
    model_spec: bool = False,
    image: str | None = None,
    hash: bool = False,
    architecture: str | None = None,
) -> MetadataPlan:
    """Work out a file with these `values`, and those it has under other keys.

    `model_spec` completes a ModelSpec of what is known, `image` becomes its thumbnail, `hash` computes that
    of the data. OptionError for keys without a name, and values that are no text.
    """
    for key, value in values.items():
        if not key or not isinstance(value, str):
            why = "metadata are texts under names" if key else "it has no name"
            raise OptionError(key or "KEY", value, why=why, hint="for example: title=Shoes")
        _check_text(key, key + value)

    def edit(opened: Opened) -> Edit:
        found = opened.detection
        after = {**opened.checkpoint.header.metadata, **values}
        if image:
            after[f"{PREFIX}thumbnail"] = thumbnail(image)
        if hash:
            after[HASH] = "0x" + relabelling(opened.checkpoint, {}).hash()
        if model_spec:
            stem = os.path.splitext(os.path.basename(opened.checkpoint.path))[0]
            after |= block(after, found.architecture, FORMATS.get(found.format or ""), stem)
        locked = sorted(key for key in values if key in keys.LOCKED)
        notes = [f"{key} is set: programs read the weights by it" for key in locked]
        known = problems(opened.checkpoint.header.metadata, found.architecture)
        notes += [one for one in problems(after, found.architecture) if one not in known]
        return Edit(after, tuple(notes))

    return _planned(os.fspath(path), output, edit, architecture)


def plan_copy(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    only: Collection[str] = (),
    output: str | None = None,
) -> MetadataPlan:
    """Work out `path` with the metadata of `source` added, or of those that patterns name `only`.

    What is right of the source's tensors alone does not come along: scales, hashes, where it came from.
    """
    with ExitStack() as closing:
        given = _opened(os.fspath(source), closing, from_afar=True).checkpoint.header.metadata
    chosen = {key: value for key, value in given.items() if not only or keys.named(key, only)}
    _check_named(only, given)
    left = sorted(chosen.keys() & (keys.OF_TENSORS - {keys.FORMAT}))
    notes = (f"not copied, as they speak of its tensors: {', '.join(left)}",) if left else ()
    copied = {key: value for key, value in chosen.items() if key not in keys.OF_TENSORS}

    def edit(opened: Opened) -> Edit:
        return Edit({**opened.checkpoint.header.metadata, **copied}, notes)

    return _planned(os.fspath(path), output, edit)


def plan_strip(
    path: str | os.PathLike[str],
    *,
    only: Collection[str] = (),
    keep: Collection[str] = (),
    everything: bool = False,
    output: str | None = None,
) -> MetadataPlan:
    """Work out a file without what tells of the machine and the data it was made with.

    Or without what patterns name `only`, or without all but what they `keep`, or, for `everything`, without
    all that no program reads. What weights are read by stays always.
    """
    given = {"only": bool(only), "keep": bool(keep), "all": everything}
    if sum(given.values()) > 1:
        first, second, *_ = [name for name, there in given.items() if there]
        raise OptionError(
            first, [*only, *keep], why=f"--{second} is given too", hint="give one of them"
        )

    def edit(opened: Opened) -> Edit:
        metadata = opened.checkpoint.header.metadata
        _check_named((*only, *keep), metadata)
        own = FORMATS[opened.detection.format].own_metadata if opened.detection.format else ()
        reasons = {key: keys.telling(key, value) for key, value in metadata.items()}

        def goes(key: str) -> bool:
            if key in keys.LOCKED or (own and key.startswith(own)):
                return False
            if only or keep:
                return keys.named(key, only or keep) != bool(keep)
            return key not in keys.NEEDED if everything else bool(reasons[key])

        after = {key: value for key, value in metadata.items() if not goes(key)}
        asked = [key for key in metadata if key in keys.LOCKED and keys.named(key, only)]
        notes = tuple(f"{key} stays: programs read the weights by it" for key in asked)
        return Edit(after, notes, {key: why for key, why in reasons.items() if why})

    return _planned(os.fspath(path), output, edit)


def _planned(
    path: str, output: str | None, edit: Callable[[Opened], Edit], architecture: str | None = None
) -> MetadataPlan:
    if output is not None and not output.endswith(".safetensors"):
        raise NotExpressibleError(
            f"{output}: only safetensors files are written",
            hint=f"-o {os.path.splitext(output)[0]}.safetensors",
        )
    with ExitStack() as closing:
        opened = _opened(path, closing, architecture=architecture)
        plan = MetadataPlan(opened, output, edit(opened))
        closing.pop_all()
        return plan
    raise AssertionError  # the stack swallows nothing


def _opened(
    path: str, closing: ExitStack, *, architecture: str | None = None, from_afar: bool = False
) -> Opened:
    """A checkpoint that is one safetensors file, open until `closing` ends."""
    opened = open_adapter(path, architecture=architecture, from_afar=from_afar)
    closing.callback(opened.checkpoint.close)
    checkpoint = opened.checkpoint
    if len(checkpoint.files) > 1:
        raise NotExpressibleError(
            f"{path}: is {len(checkpoint.files)} files, each with metadata of its own",
            hint=f"give one of them, for example {checkpoint.files[0].path}",
        )
    if checkpoint.container != "safetensors":
        raise NotExpressibleError(
            f"{path}: is a {checkpoint.container}, which holds no such metadata",
            hint=f"lora-convert convert {path} --to FORMAT makes a safetensors file of it",
        )
    return opened


def _check_named(patterns: Collection[str], metadata: Mapping[str, str]) -> None:
    for pattern in patterns:
        if not any(keys.named(key, (pattern,)) for key in metadata):
            raise OptionError("pattern", pattern, why="it names nothing in the file's metadata")


def _check_text(key: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise OptionError(key, text, why=f"it is no text: {error.reason}") from error
