"""Signs: widths and depths that tell architectures with the same names apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.architectures import AUTHORS, skeleton

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lora_convert.architectures import Architecture, Sign
    from lora_convert.conversion.recipes import Shown
    from lora_convert.header import Header

_MOST_DIGITS = 9
"""Of a block's number; more are a name's own affair."""


Evidence = tuple[int, int, int]
"""Broken signs, less than nothing for each; signs that hold; odd shapes, less than nothing for each."""

_Modules = dict[str, list["Shown"]]
"""Keys by their Diffusers modules: those of a fused module by each of its parts."""


def evidence(architecture: Architecture | None, header: Header, shown: Iterable[Shown]) -> Evidence:
    """How well a header agrees with an architecture, larger being better.

    First no broken signs, then signs that hold, then factors of the dimensions that the table's kinds
    have: files hold 1×1 convolutions in either shape, so this decides only where nothing else does.
    """
    if architecture is None:
        return 0, 0, 0
    placed = [one for one in shown if one.recipe.name.entry]
    lower = [one for one in placed if one.recipe.role == "down"]
    downs = _by_module(lower)
    ups = _by_module(one for one in placed if one.recipe.role == "up")
    # factors of other algorithms tell no widths, but whose blocks they are
    bodies = downs or _by_module(placed)
    verdicts = [_verdict(sign, header, downs, ups, bodies) for sign in architecture.signs]
    odd = sum(_odd_shapes(one, header) for one in lower)
    return -verdicts.count(False), verdicts.count(True), -odd


def names_itself(
    architecture: Architecture | None, shown: Iterable[Shown], agreed: Evidence
) -> bool:
    """Whether a header shows names of this architecture alone, or a sign of it and none against.

    `agreed` is the evidence for it.
    """
    if architecture is None or not architecture.own:
        return True
    own = tuple(skeleton(beginning)[0] for beginning in architecture.own)
    if any(skeleton(one.recipe.name.module)[0].startswith(own) for one in shown):
        return True
    broken, held, _ = agreed
    return held > 0 and broken == 0


def _by_module(shown: Iterable[Shown]) -> _Modules:
    found: _Modules = {}
    for one in shown:
        entry = one.recipe.name.entry
        if entry:
            names = entry.row.diffusers
            parts = names if entry.namespace in AUTHORS else names[entry.member : entry.member + 1]
            for name in parts:
                found.setdefault(name, []).append(one)
    return found


def _verdict(
    sign: Sign, header: Header, downs: _Modules, ups: _Modules, bodies: _Modules
) -> bool | None:
    """Whether a sign holds; None where the modules present do not tell."""
    if sign.inputs or sign.growths:
        widths = {
            shape[1] if len(shape) > 1 else 0
            for one in downs.get(sign.module, ())
            for shape in {header.tensors[key].shape for key in one.keys}
        }
        if not widths - {0}:
            return None
        if sign.inputs:
            return len(widths) == 1 and widths <= {*sign.inputs}
        heights = _heights(sign.module, header, ups)
        return {height / width for height in heights for width in widths} <= {*sign.growths}
    place, inside = sign.module.count("{}") - 1, f"{sign.module}."
    blocks = {
        int(number)
        for name, found in bodies.items()
        if name.startswith(inside)
        for one in found
        if len(one.recipe.name.wild) > place
        for number in one.parted.column(place)
        if len(number) <= _MOST_DIGITS
    }
    if max(blocks, default=0) >= max(sign.blocks):
        return False
    # some blocks of a deeper model end anywhere
    return True if len(blocks) in sign.blocks and len(blocks) == max(blocks) + 1 else None


def _heights(module: str, header: Header, ups: _Modules) -> set[float]:
    """Rows of a Diffusers module, which may be a part of what a file has."""
    heights = set()
    for one in ups.get(module, ()):
        entry = one.recipe.name.entry
        chunks, parts = 1, 1
        if entry and entry.namespace in AUTHORS and len(entry.row.diffusers) > 1:
            chunks = len(entry.row.chunks[entry.row.diffusers.index(module)])
            parts = len(entry.row.order)
        rows = {header.tensors[key].shape[0] for key in one.keys if header.tensors[key].shape}
        heights |= {height * chunks / parts for height in rows}
    return heights


def _odd_shapes(one: Shown, header: Header) -> int:
    """How many of the keys have not the dimensions of their module's kind."""
    entry = one.recipe.name.entry
    conv = entry is not None and entry.row.kind == "conv"
    return sum([(len(header.tensors[key].shape) > 2) != conv for key in one.keys])
