"""Write an adapter in another format, and prove that it still acts the same."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.recast import CUT, Recast, Recasting, recast_all
from lora_convert.errors import OptionError
from lora_convert.formats import Format, written
from lora_convert.operations.destination import destination_of
from lora_convert.operations.opening import open_adapter
from lora_convert.operations.reading import read_adapter_of
from lora_convert.operations.writing import Origin, check_options, plan_adapter

if TYPE_CHECKING:
    from lora_convert.applications import Application
    from lora_convert.operations.applying import Result
    from lora_convert.operations.destination import Destination
    from lora_convert.operations.reading import Found
    from lora_convert.operations.writing import ConversionPlan
    from lora_convert.planning import LossPolicy
    from lora_convert.storage.checkpoint import Checkpoint
    from lora_convert.storage.joined import Joined


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
    base: str | None = None,
) -> ConversionPlan:
    """Work out, from names, shapes and scalars, the files that format `to` would hold.

    `application` picks the format for a program, where `to` names none, and what that program would get
    wrong is among the losses. `source` is a file or a folder. `dtype` is ``fp32``, ``fp16``, ``bf16`` or
    ``keep``, the default. With `losses` ``refuse``, a plan that loses anything is a LossyConversionError.
    `recast` writes changes of other algorithms as ``lora`` of at most `rank`, the nearest there is, or
    ``full``, as they are; those that need a
    base weight as they act on `base`, one file or a pipeline. The plan holds its source open: use it in a
    ``with``, or close it.
    """
    recasting = _recasting(recast, rank, base)
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
    with ExitStack() as closing, opened.naming():
        closing.callback(opened.checkpoint.close)
        if reader and not to:
            from lora_convert.operations.recognising import check_recognised

            check_recognised(opened)
            format_ = written()[reader.format_for(opened.detection.architecture)]
        found = read_adapter_of(opened, wanted=adapter, scale_from=scale_from, to=format_)
        checkpoint: Checkpoint | Joined = opened.checkpoint
        if base is not None:
            from lora_convert.operations.grounding import on_base

            found, checkpoint = on_base(opened, found, base, closing)
        detection = opened.detection
        origin = Origin(checkpoint, detection.format, detection.architecture)
        goal = destination_of(opened, format_, place)
        plan = _planned(origin, found, goal, format_, reader, dtype, losses, recasting)
        closing.pop_all()
        return plan
    raise AssertionError  # the stack swallows nothing


def _reader(name: str | None) -> Application | None:
    if name is None:
        return None
    from lora_convert.operations.loading import application_of

    return application_of(name)


def _recasting(to: Recast | None, rank: int | None, base: str | None) -> Recasting | None:
    if to is None:
        if base is not None:
            why = "on it changes are worked out that are written as --as says"
            raise OptionError("base", base, why=why, hint="add --as lora --rank R, or --as full")
        if rank is not None:
            raise OptionError("rank", rank, why="it is that of --as lora", hint="add --as lora")
        return None
    if to not in get_args(Recast):
        raise OptionError("as", to, choices=get_args(Recast))
    if (to == "lora") != (rank is not None) or (rank is not None and rank < 1):
        why = "a LoRA has a rank of at least 1; a change as it is has none"
        raise OptionError("rank", rank, why=why, hint="for example --as lora --rank 32")
    return Recasting(to, rank or 0)


def _planned(
    origin: Origin,
    found: Found,
    destination: Destination,
    format_: Format,
    reader: Application | None,
    dtype: str | None,
    policy: LossPolicy,
    recasting: Recasting | None,
) -> ConversionPlan:
    architecture = ARCHITECTURES[origin.architecture] if origin.architecture else None
    # before parts are taken and fused: a LoRA's can always be
    carried, cut = (
        recast_all(found.adapter, recasting, architecture) if recasting else (found.adapter, [])
    )
    plan = plan_adapter(
        origin,
        carried,
        format_,
        destination,
        dtype=dtype,
        losses=policy,
        known_losses=(*found.losses, *cut),
        reader=reader,
    )
    plan.notes = (*found.notes, *plan.notes)
    if recasting:
        from lora_convert.operations.approximating import ranks_of

        plan.fields = {"ranks": ranks_of(carried)}
        plan.measured = partial(_measured, plan)
    return plan


def _measured(plan: ConversionPlan) -> dict[str, Any]:
    """How far the changes that were cut to a rank are from what they were; losses, with the largest."""
    from lora_convert.operations.approximating import errors_of

    errors = errors_of(plan.adapter, plan.origin.checkpoint.read)
    worst = max(errors, key=errors.__getitem__, default="")
    lost = f"; up to {100 * errors[worst]:.2g} % of a change is lost, in {worst}" if errors else ""
    losses = [
        loss._replace(detail=loss.detail + lost) if loss.kind == CUT else loss
        for loss in plan.losses
    ]
    return {"errors": errors, "losses": [loss._asdict() for loss in losses]}


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
    base: str | None = None,
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
        base=base,
    ) as plan:
        return plan.apply(force=force, verify=verify)
