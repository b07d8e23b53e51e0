"""The exponential moving average of a run's checkpoints, after the fact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.errors import OptionError
from lora_convert.formats import FORMATS
from lora_convert.operations.addresses import run_at
from lora_convert.operations.combine import plan_combine
from lora_convert.operations.editing import AS_IT_WAS, AS_TOLD, destination_beside
from lora_convert.operations.merging import Added
from lora_convert.operations.summing import Combination

if TYPE_CHECKING:
    from lora_convert.operations.editing import Writing
    from lora_convert.operations.reading import Reading
    from lora_convert.operations.writing import ConversionPlan


def plan_ema(
    run: str,
    decay: float,
    *,
    last: int | None = None,
    rank: int | None = None,
    reading: Reading = AS_TOLD,
    writing: Writing = AS_IT_WAS,
) -> ConversionPlan:
    """Work out the average of a run's checkpoints, of which each later one counts more.

    It is that of the ΔWs, and so of the models that they make: average₁ = ΔW₁, and
    averageₙ = decay · averageₙ₋₁ + (1 − decay) · ΔWₙ. Averaging factors would give something else, since the
    mean of products is not the product of means. The sum has the ranks of all together; the nearest of
    `rank` is kept, by default that of the checkpoints. `last` takes so many of them. OptionError where there
    are fewer than two.
    """
    if not 0 < decay < 1:
        raise OptionError("decay", decay, hint="for example --decay 0.7")
    if last is not None and last < 2:
        raise OptionError("last", last, why="an average is of two at least")
    found = run_at(run)
    sources = [one.source for one in found.checkpoints][-(last or 0) :]
    if len(sources) < 2:
        why = f"{len(sources)} checkpoint has no average"
        raise OptionError("run", run, why=why, hint="lora-convert runs show RUN lists checkpoints")
    added = [Added(*one) for one in zip(sources, weights(len(sources), decay), strict=True)]
    if writing.output is None:
        format_ = FORMATS[writing.to or "kohya"]
        output = destination_beside(found.path, "ema", format_).path
        writing = writing._replace(output=output, to=format_.name)
    return plan_combine(added, Combination("svd", rank), reading=reading, writing=writing)


def weights(count: int, decay: float) -> list[float]:
    """How often each of so many checkpoints is in the average, the oldest first; they add up to 1."""
    return [(1.0 if at == 0 else 1.0 - decay) * decay ** (count - 1 - at) for at in range(count)]
