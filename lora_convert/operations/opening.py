"""From a path to an open checkpoint whose header has been read."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.detect import Detection, detect
from lora_convert.conversion.gather import Gathered, gather
from lora_convert.errors import (
    AmbiguousCheckpointError,
    CheckpointNotFoundError,
    ConversionError,
    InputError,
    OptionError,
    UnknownFormatError,
)
from lora_convert.formats import COMPONENTS
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.compacted import exists
from lora_convert.storage.distributed import check_not_distributed
from lora_convert.storage.folders import (
    WeightFiles,
    names_in,
    parts_of,
    ranked_weights,
    subfolders_with_weights,
    weight_files,
)
from lora_convert.storage.places import is_folder, is_hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Opened(NamedTuple):
    """A checkpoint, open, and what its header says."""

    checkpoint: Checkpoint
    detection: Detection
    passed_over: tuple[str, ...]
    """Other weight files of the folder, which were not read."""

    def gathered(
        self, adapter: str | None = None, *, lenient: bool = False
    ) -> tuple[Gathered, ...]:
        """The adapter's modules, once their bytes agree with their checksums, where there are any."""
        found = gather(self.checkpoint.header, self.detection, adapter, lenient=lenient)
        self.checkpoint.check_sums(t for entry in found for t in entry.tensors.values())
        return found

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Name the file in errors of the engine, which does not know what a file is."""
        try:
            yield
        except ConversionError as error:
            error.of(self.checkpoint.path)
            raise


def open_adapter(
    path: str,
    *,
    architecture: str | None = None,
    component: str | None = None,
    own_name: Callable[[str], str] | None = None,
    from_afar: bool = False,
) -> Opened:
    """Open a file, the checkpoint that a folder holds, or that of an address: ``RUN@500``, ``hf://user/repo``.

    In a folder the best-named file that holds an adapter is taken; two of one rank are an
    AmbiguousCheckpointError. `own_name` gives the output's name for a stem: a file that is the output
    of another is no source as long as there is another. Of what is on the Hub the adapter is fetched;
    `from_afar` reads its header alone, and scalars only where they lie near one another.
    """
    if architecture is not None and architecture not in ARCHITECTURES:
        raise OptionError("architecture", architecture, choices=tuple(ARCHITECTURES))
    if component is not None and component not in COMPONENTS:
        raise OptionError("component", component, choices=COMPONENTS)
    afar = from_afar and is_hub(path)
    if not afar and (is_hub(path) or ("@" in path and not exists(path))):
        from lora_convert.operations.addresses import resolved

        path = resolved(path)
    if afar:
        from lora_convert.operations.fetching import normal

        path = normal(path)
    elif not exists(path):
        raise CheckpointNotFoundError(path)
    if is_folder(path):
        return _Folder(path, architecture, component).opened(own_name)
    checkpoint = Checkpoint(weight_files(path))
    return Opened(
        checkpoint, detect(checkpoint.header, architecture=architecture, component=component), ()
    )


class _Folder(NamedTuple):
    """A folder in which a checkpoint is looked for."""

    path: str
    architecture: str | None
    component: str | None

    def opened(self, own_name: Callable[[str], str] | None) -> Opened:
        """The best-named adapter; else one in subfolders; else what is there, unrecognised."""
        ranked = ranked_weights(self.path, own_name=own_name)
        unrecognised: Opened | None = None
        for rank in ranked:
            found = self._best(rank)
            if found and found.detection.format:
                if unrecognised:
                    unrecognised.checkpoint.close()
                everything = (weights.path for others in ranked for weights in others)
                others = tuple(name for name in everything if name != found.checkpoint.path)
                return found._replace(passed_over=others)
            if found and unrecognised:
                found.checkpoint.close()
            unrecognised = unrecognised or found
        found = self._inner() or unrecognised
        if found is None and own_name and ranked_weights(self.path):
            found = self.opened(None)
        if found is None or found is unrecognised:
            check_not_distributed(self.path)
        if found is None:
            raise CheckpointNotFoundError(
                self.path,
                f"{self.path}: holds no weights",
                hint=_where(self.path),
            )
        return found

    def _best(self, rank: list[WeightFiles]) -> Opened | None:
        """The one adapter among files of one rank; else the first of them, unrecognised."""
        kept: Opened | None = None
        adapters = []
        for weights in rank:
            one = self._attempt(weights, alone=len(rank) == 1)
            if one is None:
                continue
            if one.detection.format:
                adapters.append(os.path.basename(one.checkpoint.path))
            better = kept is None or (len(adapters) == 1 and one.detection.format)
            closed = kept if better else one  # of a thousand files, one is open
            kept = one if better else kept
            if closed:
                closed.checkpoint.close()
        if kept and len(adapters) > 1:
            kept.checkpoint.close()
            raise AmbiguousCheckpointError(
                f"{self.path}: {len(adapters)} files hold an adapter",
                choices=adapters,
                hint="give the file instead of the folder",
            )
        return kept

    def _attempt(self, weights: WeightFiles, *, alone: bool) -> Opened | None:
        """Open one candidate; a broken one among several is passed over."""
        try:
            checkpoint = Checkpoint(weights)
        except (InputError, UnknownFormatError):
            if alone:
                raise
            return None
        detection = detect(
            checkpoint.header, architecture=self.architecture, component=self.component
        )
        return Opened(checkpoint, detection, ())

    def _inner(self) -> Opened | None:
        """A folder with one subfolder a component, or with one subfolder that holds an adapter."""
        parts = parts_of(self.path, COMPONENTS)
        if parts is not None:
            return self._attempt(parts, alone=True)
        inner = subfolders_with_weights(self.path)
        if len(inner) > 1:
            raise AmbiguousCheckpointError(
                f"{self.path}: {len(inner)} subfolders hold weights",
                choices=[os.path.basename(name) for name in inner],
                hint=f"give one of them, for example {inner[-1]}",
            )
        return self._replace(path=inner[0]).opened(None) if inner else None


def _where(folder: str) -> str:
    """What to give instead of a folder without weights."""
    if is_hub(folder):
        from lora_convert.operations.fetching import weights_below

        found = weights_below(folder)
        return f"give a file, for example {found[0]}" if found else "give another repository"
    below = [
        inner
        for name in sorted(names_in(folder))
        if is_folder(os.path.join(folder, name))
        for inner in subfolders_with_weights(os.path.join(folder, name))
    ]
    if below:
        return f"give the folder of one checkpoint, for example {below[-1]}"
    return "give a file, or the folder of one checkpoint"
