"""Low-rank factors against torch's own decomposition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lora_convert.tensors.approximations import Cut
from lora_convert.tensors.arithmetic import Product, Sum
from lora_convert.tensors.build import reshaped
from lora_convert.tensors.cutting import singular_values
from lora_convert.tensors.evaluate import evaluate, held
from lora_convert.tensors.expr import Cast, Expr, Reshaped, Times
from lora_convert.tensors.ranges import Range


def nothing(extent: Range) -> bytes:
    raise AssertionError(extent)


def matrix(*shape: int, seed: int = 0, dtype: str = "float32") -> Expr:
    return held(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def value_of(expr: Expr) -> np.ndarray:
    return evaluate(expr, nothing).astype("float64")


def nearest(of: Expr, rank: int) -> np.ndarray:
    """What torch.linalg.svd makes of the whole matrix."""
    whole = torch.from_numpy(value_of(of).reshape(of.shape[0], -1))
    left, values, right = torch.linalg.svd(whole, full_matrices=False)
    return ((left[:, :rank] * values[:rank]) @ right[:rank]).numpy()


def cut(of: Expr, rank: int, seed: int | None = None) -> np.ndarray:
    return value_of(Cut(of, rank, "up", seed)) @ value_of(Cut(of, rank, "down", seed))


MATRICES: dict[str, Expr] = {
    "high": matrix(23, 11),
    "wide": matrix(11, 23),
    "kernel": matrix(9, 4, 3, 3),
    "product": Product(matrix(14, 6), matrix(6, 17, seed=1), -1.7),
    "convolution": Product(matrix(14, 6, 1, 1), matrix(6, 5, 3, 3, seed=1), 0.5),
    "wider than itself": Product(matrix(4, 9), matrix(9, 5, seed=1), 1.0),
    "multiple": Times(matrix(8, 9), -3.0),
    "sum": Sum(matrix(8, 9), Times(matrix(8, 9, seed=1), -1.0)),
    "cast": Cast(matrix(8, 9, dtype="float16"), "F64"),
    "reshaped": Reshaped(matrix(8, 3, 3), (8, 9)),
}


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("name", MATRICES)
def test_the_nearest_matrix_of_a_rank(name: str, rank: int) -> None:
    of = MATRICES[name]
    np.testing.assert_allclose(cut(of, rank), nearest(of, rank), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MATRICES)
def test_shapes_are_known_before(name: str) -> None:
    of = MATRICES[name]
    for side in ("up", "down"):
        expr = Cut(of, 30, side)  # more than any of them has
        assert value_of(expr).shape == expr.shape
    np.testing.assert_allclose(cut(of, 30), nearest(of, 30), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["product", "convolution", "wider than itself"])
def test_singular_values_of_a_product(name: str) -> None:
    product = MATRICES[name]
    assert isinstance(product, Product)
    whole = torch.from_numpy(value_of(product).reshape(product.shape[0], -1))
    found = singular_values(product, nothing)
    wanted = torch.linalg.svdvals(whole).numpy()
    np.testing.assert_allclose(found[: len(wanted)], wanted[: len(found)], rtol=1e-5, atol=1e-6)


def test_a_sampled_decomposition_is_nearly_the_exact_one_and_always_the_same() -> None:
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((60, 60)))[0] for _ in "ab")
    of = held((left * 0.8 ** np.arange(60)) @ right)
    exact, fast = nearest(of, 4), cut(of, 4, seed=7)
    whole = value_of(of)
    assert np.linalg.norm(whole - fast) <= 1.001 * np.linalg.norm(whole - exact)
    np.testing.assert_array_equal(fast, cut(of, 4, seed=7))


def test_rows_of_a_factor_of_a_kernel() -> None:
    of = MATRICES["kernel"]
    down = reshaped(Cut(of, 2, "down"), (2, 4, 3, 3))
    np.testing.assert_array_equal(value_of(down).reshape(2, -1), value_of(Cut(of, 2, "down")))
