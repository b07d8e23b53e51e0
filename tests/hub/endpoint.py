"""A double of the Hub on loopback, for the real ``huggingface_hub`` client to talk to.

Two servers: the Hub itself, and the host that its large objects lie on, which must never see a token.
Xet is not spoken: answers announce none, so downloads never ask for it, and `environment` switches it
off for uploads, which the client would otherwise begin with it.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.hub.repositories import Blob, Commit, Repository
from tests.hub.routes import ROUTES, STORAGE_ROUTES
from tests.hub.serving import Failure, Handler, HubError, Seen, Server

ROOT = Path(__file__).resolve().parents[2]


class User(NamedTuple):
    name: str
    role: str


class Endpoint:
    """The Hub's double: its repositories, its users, what it was asked, what shall go wrong."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.users: dict[str, User] = {}
        self.requests: list[Seen] = []
        self.failures: list[tuple[str, Failure]] = []
        self.stored: dict[str, Blob] = {}
        """Large objects that were uploaded whole, by hash; a repository's once it was told of them."""
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.links: dict[str, Blob] = {}
        self.page_size = 1000
        self.part_size = 5_000_000
        self.lock = threading.Lock()
        self.server = Server(ROUTES, self)
        self.storage = Server(STORAGE_ROUTES, self)
        self.token = self.add_user("user")
        """Of ``user``, who may write to ``user/…``."""
        for server in (self.server, self.storage):
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return self.server.url

    def close(self) -> None:
        for server in (self.server, self.storage):
            server.shutdown()
            server.server_close()

    # what tests set up

    def add_user(self, name: str, role: str = "write") -> str:
        """Make a user; their token."""
        token = f"hf_{secrets.token_hex(17)}"
        self.users[token] = User(name, role)
        return token

    def repository(self, name: str, *, private: bool = False) -> Repository:
        """A repository, made where it is not there."""
        if name not in self.repositories:
            self.repositories[name] = Repository(name, private=private)
        return self.repositories[name]

    def fail(self, route: str, status: int = 0, **how: Any) -> None:
        """Let the next requests of a route (a function's name in `routes`) fail; see `Failure`.

        ``times=-1`` is for ever; status 0 cuts the connection after ``after`` bytes of the body.
        """
        self.failures.append((route, Failure(status, **how)))

    def environment(
        self, home: Path | str, *, token: str | None = "", **more: str
    ) -> dict[str, str]:
        """Variables for a process that shall take this for the Hub; `token` None is nobody's."""
        said = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        said |= {"HF_ENDPOINT": self.url, "HF_HOME": os.fspath(home), "HF_HUB_DISABLE_XET": "1"}
        said |= {"HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        said |= {"PYTHONPATH": os.fspath(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
        if token is not None:
            said["HF_TOKEN"] = token or self.token
        return said | more

    def run(
        self,
        arguments: Sequence[str | Path],
        home: Path | str,
        *,
        cwd: Path | str | None = None,
        timeout: float = 60,
        **how: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line; ``how`` as of `environment`."""
        command = ["-m", "lora_convert", *map(str, arguments)]
        return self.python(command, home, cwd=cwd, timeout=timeout, **how)

    def python(
        self,
        arguments: Sequence[str],
        home: Path | str,
        *,
        cwd: Path | str | None = None,
        timeout: float = 60,
        input: str | None = None,
        **how: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run Python."""
        return subprocess.run(
            [sys.executable, *arguments],
            env=self.environment(home, **how),
            cwd=cwd,
            input=input,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    # what tests ask afterwards

    def seen(self, *routes: str) -> list[Seen]:
        """Requests, of some routes or all."""
        return [seen for seen in self.requests if not routes or seen.route in routes]

    def traffic(self, *routes: str) -> int:
        """Bytes that were sent as answers, heads and bodies."""
        return sum(seen.sent for seen in self.seen(*routes))

    def files(self, repository: str, revision: str = "main") -> Mapping[str, Blob]:
        """Files of a repository, without those that it began with."""
        commit = self.repositories[repository].at(revision)
        assert commit is not None
        return {path: blob for path, blob in commit.files.items() if path != ".gitattributes"}

    # what routes ask

    def next_failure(self, route: str, path: str) -> Failure | None:
        with self.lock:
            for number, (name, failure) in enumerate(self.failures):
                if name == route and failure.path in path:
                    failure.times -= 1
                    if failure.times == 0:
                        del self.failures[number]
                    return failure
        return None

    def user_of(self, request: Handler) -> User | None:
        if request.token and request.token not in self.users:
            raise HubError(401, "Invalid credentials in Authorization header")
        return self.users.get(request.token)

    def readable(
        self, request: Handler, name: str, revision: str, *, gated: bool = False
    ) -> tuple[Repository, Commit]:
        """A repository that the request may read, and the commit that it names."""
        user = self.user_of(request)
        repository = self.repositories.get(name)
        allowed = repository and user and user.name in repository.users
        if repository is None or (repository.private and not allowed):
            if user is None:  # who may not know is not told
                raise HubError(401, "Invalid username or password.")
            raise HubError(404, "Repository not found", "RepoNotFound")
        if gated and repository.gated and not allowed:
            message = (
                f"Access to model {name} is restricted and you are not in the authorized list."
            )
            raise HubError(403 if user else 401, message, "GatedRepo")
        return repository, self.commit_of(repository, revision or "main")

    def writable(self, request: Handler, name: str) -> Repository:
        repository, _ = self.readable(request, name, "main")
        user = self.user_of(request)
        if user is None:
            raise HubError(401, "Invalid username or password.")
        if user.name != repository.owner or user.role != "write":
            message = "Forbidden: you must use a write token to upload to a repository."
            raise HubError(403, message)
        return repository

    def commit_of(self, repository: Repository, revision: str) -> Commit:
        commit = repository.at(revision)
        if commit is None:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def taken(self, repository: Repository, sha256: str) -> Blob | None:
        """A large object of a repository, among them those that were just uploaded."""
        if sha256 in self.stored:
            repository.objects[sha256] = self.stored[sha256]
        return repository.objects.get(sha256)
