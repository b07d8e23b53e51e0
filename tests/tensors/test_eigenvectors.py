"""The largest eigenvalues against LAPACK's decomposition of all, for spectra with and without gaps."""

from __future__ import annotations

import numpy as np
import pytest

from lora_convert.tensors import eigenvectors
from lora_convert.tensors.eigenvectors import largest

HEIGHT = 400


def turned(values: np.ndarray) -> np.ndarray:
    """A symmetric matrix that has these eigenvalues."""
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((HEIGHT, HEIGHT)))[0]
    whole = (turn * values) @ turn.T
    return (whole + whole.T) / 2


def gram(scale: float, rank: int = HEIGHT) -> np.ndarray:
    """Of a matrix of some rank and noise beside it."""
    rng = np.random.default_rng(2)
    matrix = rng.standard_normal((HEIGHT, rank)) @ rng.standard_normal((rank, 600))
    matrix += scale * rng.standard_normal(matrix.shape)
    return np.asarray(matrix @ matrix.T)


GRAMS = {
    "falling": turned(np.arange(1.0, HEIGHT + 1) ** -1.4),
    "falling fast": turned(0.5 ** np.arange(float(HEIGHT))),
    "noise": gram(1.0, 1),
    "of rank 12 and noise": gram(1e-4, 12),
    "of rank 3": gram(0.0, 3),
    "zero": np.zeros((HEIGHT, HEIGHT)),
    "each value many times": turned(np.repeat([9.0, 7.0, 5.0, 3.0], HEIGHT // 4)),
    "one value": np.eye(HEIGHT),
    "evenly falling": np.diag(np.arange(float(HEIGHT))),
}


@pytest.mark.parametrize("count", [1, 8, 30, 64])
@pytest.mark.parametrize("name", GRAMS)
def test_they_are_those_of_lapack(name: str, count: int) -> None:
    whole = GRAMS[name]
    wanted = np.linalg.eigvalsh(whole)[::-1]
    values, vectors = largest(whole, count)
    left_away = max(np.trace(whole) - wanted[:count].sum(), 0.0)
    allowed = 1e-8 * left_away + 1e-12 * wanted[0]
    assert values.sum() == pytest.approx(wanted[:count].sum(), abs=allowed)
    kept = values > 1e-9 * wanted[0]
    np.testing.assert_allclose((vectors.T @ vectors)[kept][:, kept], np.eye(kept.sum()), atol=1e-10)
    captured = np.einsum("nr,nm,mr->", vectors, whole, vectors)
    assert captured == pytest.approx(wanted[:count].sum(), abs=allowed + 1e-12 * np.trace(whole))


def test_most_are_found_without_decomposing_all(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    decompose = np.linalg.eigh

    def noted(matrix: np.ndarray) -> object:
        sizes.append(len(matrix))
        return decompose(matrix)

    monkeypatch.setattr(np.linalg, "eigh", noted)
    for name in ("falling", "falling fast", "of rank 12 and noise", "of rank 3", "zero"):
        eigenvectors.largest(GRAMS[name], 8)
    assert max(sizes) < HEIGHT / 2


def test_equal_matrices_have_equal_vectors() -> None:
    one, other = (largest(GRAMS["falling"].copy(), 8) for _ in range(2))
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first, second)
