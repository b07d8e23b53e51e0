"""An adapter made independent of its base: what needs one is worked out on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_convert.conversion.grounding import grounded
from lora_convert.errors import BaseMismatchError
from lora_convert.operations.merging import components_at, spelled
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.joined import Joined, moved
from lora_convert.storage.probe import ByteFacts

if TYPE_CHECKING:
    from contextlib import ExitStack

    from lora_convert.adapter import Delta
    from lora_convert.operations.opening import Opened
    from lora_convert.operations.reading import Found
    from lora_convert.tensors.expr import Expr


def on_base(opened: Opened, found: Found, base: str, closing: ExitStack) -> tuple[Found, Joined]:
    """An adapter that acts on `base` as `found` does, and what its tensors are read from.

    `base` is a checkpoint in one file, the weights of a component or a pipeline; it is open until `closing`
    ends. Errors are those of `grounded`.
    """
    parts = components_at(base)
    lacking = [name for name in found.adapter.components if name not in parts]
    if "" not in parts and lacking:
        raise BaseMismatchError(
            base, [d.label for d in found.adapter.deltas if d.component in lacking]
        )
    wanted = {"": None} if "" in parts else {name: name for name in found.adapter.components}
    checkpoints = [opened.checkpoint]
    deltas: list[Delta] = []
    for name, component in wanted.items():
        first = sum(len(one.files) for one in checkpoints)
        checkpoint = closing.enter_context(Checkpoint(parts[name]))
        checkpoints.append(checkpoint)
        weights: dict[str, Expr] = {
            key: moved(t, first) for key, t in checkpoint.header.tensors.items()
        }
        joined = Joined(*checkpoints)
        chosen = tuple(
            one for one in found.adapter.deltas if component is None or one.component == component
        )
        adapter = found.adapter._replace(deltas=chosen)
        named, keys = spelled(opened, adapter, weights, ByteFacts(joined.read), base)
        deltas += grounded(weights, named, keys, changed_by=found.changed_by, where=base)
    note = f"what needs a base was worked out on {base}: elsewhere it acts otherwise"
    losses = tuple(loss for loss in found.losses if loss.kind != "changed base")
    adapter = found.adapter._replace(deltas=tuple(deltas))
    return found._replace(adapter=adapter, losses=losses, notes=(*found.notes, note)), Joined(
        *checkpoints
    )
