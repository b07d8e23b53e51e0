"""PEFT's kinds of adapters (``peft_type``): what each one's configuration says, and how it is written.

A reader makes modules of the configuration's numbers and then fills them, so those must give back
the shapes that the tensors have (peft 0.21, tuners/*/layer.py, update_layer).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.errors import NotExpressibleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lora_convert.formats._declaration import ScaleEntry

_HINT = "--as lora --rank R writes the nearest LoRA; kohya's names hold any shapes (--to kohya)"


class Tuner(NamedTuple):
    """A kind of adapter."""

    algorithms: tuple[str, ...]
    alpha: str = ""
    """Field of its alpha; empty where it has none."""
    may: tuple[str, ...] = ()
    """Roles that it has a place for beside those that its algorithms need."""
    fields: Mapping[str, object] = {}
    """What a configuration of it says besides."""


TUNERS = {
    "LORA": Tuner(
        ("lora", "dora"),
        "lora_alpha",
        ("bias",),
        {"bias": "none", "fan_in_fan_out": False, "init_lora_weights": True},
    ),
    "LOHA": Tuner(("loha",), "alpha", ("hada_t1", "hada_t2"), {"init_weights": True}),
    "LOKR": Tuner(("lokr",), "alpha", ("lokr_t2",), {"init_weights": True}),
    "OFT": Tuner(("oft_in",), fields={"bias": "none", "init_weights": True}),
    "BOFT": Tuner(("boft_in",), fields={"bias": "none", "init_weights": True}),
    "IA3": Tuner(("ia3",), fields={"init_ia3_weights": True}),
}


def tuner_of(algorithm: str) -> tuple[str, Tuner] | None:
    """The kind of adapter that has an algorithm; None where PEFT has none."""
    return next((item for item in TUNERS.items() if algorithm in item[1].algorithms), None)


def is_configured(algorithm: str) -> bool:
    """Whether a configuration speaks of an algorithm's modules; whole weights only lie beside them."""
    return tuner_of(algorithm) is not None


