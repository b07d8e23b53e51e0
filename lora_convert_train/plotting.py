"""The losses of a run as a picture."""

from __future__ import annotations

from typing import Any

_SIZE = (960, 480)
_EDGE = 48
_SMOOTH = 0.98
_LINE, _POINTS, _INK, _PAPER = "#1f5fa8", "#c8d6e8", "#404040", "#ffffff"


def plot_losses(metrics: list[dict[str, Any]], path: str) -> None:
    """Write a PNG of the loss of each step, and of its smoothed course."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", _SIZE, _PAPER)
    draw = ImageDraw.Draw(image)
    values = [(int(one["step"]), float(one["loss"])) for one in metrics]
    if len(values) > 1:
        steps, losses = zip(*values, strict=True)
        low, high = min(losses), max(losses)
        width, height = _SIZE[0] - 2 * _EDGE, _SIZE[1] - 2 * _EDGE

        def at(step: int, loss: float) -> tuple[float, float]:
            across = (step - steps[0]) / max(steps[-1] - steps[0], 1)
            up = (loss - low) / ((high - low) or 1)
            return _EDGE + across * width, _SIZE[1] - _EDGE - up * height

        for x, y in (at(*one) for one in values):
            draw.ellipse((x - 1, y - 1, x + 1, y + 1), fill=_POINTS)
        draw.line([at(*one) for one in smoothed(values)], fill=_LINE, width=2)
        draw.text((4, _EDGE - 6), f"{high:.3g}", fill=_INK)
        draw.text((4, _SIZE[1] - _EDGE - 6), f"{low:.3g}", fill=_INK)
        draw.text((_EDGE, _SIZE[1] - _EDGE + 8), f"step {steps[0]}", fill=_INK)
        draw.text((_SIZE[0] - 2 * _EDGE, _SIZE[1] - _EDGE + 8), f"{steps[-1]}", fill=_INK)
    draw.text((_EDGE, 8), "loss", fill=_INK)
    image.save(path)


def smoothed(values: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Running means, without a pull towards the first value."""
    found, mean, weight = [], 0.0, 0.0
    for step, value in values:
        mean = _SMOOTH * mean + (1 - _SMOOTH) * value
        weight = _SMOOTH * weight + (1 - _SMOOTH)
        found.append((step, mean / weight))
    return found
