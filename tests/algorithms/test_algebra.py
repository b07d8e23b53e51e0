"""What row operations on ΔW do to factors, against ΔW itself."""

from __future__ import annotations

import numpy as np
import pytest

from lora_convert.adapter import Scale
from lora_convert.algorithms import ALGORITHMS, Factors, Part
from lora_convert.algorithms.lora import without_mid
from lora_convert.errors import NotExpressibleError, ShapeError
from lora_convert.storage.probe import ByteFacts
from lora_convert.tensors.build import cast, rows
from lora_convert.tensors.evaluate import computed_blocks, evaluate, held
from lora_convert.tensors.expr import Expr, Padded
from lora_convert.tensors.ranges import Range

RNG = np.random.default_rng(3)


def read(extent: Range) -> bytes:
    raise AssertionError("everything is in memory")


FACTS = ByteFacts(read)


class NoFacts:
    """Answers from the expressions alone: a plan without a look at the bytes."""

    def same(self, one: Expr, other: Expr) -> bool:
        return one == other

    def support(self, expr: Expr) -> tuple[int, int]:
        if isinstance(expr, Padded):
            return expr.left, expr.left + expr.of.shape[1]
        return 0, expr.shape[1]


def array(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype("float32")


def factors(scale: Scale, **arrays: np.ndarray) -> Factors:
    return Factors({role: held(values) for role, values in arrays.items()}, scale)


def change(made: Factors, algorithm: str = "lora") -> np.ndarray:
    """ΔW in float64."""
    wide = {role: cast(tensor, "F64") for role, tensor in made.tensors.items()}
    found = ALGORITHMS[algorithm].algebra.change(made._replace(tensors=wide))
    assert found is not None
    return evaluate(found, read)


def test_rows_may_be_taken_in_any_order() -> None:
    whole = factors(Scale(2, 3), down=array(3, 5), up=array(8, 3))
    ranges = [(6, 8), (0, 3)]
    taken = ALGORITHMS["lora"].algebra.take_rows("m", whole, ranges, FACTS)
    np.testing.assert_array_equal(change(taken), change(whole)[[6, 7, 0, 1, 2]])
    assert taken.scale == whole.scale


@pytest.mark.parametrize("same_down", [True, False])
@pytest.mark.parametrize("missing", [None, 0, 1, 2])
def test_stacked_changes_stand_above_one_another(same_down: bool, missing: int | None) -> None:
    down = array(2, 5)
    parts = [
        factors(Scale(1, 2), down=down if same_down else array(2, 5), up=array(4, 2))
        for _ in range(3)
    ]
    given = [Part(None if n == missing else part, 4) for n, part in enumerate(parts)]
    stacked = ALGORITHMS["lora"].algebra.stack_rows("m", given, FACTS)
    expected = [np.zeros((4, 5)) if n == missing else change(p) for n, p in enumerate(parts)]
    np.testing.assert_array_equal(change(stacked), np.concatenate(expected))
    rank = stacked.tensors["down"].shape[0]
    assert rank == (2 if same_down else 2 * (3 - (missing is not None)))
    assert stacked.scale.value == 0.5


def test_a_block_diagonal_comes_apart_at_its_own_ranks() -> None:
    parts = [Part(factors(Scale(1, r), down=array(r, 5), up=array(4, r)), 4) for r in (1, 3, 2)]
    stacked = ALGORITHMS["lora"].algebra.stack_rows("m", [*parts], NoFacts())
    in_memory = factors(stacked.scale, **{r: evaluate(t, read) for r, t in stacked.tensors.items()})
    for fused, facts in ((stacked, NoFacts()), (in_memory, FACTS)):
        for number, part in enumerate(parts):
            ranges = [(4 * number, 4 * number + 4)]
            taken = ALGORITHMS["lora"].algebra.take_rows("m", fused, ranges, facts)
            assert part.factors
            np.testing.assert_allclose(change(taken), change(part.factors), rtol=1e-6, atol=1e-6)
            if fused is stacked and taken.scale.value == stacked.scale.value:
                assert taken.tensors["down"].shape[0] == part.factors.tensors["down"].shape[0]


def test_scales_that_differ_are_folded() -> None:
    parts = [
        Part(factors(Scale(alpha, 2), down=array(2, 5), up=array(4, 2)), 4) for alpha in (1, 2, 0.5)
    ]
    stacked = ALGORITHMS["lora"].algebra.stack_rows("m", parts, FACTS)
    expected = np.concatenate([change(part.factors) for part in parts if part.factors])
    np.testing.assert_array_equal(change(stacked), expected)


def test_a_tucker_core_contracts_to_a_plain_convolution() -> None:
    tucker = factors(
        Scale(1, 3), down=array(3, 5, 1, 1), mid=array(3, 3, 3, 3), up=array(4, 3, 1, 1)
    )
    plain = without_mid(tucker)
    assert set(plain.tensors) == {"down", "up"}
    np.testing.assert_allclose(change(plain), change(tucker), rtol=1e-5, atol=1e-6)


def test_biases_go_with_their_rows() -> None:
    one = factors(Scale(1, 2), down=array(2, 5), up=array(4, 2), bias=array(4))
    other = factors(Scale(2, 2), down=array(2, 5), up=array(4, 2))
    stacked = ALGORITHMS["lora"].algebra.stack_rows("m", [Part(one, 4), Part(other, 4)], FACTS)
    bias = evaluate(stacked.tensors["bias"], read)
    np.testing.assert_array_equal(bias[:4], evaluate(one.tensors["bias"], read))
    assert not bias[4:].any()


def test_dora_by_output_goes_with_its_rows() -> None:
    whole = factors(Scale(1, 2), down=array(2, 5), up=array(4, 2), magnitude=array(4))
    taken = ALGORITHMS["dora"].algebra.take_rows("m", whole, [(2, 4), (0, 2)], FACTS)
    magnitude = evaluate(whole.tensors["magnitude"], read)
    np.testing.assert_array_equal(evaluate(taken.tensors["magnitude"], read), np.roll(magnitude, 2))


def test_dora_by_input_moves_whole_or_not_at_all() -> None:
    whole = factors(Scale(1, 2), down=array(2, 5), up=array(4, 2), magnitude=array(1, 5))
    algebra = ALGORITHMS["dora"].algebra
    swapped = algebra.take_rows("m", whole, [(2, 4), (0, 2)], FACTS)
    assert swapped.tensors["magnitude"] == whole.tensors["magnitude"]
    with pytest.raises(NotExpressibleError):
        algebra.take_rows("m", whole, [(0, 2)], FACTS)
    with pytest.raises(NotExpressibleError):
        algebra.stack_rows("m", [Part(whole, 4), Part(whole, 4)], FACTS)
    plain = factors(Scale(1, 2), down=array(2, 5), up=array(4, 2), magnitude=array(4))
    with pytest.raises(NotExpressibleError):
        algebra.stack_rows("m", [Part(plain, 4), Part(None, 4)], FACTS)


@pytest.mark.parametrize(
    "arrays",
    [
        {"down": array(2, 5), "up": array(4, 3)},
        {"down": array(2, 5), "up": array(4, 2, 1, 1)},
        {"down": array(2, 5, 3, 3), "up": array(4, 2, 3, 3)},
        {"down": array(2), "up": array(4)},
        {"down": array(2, 5).astype("int8"), "up": array(4, 2)},
        {"down": np.zeros((0, 5), "float32"), "up": np.zeros((4, 0), "float32")},
        {"down": array(2, 5), "up": array(4, 2), "bias": array(3)},
    ],
)
def test_factors_that_do_not_fit_are_refused(arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(ShapeError):
        ALGORITHMS["lora"].algebra.check("m", factors(Scale(1, 1), **arrays).tensors)


def test_a_base_weight_becomes_itself_and_its_change() -> None:
    weight, bias = array(8, 5), array(8)
    made = factors(Scale(2, 4), down=array(4, 5), up=array(8, 4), bias=array(8))
    base = {"weight": held(weight), "bias": held(bias)}
    merged = ALGORITHMS["lora"].algebra.merged("m", base, made, 1.0)
    np.testing.assert_allclose(evaluate(merged["weight"], read), weight + change(made), atol=1e-6)
    trained = evaluate(made.tensors["bias"], read)
    np.testing.assert_allclose(evaluate(merged["bias"], read), bias + 0.5 * trained, atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 5), (8, 5, 1, 1)])
