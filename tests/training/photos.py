"""Photos to train on: seeded noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIZES = ((40, 40), (64, 32), (32, 64), (40, 48))


def write_photos(folder: Path, sizes: tuple[tuple[int, int], ...] = SIZES) -> Path:
    """Seeded noise of these sizes, each with a caption."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for number, (width, height) in enumerate(sizes):
        values = draw.integers(0, 255, (height, width, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"{number:03}.png")
        (folder / f"{number:03}.txt").write_text("abcdef"[: number % 6 + 1])
    return folder
