"""The algebra of each kind of delta: what row operations on ΔW do to its factors."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.algorithms._contract import (
    NEUTRAL,
    Algorithm,
    Factors,
    Holder,
    Part,
    factors_of,
    with_factors,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lora_convert.tensors.expr import Expr

_LISTED = (
    Algorithm(
        name="lora",
        title="LoRA: ΔW = scale · up · down, linear, convolution and Tucker",
        forms=(("down", "up"),),
        may=("mid", "bias", "diff_b", "reshape"),
        ranks=(("down", 0), ("up", 1)),
    ),
    Algorithm(
        name="dora",
        title="DoRA: a LoRA whose result is rescaled to a learned magnitude",
        forms=(("down", "up", "magnitude"),),
        may=("mid", "bias", "diff_b"),
        ranks=(("down", 0), ("up", 1)),
    ),
    Algorithm(
        name="loha",
        title="LoHa: ΔW = scale · (a₁·b₁) ∘ (a₂·b₂), element by element",
        forms=(("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"),),
        may=("hada_t1", "hada_t2", "magnitude", "diff_b"),
        ranks=(("hada_w1_b", 0),),
    ),
    Algorithm(
        name="lokr",
        title="LoKr: ΔW = scale · w₁ ⊗ w₂, a Kronecker product",
        forms=(
            ("lokr_w1", "lokr_w2"),
            ("lokr_w1", "lokr_w2_a", "lokr_w2_b"),
            ("lokr_w1_a", "lokr_w1_b", "lokr_w2"),
            ("lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b"),
        ),
        may=("lokr_t2", "magnitude", "diff_b"),
        ranks=(("lokr_w2_b", 0), ("lokr_w1_b", 0)),
    ),
    Algorithm(
        name="oft",
        title="OFT of kohya and LyCORIS: blocks of W's rows are turned",
        forms=(("oft_blocks",), ("oft_diag",)),
        may=("rescale",),
        alpha="constraint",
        settings=("constraint",),
        dimensions=3,
    ),
    Algorithm(
        name="boft",
        title="BOFT of LyCORIS: W's rows are turned in a butterfly of blocks",
        forms=(("oft_blocks",),),
        may=("rescale",),
        alpha="constraint",
        settings=("constraint",),
        dimensions=4,
    ),
    Algorithm(
        name="oft_in",
        title="OFT of PEFT: blocks of W's columns are turned",
        forms=(("oft_R",),),
        alpha="nothing",
        settings=("neumann", "limit", "shared"),
    ),
    Algorithm(
        name="boft_in",
        title="BOFT of PEFT: W's columns are turned in a butterfly of blocks",
        forms=(("boft_R", "boft_s"),),
        alpha="nothing",
    ),
    Algorithm(
        name="ia3",
        title="IA3: W's rows or columns times learned factors",
        forms=(("ia3_l",), ("ia3_weight", "on_input")),
        alpha="nothing",
        settings=("on_input",),
        unequal=(("ia3_l", "ia3_weight", "multiplies the biases too, where there are any"),),
    ),
    Algorithm(
        name="glora",
        title="GLoRA: ΔW = scale · (W·a₁·a₂ + b₁·b₂)",
        forms=(("a1", "a2", "b1", "b2"),),
        may=("bm",),
        ranks=(("a2", 0),),
    ),
    Algorithm(
        name="full",
        title="full: ΔW itself",
        forms=(("diff",), ("diff_b",)),
        alpha="nothing",
    ),
    Algorithm(
        name="norm",
        title="norm: what is added to a normalisation's weight and bias",
        forms=(("w_norm",),),
        may=("b_norm",),
        alpha="nothing",
    ),
    Algorithm(
        name="weight",
        title="weight: what W is replaced by",
        forms=(("set_weight",),),
        alpha="nothing",
    ),
)

ALGORITHMS: dict[str, Algorithm] = {algorithm.name: algorithm for algorithm in _LISTED}


class Foreign(NamedTuple):
    """An algorithm that is recognised and not converted."""

    title: str
    why: str
    hint: str


FOREIGN = {
    "tlora": Foreign(
        "T-LoRA",
        "its change is relative to a decomposition of the base weight, which is not in the file",
        "merge it with LyCORIS, where it was trained",
    ),
    "adalora": Foreign(
        "AdaLoRA",
        "its scale depends on how many ranks training left, which is not in the file",
        "load it with PEFT, and merge_and_unload() it there",
    ),
    "vera": Foreign(
        "VeRA",
        "its factors are random matrices that all modules share; only vectors are of a module",
        "load it with PEFT, and merge_and_unload() it there",
    ),
    "embedding": Foreign(
        "a LoRA of an embedding",
        "no diffusion tool but PEFT has a place for it",
        "load it with PEFT, and merge_and_unload() it there",
    ),
    "modules_to_save": Foreign(
        "fully trained modules (modules_to_save)",
        "they replace weights of the base instead of adding to them",
        "load it with PEFT, and merge_and_unload() it there",
    ),
    "older_oft": Foreign(
        "an OFT of a PEFT before 0.16",
        "those versions kept another parameter, and newer ones refuse it too",
        "load it with peft 0.15.2, and merge_and_unload() it there",
    ),
}
"""Algorithms known by name only: their tensors are recognised, never converted in part."""

NUMBERS = frozenset({"alpha", "scale", "on_input"})
"""Roles that hold one number, which is known before anything is planned."""


def algorithm_of(tensors: Mapping[str, Expr]) -> Algorithm:
    """The algorithm that tensors, by role, are of: the one that has most of these roles.

    Of two with as many, the one that lacks least; LoRA where there is none.
    """
    blocks = tensors.get("oft_blocks")
    return _algorithm_of(frozenset(tensors), len(blocks.shape) if blocks is not None else 0)


@lru_cache(maxsize=256)
def _algorithm_of(roles: frozenset[str], dimensions: int) -> Algorithm:
    def fit(algorithm: Algorithm) -> tuple[int, int]:
        if dimensions and algorithm.dimensions not in {None, dimensions}:
            return (-1, 0)
        held = roles.intersection(algorithm.roles)
        return len(held), -len(algorithm.missing(roles | {"on_input"}))

    return max(_LISTED, key=fit) if roles else _LISTED[0]


__all__ = [
    "ALGORITHMS",
    "FOREIGN",
    "NEUTRAL",
    "NUMBERS",
    "Algorithm",
    "Factors",
    "Foreign",
    "Holder",
    "Part",
    "algorithm_of",
    "factors_of",
    "with_factors",
]
