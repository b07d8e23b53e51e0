"""Addresses on the Hub, taken apart."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

from lora_convert.errors import CheckpointNotFoundError
from lora_convert.storage.folders import INDEX, SUFFIXES
from lora_convert.storage.places import HUB

DEFAULT_REVISION = "main"
_ADDRESS = re.compile(r"(?:models/)?(?P<repository>[\w.-]+/[\w.-]+)(?P<rest>[@/].*)?")
_REFERENCE = re.compile(r"refs/(?:pr/\d+|convert/[\w.-]+)(?=/|$)")
"""Revisions with a slash that need not be quoted (huggingface_hub 2.4, utils/_hf_uris.py)."""
_FILES = (*SUFFIXES, ".json", INDEX)


class HubAddress(NamedTuple):
    """A repository of the Hub, a folder or a file in it, at a revision."""

    repository: str
    revision: str
    """A branch, a tag, a commit or ``refs/pr/1``."""
    path: str
    """In the repository, without a slash at either end; empty for its root."""

    @property
    def root(self) -> str:
        """The address of the repository, at this revision."""
        at = "" if self.revision == DEFAULT_REVISION else f"@{self.revision}"
        quoted = at if _REFERENCE.fullmatch(at[1:]) else quote(at, safe="@")
        return f"{HUB}{self.repository}{quoted}"

    def __str__(self) -> str:
        """The address of a file or folder in it, as ``huggingface_hub`` spells it."""
        return f"{self.root}/{self.path}" if self.path else self.root

    @property
    def names_a_file(self) -> bool:
        """Whether its ending is that of files that are read."""
        return self.path.endswith(_FILES)


def parsed(address: str) -> HubAddress:
    """Take an address apart: ``hf://user/repo[@revision][/path]`` or ``hf://user/repo[/path][@revision]``.

    In the middle, a slash in a revision must be written ``%2F``, but for ``refs/pr/1`` and the like.
    CheckpointNotFoundError for what is neither.

    >>> parsed("hf://you/shoes/style.safetensors@v2")
    HubAddress(repository='you/shoes', revision='v2', path='style.safetensors')
    >>> str(parsed("hf://you/shoes@refs/pr/1/checkpoints"))
    'hf://you/shoes@refs/pr/1/checkpoints'
    """
    found = _ADDRESS.fullmatch(address.removeprefix(HUB).rstrip("/"))
    other = address.removeprefix(HUB).partition("/")[0] in {"datasets", "spaces", "buckets"}
    if not found or other:
        raise CheckpointNotFoundError(
            address,
            f"{address}: no address of a model on the Hub",
            hint="hf://USER/REPOSITORY, hf://USER/REPOSITORY/FILE, and @REVISION behind either",
        )
    rest = found["rest"] or ""
    if rest.startswith("@"):
        reference = _REFERENCE.match(rest[1:])
        revision = reference[0] if reference else rest[1:].partition("/")[0]
        path = rest[1 + len(revision) :]
    else:
        path, at, revision = rest.rpartition("@")
        if not at or revision.endswith(_FILES):  # the name of a file may hold one
            path, revision = rest, ""
    return HubAddress(found["repository"], unquote(revision) or DEFAULT_REVISION, path.strip("/"))