@pytest.mark.parametrize("ones", [(), (1, 1)])
def test_small_convolutions_are_merged_in_either_shape(
    shape: tuple[int, ...], ones: tuple[int, ...]
) -> None:
    weight = array(*shape)
    made = factors(Scale(1, 2), down=array(2, 5, *ones), up=array(8, 2, *ones))
    merged = ALGORITHMS["lora"].algebra.merged("m", {"weight": held(weight)}, made, 1.0)["weight"]
    wanted = weight + change(made).reshape(shape)
    np.testing.assert_allclose(evaluate(merged, read), wanted, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kernel", [(), (3, 3)])
def test_a_magnitude_is_the_norm_of_what_is_merged(axis: int, kernel: tuple[int, ...]) -> None:
    weight, size = array(8, 5, *kernel), (8, 5)[axis]
    magnitude = np.abs(array(size)) if axis == 0 else np.abs(array(1, size, *(1 for _ in kernel)))
    ups = array(8, 2, *(1 for _ in kernel))
    made = factors(Scale(1, 2), down=array(2, 5, *kernel), up=ups, magnitude=magnitude)
    merged = ALGORITHMS["dora"].algebra.merged("m", {"weight": held(weight)}, made, 1.0)["weight"]
    values = evaluate(merged, read).astype("float64")
    others = tuple(other for other in range(values.ndim) if other != axis)
    norms = np.sqrt((values**2).sum(others))
    np.testing.assert_allclose(norms, magnitude.ravel(), rtol=1e-6)
    plain = weight + change(factors(Scale(1, 2), down=evaluate(made.tensors["down"], read), up=ups))
    lengths = np.sqrt((plain**2).sum(others, keepdims=True))
    directions = values / np.sqrt((values**2).sum(others, keepdims=True))
    np.testing.assert_allclose(directions, plain / lengths, atol=1e-6)


@pytest.mark.parametrize("algorithm", ["lora", "dora"])
def test_rows_of_a_merged_weight_are_computed_by_themselves(algorithm: str) -> None:
    made = factors(
        Scale(1, 2),
        down=array(2, 5),
        up=array(8, 2),
        **({"magnitude": np.abs(array(8))} if algorithm == "dora" else {}),
    )
    base = {"weight": held(array(8, 5).astype("float16"))}
    merged = ALGORITHMS[algorithm].algebra.merged("m", base, made, 1.0)["weight"]
    assert merged.dtype == "F16"
    whole = evaluate(merged, read)
    parts = [evaluate(rows(merged, start, start + 3), read) for start in (0, 3)]
    np.testing.assert_array_equal(np.concatenate([*parts, whole[6:]]), whole)
    assert b"".join(computed_blocks(merged, read)) == whole.tobytes()


def test_a_base_of_other_shapes_is_refused() -> None:
    made = factors(Scale(1, 2), down=array(2, 5), up=array(8, 2))
    for shape in ((8, 6), (5, 8), (8, 5, 3, 3), (8,)):
        with pytest.raises(ShapeError, match="the base has"):
            ALGORITHMS["lora"].algebra.merged("m", {"weight": held(array(*shape))}, made, 1.0)
