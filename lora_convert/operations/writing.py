"""An adapter to be written in a format: the plan of its files, and what applies it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.fit import computed_notes, fit
from lora_convert.conversion.spelling import Spelling, spelling
from lora_convert.conversion.translate import translate
from lora_convert.conversion.write import write
from lora_convert.errors import LossyConversionError, NotExpressibleError, OptionError
from lora_convert.formats import Format, written
from lora_convert.operations.origins import with_provenance
from lora_convert.operations.remarks import reader_notes
from lora_convert.operations.stale_metadata import without_stale
from lora_convert.planning import Loss, LossPolicy, Plan, TensorFile
from lora_convert.storage.probe import ByteFacts
from lora_convert.tensors.dtypes import SHORT_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lora_convert.adapter import Adapter
    from lora_convert.applications import Application
    from lora_convert.operations.applying import Result
    from lora_convert.operations.destination import Destination
    from lora_convert.storage.checkpoint import Checkpoint
    from lora_convert.storage.joined import Joined


class Origin(NamedTuple):
    """Where the adapter of a plan comes from."""

    checkpoint: Checkpoint | Joined
    format: str | None
    """None for one made in memory."""
    architecture: str | None


class ConversionPlan:
    """A conversion worked out to the byte. ``apply`` writes it; ``close`` lets go of the source."""

    def __init__(
        self,
        origin: Origin,
        adapter: Adapter,
        target: Spelling,
        destination: Destination,
        plan: Plan,
        losses: tuple[Loss, ...],
        notes: tuple[str, ...],
    ) -> None:
        self.origin = origin
        self.adapter = adapter
        """As it was read, or with its changes in another algorithm."""
        self.target = target
        self.destination = destination
        self.plan = plan
        self.losses = losses
        self.notes = notes
        self.fields: Mapping[str, Any] = {}
        """What else there is to say of what is done to the adapter."""
        self.measured: Callable[[], Mapping[str, Any]] = dict
        """More of that, known only once its tensors are computed."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Paths of all files that will be written."""
        whole = self.destination.path
        folder = whole if self.destination.folder else os.path.dirname(whole)
        return tuple(os.path.join(folder, *file.name.split("/")) for file in self.plan.files)

    def as_json(self) -> dict[str, Any]:
        """The documented fields of a plan."""
        return {
            "source": self.origin.checkpoint.path,
            "from": self.origin.format,
            "architecture": self.origin.architecture,
            "to": self.target.format.name,
            "output": self.destination.path,
            "outputs": list(self.outputs),
            "modules": len(self.adapter.deltas),
            "bytes": self.plan.size,
            **self.fields,
            "losses": [loss._asdict() for loss in self.losses],
            "notes": list(self.notes),
        }

    def apply(
        self,
        *,
        force: bool = False,
        verify: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> Result:
        """Write the outputs: whole, or not at all. `progress` is told of bytes written."""
        from lora_convert.operations.applying import apply

        return apply(self, force=force, verify=verify, progress=progress or (lambda done: None))

    def close(self) -> None:
        """Close the source."""
        self.origin.checkpoint.close()

    def __enter__(self) -> ConversionPlan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_options(to: str, dtype: str | None, losses: str) -> Format:
    """The format `to` names; OptionError where an option has a value it cannot have."""
    if to not in written():
        raise OptionError("to", to, choices=tuple(written()))
    if dtype is not None and dtype not in SHORT_NAMES:
        raise OptionError("dtype", dtype, choices=tuple(SHORT_NAMES))
    if losses not in get_args(LossPolicy):
        raise OptionError("losses", losses, choices=get_args(LossPolicy))
    return written()[to]


def plan_adapter(
    origin: Origin,
    adapter: Adapter,
    format_: Format,
    destination: Destination,
    *,
    dtype: str | None,
    losses: LossPolicy,
    known_losses: tuple[Loss, ...] = (),
    reader: Application | None = None,
) -> ConversionPlan:
    """Work out the files that hold `adapter` in a format. `known_losses` are those of reading it.

    What `reader` would get wrong of them is a loss too.
    """
    if losses != "allow":
        _refuse_of_another_base(known_losses)
    name = origin.architecture
    architecture = ARCHITECTURES[name] if name else None
    target = spelling(format_.name, name)
    facts = ByteFacts(origin.checkpoint.read)
    named = translate(adapter, architecture, format_.namespace_for(name), facts)
    if reader and format_.name in reader.folds:
        from lora_convert.operations.scale import baked

        named = named._replace(deltas=tuple(map(baked, named.deltas)))
    fitted, lost = fit(named, format_, architecture, SHORT_NAMES[dtype or "keep"])
    if format_.folder and not destination.folder and len(fitted.components) > 1:
        raise NotExpressibleError(
            f"{destination.path}: {format_.title} needs a folder for {len(fitted.components)} components",
            hint=f"-o {destination.path.removesuffix('.safetensors')}",
        )
    metadata, stale = without_stale(fitted.metadata, fitted.deltas)
    fitted = fitted._replace(metadata=with_provenance(metadata, origin))
    files, rounded = write(fitted, target, destination.weights)
    found = (*known_losses, *lost, *rounded)
    if reader:
        from lora_convert.operations.loading import reader_losses

        # what the format's own reader passes over is said of the one that is meant instead
        own = (loss for loss in found if loss.kind != "reader gap")
        found = (*own, *reader_losses(reader, fitted, target, files))
    if losses == "refuse" and found:
        raise LossyConversionError([str(loss) for loss in found])
    written_anew = {key for file in files if isinstance(file, TensorFile) for key in file.metadata}
    unsaid = (note for key, note in stale.items() if key not in written_anew)
    notes = (*reader_notes(fitted, format_), *computed_notes(fitted), *unsaid)
    plan = Plan(files, destination.folder)
    shown = found if losses != "allow" else ()
    return ConversionPlan(origin, adapter, target, destination, plan, shown, notes)


def _refuse_of_another_base(losses: tuple[Loss, ...]) -> None:
    """Refuse an adapter that belongs to a base that is nowhere but in the memory of its training."""
    changed = next((loss for loss in losses if loss.kind == "changed base"), None)
    if changed:
        raise NotExpressibleError(
            changed.detail,
            why="on the base as it is published it acts otherwise",
            hint="lora-convert convert FILE --as lora --rank R --base BASE makes a LoRA for that base;"
            " --losses allow writes it as it is",
        )
