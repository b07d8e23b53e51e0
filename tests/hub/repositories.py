"""Repositories as the Hub keeps them: commits, trees of files, references, large objects."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

LARGE = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".zip", ".npz", ".msgpack", ".gz", ".tar")
LARGE_SIZE = 10_000_000
ATTRIBUTES = "".join(f"*{name} filter=lfs diff=lfs merge=lfs -text\n" for name in LARGE).encode()
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


class Blob(NamedTuple):
    """A file's content: its bytes, or a file that has them."""

    oid: str
    """Git's name of what git holds: the content, or the pointer to a large object."""
    size: int
    data: bytes | Path
    sha256: str = ""
    """Of a large object."""

    @property
    def etag(self) -> str:
        return self.sha256 or self.oid

    def read(self, start: int, size: int) -> bytes:
        if isinstance(self.data, bytes):
            return self.data[start : start + size]
        with self.data.open("rb") as file:
            return os.pread(file.fileno(), size, start)


class Commit(NamedTuple):
    oid: str
    files: Mapping[str, Blob]
    title: str
    message: str
    author: str
    parent: str | None
    date: str


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def regular(data: bytes) -> Blob:
    return Blob(git_oid(data), len(data), data)


def large(sha256: str, size: int, data: bytes | Path) -> Blob:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    return Blob(git_oid(pointer.encode()), size, data, sha256)


def is_large(path: str, size: int, sample: bytes) -> bool:
    """What the Hub says before an upload: what its default .gitattributes list, is big, or binary."""
    return size > 0 and (path.endswith(LARGE) or size > LARGE_SIZE or b"\0" in sample)


class Repository:
    """One repository; `users` may read it where it is private or gated, and its owner may write."""

    def __init__(self, name: str, *, private: bool = False) -> None:
        self.name = name
        self.private = private
        self.gated = False
        self.users = {name.partition("/")[0]}
        self.commits: dict[str, Commit] = {}
        self.branches: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.pull_requests: dict[str, str] = {}
        self.objects: dict[str, Blob] = {}
        self.lock = threading.RLock()
        attributes = {".gitattributes": regular(ATTRIBUTES)}
        self.branches["main"] = self._new(attributes, "initial commit", "", self.owner, None).oid

    @property
    def owner(self) -> str:
        return self.name.partition("/")[0]

    def _new(
        self, files: Mapping[str, Blob], title: str, message: str, author: str, parent: str | None
    ) -> Commit:
        date = BEGUN.replace(minute=len(self.commits) % 60).isoformat().replace("+00:00", ".000Z")
        tree = {path: blob.oid for path, blob in sorted(files.items())}
        said = json.dumps([tree, title, message, author, parent, len(self.commits), self.name])
        oid = hashlib.sha1(said.encode()).hexdigest()
        commit = Commit(oid, dict(files), title, message, author, parent, date)
        self.commits[oid] = commit
        return commit

    def at(self, revision: str) -> Commit | None:
        """The commit that a branch, tag, pull request or the beginning of a hash names."""
        for names in (self.branches, self.tags, self.pull_requests):
            if revision in names:
                return self.commits[names[revision]]
        short = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        if short != revision:
            return self.at(short)
        found = [oid for oid in self.commits if len(revision) >= 7 and oid.startswith(revision)]
        return self.commits[found[0]] if found else None

    def commit(
        self,
        changes: Mapping[str, Blob | None],
        *,
        title: str = "Upload",
        message: str = "",
        author: str = "",
        revision: str = "main",
        new_pull_request: bool = False,
    ) -> tuple[Commit, str]:
        """A commit on a branch, or on a new pull request beside it; None takes a file away."""
        with self.lock:
            parent = self.at(revision)
            assert parent is not None
            files = {**parent.files, **{p: blob for p, blob in changes.items() if blob}}
            files = {p: blob for p, blob in files.items() if changes.get(p, blob) is not None}
            done = self._new(files, title, message, author or self.owner, parent.oid)
            reference = revision
            if new_pull_request:
                reference = f"refs/pr/{len(self.pull_requests) + 1}"
            names = self.pull_requests if reference.startswith("refs/pr/") else self.branches
            names[reference] = done.oid
            return done, reference

    def history(self, commit: Commit) -> Iterable[Commit]:
        """The commit and those before it, the last first."""
        yield commit
        while commit.parent:
            commit = self.commits[commit.parent]
            yield commit

    def put(self, path: str, content: bytes | Path, *, revision: str = "main") -> Commit:
        """Commit one file without any client.

        A file on disk stays where it is and is never hashed, so it may be as large as it likes.
        """
        if isinstance(content, Path):
            size = content.stat().st_size
            blob = large(hashlib.sha256(f"{content} {size}".encode()).hexdigest(), size, content)
        elif is_large(path, len(content), content[:512]):
            blob = large(hashlib.sha256(content).hexdigest(), len(content), content)
        else:
            blob = regular(content)
        if blob.sha256:
            self.objects[blob.sha256] = blob
        return self.commit({path: blob}, title=f"Upload {path}", revision=revision)[0]
