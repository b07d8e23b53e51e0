"""Apply a conversion's plan: compare with what is there, write, prove, publish."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lora_convert.errors import DestinationExistsError, VerificationError
from lora_convert.operations.proving import Proof, prove
from lora_convert.planning import TensorFile, TextFile
from lora_convert.storage.atomic import (
    Staged,
    check_space,
    settle,
    staged_file,
    staged_folder,
    sync,
    sync_folder,
)
from lora_convert.storage.flushing import Flushing
from lora_convert.storage.parents import made_folder
from lora_convert.storage.writer import (
    check_written,
    same_as_file,
    write_tensor_file,
    write_text_file,
)

if TYPE_CHECKING:
    from lora_convert.operations.writing import ConversionPlan

Progress = Callable[[int], None]


class Result(NamedTuple):
    """What a conversion did."""

    status: Literal["written", "unchanged"]
    output: str
    outputs: tuple[str, ...]
    proof: Proof | None
    plan: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        return {
            **self.plan,
            "status": self.status,
            "proof": self.proof.as_json() if self.proof else None,
        }


def apply(plan: ConversionPlan, *, force: bool, verify: bool, progress: Progress) -> Result:
    """Write what `plan` says. An output that is there already, byte for byte, is left alone."""
    whole = plan.destination.path
    _check_places(plan)
    pending = _pending(plan)
    if not pending:
        return _unchanged(plan)
    taken = [path for path in pending if os.path.lexists(path)]
    if taken and not force:
        raise DestinationExistsError(taken[0])
    parent = os.path.dirname(os.path.abspath(whole))
    try:
        with made_folder(parent):
            check_space(parent, plan.plan.size)
            proof = _write(plan, pending, verify=verify, replace=force, progress=progress)
    except DestinationExistsError:
        if _pending(plan):  # else another run has just written the very same
            raise
        return _unchanged(plan)
    _settle(plan, [path for path in plan.outputs if path not in pending])
    return Result("written", whole, plan.outputs, proof, _told(plan))


def _unchanged(plan: ConversionPlan) -> Result:
    _settle(plan, plan.outputs)
    return Result("unchanged", plan.destination.path, plan.outputs, None, _told(plan))


def _told(plan: ConversionPlan) -> dict[str, Any]:
    return {**plan.as_json(), **plan.measured()}


def _settle(plan: ConversionPlan, paths: Sequence[str]) -> None:
    """Bring outputs that were there to the disk: the run that wrote them may have been killed."""
    for path in paths:
        settle(path)
    if paths and plan.destination.folder:
        settle(plan.destination.path)


def _check_places(plan: ConversionPlan) -> None:
    """Raise DestinationExistsError where no force may write."""
    elsewhere = "choose another with -o"
    for path in plan.outputs:
        if plan.origin.checkpoint.is_source(path):
            why = "it is the source, which is never touched"
            raise DestinationExistsError(path, why=why, hint=elsewhere)
        if os.path.isdir(path):
            raise DestinationExistsError(path, why="it is a folder", hint=elsewhere)
    whole = plan.destination.path
    if plan.destination.folder and os.path.lexists(whole) and not os.path.isdir(whole):
        why = "it is a file, and a folder is to be written"
        raise DestinationExistsError(whole, why=why, hint=elsewhere)


def _pending(plan: ConversionPlan) -> dict[str, TensorFile | TextFile]:
    """Planned files that are not there yet, byte for byte, by path."""
    pairs = zip(plan.outputs, plan.plan.files, strict=True)
    return {path: file for path, file in pairs if not _is_there(plan, file, path)}


def _is_there(plan: ConversionPlan, file: TensorFile | TextFile, path: str) -> bool:
    if isinstance(file, TensorFile):
        return same_as_file(file, plan.origin.checkpoint, path)
    if not os.path.isfile(path) or os.path.getsize(path) != file.size:
        return False
    with open(path, "rb") as existing:
        return existing.read() == file.text.encode()


def _write(
    plan: ConversionPlan,
    pending: Mapping[str, TensorFile | TextFile],
    *,
    verify: bool,
    replace: bool,
    progress: Progress,
) -> Proof | None:
    """Stage what is pending, prove all together, then give names: documents before weights."""
    whole = os.path.abspath(plan.destination.path)
    with ExitStack() as stack:
        folder: Staged | None = None
        if plan.destination.folder and not os.path.isdir(whole):
            folder = stack.enter_context(staged_folder(whole))
        staged: dict[str, Staged] = {}
        for path, file in pending.items():
            inside = os.path.join(folder.path, *file.name.split("/")) if folder else path
            stack.enter_context(made_folder(os.path.dirname(os.path.abspath(inside))))
            descriptor, staged[path] = stack.enter_context(staged_file(inside, file.size))
            _write_one(plan, file, descriptor, inside, verify=verify, progress=progress)
        proof = _proof(plan, staged) if verify else None
        for path in sorted(staged, key=lambda path: isinstance(pending[path], TensorFile)):
            staged[path].publish(replace=replace)
            staged[path].discard()
        if folder:
            for name in {os.path.dirname(one.target) for one in staged.values()}:
                sync_folder(name)
            folder.publish(replace=False)
        return proof


def _write_one(
    plan: ConversionPlan,
    file: TensorFile | TextFile,
    descriptor: int,
    path: str,
    *,
    verify: bool,
    progress: Progress,
) -> None:
    if isinstance(file, TextFile):
        write_text_file(descriptor, file, path)
        sync(descriptor)
        return
    written = write_tensor_file(descriptor, file, plan.origin.checkpoint, progress)
    with Flushing(descriptor):
        check_written(descriptor, path, written, plan.origin.checkpoint, data=verify)


def _proof(plan: ConversionPlan, staged: Mapping[str, Staged]) -> Proof:
    started = time.perf_counter()
    files = [
        (file, staged[path].path if path in staged else path)
        for path, file in zip(plan.outputs, plan.plan.files, strict=True)
    ]
    proof = prove(plan, files)._replace(seconds=time.perf_counter() - started)
    if not proof.equal:
        raise VerificationError(
            f"{plan.destination.path}: {proof.worst_module} would act differently"
            f" (relative difference {proof.worst:.2g}); nothing was written",
            why="the output's dtype cannot hold its values, or this is a defect of lora-convert",
            hint="try --dtype keep; else report it with: lora-convert inspect --json FILE",
        )
    return proof
