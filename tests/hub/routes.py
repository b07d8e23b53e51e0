"""What the Hub answers, route by route, as ``huggingface_hub`` 2.4 asks it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.hub.cards import metadata_of, validated
from tests.hub.repositories import Blob, Commit, Repository
from tests.hub.serving import Handler, HubError
from tests.hub.uploading import (
    batch,
    commit,
    complete,
    no_token,
    preupload,
    upload,
    upload_part,
    verify,
)

if TYPE_CHECKING:
    from tests.hub.endpoint import Endpoint

REPO = r"([\w.-]+/[\w.-]+)"
API = rf"/api/models/{REPO}"


def whoami(hub: Endpoint, request: Handler) -> None:
    user = hub.user_of(request)
    if user is None:
        raise HubError(401, "Invalid username or password.")
    access = {"displayName": "test", "role": user.role}
    auth = {"type": "access_token", "accessToken": access}
    said = {"type": "user", "id": user.name, "name": user.name, "fullname": user.name}
    request.give({**said, "orgs": [], "auth": auth})


def create(hub: Endpoint, request: Handler) -> None:
    user = hub.user_of(request)
    if user is None:
        raise HubError(401, "Invalid username or password.")
    wanted = request.json()
    name = f"{wanted.get('organization') or user.name}/{wanted['name']}"
    if name.partition("/")[0] != user.name or user.role != "write":
        raise HubError(
            403, f'You don\'t have the rights to create a model under the namespace "{user.name}"'
        )
    url = f"{hub.url}/{name}"
    if name in hub.repositories:
        raise HubError(409, "You already created this model repo", url=url)
    private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
    hub.repositories[name] = Repository(name, private=private)
    request.give({"url": url, "name": name, "id": name})


def info(hub: Endpoint, request: Handler, name: str, revision: str) -> None:
    repository, commit = hub.readable(request, name, revision)
    readme = commit.files.get("README.md")
    card: dict[str, Any] = metadata_of(readme.read(0, readme.size).decode()) if readme else {}
    request.give(
        {
            "_id": hashlib.md5(name.encode()).hexdigest()[:24],
            "id": name,
            "modelId": name,
            "author": repository.owner,
            "sha": commit.oid,
            "lastModified": commit.date,
            "createdAt": commit.date,
            "private": repository.private,
            "gated": "manual" if repository.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": card.get("tags") or [],
            "cardData": card,
            "siblings": [{"rfilename": path} for path in sorted(commit.files)],
        }
    )


def _entry(path: str, blob: Blob) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": blob.oid, "size": blob.size, "path": path}
    if blob.sha256:
        entry["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": 135}
    return entry


def _folders(commit: Commit) -> dict[str, dict[str, Any]]:
    names = {path[:end] for path in commit.files for end in range(len(path)) if path[end] == "/"}
    return {n: {"type": "directory", "oid": "0" * 40, "size": 0, "path": n} for n in names}


def tree(hub: Endpoint, request: Handler, name: str, revision: str, folder: str) -> None:
    _, commit = hub.readable(request, name, revision)
    entries = {**_folders(commit), **{p: _entry(p, blob) for p, blob in commit.files.items()}}
    inside = f"{folder}/" if folder else ""
    if folder and entries.get(folder, {}).get("type") != "directory":
        raise HubError(404, f"{folder} does not exist on {revision!r}", "EntryNotFound")
    recursive = request.query.get("recursive", "").lower() == "true"
    found = [
        entry
        for path, entry in sorted(entries.items())
        if path.startswith(inside) and (recursive or "/" not in path[len(inside) :])
    ]
    start = int(request.query.get("cursor", 0))
    headers = {}
    if start + hub.page_size < len(found):
        here = request.path.split("?")[0]
        query = f"recursive={recursive}&cursor={start + hub.page_size}"
        headers["Link"] = f'<{hub.url}{here}?{query}>; rel="next"'
    request.give(found[start : start + hub.page_size], headers=headers)


def paths_info(hub: Endpoint, request: Handler, name: str, revision: str) -> None:
    _, commit = hub.readable(request, name, revision)
    wanted = parse_qs(request.body().decode()).get("paths", [])
    entries = {**_folders(commit), **{p: _entry(p, blob) for p, blob in commit.files.items()}}
    request.give([entries[path] for path in wanted if path in entries])


def refs(hub: Endpoint, request: Handler, name: str) -> None:
    repository, _ = hub.readable(request, name, "main")
    kinds = {
        "branches": ("refs/heads/", repository.branches),
        "tags": ("refs/tags/", repository.tags),
        "pullRequests": ("", repository.pull_requests),
    }
    found = {
        kind: [{"name": n, "ref": before + n, "targetCommit": oid} for n, oid in names.items()]
        for kind, (before, names) in kinds.items()
    }
    request.give({"converts": [], **found})


def commits(hub: Endpoint, request: Handler, name: str, revision: str) -> None:
    repository, commit = hub.readable(request, name, revision)
    request.give(
        [
            {"id": c.oid, "title": c.title, "message": c.message, "date": c.date, "parents": [c.parent],
             "authors": [{"user": c.author}]}
            for c in repository.history(commit)
        ]
    )  # fmt: skip


def branch(hub: Endpoint, request: Handler, name: str, new: str) -> None:
    repository = hub.writable(request, name)
    if request.command == "DELETE":
        del repository.branches[new]
        return request.give({})
    if new in repository.branches:
        raise HubError(409, f"Reference already exists: refs/heads/{new}")
    start = request.json().get("startingPoint", "main")
    repository.branches[new] = hub.commit_of(repository, start).oid
    return request.give({})


def tag(hub: Endpoint, request: Handler, name: str, revision: str) -> None:
    repository = hub.writable(request, name)
    if request.command == "DELETE":
        del repository.tags[revision]
        return request.give({})
    new = request.json()["tag"]
    if new in repository.tags:
        raise HubError(409, f"Tag reference exists already: {new}")
    repository.tags[new] = hub.commit_of(repository, revision).oid
    return request.give({})


def validate_yaml(hub: Endpoint, request: Handler) -> None:
    found = validated(request.json()["content"])
    if found.errors:
        request.give({"error": found.errors[0], **found.as_json}, 400)
    else:
        request.give(found.as_json)


def resolve(hub: Endpoint, request: Handler, name: str, revision: str, path: str) -> None:
    """A small file itself; of a large one, where it is, as a link that needs no token."""
    _, at = hub.readable(request, name, revision, gated=True)
    headers = {"X-Repo-Commit": at.oid}
    blob = at.files.get(path)
    if blob is None:
        raise HubError(404, "Entry not found", "EntryNotFound", headers=headers)
    if not blob.sha256:
        request.give_bytes(blob.size, blob.read, {**headers, "ETag": f'"{blob.etag}"'})
        return
    headers |= {"X-Linked-Size": str(blob.size), "X-Linked-ETag": f'"{blob.etag}"'}
    hub.links[blob.sha256] = blob
    link = f"{hub.storage.url}/object/{blob.sha256}?Expires=1&Signature=s"
    request.give_nothing(302, {**headers, "Location": link, "ETag": f'"{blob.oid}"'})


def stored_object(hub: Endpoint, request: Handler, sha256: str) -> None:
    no_token(request)
    blob = hub.links[sha256]
    request.give_bytes(blob.size, blob.read, {"ETag": f'"{sha256}"'})


ROUTES = {
    r"/api/whoami-v2": whoami,
    r"/api/repos/create": create,
    r"/api/validate-yaml": validate_yaml,
    r"/api/complete_multipart": complete,
    rf"{API}(?:/revision/([^/]+))?": info,
    rf"{API}/tree/([^/]+)(?:/(.+))?": tree,
    rf"{API}/paths-info/([^/]+)": paths_info,
    rf"{API}/refs": refs,
    rf"{API}/commits/([^/]+)": commits,
    rf"{API}/branch/([^/]+)": branch,
    rf"{API}/tag/([^/]+)": tag,
    rf"{API}/preupload/([^/]+)": preupload,
    rf"{API}/commit/([^/]+)": commit,
    rf"/{REPO}\.git/info/lfs/objects/batch": batch,
    rf"/{REPO}\.git/info/lfs/verify": verify,
    rf"/{REPO}/resolve/([^/]+)/(.+)": resolve,
}
STORAGE_ROUTES = {
    r"/object/([0-9a-f]{64})": stored_object,
    r"/upload/([0-9a-f]{64})": upload,
    r"/part/([0-9a-f]+)/(\d+)": upload_part,
}
