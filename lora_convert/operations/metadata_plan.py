"""An edit of what a file says of itself, worked out: what changes, what that means, and writing it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lora_convert.errors import DestinationExistsError, OptionError, called
from lora_convert.operations import metadata_keys as keys
from lora_convert.storage.atomic import settle
from lora_convert.storage.parents import made_folder
from lora_convert.storage.places import is_hub
from lora_convert.storage.relabelling import Relabelling, relabelling, write_relabelled

if TYPE_CHECKING:
    from lora_convert.operations.opening import Opened


class Edit(NamedTuple):
    """Metadata as an edit leaves them."""

    metadata: Mapping[str, str]
    notes: tuple[str, ...] = ()
    reasons: Mapping[str, str] = {}
    """Of what is taken out: what it tells."""


class MetadataPlan:
    """An edit worked out. ``apply`` writes it; ``close`` lets go of the file."""

    def __init__(self, opened: Opened, output: str | None, edit: Edit) -> None:
        self.path = opened.checkpoint.files[0].path
        if output is None and is_hub(called(self.path)):
            why = f"{called(self.path)} is on the Hub, and its copy here is no file to be edited"
            raise OptionError("output", None, why=why, hint=f"-o {os.path.basename(self.path)}")
        self.output = output or self.path
        self.before = dict(sorted(opened.checkpoint.header.metadata.items()))
        self.after = dict(sorted(edit.metadata.items()))
        self.reasons = edit.reasons
        stale = _stale(self.before, self.after)
        for key in stale:
            del self.after[key]
        self.notes = (
            *edit.notes,
            *(f"{key}: it depends on the ss_ metadata, and was left out" for key in stale),
            *_notes_on_readers(opened, self.before, self.after),
        )
        self.file: Relabelling = relabelling(opened.checkpoint, self.after)

    @property
    def added(self) -> dict[str, str]:
        """Keys that are new, with their values."""
        return {key: value for key, value in self.after.items() if key not in self.before}

    @property
    def removed(self) -> dict[str, str]:
        """Keys that are taken out, with the values they had."""
        return {key: value for key, value in self.before.items() if key not in self.after}

    @property
    def changed(self) -> dict[str, tuple[str, str]]:
        """Keys that stay, with their values before and after, where these differ."""
        both = (
            (key, self.before[key], value)
            for key, value in self.after.items()
            if key in self.before
        )
        return {key: (old, new) for key, old, new in both if old != new}

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        return {
            "path": self.path,
            "output": self.output,
            "bytes": self.file.size,
            "added": self.added,
            "removed": self.removed,
            "changed": {key: list(pair) for key, pair in self.changed.items()},
            "reasons": {key: why for key, why in self.reasons.items() if key in self.removed},
            "notes": list(self.notes),
        }

    def apply(
        self,
        *,
        force: bool = False,
        verify: bool = True,
        progress: Callable[[int], None] = lambda done: None,
    ) -> Literal["written", "unchanged"]:
        """Write the file with its new metadata, whole or not at all; the file it was is let go of.

        DestinationExistsError where another file is in the way, and not to be replaced.
        """
        in_place = self.file.checkpoint.is_source(self.output)
        same = self.before == self.after if in_place else self.file.is_at(self.output)
        if same:
            settle(self.output)
            return "unchanged"
        if os.path.lexists(self.output) and not (in_place or force):
            raise DestinationExistsError(self.output)
        replace = in_place or force
        with made_folder(os.path.dirname(os.path.abspath(self.output))):
            write_relabelled(
                self.file, self.output, replace=replace, verify=verify, progress=progress
            )
        return "written"

    def close(self) -> None:
        """Close the file."""
        self.file.checkpoint.close()

    def __enter__(self) -> MetadataPlan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _stale(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Hashes that are not right any more with other metadata, though the data is the same."""
    ours = [{k: v for k, v in one.items() if k.startswith("ss_")} for one in (before, after)]
    kept = before.get(keys.LEGACY_HASH, "") == after.get(keys.LEGACY_HASH)
    return [keys.LEGACY_HASH] if kept and ours[0] != ours[1] else []


def _notes_on_readers(
    opened: Opened, before: Mapping[str, str], after: Mapping[str, str]
) -> list[str]:
    was, will = listed_in(opened, before), listed_in(opened, after)
    if was == will:
        return []
    right = opened.detection.architecture
    hint = "" if will in {right, ""} else ": ss_base_model_version and ss_v2 tell it the base"
    return [f"A1111 will list it under {will or 'any base'}, not {was or 'any'}{hint}"]


def listed_in(opened: Opened, metadata: Mapping[str, str]) -> str:
    """The base under which A1111 lists a file of one of its models; empty for any."""
    from lora_convert.applications import File, listed_under

    found = opened.detection
    file = File(found.format or "", found.architecture, metadata, ())
    return listed_under(file) if found.architecture in {"sd1", "sd2", "sdxl"} else ""
