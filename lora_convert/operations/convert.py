"""Write an adapter in another format, and prove that it still acts the same."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.fit import computed_notes, fit
from lora_convert.conversion.recast import CUT, Recast, Recasting, cuttings, recast_all
from lora_convert.conversion.spelling import Spelling, spelling
from lora_convert.conversion.translate import translate
from lora_convert.conversion.write import write
from lora_convert.errors import LossyConversionError, NotExpressibleError, OptionError
from lora_convert.formats import Format, written
from lora_convert.operations.destination import Destination, destination_of
from lora_convert.operations.opening import Opened, open_adapter
from lora_convert.operations.reading import read_adapter_of
from lora_convert.operations.remarks import reader_notes
from lora_convert.planning import Loss, LossPolicy, Plan
from lora_convert.storage.probe import ByteFacts
from lora_convert.tensors.dtypes import SHORT_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lora_convert.adapter import Adapter
    from lora_convert.applications import Application
    from lora_convert.operations.applying import Result
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


def plan_convert(
    source: str | os.PathLike[str],
    to: str = "",
    *,
    application: str | None = None,
    output: str | os.PathLike[str] | None = None,
    dtype: str | None = None,
    losses: LossPolicy = "warn",
    scale_from: str | None = None,
    adapter: str | None = None,
    component: str | None = None,
    architecture: str | None = None,
    recast: Recast | None = None,
    rank: int | None = None,
) -> ConversionPlan:
    """Work out, from names, shapes and scalars, the files that format `to` would hold.

    `application` picks the format for a program, where `to` names none, and what that program would get
    wrong is among the losses. `source` is a file or a folder. `dtype` is ``fp32``, ``fp16``, ``bf16`` or
    ``keep``, the default. With `losses` ``refuse``, a plan that loses anything is a LossyConversionError.
    `recast` writes changes of other algorithms as ``lora`` of at most `rank`, the nearest there is, or
    ``full``, as they are. The plan holds its source open: use it in a ``with``, or close it.
    """
    recasting = _recasting(recast, rank)
    reader = _reader(application)
    usual = to or (reader.usual_format if reader else "")
    format_ = check_options(usual, dtype, losses)
    opened = open_adapter(
        os.fspath(source),
        architecture=architecture,
        component=component,
        own_name=None if format_.folder else format_.file_name,
    )
    place = None if output is None else os.fspath(output)
    try:
        with opened.naming():
            if reader and not to:
                from lora_convert.operations.recognising import check_recognised

                check_recognised(opened)
                format_ = written()[reader.format_for(opened.detection.architecture)]
            return _planned(
                opened, format_, reader, place, dtype, losses, scale_from, adapter, recasting
            )
    except BaseException:
        opened.checkpoint.close()
        raise


def _reader(name: str | None) -> Application | None:
    if name is None:
        return None
    from lora_convert.operations.loading import application_of

    return application_of(name)


def _recasting(to: Recast | None, rank: int | None) -> Recasting | None:
    if to is None:
        if rank is not None:
            raise OptionError("rank", rank, why="it is that of --as lora", hint="add --as lora")
        return None
    if to not in get_args(Recast):
        raise OptionError("as", to, choices=get_args(Recast))
    if (to == "lora") != (rank is not None) or (rank is not None and rank < 1):
        why = "a LoRA has a rank of at least 1; a change as it is has none"
        raise OptionError("rank", rank, why=why, hint="for example --as lora --rank 32")
    return Recasting(to, rank or 0)


def check_options(to: str, dtype: str | None, losses: str) -> Format:
    """The format `to` names; OptionError where an option has a value it cannot have."""
    if to not in written():
        raise OptionError("to", to, choices=tuple(written()))
    if dtype is not None and dtype not in SHORT_NAMES:
        raise OptionError("dtype", dtype, choices=tuple(SHORT_NAMES))
    if losses not in get_args(LossPolicy):
        raise OptionError("losses", losses, choices=get_args(LossPolicy))
    return written()[to]


def _planned(
    opened: Opened,
    format_: Format,
    reader: Application | None,
    output: str | None,
    dtype: str | None,
    policy: LossPolicy,
    scale_from: str | None,
    wanted: str | None,
    recasting: Recasting | None,
) -> ConversionPlan:
    found = read_adapter_of(opened, wanted=wanted, scale_from=scale_from, to=format_)
    detection = opened.detection
    architecture = ARCHITECTURES[detection.architecture] if detection.architecture else None
    # before parts are taken and fused: a LoRA's can always be
    carried, cut = (
        recast_all(found.adapter, recasting, architecture) if recasting else (found.adapter, [])
    )
    plan = plan_adapter(
        Origin(opened.checkpoint, detection.format, detection.architecture),
        carried,
        format_,
        destination_of(opened, format_, output),
        dtype=dtype,
        losses=policy,
        known_losses=(*found.losses, *cut),
        reader=reader,
    )
    plan.notes = (*found.notes, *plan.notes)
    if recasting:
        plan.measured = partial(_measured, plan, found.adapter)
    return plan


def _measured(plan: ConversionPlan, before: Adapter) -> dict[str, Any]:
    """How far the changes that were cut to a rank are from what they were; losses, with the largest."""
    from lora_convert.tensors.norms import difference

    errors = {
        one.label: difference(one.change, one.cut, plan.origin.checkpoint.read)
        for one in cuttings(before, plan.adapter)
    }
    worst = max(errors, key=errors.__getitem__, default="")
    lost = f"; up to {100 * errors[worst]:.2g} % of a change is lost, in {worst}" if errors else ""
    losses = [
        loss._replace(detail=loss.detail + lost) if loss.kind == CUT else loss
        for loss in plan.losses
    ]
    return {"lost": errors, "losses": [loss._asdict() for loss in losses]}


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
    name = origin.architecture
    architecture = ARCHITECTURES[name] if name else None
    target = spelling(format_.name, name)
    facts = ByteFacts(origin.checkpoint.read)
    named = translate(adapter, architecture, format_.namespace_for(name), facts)
    if reader and reader.folds and format_.scale_in != "tensor":
        from lora_convert.operations.scale import baked

        named = named._replace(deltas=tuple(map(baked, named.deltas)))
    fitted, lost = fit(named, format_, architecture, SHORT_NAMES[dtype or "keep"])
    if format_.folder and not destination.folder and len(fitted.components) > 1:
        raise NotExpressibleError(
            f"{destination.path}: {format_.title} needs a folder for {len(fitted.components)} components",
            hint=f"-o {destination.path.removesuffix('.safetensors')}",
        )
    files, rounded = write(fitted, target, destination.weights)
    found = (*known_losses, *lost, *rounded)
    if reader:
        from lora_convert.operations.loading import reader_losses

        found = (*found, *reader_losses(reader, fitted, target, files))
    if losses == "refuse" and found:
        raise LossyConversionError([str(loss) for loss in found])
    notes = (*reader_notes(fitted, format_), *computed_notes(fitted))
    plan = Plan(files, destination.folder)
    shown = found if losses != "allow" else ()
    return ConversionPlan(origin, adapter, target, destination, plan, shown, notes)


def convert(
    source: str | os.PathLike[str],
    to: str = "",
    *,
    application: str | None = None,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    verify: bool = True,
    dtype: str | None = None,
    losses: LossPolicy = "warn",
    scale_from: str | None = None,
    adapter: str | None = None,
    component: str | None = None,
    architecture: str | None = None,
    recast: Recast | None = None,
    rank: int | None = None,
) -> Result:
    """Plan a conversion and apply it; see plan_convert for the arguments."""
    with plan_convert(
        source,
        to,
        application=application,
        output=output,
        dtype=dtype,
        losses=losses,
        scale_from=scale_from,
        adapter=adapter,
        component=component,
        architecture=architecture,
        recast=recast,
        rank=rank,
    ) as plan:
        return plan.apply(force=force, verify=verify)
