"""Apply a conversion's plan: compare with what is there, write, prove, publish."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lora_convert.errors import DestinationExistsError, OutputError, VerificationError
from lora_convert.operations.proving import Proof, prove
from lora_convert.planning import TensorFile, TextFile
from lora_convert.storage.atomic import (
    Staged,
    check_space,
    staged_file,
    staged_folder,
    sync,
    sync_folder,
)
from lora_convert.storage.writer import check_written, same_as_file, write_tensor_file

if TYPE_CHECKING:
    from lora_convert.operations.convert import ConversionPlan

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
    for path in plan.outputs:
        if plan.origin.checkpoint.is_source(path):
            raise DestinationExistsError(
                path, why="it is the source, which is never touched", hint="choose another with -o"
            )
    existing = [path for path in plan.outputs if os.path.lexists(path)]
    whole = plan.destination.path
    if existing and _unchanged(plan):
        return Result("unchanged", whole, plan.outputs, None, plan.as_json())
    if not force:
        if existing:
            raise DestinationExistsError(existing[0])
        if os.path.lexists(whole) and not os.path.isdir(whole):
            raise DestinationExistsError(whole)
    elif plan.destination.folder and os.path.lexists(whole) and not os.path.isdir(whole):
        raise DestinationExistsError(
            whole, why="it is a file, and a folder is to be written", hint="choose another with -o"
        )
    if any(os.path.isdir(path) for path in existing):
        raise DestinationExistsError(
            existing[0], why="it is a folder", hint="choose another with -o"
        )
    parent = os.path.dirname(os.path.abspath(whole))
    _make_folder(parent)
    check_space(parent, plan.plan.size)
    proof = _write(plan, verify=verify, replace=force, progress=progress)
    return Result("written", whole, plan.outputs, proof, plan.as_json())


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error


def _unchanged(plan: ConversionPlan) -> bool:
    for file, path in zip(plan.plan.files, plan.outputs, strict=True):
        if isinstance(file, TextFile):
            if not os.path.isfile(path) or os.path.getsize(path) != file.size:
                return False
            with open(path, encoding="utf-8") as existing:
                if existing.read() != file.text:
                    return False
        elif not same_as_file(file, plan.origin.checkpoint, path):
            return False
    return True


def _write(
    plan: ConversionPlan, *, verify: bool, replace: bool, progress: Progress
) -> Proof | None:
    """Stage every file, prove them together, then give them their names: documents before weights."""
    whole = os.path.abspath(plan.destination.path)
    with ExitStack() as stack:
        folder: Staged | None = None
        if plan.destination.folder and not os.path.isdir(whole):
            folder = stack.enter_context(staged_folder(whole))
        root = (
            folder.path if folder else whole if plan.destination.folder else os.path.dirname(whole)
        )
        staged: list[tuple[TensorFile | TextFile, int, Staged]] = []
        for file in plan.plan.files:
            target = os.path.join(root, *file.name.split("/"))
            _make_folder(os.path.dirname(target))
            descriptor, temporary = stack.enter_context(staged_file(target))
            staged.append((file, descriptor, temporary))
            _write_one(plan, file, descriptor, temporary, verify=verify, progress=progress)
        proof = _proof(plan, staged) if verify else None
        for _, _, temporary in sorted(staged, key=lambda item: isinstance(item[0], TensorFile)):
            temporary.publish(replace=replace)
            temporary.discard()
        if folder:
            for name in {os.path.dirname(temporary.target) for _, _, temporary in staged}:
                sync_folder(name)
            folder.publish(replace=False)
        return proof


def _write_one(
    plan: ConversionPlan,
    file: TensorFile | TextFile,
    descriptor: int,
    temporary: Staged,
    *,
    verify: bool,
    progress: Progress,
) -> None:
    if isinstance(file, TextFile):
        os.write(descriptor, file.text.encode())
    else:
        written = write_tensor_file(descriptor, file, plan.origin.checkpoint, progress)
        check_written(descriptor, temporary.path, written, plan.origin.checkpoint, data=verify)
    sync(descriptor)


def _proof(plan: ConversionPlan, staged: list[tuple[TensorFile | TextFile, int, Staged]]) -> Proof:
    started = time.perf_counter()
    files = [(file, temporary.path) for file, _, temporary in staged]
    proof = prove(plan, files)._replace(seconds=time.perf_counter() - started)
    if not proof.equal:
        raise VerificationError(
            f"{plan.destination.path}: {proof.worst_module} would act differently"
            f" (relative difference {proof.worst:.2g}); nothing was written",
            why="the output's dtype cannot hold its values, or this is a defect of lora-convert",
            hint="try --dtype keep; else report it with: lora-convert inspect --json FILE",
        )
    return proof
