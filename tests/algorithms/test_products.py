"""Every algorithm against its definition, written out in numpy, and its rows against those of the weight."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from lora_convert.adapter import Scale
from lora_convert.algorithms import ALGORITHMS, Factors, Part
from lora_convert.errors import NotExpressibleError, ShapeError
from lora_convert.storage.probe import ByteFacts
from lora_convert.tensors.build import rows
from lora_convert.tensors.evaluate import computed_blocks, evaluate, held
from lora_convert.tensors.ranges import Range
from tests.laws.generators import GENERATORS, Drawing, Shape, base_of

RNG = np.random.default_rng(5)
KERNELS = ((), (1, 1), (3, 3))


def read(extent: Range) -> bytes:
    raise AssertionError("everything is in memory")


FACTS = ByteFacts(read)


def array(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def canonical(
    algorithm: str,
    tensors: Mapping[str, np.ndarray],
    scale: float = 1.0,
    settings: Mapping[str, float] | None = None,
) -> Factors:
    expressions = {role: held(np.asarray(values)) for role, values in tensors.items()}
    found = ALGORITHMS[algorithm]
    rank = found.rank(expressions)
    given = Factors(expressions, Scale(scale * rank, rank) if rank else Scale(scale, 1.0))
    return found.algebra.canonical("m", given._replace(settings=settings or {}))


def merged(
    algorithm: str, factors: Factors, base: Mapping[str, np.ndarray], strength: float = 1.0
) -> np.ndarray:
    expressions = {role: held(values) for role, values in base.items()}
    found = ALGORITHMS[algorithm].algebra.merged("m", expressions, factors, strength)
    return evaluate(found["weight"], read)


def made(
    algorithm: str, heights: tuple[int, ...], kernel: tuple[int, ...] = (), seed: int = 0
) -> list[Factors]:
    draw = Drawing(np.random.default_rng(seed), "float64", mixed=False)
    parts = GENERATORS[algorithm](draw, Shape(heights, 8, 12, kernel))
    return [canonical(algorithm, *part) for part in parts]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_strength_of_nothing_leaves_the_base(algorithm: str, kernel: tuple[int, ...]) -> None:
    [factors] = made(algorithm, (8,), kernel)
    base = base_of(algorithm, (8, 12, *kernel))
    if algorithm != "dora":  # its magnitude is that of the whole, at any strength
        np.testing.assert_allclose(
            merged(algorithm, factors, base, 0.0), base["weight"], atol=1e-12
        )
    assert not np.allclose(merged(algorithm, factors, base), base["weight"])


@pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if a != "boft"])
def test_stacked_parts_act_on_a_stacked_base(algorithm: str) -> None:
    parts = made(algorithm, (8, 8, 8))
    base = base_of(algorithm, (24, 12))
    algebra = ALGORITHMS[algorithm].algebra
    stacked = algebra.stack_rows("m", [Part(part, 8) for part in parts], FACTS)
    whole = merged(algorithm, stacked, base)
    for number, part in enumerate(parts):
        own = slice(8 * number, 8 * number + 8)
        piece = {role: np.ascontiguousarray(values[own]) for role, values in base.items()}
        np.testing.assert_allclose(whole[own], merged(algorithm, part, piece), atol=1e-12)
        again = algebra.take_rows("m", stacked, [(own.start, own.stop)], FACTS)
        np.testing.assert_allclose(whole[own], merged(algorithm, again, piece), atol=1e-12)


SPARSE = ("lora", "loha", "lokr", "oft", "ia3", "full", "norm")
"""Algorithms that can leave rows of a module as they are."""


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rows_that_are_not_adapted_stay_or_are_refused(algorithm: str) -> None:
    # an OFT that was one of two parts has no constraint, which is refused with any other part
    one, other = made(algorithm, (8, 8) if algorithm == "oft" else (8,), seed=4)[0], None
    if algorithm == "ia3":
        one = canonical("ia3", {"ia3_l": 1 + array(8, 1)})
    parts = [Part(one, 8), Part(other, 8)]
    algebra = ALGORITHMS[algorithm].algebra
    if algorithm not in SPARSE:
        with pytest.raises(NotExpressibleError):
            algebra.stack_rows("m", parts, FACTS)
        return
    base = base_of(algorithm, (16, 12))
    whole = merged(algorithm, algebra.stack_rows("m", parts, FACTS), base)
    np.testing.assert_allclose(whole[8:], base["weight"][8:], atol=1e-12)
    piece = {role: values[:8].copy() for role, values in base.items()}
    np.testing.assert_allclose(whole[:8], merged(algorithm, one, piece), atol=1e-12)


@pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if a != "boft"])
def test_halves_change_places(algorithm: str) -> None:
    [factors] = made(algorithm, (8,))
    base = base_of(algorithm, (8, 12))
    turned = {role: np.concatenate([values[4:], values[:4]]) for role, values in base.items()}
    taken = ALGORITHMS[algorithm].algebra.take_rows("m", factors, [(4, 8), (0, 4)], FACTS)
    whole = merged(algorithm, factors, base)
    np.testing.assert_allclose(
        merged(algorithm, taken, turned), np.concatenate([whole[4:], whole[:4]]), atol=1e-12
    )


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_merged_weight_is_written_in_blocks_as_it_is(
    algorithm: str, kernel: tuple[int, ...]
) -> None:
    [factors] = made(algorithm, (8,), kernel)
    base = base_of(algorithm, (8, 12, *kernel))
    expressions = {role: held(values.astype("float16")) for role, values in base.items()}
    found = ALGORITHMS[algorithm].algebra.merged("m", expressions, factors, 1.0)["weight"]
    whole = evaluate(found, read)
    assert whole.dtype == np.float16
    assert b"".join(computed_blocks(found, read)) == whole.tobytes()
    parts = [evaluate(rows(found, start, min(start + 3, 8)), read) for start in (0, 3, 6)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_loha_is_the_product_of_two_products() -> None:
    tensors = {
        "hada_w1_a": array(8, 3),
        "hada_w1_b": array(3, 12),
        "hada_w2_a": array(8, 2),
        "hada_w2_b": array(2, 12),
    }
    first, second = (tensors[f"hada_w{n}_a"] @ tensors[f"hada_w{n}_b"] for n in "12")
    base = base_of("loha", (8, 12))
    found = merged("loha", canonical("loha", tensors, 0.5), base)
    np.testing.assert_allclose(found, base["weight"] + 0.5 * first * second)


def test_loha_of_a_convolution_with_and_without_cores() -> None:
    plain = {
        f"hada_w{n}_{letter}": array(*shape)
        for n in "12"
        for letter, shape in (("a", (8, 2)), ("b", (2, 12 * 9)))
    }
    base = base_of("loha", (8, 12, 3, 3))
    change = np.multiply(*(plain[f"hada_w{n}_a"] @ plain[f"hada_w{n}_b"] for n in "12"))
    found = merged("loha", canonical("loha", plain), base)
    np.testing.assert_allclose(found, base["weight"] + change.reshape(8, 12, 3, 3))
    cores = {
        f"hada_{name}": array(*shape)
        for n in "12"
        for name, shape in ((f"w{n}_a", (2, 8)), (f"w{n}_b", (2, 12)), (f"t{n}", (2, 2, 3, 3)))
    }
    sides = [
        np.einsum(
            "ijkl,ip,jr->prkl", cores[f"hada_t{n}"], cores[f"hada_w{n}_a"], cores[f"hada_w{n}_b"]
        )
        for n in "12"
    ]
    found = merged("loha", canonical("loha", cores), base)
    np.testing.assert_allclose(found, base["weight"] + sides[0] * sides[1])


FORMS = {
    "whole": {"lokr_w1": (2, 3), "lokr_w2": (4, 4)},
    "second parted": {"lokr_w1": (2, 3), "lokr_w2_a": (4, 2), "lokr_w2_b": (2, 4)},
    "first parted": {"lokr_w1_a": (2, 2), "lokr_w1_b": (2, 3), "lokr_w2": (4, 4)},
    "both parted": {
        "lokr_w1_a": (2, 2),
        "lokr_w1_b": (2, 3),
        "lokr_w2_a": (4, 2),
        "lokr_w2_b": (2, 4),
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_lokr_is_a_kronecker_product(form: str) -> None:
    tensors = {role: array(*shape) for role, shape in FORMS[form].items()}
    one, other = (tensors.get(f"lokr_w{n}", tensors.get(f"lokr_w{n}_a", np.eye(1))) for n in "12")
    if "lokr_w1_b" in tensors:
        one = one @ tensors["lokr_w1_b"]
    if "lokr_w2_b" in tensors:
        other = other @ tensors["lokr_w2_b"]
    base = base_of("lokr", (8, 12))
    found = merged("lokr", canonical("lokr", tensors, 0.5), base)
    np.testing.assert_allclose(found, base["weight"] + 0.5 * np.kron(one, other))


def test_lokr_of_a_convolution_whole_parted_and_with_a_core() -> None:
    base, first = base_of("lokr", (8, 12, 3, 3)), array(2, 3)
    a, b, core = array(4, 2), array(2, 4 * 9), array(2, 2, 3, 3)
    outer, inner = array(2, 4), array(2, 4)
    seconds = {
        "whole": ({"lokr_w2": (whole := array(4, 4, 3, 3))}, whole),
        "parted": ({"lokr_w2_a": a, "lokr_w2_b": b}, (a @ b).reshape(4, 4, 3, 3)),
        "core": (
            {"lokr_t2": core, "lokr_w2_a": outer, "lokr_w2_b": inner},
            np.einsum("ijkl,ip,jr->prkl", core, outer, inner),
        ),
    }
    for tensors, second in seconds.values():
        found = merged("lokr", canonical("lokr", {"lokr_w1": first, **tensors}), base)
        change = np.kron(first[:, :, None, None], second)
        np.testing.assert_allclose(found, base["weight"] + change)


def test_rows_of_a_lokr_inside_one_block_and_across_blocks() -> None:
    tensors = {"lokr_w1": array(2, 3), "lokr_w2": array(6, 4)}
    factors, algebra = canonical("lokr", tensors), ALGORITHMS["lokr"].algebra
    change = np.kron(tensors["lokr_w1"], tensors["lokr_w2"])
    inside = algebra.take_rows("m", factors, [(7, 9)], FACTS)
    np.testing.assert_allclose(evaluate(algebra.change(inside), read), change[7:9])  # type: ignore[arg-type]
    with pytest.raises(NotExpressibleError, match="blocks have 6 rows") as caught:
        algebra.take_rows("m", factors, [(4, 8)], FACTS)
    assert "--as lora" in caught.value.hint


def test_lokrs_of_their_own_cannot_be_fused() -> None:
    parts = [
        Part(canonical("lokr", {"lokr_w1": array(2, 3), "lokr_w2": array(4, 4)}), 8)
        for _ in range(2)
    ]
    with pytest.raises(NotExpressibleError, match="no LoKr together") as caught:
        ALGORITHMS["lokr"].algebra.stack_rows("m", parts, FACTS)
    assert "--as lora" in caught.value.hint


def cayley(blocks: np.ndarray, limit: float = 0.0) -> np.ndarray:
    skew = blocks - blocks.swapaxes(-1, -2)
    norm = np.sqrt((skew**2).sum())
    if 0 < limit < norm:
        skew = skew * (limit / norm)
    unit = np.eye(blocks.shape[-1])
    return np.stack([(unit + q) @ np.linalg.inv(unit - q) for q in skew])


@pytest.mark.parametrize("constraint", [0.0, 0.01, 100.0])
def test_oft_turns_blocks_of_rows(constraint: float) -> None:
    blocks, rescale = array(2, 4, 4), 1 + array(8, 1)
    base = base_of("oft", (8, 12))
    factors = canonical(
        "oft", {"oft_blocks": blocks, "rescale": rescale}, settings={"constraint": constraint}
    )
    turns = cayley(blocks, constraint * 8)
    wanted = np.einsum("knm,knp->kmp", turns, base["weight"].reshape(2, 4, 12)).reshape(8, 12)
    np.testing.assert_allclose(merged("oft", factors, base), rescale * wanted)
    part = 0.25 * turns + 0.75 * np.eye(4)
    wanted = np.einsum("knm,knp->kmp", part, base["weight"].reshape(2, 4, 12)).reshape(8, 12)
    np.testing.assert_allclose(
        merged("oft", factors, base, 0.25), (1 + 0.25 * (rescale - 1)) * wanted
    )


@pytest.mark.parametrize("less", [0.0, 1.0])
def test_oft_diag_is_the_turn_itself_or_what_it_adds(less: float) -> None:
    turns = cayley(0.2 * array(2, 4, 4))
    base = base_of("oft", (8, 12))
    factors = canonical("oft", {"oft_diag": turns - less * np.eye(4)})
    wanted = np.einsum("knm,knp->kmp", turns, base["weight"].reshape(2, 4, 12)).reshape(8, 12)
    np.testing.assert_allclose(merged("oft", factors, base), wanted)


def test_an_oft_with_a_constraint_stays_whole() -> None:
    factors = canonical("oft", {"oft_blocks": array(2, 4, 4)}, settings={"constraint": 0.1})
    algebra = ALGORITHMS["oft"].algebra
    for act in (
        lambda: algebra.take_rows("m", factors, [(0, 4)], FACTS),
        lambda: algebra.stack_rows("m", [Part(factors, 8), Part(factors, 8)], FACTS),
    ):
        with pytest.raises(NotExpressibleError, match="constraint"):
            act()
    plain = factors._replace(settings={})
    with pytest.raises(NotExpressibleError, match="blocks have 4 rows"):
        algebra.take_rows("m", plain, [(0, 6)], FACTS)


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_boft_turns_rows_in_a_butterfly(stages: int) -> None:
    """Rows of two groups that lie 2^i half blocks apart are turned together at stage i."""
    size, count = 4, 4
    blocks, base = 0.3 * array(stages, count, size, size), base_of("boft", (16, 12))
    values = base["weight"]
    for stage, turns in enumerate(cayley(blocks.reshape(-1, size, size)).reshape(blocks.shape)):
        half = 2**stage * size // 2
        order = [
            group * 2 * half + side * half + at
            for group in range(16 // (2 * half))
            for at in range(half)
            for side in range(2)
        ]
        moved = values[order].reshape(count, size, 12)
        back = np.einsum("bij,bjp->bip", turns, moved).reshape(16, 12)
        values = np.empty_like(back)
        values[order] = back
    np.testing.assert_allclose(
        merged("boft", canonical("boft", {"oft_blocks": blocks}), base), values, atol=1e-12
    )


def test_ia3_of_lycoris_and_of_peft_are_alike() -> None:
    base, vector = base_of("ia3", (8, 12)), array(8)
    less = canonical("ia3", {"ia3_weight": vector}, settings={"on_input": 0.0})
    whole = canonical("ia3", {"ia3_l": 1 + vector[:, None]})
    for factors in (less, whole):
        np.testing.assert_allclose(
            merged("ia3", factors, base), base["weight"] * (1 + vector[:, None])
        )
    across = array(12)
    for factors in (
        canonical("ia3", {"ia3_weight": across}, settings={"on_input": 1.0}),
        canonical("ia3", {"ia3_l": 1 + across[None]}),
    ):
        np.testing.assert_allclose(merged("ia3", factors, base), base["weight"] * (1 + across))
    expressions = {role: held(values) for role, values in base.items()}
    found = ALGORITHMS["ia3"].algebra.merged("m", expressions, whole, 1.0)
    np.testing.assert_allclose(evaluate(found["bias"], read), base["bias"] * (1 + vector))
    assert "bias" not in ALGORITHMS["ia3"].algebra.merged("m", expressions, less, 1.0)


@pytest.mark.parametrize("kernel", [(), (3, 3)])
def test_glora_changes_the_base_by_itself(kernel: tuple[int, ...]) -> None:
    tail = (1, 1) if kernel else ()
    tensors = {
        "a1": array(12, 2, *tail),
        "a2": array(2, 12, *tail),
        "b1": array(8, 2, *tail),
        "b2": array(2, 12, *kernel),
    }
    base = base_of("glora", (8, 12, *kernel))
    a = tensors["a1"].reshape(12, 2) @ tensors["a2"].reshape(2, 12)
    own = np.einsum("oi...,ij->oj...", base["weight"], a)
    added = (tensors["b1"].reshape(8, 2) @ tensors["b2"].reshape(2, -1)).reshape(own.shape)
    np.testing.assert_allclose(
        merged("glora", canonical("glora", tensors, 0.5), base),
        base["weight"] + 0.5 * (own + added),
    )


def test_a_difference_may_be_of_the_bias_alone() -> None:
    factors, base = canonical("full", {"diff_b": (added := array(8))}), base_of("full", (8, 12))
    expressions = {role: held(values) for role, values in base.items()}
    found = ALGORITHMS["full"].algebra.merged("m", expressions, factors, 2.0)
    assert found.keys() == {"bias"}
    np.testing.assert_allclose(evaluate(found["bias"], read), base["bias"] + 2 * added)


def test_a_base_is_enlarged_with_zeros() -> None:
    tensors = {"down": array(2, 12), "up": array(8, 2), "reshape": np.array([8, 12])}
    small = array(8, 6)
    found = merged("lora", canonical("lora", tensors), {"weight": small})
    wanted = np.zeros((8, 12))
    wanted[:, :6] = small
    np.testing.assert_allclose(found, wanted + tensors["up"] @ tensors["down"])
    with pytest.raises(NotExpressibleError):
        ALGORITHMS["lora"].algebra.take_rows("m", canonical("lora", tensors), [(0, 4)], FACTS)


def test_magnitudes_of_other_products_are_the_norms_of_what_is_merged() -> None:
    for algorithm in ("loha", "lokr"):
        [factors] = made(algorithm, (8,))
        for axis, shape in ((0, (8, 1)), (1, (1, 12))):
            lengths = np.abs(array(*shape)) + 0.5
            tensors = {**factors.tensors, "magnitude": held(lengths)}
            given = ALGORITHMS[algorithm].algebra.canonical("m", factors._replace(tensors=tensors))
            found = merged(algorithm, given, base_of(algorithm, (8, 12)))
            norms = np.sqrt((found**2).sum(1 - axis))
            np.testing.assert_allclose(norms, lengths.ravel())


BROKEN = {
    "loha": {"hada_w1_a": (8, 2), "hada_w1_b": (3, 12), "hada_w2_a": (8, 2), "hada_w2_b": (2, 12)},
    "lokr": {"lokr_w1": (2, 3), "lokr_w2_a": (4, 2), "lokr_w2_b": (3, 4)},
    "oft": {"oft_blocks": (2, 4, 3)},
    "boft": {"oft_blocks": (3, 2, 4, 4)},
    "oft_in": {"oft_R": (3, 5)},
    "boft_in": {"boft_R": (1, 3, 4, 3), "boft_s": (8, 1)},
    "ia3": {"ia3_l": (8, 2)},
    "glora": {"a1": (2, 12), "a2": (12, 2), "b1": (8, 2), "b2": (2, 12)},
    "full": {"diff": (0, 3)},
    "norm": {"w_norm": (8,), "b_norm": (7,)},
    "weight": {"set_weight": ()},
}


@pytest.mark.parametrize("algorithm", BROKEN)
def test_factors_that_do_not_fit_together_are_refused(algorithm: str) -> None:
    with pytest.raises(ShapeError):
        canonical(algorithm, {role: array(*shape) for role, shape in BROKEN[algorithm].items()})


@pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if a not in ("ia3", "oft_in")])
def test_a_base_of_other_shapes_is_refused(algorithm: str) -> None:
    [factors] = made(algorithm, (8,))
    with pytest.raises(ShapeError):
        merged(algorithm, factors, {"weight": array(9, 13), "bias": array(9)})


UNSCALED = {"dora", "oft", "oft_in", "boft", "boft_in", "weight"}
"""What is changed is no multiple of anything in the file."""


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_scaled_factors_are_a_strength(algorithm: str, kernel: tuple[int, ...]) -> None:
    [factors] = made(algorithm, (8,), kernel)
    base = base_of(algorithm, (8, 12, *kernel))
    found = ALGORITHMS[algorithm].algebra.scaled(factors, -0.7)
    assert (found is None) == (algorithm in UNSCALED)
    if found is not None:
        wanted = merged(algorithm, factors, base, -0.7)
        np.testing.assert_allclose(merged(algorithm, found, base), wanted, atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_folded_factors_need_no_scale(algorithm: str, kernel: tuple[int, ...]) -> None:
    for seed in range(3):
        [factors] = made(algorithm, (8,), kernel, seed)
        base = base_of(algorithm, (8, 12, *kernel))
        found = ALGORITHMS[algorithm].algebra.folded(factors)
        assert found.scale.value == 1.0 or ALGORITHMS[algorithm].alpha != "scale"
        np.testing.assert_allclose(
            merged(algorithm, found, base), merged(algorithm, factors, base), atol=1e-12
        )


def test_a_trained_bias_is_scaled_with_its_weight() -> None:
    tensors = {
        "lora": {"down": array(2, 4), "up": array(6, 2), "bias": array(6), "diff_b": array(6)},
        "full": {"diff": array(6, 4), "diff_b": array(6)},
        "norm": {"w_norm": array(6), "b_norm": array(6)},
    }
    for algorithm, arrays in tensors.items():
        factors = canonical(algorithm, arrays, 0.5)
        shape = (6,) if algorithm == "norm" else (6, 4)
        base = {"weight": held(array(*shape)), "bias": held(array(6))}
        algebra = ALGORITHMS[algorithm].algebra
        found = algebra.scaled(factors, -2.0)
        assert found is not None
        wanted = algebra.merged("m", base, factors, -2.0)["bias"]
        for other in (found, algebra.folded(found)):
            given = algebra.merged("m", base, other, 1.0)["bias"]
            np.testing.assert_allclose(evaluate(given, read), evaluate(wanted, read), atol=1e-12)
