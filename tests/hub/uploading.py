"""Uploads as the Hub takes them: large objects on the second host, then one commit."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.hub.cards import validated
from tests.hub.repositories import Blob, Commit, Repository, is_large, large, regular
from tests.hub.serving import Handler, HubError

if TYPE_CHECKING:
    from tests.hub.endpoint import Endpoint


def preupload(hub: Endpoint, request: Handler, name: str, revision: str) -> None:
    repository = hub.writable(request, name)
    there = hub.commit_of(repository, revision).files
    found = []
    for file in request.json()["files"]:
        big = is_large(file["path"], file["size"], base64.b64decode(file["sample"]))
        answer = {"path": file["path"], "uploadMode": "lfs" if big else "regular"}
        blob = there.get(file["path"])
        oid = {"oid": blob.etag} if blob else {}
        found.append({**answer, "shouldIgnore": False, **oid})
    request.give({"files": found, "commitOid": repository.branches["main"]})


def batch(hub: Endpoint, request: Handler, name: str) -> None:
    """Where large objects are to be uploaded: nowhere, those that are there."""
    repository = hub.writable(request, name)
    wanted = request.json()
    found = []
    for one in wanted["objects"]:
        oid, size = one["oid"], one["size"]
        entry: dict[str, Any] = {"oid": oid, "size": size, "authenticated": True}
        if oid not in repository.objects:
            upload = {"href": f"{hub.storage.url}/upload/{oid}", "header": {}}
            if "multipart" in wanted["transfers"] and size > hub.part_size:
                key = uuid.uuid4().hex
                hub.uploads[key] = {}
                parts = {
                    f"{n + 1:05d}": f"{hub.storage.url}/part/{key}/{n + 1}"
                    for n in range(-(-size // hub.part_size))
                }
                upload["header"] = {"chunk_size": str(hub.part_size), **parts}
                upload["href"] = (
                    f"{hub.url}/api/complete_multipart?uploadId={key}&repo={quote(name)}"
                )
            verify = {"href": f"{hub.url}/{name}.git/info/lfs/verify", "header": {}}
            entry["actions"] = {"upload": upload, "verify": verify}
        found.append(entry)
    request.give({"transfer": wanted["transfers"][-1], "objects": found})


def verify(hub: Endpoint, request: Handler, name: str) -> None:
    repository = hub.writable(request, name)
    said = request.json()
    blob = hub.taken(repository, said["oid"])
    if blob is None or blob.size != said["size"]:
        raise HubError(404, "Object not found")
    request.give({})


def complete(hub: Endpoint, request: Handler) -> None:
    said = request.json()
    key = request.query["uploadId"]
    parts = [hub.uploads[key].get(part["partNumber"], b"") for part in said["parts"]]
    etags = [hashlib.md5(part).hexdigest() for part in parts]
    if [part["etag"].strip('"') for part in said["parts"]] != etags:
        raise HubError(400, "A part is missing")
    data = b"".join(parts)
    if hashlib.sha256(data).hexdigest() != said["oid"]:
        raise HubError(400, "The content does not match its hash")
    del hub.uploads[key]
    hub.stored[said["oid"]] = large(said["oid"], len(data), data)
    request.give({})


def commit(hub: Endpoint, request: Handler, name: str, revision: str) -> None:
    new = request.query.get("create_pr") == "1"
    repository = hub.readable(request, name, "main")[0] if new else hub.writable(request, name)
    user = hub.user_of(request)
    parent = hub.commit_of(repository, revision)
    lines = [json.loads(line) for line in request.body().splitlines() if line.strip()]
    header, changes = lines[0]["value"], _changes(hub, repository, parent, lines[1:])
    if header.get("parentCommit") not in {None, parent.oid}:
        raise HubError(412, "A commit has happened since. Please refresh and try again.")
    done, reference = repository.commit(
        changes,
        title=header["summary"],
        message=header.get("description", ""),
        author=user.name if user else "",
        revision=revision,
        new_pull_request=new,
    )
    number = reference.rpartition("/")[2]
    answer = {"success": True, "commitOid": done.oid, "hookOutput": ""}
    answer["commitUrl"] = f"{hub.url}/{name}/commit/{done.oid}"
    if new:
        answer["pullRequestUrl"] = f"{hub.url}/{name}/discussions/{number}"
    request.give(answer)


def _changes(
    hub: Endpoint, repository: Repository, parent: Commit, lines: list[dict[str, Any]]
) -> dict[str, Blob | None]:
    changes: dict[str, Blob | None] = {}
    for line in lines:
        value, path = line["value"], line["value"]["path"]
        match line["key"]:
            case "file":
                changes[path] = regular(base64.b64decode(value["content"]))
            case "lfsFile":
                changes[path] = hub.taken(repository, value["oid"])
                if changes[path] is None:
                    raise HubError(400, f"Your push was rejected: {value['oid']} was not uploaded")
            case "deletedFile" if path in parent.files:
                changes[path] = None
            case "deletedFolder":
                inside = path.rstrip("/") + "/"
                changes.update({p: None for p in parent.files if p.startswith(inside)})
            case _:
                raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
    readme = changes.get("README.md")
    if readme and (found := validated(readme.read(0, readme.size).decode())).errors:
        raise HubError(400, found.errors[0])
    return changes


def upload(hub: Endpoint, request: Handler, sha256: str) -> None:
    no_token(request)
    data = request.body()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise HubError(400, "The content does not match its hash")
    hub.stored[sha256] = large(sha256, len(data), data)
    request.give_nothing(200, {"ETag": f'"{sha256}"'})


def upload_part(hub: Endpoint, request: Handler, key: str, number: str) -> None:
    no_token(request)
    data = request.body()
    hub.uploads[key][int(number)] = data
    request.give_nothing(200, {"ETag": f'"{hashlib.md5(data).hexdigest()}"'})


def no_token(request: Handler) -> None:
    if request.token:
        raise HubError(400, "Only one auth mechanism is allowed")
