"""What the tensors of one module make of its weight: the algorithms' own formulas, in numpy alone.

Written from the papers and from the code that trains or applies each (peft 0.21, tuners; LyCORIS 4.1,
functional and modules; ComfyUI, comfy/weight_adapter). Nothing here is from the package: this is
the witness that what it writes acts as before. Tensors come by role, in the shapes of any file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

Array = np.ndarray
Tensors = Mapping[str, Array]
Numbers = Mapping[str, float]


def merged(tensors: Tensors, numbers: Numbers, weight: Array) -> Array:
    """The weight that `weight` becomes, in float64; `numbers` are scale, constraint, neumann, on_input."""
    wide = {role: np.asarray(array).astype("float64") for role, array in tensors.items()}
    formula = next(formula for role, formula in _FORMULAS.items() if role in wide)
    return formula(wide, numbers, weight)


def _flat(factor: Array) -> Array:
    return factor.reshape(len(factor), -1)


def _lora(t: Tensors, n: Numbers, weight: Array) -> Array:
    change = n["scale"] * (_flat(t["up"]) @ _flat(t["down"]))
    changed = weight + change.reshape(weight.shape)
    if "magnitude" not in t:
        return changed
    norms = np.linalg.norm(_flat(changed), axis=1)
    factors = t["magnitude"].ravel() / norms
    return changed * factors.reshape(-1, *(1,) * (weight.ndim - 1))


def _loha(t: Tensors, n: Numbers, weight: Array) -> Array:
    def product(side: str) -> Array:
        a, b = t[f"hada_w{side}_a"], t[f"hada_w{side}_b"]
        if f"hada_t{side}" in t:
            return np.einsum("ij...,ip,jr->pr...", t[f"hada_t{side}"], a, b)
        return a @ b

    return weight + n["scale"] * (product("1") * product("2")).reshape(weight.shape)


def _lokr(t: Tensors, n: Numbers, weight: Array) -> Array:
    one = t["lokr_w1"]
    other = t["lokr_w2"] if "lokr_w2" in t else t["lokr_w2_a"] @ t["lokr_w2_b"]
    inner = (len(weight) // len(one), weight.shape[1] // one.shape[1], *weight.shape[2:])
    change = np.einsum("ac,bd...->abcd...", one, other.reshape(inner))
    return weight + n["scale"] * change.reshape(weight.shape)


def _skew(blocks: Array, constraint: float) -> Array:
    """B − Bᵀ, all blocks together no longer than the constraint allows; 0 is none."""
    skew = blocks - blocks.swapaxes(-1, -2)
    length = float(np.linalg.norm(skew))
    return skew * constraint / length if 0 < constraint < length else skew


def _cayley(skew: Array) -> Array:
    """(I + Q) · (I − Q)⁻¹."""
    unit = np.eye(skew.shape[-1])
    return (unit + skew) @ np.linalg.inv(unit - skew)


def _turned_rows(t: Tensors, n: Numbers, weight: Array) -> Array:
    blocks = t["oft_blocks"]
    turns = _cayley(_skew(blocks, n["constraint"] * len(weight)))
    if blocks.ndim == 4:
        found = _butterfly(turns, _flat(weight)).reshape(weight.shape)
    else:
        parts = _flat(weight).reshape(*blocks.shape[:2], -1)
        found = np.einsum("knm,kni->kmi", turns, parts).reshape(weight.shape)
    return found * t["rescale"].reshape(-1, *(1,) * (weight.ndim - 1)) if "rescale" in t else found


def _butterfly(stages: Array, rows: Array) -> Array:
    """Stage by stage, rows (c g k) as (c k g), with two g and 2ⁱ half blocks in a k."""
    size, width = stages.shape[-1], rows.shape[1]
    for stage, turns in enumerate(stages):
        step = 2**stage * size // 2
        mixed = rows.reshape(-1, 2, step, width).swapaxes(1, 2).reshape(-1, size, width)
        mixed = np.einsum("bij,bjw->biw", turns, mixed)
        rows = mixed.reshape(-1, step, 2, width).swapaxes(1, 2).reshape(-1, width)
    return rows


def _turned_columns(t: Tensors, n: Numbers, weight: Array) -> Array:
    vectors = t["oft_R"]
    size = round((1 + (1 + 8 * vectors.shape[1]) ** 0.5) / 2)
    upper = np.zeros((len(vectors), size, size))
    upper[:, *np.triu_indices(size, 1)] = vectors
    skew = upper - upper.swapaxes(1, 2)
    # I + 2Q + … + 2Qⁿ⁻² + Qⁿ⁻¹, PEFT's series for (I + Q) · (I − Q)⁻¹
    terms = int(n["neumann"])
    powers = [np.linalg.matrix_power(skew, power) for power in range(terms)]
    turns = powers[0] + 2 * sum(powers[1:-1]) + powers[-1]
    parts = _flat(weight).reshape(len(weight), len(vectors), size)
    return np.einsum("oki,kji->okj", parts, turns).reshape(weight.shape)


def _butterfly_columns(t: Tensors, n: Numbers, weight: Array) -> Array:
    (blocks,) = t["boft_R"]  # the one stage that is made here
    turns = _cayley((blocks.swapaxes(1, 2) - blocks) / 2)
    parts = _flat(weight).reshape(len(weight), *blocks.shape[:2])
    found = np.einsum("oki,kji->okj", parts, turns).reshape(len(weight), -1)
    return (found * t["boft_s"].reshape(-1, 1)).reshape(weight.shape)


def _ia3(t: Tensors, n: Numbers, weight: Array) -> Array:
    gains = t["ia3_l"].ravel() if "ia3_l" in t else 1 + t["ia3_weight"].ravel()
    ones = (1,) * (weight.ndim - 2)
    return weight * gains.reshape((1, -1, *ones) if n["on_input"] else (-1, 1, *ones))


def _glora(t: Tensors, n: Numbers, weight: Array) -> Array:
    a1, a2 = (t[role].reshape(t[role].shape[:2]) for role in ("a1", "a2"))
    own = np.einsum("oi...,ir,rj->oj...", weight, a1, a2)
    added = (_flat(t["b1"]) @ _flat(t["b2"])).reshape(weight.shape)
    return weight + n["scale"] * (own + added)


_FORMULAS: dict[str, Callable[[Tensors, Numbers, Array], Array]] = {
    "down": _lora,
    "hada_w1_a": _loha,
    "lokr_w1": _lokr,
    "oft_blocks": _turned_rows,
    "oft_R": _turned_columns,
    "boft_R": _butterfly_columns,
    "ia3_l": _ia3,
    "ia3_weight": _ia3,
    "a1": _glora,
    "diff": lambda t, n, weight: weight + t["diff"],
    "w_norm": lambda t, n, weight: weight + t["w_norm"],
    "set_weight": lambda t, n, weight: t["set_weight"],
}
"""By a role that the algorithm alone has."""

RANKS = {"down": 0, "hada_w1_b": 0, "lokr_w2_b": 0, "a2": 0}
"""By role: the dimension that alpha is divided by; a LoKr of two whole factors has no alpha (LyCORIS)."""


def scale_beside(tensors: Tensors, alpha: float | None) -> float:
    """What an ``alpha`` beside a module's tensors says; 1 where there is none."""
    rank = next((tensors[role].shape[at] for role, at in RANKS.items() if role in tensors), 0)
    return alpha / rank if rank and alpha is not None else 1.0
