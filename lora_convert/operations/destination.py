"""Where an output goes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.errors import NotExpressibleError, OptionError, called
from lora_convert.storage.places import is_hub

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lora_convert.formats import Format
    from lora_convert.operations.opening import Opened

_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


class Destination(NamedTuple):
    """Where a conversion's output goes."""

    path: str
    """The file, or the folder of a format whose output is a folder."""
    weights: str
    """Name of the weights file."""
    folder: bool


def destination_of(opened: Opened, format_: Format, output: str | None) -> Destination:
    """Where the conversion of an opened source goes: `output`, or beside the source."""
    source = opened.checkpoint.path
    folder = os.path.isdir(source)
    parent = folder_for(source) if called(source) != source or not folder else source
    base = os.path.basename(os.path.abspath(source))
    return destination(format_, output, parent, base if folder else stem_of(base))


def folder_for(source: str) -> str:
    """The folder of a source's outputs, where none is given: its own, or of the Hub's the current."""
    return "" if is_hub(called(source)) else os.path.dirname(source)


def stem_of(name: str) -> str:
    """A weights file's or index's name without what its container adds."""
    name = name.removesuffix(".index.json")
    return next((name.removesuffix(end) for end in _WEIGHT_SUFFIXES if name.endswith(end)), name)


def destination(format_: Format, output: str | None, parent: str, stem: str) -> Destination:
    """Where an output goes: `output`, a file or folder, or the format's usual name in `parent`."""
    if output is None:
        path = os.path.join(parent, format_.file_name(stem))
    elif output.endswith(_WEIGHT_SUFFIXES):
        if not output.endswith(".safetensors"):
            raise NotExpressibleError(
                f"{output}: only safetensors files are written",
                hint=f"-o {os.path.splitext(output)[0]}.safetensors",
            )
        return Destination(output, os.path.basename(output), False)
    elif not format_.folder:
        path = os.path.join(output, format_.file_name(stem))
    else:
        path = output
    weights = format_.weights if format_.folder else os.path.basename(path)
    return Destination(path, weights, format_.folder)


def places_of(sources: Iterable[str], format_: Format, output: str | None) -> dict[str, str | None]:
    """Where each of several sources goes, as `output` for that one: `output` is a folder for all.

    A format whose file always has one name gets a folder for each source. A folder's output is called
    after the folder, where it does not lie in it.
    """
    if output is not None:
        _check_folder(output)
    listed = [*sources]
    stems = _stems(listed)
    return {source: _place(source, stems[source], format_, output) for source in listed}


def _check_folder(output: str) -> None:
    if output.endswith(_WEIGHT_SUFFIXES):
        folder = os.path.splitext(output)[0]
        why = "it is a file's name, and several sources need a folder"
        raise OptionError("output", output, why=why, hint=f"-o {folder}")
    if os.path.lexists(output) and not os.path.isdir(output):
        why = "it is a file, and several sources need a folder"
        raise OptionError("output", output, why=why, hint="choose another with -o")


def _stems(sources: Iterable[str]) -> dict[str, str]:
    """What outputs are called after. Files of one folder that differ in their suffix alone keep it."""
    stems: dict[str, str] = {}
    taken: set[tuple[str, str]] = set()
    for source in sorted(sources, key=lambda name: (not name.endswith(".safetensors"), name)):
        parent, name = os.path.split(os.path.abspath(source))
        stem = name if os.path.isdir(source) else stem_of(name)
        stems[source] = name if (parent, stem) in taken else stem
        taken.add((parent, stems[source]))
    return stems


def _place(source: str, stem: str, format_: Format, output: str | None) -> str | None:
    if output is None and os.path.isdir(source):
        return None
    return place_of(stem, format_, folder_for(source) if output is None else output)


def place_of(stem: str, format_: Format, folder: str) -> str:
    """Where an output goes in a folder of many: a file or folder called after `stem`."""
    name = format_.file_name(stem) if is_named_after(format_) else f"{stem}_{format_.name}"
    return os.path.join(folder, name)


def is_named_after(format_: Format) -> bool:
    """Whether the names of a format's outputs tell their sources apart."""
    return format_.file_name("a") != format_.file_name("b")


def check_apart(places: Mapping[str, str | None]) -> None:
    """Raise OptionError where two sources have one place."""
    found: dict[str, str] = {}
    for source, place in places.items():
        if place is None:
            continue
        other = found.setdefault(os.path.normcase(os.path.abspath(place)), source)
        if other != source:
            raise OptionError(
                "output",
                os.path.dirname(place),
                why=f"{other} and {source} would both be {place}",
                hint="give each its own -o, in two commands",
            )
