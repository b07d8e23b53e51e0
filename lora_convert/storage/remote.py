"""A file on the Hub, of which only the ranges that are asked for are fetched."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lora_convert.errors import CorruptCheckpointError, HubUnavailableError
from lora_convert.storage.files import SourceFile
from lora_convert.storage.hub import answer_to, cached, request_headers, this_minute
from lora_convert.storage.hub_address import parsed
from lora_convert.storage.kinds import kind_of
from lora_convert.storage.places import on_disk

if TYPE_CHECKING:
    from collections.abc import Iterable

BEGINNING = 32 << 10
"""Bytes of the first range: the headers of most LoRAs."""
AHEAD = 12 << 10
"""Bytes that are read beyond a header, where many tools have their scalars."""
WINDOW = 26 << 10
"""Bytes of the one range that is read for scalars alone."""


def hub_file(address: str) -> SourceFile:
    """The file at an address, read by ranges; whole, from the cache, offline or where it is torch's.

    A torch file is a zip, which says at its end what is in it, all over it.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return SourceFile(cached(address))
    try:
        remote = _remote_file(address, this_minute())
    except HubUnavailableError as error:
        if error.status:
            raise
        try:
            return SourceFile(cached(address))
        except HubUnavailableError:
            raise error from None
    return remote if kind_of(remote) == "safetensors" else SourceFile(on_disk(address))


@lru_cache(maxsize=16)
def _remote_file(address: str, minute: int) -> RemoteFile:
    return RemoteFile(address)


class RemoteFile(SourceFile):
    """A file read by position, from afar. It has no descriptor."""

    def __init__(self, address: str) -> None:
        from huggingface_hub import hf_hub_url

        where = parsed(address)
        self.path = address
        self.descriptor = -1
        self.size = 0
        self._pieces: list[tuple[int, bytes]] = []
        self._home = self._url = hf_hub_url(where.repository, where.path, revision=where.revision)
        self._fetch(0, BEGINNING)

    def _fetch(self, start: int, stop: int) -> None:
        headers = {**request_headers(), "accept-encoding": "identity"}
        if _host(self._url) != _host(self._home):  # where the Hub sends us on to sees no token
            headers.pop("authorization", None)
        headers["range"] = f"bytes={start}-{stop - 1}"
        begins, data, self.size, self._url = answer_to(
            self._url, headers, self.path, lambda response: _taken(response, start, stop)
        )
        self._pieces.append((begins, data))

    def read(self, start: int, size: int) -> bytes:
        """Exactly `size` bytes from `start`, and some more after what has been read at the beginning."""
        found = self._had(start, size)
        if found is None:
            begins, data = self._pieces[0]
            if begins <= start <= len(data) and len(self._pieces) == 1:
                self._fetch(len(data), min(start + size + AHEAD, self.size))
                self._pieces = [(0, data + self._pieces.pop()[1])]
            else:
                self._fetch(start, start + size)
            found = self._had(start, size)
        if found is None:
            raise CorruptCheckpointError(
                self.path, f"has no byte {start + size:,}", why="the Hub sent less than it has"
            )
        return found

    def _had(self, start: int, size: int) -> bytes | None:
        for begins, data in self._pieces:
            if begins <= start and start + size <= begins + len(data):
                return data[start - begins : start - begins + size]
        return None

    def near(self, extents: Iterable[tuple[int, int]]) -> list[bool]:
        """Which of some places have been read, once the one range is that holds most of the others."""
        listed = [*extents]
        left = sorted((start, size) for start, size in listed if self._had(start, size) is None)
        best: tuple[int, int, int] = (0, 0, 0)
        first = 0
        for last, (start, size) in enumerate(left):
            while start + size - left[first][0] > WINDOW:
                first += 1
            best = max(best, (last - first + 1, left[first][0], start + size))
        if best[0]:
            self._fetch(best[1], best[2])
        return [self._had(start, size) is not None for start, size in listed]

    def is_at(self, path: str) -> bool:
        """No: no file of this machine is it."""
        return False

    def check_unchanged(self) -> None:
        """What is read by a commit's own links does not change."""

    def close(self) -> None:
        """Nothing is open."""


def _taken(response: Any, start: int, stop: int) -> tuple[int, bytes, int, str]:
    """Where an answer's bytes begin, the bytes up to `stop`, the file's size, and where it lies."""
    if response.status_code == 416:  # of an empty file nothing begins anywhere
        return 0, b"", 0, str(response.url)
    begins = start if response.status_code == 206 else 0
    data = b""
    for piece in response.iter_raw():
        data += piece
        if begins + len(data) >= stop:
            break
    return begins, data[: stop - begins], _size(response), str(response.url)


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _size(response: Any) -> int:
    """A file's size, from an answer with a range of it or all of it."""
    whole = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(whole or response.headers.get("Content-Length") or 0)
