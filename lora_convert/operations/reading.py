"""The adapter of an open checkpoint, with all that there is to say of how it was read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lora_convert.conversion.gather import chosen_adapter
from lora_convert.conversion.read import read
from lora_convert.errors import NotExpressibleError, VerificationError
from lora_convert.operations.opening import open_adapter
from lora_convert.operations.recognising import check_recognised
from lora_convert.operations.remarks import (
    base_loss,
    notes_on_alphas,
    notes_on_reading,
    scale_losses,
)
from lora_convert.operations.scaling import base_changes, notes_on_scales, scale_sources
from lora_convert.storage.joined import moved
from lora_convert.tensors.dtypes import FLOATS

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from lora_convert.adapter import Adapter, Delta
    from lora_convert.formats import Format
    from lora_convert.operations.opening import Opened
    from lora_convert.planning import Loss
    from lora_convert.tensors.ranges import Range


class Found(NamedTuple):
    """An adapter that was read."""

    adapter: Adapter
    losses: tuple[Loss, ...]
    """What was supposed."""
    notes: tuple[str, ...]
    """What was left out, where scales came from."""
    changed_by: str = ""
    """The initialisation that changed the base, where one did."""

    @property
    def told(self) -> tuple[str, ...]:
        """All of it, for people."""
        return (*map(str, self.losses), *self.notes)


class Reading(NamedTuple):
    """How adapters are read, where their files do not tell."""

    scale_from: str | None = None
    adapter: str | None = None
    component: str | None = None
    architecture: str | None = None

    def opened(self, path: str, closing: ExitStack) -> Opened:
        """The adapter at a path, open until `closing` ends."""
        opened = open_adapter(path, architecture=self.architecture, component=self.component)
        closing.callback(opened.checkpoint.close)
        return opened


def read_adapter_of(
    opened: Opened,
    *,
    wanted: str | None = None,
    scale_from: str | None = None,
    first_file: int = 0,
    base_counts: bool = False,
    to: Format | None = None,
) -> Found:
    """The adapter of an opened checkpoint, its files counted from `first_file`.

    `base_counts` says that frozen weights beside it are used too, and so are not left out; `to` what it
    is read for, where that is one format.
    """
    check_recognised(opened, to)
    chosen = chosen_adapter(opened.detection, wanted, opened.checkpoint.path)
    gathered = tuple(
        entry._replace(tensors={role: moved(t, first_file) for role, t in entry.tensors.items()})
        for entry in opened.gathered(chosen)
    )
    scales = scale_sources(opened, gathered, scale_from)
    found = read(opened.checkpoint.header, opened.detection, gathered, scales)
    changed = base_changes(scales)
    supposed = [*scale_losses(found), *(base_loss(kind, found) for kind in changed)]
    beside = found._replace(base=0) if base_counts else found
    notes = [
        *notes_on_reading(opened, beside, wanted),
        *notes_on_alphas(gathered),
        *notes_on_scales(found, scales),
    ]
    return Found(found, tuple(supposed), tuple(notes), next(iter(changed), ""))


def notes_on_effect(adapter: Adapter, read_range: Callable[[Range], bytes]) -> list[str]:
    """What is to be said of modules that change nothing, because they were never trained.

    An adapter with elements that are not finite is refused: what it is merged into would be lost.
    """
    from lora_convert.tensors.norms import finite_and_zero

    idle = 0
    for delta in adapter.deltas:
        checked = {role: finite_and_zero(t, read_range) for role, t in delta.tensors.items()}
        broken = [role for role, (finite, _) in checked.items() if not finite]
        if broken:
            raise NotExpressibleError(
                f"{delta.label}: its {broken[0]} is not finite, and cannot be merged",
                hint="lora-convert inspect --health FILE lists all such keys",
            )
        idle += _is_idle(delta, {role for role, (_, zero) in checked.items() if zero})
    if idle == len(adapter.deltas):
        return ["every up factor is zero: the adapter was not trained, and changes nothing"]
    return [f"{idle} modules change nothing: their up factors are zero"] if idle else []


def _is_idle(delta: Delta, zero: set[str]) -> bool:
    """Whether a LoRA was left as it began: another algorithm's zeros are not looked for."""
    return "up" in zero and "magnitude" not in delta.tensors


def check_finite(name: str, dtype: str, block: bytes) -> None:
    """Raise VerificationError where a computed block has elements that are not finite."""
    import numpy

    from lora_convert.tensors.evaluate import numpy_dtype

    if dtype in FLOATS and not numpy.isfinite(numpy.frombuffer(block, numpy_dtype(dtype))).all():
        raise VerificationError(
            f"{name}: would have elements that are not finite; nothing was written",
            why="its dtype cannot hold the sum, or the base is damaged",
            hint="try --dtype keep, fp32 or bf16",
        )
