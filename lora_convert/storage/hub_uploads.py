"""Files of a repository on the Hub: put there in one commit, by the Hub's own client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_convert.errors import HubUnavailableError
from lora_convert.storage.hub import asked
from lora_convert.storage.hub_address import DEFAULT_REVISION

if TYPE_CHECKING:
    from lora_convert.storage.hub_address import HubAddress

PAGE = "README.md"
"""The file that the Hub shows as a repository's page."""


class Committed(NamedTuple):
    """What a commit did."""

    url: str
    commit: str
    changed: bool
    """Whether anything was not there already."""


def ready(where: HubAddress, *, private: bool) -> bool:
    """See that a repository and its branch are there; whether the repository is new.

    One that is there keeps its visibility. HubError where that cannot be, or is not allowed.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import RepositoryNotFoundError

    if constants.HF_HUB_OFFLINE:
        raise HubUnavailableError(
            f"{where}: nothing is pushed while HF_HUB_OFFLINE is set",
            why="it says that the Hub is not to be asked",
            hint="unset it for this command, or see what would be pushed: --dry-run",
        )
    api = HfApi()

    def there() -> bool:
        try:
            api.repo_info(where.repository)
        except RepositoryNotFoundError:
            return False
        return True

    def made() -> None:
        api.create_repo(where.repository, private=private, exist_ok=True)

    def branched() -> None:
        api.create_branch(where.repository, branch=where.revision, exist_ok=True)

    new = not asked(str(where), there)
    if new:
        asked(str(where), made)
    if where.revision != DEFAULT_REVISION and not where.revision.startswith("refs/"):
        asked(str(where), branched)
    return new


def page_of(where: HubAddress) -> str:
    """The text of a repository's page; empty where it has none."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    def download() -> str:
        try:
            return hf_hub_download(
                where.repository, PAGE, revision=where.revision, force_download=True
            )
        except EntryNotFoundError:
            return ""

    path = asked(str(where), download)
    if not path:
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def commit(where: HubAddress, files: Mapping[str, str | bytes], message: str) -> Committed:
    """Put files, paths or contents by their names in the repository, there in one commit.

    What the Hub has already is not sent again: neither a file that is as it was, nor one that came over
    before an interruption. HubError where it cannot be done; nothing is changed then.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi()

    def head() -> str:
        sha: str = api.repo_info(where.repository, revision=where.revision).sha or ""
        return sha

    def put() -> Any:
        added = [CommitOperationAdd(name, content) for name, content in files.items()]
        return api.create_commit(
            where.repository, added, commit_message=message, revision=where.revision
        )

    before = asked(str(where), head)
    done = asked(str(where), put)
    return Committed(done.commit_url, done.oid, done.oid != before)