def settings_in(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of a configuration that belong to the factors of every module."""
    if kind != "OFT":
        return {}
    series = data.get("use_cayley_neumann", True)
    terms = data.get("num_cayley_neumann_terms", 5) if series else 0
    limit = data.get("eps", 6e-5) if data.get("coft") else 0.0
    shared = bool(data.get("block_share"))
    return {"neumann": terms, "limit": limit, "shared": float(shared)}


def layout(kind: str, entries: Sequence[ScaleEntry]) -> dict[str, object]:
    """Fields that make a reader's modules of the shapes that the tensors have.

    NotExpressibleError where no numbers do: a configuration's are the same for all modules.
    """
    if kind == "LOHA":
        return {"use_effective_conv2d": any("hada_t1" in entry.shapes for entry in entries)}
    if kind == "OFT":
        return _oft(entries)
    if kind == "BOFT":
        return _boft(entries)
    return _ia3(entries) if kind == "IA3" else {}


def _ia3(entries: Sequence[ScaleEntry]) -> dict[str, object]:
    """Which modules' inputs are changed.

    Listed names are endings of names (peft 0.21, tuners/ia3/model.py); where that would take another
    module too, an expression names them whole.
    """
    names = sorted(entry.module for entry in entries if entry.settings["on_input"])
    others = (entry.module for entry in entries if not entry.settings["on_input"])
    if any(other.endswith(tuple(names)) for other in others):
        return {"feedforward_modules": "|".join(map(re.escape, names))}
    return {"feedforward_modules": names}


def _oft(entries: Sequence[ScaleEntry]) -> dict[str, object]:
    from lora_convert.tensors.turning import block_size

    first = entries[0].settings
    sizes = {block_size(entry.shapes["oft_R"][1]) for entry in entries}
    counts = {entry.shapes["oft_R"][0] for entry in entries}
    if any(entry.settings != first for entry in entries):
        raise _unequal("OFT", "kinds of turns")
    if len(sizes) > 1 and (len(counts) > 1 or first.get("shared")):
        raise _unequal("OFT", "sizes of blocks and numbers of blocks")
    terms, limit = int(first.get("neumann", 0)), first.get("limit", 0.0)
    fields: dict[str, object] = {
        "oft_block_size": sizes.pop() if len(sizes) == 1 else 0,
        "r": 0,
        "use_cayley_neumann": bool(terms),
        "block_share": bool(first.get("shared")),
        # the series is that of 0.18 and later; without this PEFT takes it for an older one
        "peft_version": "0.18.0",
    }
    if not fields["oft_block_size"]:
        fields["r"] = counts.pop()
    if terms:
        fields["num_cayley_neumann_terms"] = terms
    return fields | ({"coft": True, "eps": limit} if limit else {})


def _boft(entries: Sequence[ScaleEntry]) -> dict[str, object]:
    stages = {entry.shapes["boft_R"][0] for entry in entries}
    counts = {entry.shapes["boft_R"][1] for entry in entries}
    sizes = {entry.shapes["boft_R"][2] for entry in entries}
    if len(stages) > 1 or (len(sizes) > 1 and len(counts) > 1):
        raise _unequal("BOFT", "stages, sizes of blocks and numbers of blocks")
    size = sizes.pop() if len(sizes) == 1 else 0
    return {
        "boft_n_butterfly_factor": stages.pop(),
        "boft_block_size": size,
        "boft_block_num": 0 if size else counts.pop(),
    }


def _unequal(kind: str, what: str) -> NotExpressibleError:
    return NotExpressibleError(
        f"PEFT cannot hold these modules as one {kind}: they have different {what}",
        why="its configuration gives one number for all modules",
        hint="keep them as they are",
    )


class _Kron(NamedTuple):
    """The shapes of a LoKr module."""

    outer: tuple[int, int]
    inner: tuple[int, int]
    whole: tuple[bool, bool]
    """Whether w1 and w2 are one tensor."""


def _kron(entry: ScaleEntry) -> _Kron:
    shapes = entry.shapes
    first = shapes.get("lokr_w1") or (shapes["lokr_w1_a"][0], shapes["lokr_w1_b"][1])
    core = "lokr_t2" in shapes
    second = shapes.get("lokr_w2") or (
        shapes["lokr_w2_a"][1 if core else 0],
        shapes["lokr_w2_b"][1],
    )
    whole = ("lokr_w1" in shapes, "lokr_w2" in shapes)
    return _Kron((first[0], first[1]), (second[0], second[1]), whole)


def fitted_lokr(entries: Sequence[ScaleEntry]) -> tuple[list[ScaleEntry], dict[str, object]]:
    """Entries with the ranks that make PEFT leave whole what is whole, and the fields for them.

    PEFT applies alpha / r to whole factors too, so alpha follows the rank.
    """
    krons = [_kron(entry) for entry in entries]
    both = any(not kron.whole[0] for kron in krons)
    ranked = [
        entry._replace(rank=_rank(entry, kron, both=both))
        for entry, kron in zip(entries, krons, strict=True)
    ]
    fields: dict[str, object] = {
        "decompose_both": both,
        "decompose_factor": _factor(krons),
        "use_effective_conv2d": any("lokr_t2" in entry.shapes for entry in entries),
    }
    return ranked, fields


def _rank(entry: ScaleEntry, kron: _Kron, *, both: bool) -> int:
    """A rank at which PEFT takes apart what is taken apart: below half of the longer side."""
    sides = [(max(kron.outer), kron.whole[0], both), (max(kron.inner), kron.whole[1], True)]
    least = max([1, *(-(-side // 2) for side, whole, parted in sides if whole and parted)])
    rank = entry.rank or least
    parted = [side for side, whole, _ in sides if not whole]
    if rank < least or any(2 * rank >= side for side in parted):
        raise NotExpressibleError(
            f"{entry.module}: PEFT has no LoKr of these shapes: w1 {list(kron.outer)}, w2 {list(kron.inner)},"
            f" rank {rank}",
            why="it takes a factor apart where the rank is below half of its longer side, and only there",
            hint=_HINT,
        )
    return rank


def _factor(krons: Sequence[_Kron]) -> int:
    """The factor by which PEFT divides outputs and inputs of all modules as they are divided."""
    for factor in dict.fromkeys((-1, *(side for kron in krons for side in kron.outer))):
        if all(_divides(kron, factor) for kron in krons):
            return factor
    raise NotExpressibleError(
        "PEFT cannot hold these modules as one LoKr: no factor divides all of them as they are",
        why="its configuration gives one decompose_factor for all modules",
        hint=_HINT,
    )


_KERNELS = (1, 9, 25, 49, 4, 16)
"""Elements of square kernels: inputs and kernel of a convolution may be one number."""


def _divides(kron: _Kron, factor: int) -> bool:
    (a, c), (b, d) = kron.outer, kron.inner
    outputs = factorization(a * b, factor) == (a, b)
    inputs = any(
        d % kernel == 0 and factorization(c * d // kernel, factor) == (c, d // kernel)
        for kernel in _KERNELS
    )
    return outputs and inputs


def factorization(dimension: int, factor: int) -> tuple[int, int]:
    """Two numbers whose product is `dimension`, as PEFT chooses them (tuners/lokr/layer.py)."""
    if factor > 0 and dimension % factor == 0:
        return factor, dimension // factor
    limit = dimension if factor == -1 else factor
    best = (1, dimension)
    for small in range(2, dimension + 1):
        if dimension % small:
            continue
        pair = (small, dimension // small)
        if small > limit or sum(pair) > sum(best) or best[0] >= best[1]:
            break
        best = pair
    return min(best), max(best)
