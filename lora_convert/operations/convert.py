"""Write an adapter in another format, and prove that it still acts the same."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.recast import CUT, Recast, Recasting, cuttings, recast_all
from lora_convert.errors import OptionError
from lora_convert.formats import Format, written
from lora_convert.operations.destination import destination_of
from lora_convert.operations.opening import Opened, open_adapter
from lora_convert.operations.reading import read_adapter_of
from lora_convert.operations.writing import Origin, check_options, plan_adapter

if TYPE_CHECKING:
    from lora_convert.adapter import Adapter
    from lora_convert.applications import Application
    from lora_convert.operations.applying import Result
    from lora_convert.operations.writing import ConversionPlan
    from lora_convert.planning import LossPolicy


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
