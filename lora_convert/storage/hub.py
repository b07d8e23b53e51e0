"""The Hub, by its own client: what is in a repository, ranges of files, and files fetched into its cache.

Addresses, tokens, proxies and the cache are the client's, and so are HF_ENDPOINT, HF_TOKEN, HF_HOME and
HF_HUB_OFFLINE. Nothing here shows a token, or what the Hub says.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urljoin

from lora_convert.errors import HubUnavailableError, call
from lora_convert.storage.hub_address import HubAddress, parsed
from lora_convert.storage.hub_errors import AnsweredError, hub_error
from lora_convert.storage.hub_patience import patiently

if TYPE_CHECKING:
    from collections.abc import Collection

Value = TypeVar("Value")

_TIMEOUT = 10.0
_CLOSENESS = 0.5


def is_file_there(address: str) -> bool:
    """Whether a repository has a file."""
    where = parsed(address)
    return where.path in names_in_repository(where)


def is_folder_there(address: str) -> bool:
    """Whether a repository has a folder, its root among them. One that is named like a file is none."""
    where = parsed(address)
    if not where.path:
        return True
    inside = f"{where.path}/"
    return not where.names_a_file and any(
        name.startswith(inside) for name in names_in_repository(where)
    )


def names_there(address: str) -> list[str]:
    """What lies in a folder of a repository, files and folders."""
    where = parsed(address)
    inside = f"{where.path}/" if where.path else ""
    below = [name for name in names_in_repository(where) if name.startswith(inside)]
    if where.path and not below:
        raise missing(address)
    return [*dict.fromkeys(name[len(inside) :].partition("/")[0] for name in below)]


def missing(address: str) -> Exception:
    """The error of a file or folder that a repository has not."""
    from types import SimpleNamespace

    answer = SimpleNamespace(status_code=404, headers={"X-Error-Code": "EntryNotFound"})
    error = hub_error(AnsweredError(answer), address, _nearest)
    assert error is not None
    return error


def names_in_repository(where: HubAddress) -> Collection[str]:
    """Paths of all files at a revision; offline those in the cache. Asked once a minute at most."""
    return _names(where.repository, where.revision, this_minute())


def this_minute() -> int:
    """A number that is another every minute: what was asked in the same need not be asked again."""
    return int(time.monotonic() // 60)


@lru_cache(maxsize=16)
def _names(repository: str, revision: str, minute: int) -> frozenset[str]:
    from huggingface_hub import constants

    root = HubAddress(repository, revision, "")
    if constants.HF_HUB_OFFLINE:
        return _cached_names(root)
    url = f"{constants.ENDPOINT}/api/models/{repository}/tree/{quote(revision, safe='')}"
    url += "?recursive=True&expand=False"
    found: set[str] = set()
    try:
        while url:
            page, url = answer_to(url, request_headers(), str(root), _page, listing=True)
            found.update(one["path"] for one in page if one["type"] == "file")
    except HubUnavailableError as error:
        if error.status:
            raise
        try:
            return _cached_names(root)
        except HubUnavailableError:
            raise error from None
    return frozenset(found)


def _page(response: Any) -> tuple[list[dict[str, Any]], str]:
    """A page of a list, and where the next one is."""
    response.read()
    following = response.links.get("next", {}).get("url", "")
    return response.json(), urljoin(str(response.url), following) if following else ""


def _cached_names(root: HubAddress) -> frozenset[str]:
    """Files of a repository that are in the cache."""
    folder = _cached_folder(root)
    return frozenset(
        os.path.relpath(os.path.join(inner, name), folder).replace(os.sep, "/")
        for inner, _, names in os.walk(folder)
        for name in names
    )


def _cached_folder(root: HubAddress) -> str:
    from huggingface_hub import snapshot_download

    with translated(str(root)):
        found: str = snapshot_download(
            root.repository, revision=root.revision, local_files_only=True, allow_patterns=[]
        )
    return found


def cached(address: str) -> str:
    """The copy of a file in the Hub's cache, without asking the Hub. HubError where there is none."""
    from huggingface_hub import hf_hub_download

    where = parsed(address)
    with translated(address):
        path: str = hf_hub_download(
            where.repository, where.path, revision=where.revision, local_files_only=True
        )
    call(path[: -len(where.path) - 1], where.root)
    return path


def fetched(where: HubAddress, names: Iterable[str]) -> str:
    """The local folder that stands for a repository, in the Hub's cache, with these files in it.

    It is called by the repository's address in messages. HubError where one cannot be had.
    """
    from huggingface_hub import hf_hub_download

    folder = ""
    for name in names:
        address = str(where._replace(path=name))

        def download(name: str = name) -> str:
            path: str = hf_hub_download(where.repository, name, revision=where.revision)
            return path

        path = asked(address, download)
        folder = path[: -len(name) - 1]
        call(folder, where.root)
    return folder


def request_headers() -> dict[str, str]:
    """Who asks, and the token where there is one, by the client's rules.

    The client's own headers say more, and ask the Hub once a day which programs they should name
    (huggingface_hub 2.4, utils/_headers.py); `inspect` is to ask little.
    """
    from huggingface_hub import constants, get_token

    headers = {"user-agent": "lora-convert"}
    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    return {**headers, "authorization": f"Bearer {token}"} if token else headers


def answer_to(
    url: str,
    headers: Mapping[str, str],
    address: str,
    take: Callable[[Any], Value],
    *,
    listing: bool = False,
) -> Value:
    """What `take` makes of the Hub's answer to a GET, whose body it reads. HubError where there is none.

    A token that is in `headers` goes to the Hub alone, not to where it sends us on (httpx). `listing`
    says that it is a list of files that is asked for, in which an error finds no other names.
    """
    from huggingface_hub import get_session

    def ask() -> Value:
        session = get_session()
        request = session.build_request("GET", url, headers=headers, timeout=_TIMEOUT)
        response = session.send(request, stream=True, follow_redirects=True)
        try:
            if response.status_code >= 400 and response.status_code != 416:
                raise AnsweredError(response)
            return take(response)
        finally:
            response.close()

    with translated(address, listing=listing):
        return patiently(ask)


def asked(address: str, attempt: Callable[[], Value]) -> Value:
    """What a call of the client gives; it fails with a HubError of `address`, and not at once."""
    with translated(address), _quietly():
        return patiently(attempt, watched=True)


@contextmanager
def translated(address: str, *, listing: bool = False) -> Iterator[None]:
    """Errors of the client as errors of ours."""
    try:
        yield
    except Exception as error:
        found = hub_error(error, address, _no_names if listing else _nearest)
        if found is None or found is error:
            raise
        raise found from None  # the client's own may hold more than is to be shown


def _no_names(_: str) -> list[str]:
    return []


def _nearest(address: str) -> list[str]:
    """Addresses of files that are called like one that is not there."""
    from difflib import get_close_matches

    where = parsed(address)
    try:
        names = names_in_repository(where)
    except OSError:
        return []
    near = get_close_matches(where.path, {*names} - {where.path}, n=3, cutoff=_CLOSENESS)
    return [str(where._replace(path=name)) for name in near]


@contextmanager
def _quietly() -> Iterator[None]:
    """Show the client's progress on terminals alone, and none of its warnings: errors say it."""
    import sys
    from logging import ERROR, WARNING

    from huggingface_hub import logging, utils

    level = logging.get_verbosity()
    bars: Any = utils
    silent = not sys.stderr.isatty() and not bars.are_progress_bars_disabled()
    if silent:
        bars.disable_progress_bars()
    if level == WARNING:
        logging.set_verbosity(ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if silent:
            bars.enable_progress_bars()
