"""One request to the Hub's double: reading, answering, counting, and failing on demand."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
CHUNK = 1 << 20


class Seen(NamedTuple):
    """A request that was answered."""

    route: str
    method: str
    path: str
    status: int
    sent: int
    """Bytes of the answer, head and body."""
    received: int
    """Bytes of the request's body."""
    token: str
    range: str


@dataclass
class Failure:
    """What shall go wrong with requests of one route."""

    status: int = 0
    """An HTTP status; 0 cuts the connection instead, once `after` bytes of a body went over it."""
    after: int = 0
    times: int = 1
    code: str = ""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    """Only of requests whose path holds this."""


class CutError(Exception):
    """The connection is to be cut."""


class HubError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str, code: str = "", **fields: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.fields = status, message, code, fields


class Server(ThreadingHTTPServer):
    """A server with a table of routes, which remembers every request."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, routes: Mapping[str, Callable[..., None]], state: Any) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.routes = [(re.compile(pattern), answer) for pattern, answer in routes.items()]
        self.state = state

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Counted:
    """A file to write to, that counts."""

    def __init__(self, file: Any) -> None:
        self.file, self.count = file, 0

    def write(self, data: bytes) -> int:
        self.count += len(data)
        return int(self.file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with kept connections, ranges and chunked bodies."""

    protocol_version = "HTTP/1.1"
    server_version = "hub"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: Server

    def setup(self) -> None:
        super().setup()
        self.wfile = _Counted(self.wfile)  # type: ignore[assignment]

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: tests read `requests`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    # what routes ask

    @property
    def query(self) -> dict[str, str]:
        return {k: v[-1] for k, v in parse_qs(urlsplit(self.path).query).items()}

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def pieces(self) -> Iterator[bytes]:
        """The request's body."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self._taken(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0) - self.received
        while left > 0:
            piece = self._taken(min(left, CHUNK))
            left -= len(piece)
            yield piece

    def _taken(self, size: int) -> bytes:
        limit = self.cut_after - self.received if self.cut_after is not None else size
        data = self.rfile.read(min(size, max(limit, 0)))
        self.received += len(data)
        if len(data) < size:
            raise CutError
        return data

    def body(self) -> bytes:
        return b"".join(self.pieces())

    def json(self) -> Any:
        return json.loads(self.body() or b"{}")

    # what routes answer

    def give(self, data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """An answer in JSON."""
        body = json.dumps(data).encode()
        self._head(status, len(body), {"Content-Type": "application/json", **(headers or {})})
        self._write(body)

    def give_nothing(self, status: int, headers: Mapping[str, str]) -> None:
        self._head(status, 0, headers)

    def give_bytes(
        self, size: int, read: Callable[[int, int], bytes], headers: Mapping[str, str]
    ) -> None:
        """A file, or the range of it that is wanted."""
        start, end, status = 0, size, 200
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        headers = {"Accept-Ranges": "bytes", **headers}
        if wanted and (wanted[1] or wanted[2]):
            start = int(wanted[1]) if wanted[1] else max(size - int(wanted[2]), 0)
            end = min(int(wanted[2]) + 1, size) if wanted[1] and wanted[2] else size
            if start >= max(size, 1) or start > end:
                self._head(416, 0, {"Content-Range": f"bytes */{size}"})
                return
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        self._head(status, end - start, headers)
        while start < end and self.command != "HEAD":
            piece = read(start, min(CHUNK, end - start))
            self._write(piece)
            start += len(piece)

    def _head(self, status: int, size: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.send_response(status)
        self.send_header("Content-Length", str(size))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _write(self, data: bytes) -> None:
        if self.command == "HEAD":
            return
        if self.cut_after is not None:
            data = data[: max(self.cut_after, 0)]
            self.cut_after -= len(data)
        self.wfile.write(data)
        if self.cut_after is not None and self.cut_after <= 0:
            raise CutError

    # the round of one request

    def _answer(self) -> None:
        self.received, self.status, self.cut_after = 0, 0, None
        self.wfile.count = 0  # type: ignore[attr-defined]
        path = urlsplit(self.path).path
        route, answer, parts = "unknown", None, ()
        for pattern, found in self.server.routes:
            if match := pattern.fullmatch(path):
                route, answer, parts = found.__name__, found, match.groups()
                break
        cut = False
        try:
            self._round(route, answer, tuple(unquote(part or "") for part in parts))
        except (CutError, ConnectionError):
            cut = True
        self._finish(route, cut=cut)

    def _round(
        self, route: str, answer: Callable[..., None] | None, parts: tuple[str, ...]
    ) -> None:
        state = self.server.state
        try:
            failure = state.next_failure(route, self.path)
            if failure and failure.status:
                raise HubError(
                    failure.status, failure.message, failure.code, headers=failure.headers
                )
            self.cut_after = failure.after if failure else None
            if answer is None:
                raise HubError(404, f"no route for {self.command} {self.path}")
            answer(state, self, *parts)
        except HubError as error:
            for _ in self.pieces():
                pass
            headers = {**error.fields.pop("headers", {})}
            if error.code:
                headers["X-Error-Code"] = error.code
            if error.message:
                headers["X-Error-Message"] = error.message
            self.give({"error": error.message, **error.fields}, error.status, headers)

    def _finish(self, route: str, *, cut: bool) -> None:
        with contextlib.suppress(OSError):
            self.wfile.flush()
        sent = self.wfile.count  # type: ignore[attr-defined]
        wanted = self.headers.get("Range", "")
        method, path, status = self.command, self.path, 0 if cut else self.status
        seen = Seen(route, method, path, status, sent, self.received, self.token, wanted)
        self.server.state.requests.append(seen)
        if cut:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
