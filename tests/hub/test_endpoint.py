"""The Hub's double is one that the real client takes for the Hub."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.hub.cards import validated
from tests.hub.endpoint import Endpoint

PAYLOAD = bytes(range(256)) * 40
CARD = "---\nlicense: mit\ntags:\n- lora\n---\n# One\n"


def client(hub: Endpoint, home: Path, code: str, **how: str | None) -> dict[str, object]:
    """What a program prints in which ``api`` is the real client."""
    before = (
        "import json, os\nfrom huggingface_hub import HfApi, hf_hub_download, snapshot_download\n"
    )
    before += "from huggingface_hub.errors import *\napi = HfApi()\nfound = {}\n"
    done = hub.python(["-c", before + code + "\nprint(json.dumps(found))"], home, **how)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    (made / "sub").mkdir(parents=True)
    (made / "a.safetensors").write_bytes(PAYLOAD)
    (made / "sub" / "b.json").write_text("{}")
    (made / "README.md").write_text(CARD)
    return made


def test_the_client_uploads_lists_and_downloads(endpoint: Endpoint, folder: Path) -> None:
    code = f"""
found["who"] = api.whoami()["name"]
api.create_repo("user/one", private=True)
api.create_repo("user/one", exist_ok=True)
done = api.upload_folder(repo_id="user/one", folder_path={str(folder)!r})
found["private"] = api.model_info("user/one").private
found["files"] = sorted(api.list_repo_files("user/one"))
found["tree"] = sorted(e.path for e in api.list_repo_tree("user/one"))
info = api.get_paths_info("user/one", ["sub", "sub/b.json"])
found["info"] = [[e.path, getattr(e, "size", None)] for e in info]
found["path"] = hf_hub_download("user/one", "a.safetensors")
found["snapshot"] = snapshot_download("user/one", allow_patterns="sub/*")
found["commits"] = [c.title for c in api.list_repo_commits("user/one")]
again = api.upload_folder(repo_id="user/one", folder_path={str(folder)!r})
found["unchanged"] = again.oid == done.oid
"""
    found = client(endpoint, folder.parent / "home", code)
    files = [".gitattributes", "README.md", "a.safetensors", "sub/b.json"]
    assert found["who"] == "user"
    assert found["private"] is True
    assert found["files"] == files
    assert found["tree"] == [".gitattributes", "README.md", "a.safetensors", "sub"]
    assert found["info"] == [["sub", None], ["sub/b.json", 2]]
    assert Path(str(found["path"])).read_bytes() == PAYLOAD
    assert Path(str(found["snapshot"]), "sub", "b.json").read_text() == "{}"
    assert len(found["commits"]) == 2  # type: ignore[arg-type]
    assert found["unchanged"] is True
    assert len(endpoint.seen("upload")) == 1
    assert len(endpoint.seen("commit")) == 1


def test_what_was_uploaded_is_not_asked_for_again(endpoint: Endpoint, folder: Path) -> None:
    """The commit failed; the large file is there, and only the commit is made again."""
    endpoint.repository("user/one")
    endpoint.fail("commit", 500, message="no luck")
    upload = f'api.upload_folder(repo_id="user/one", folder_path={str(folder)!r})'
    code = (
        f"try:\n    {upload}\nexcept HfHubHTTPError as e: found['status'] = e.response.status_code"
    )
    home = folder.parent / "home"
    assert client(endpoint, home, code)["status"] == 500
    assert endpoint.files("user/one") == {}
    client(endpoint, home, upload)
    assert set(endpoint.files("user/one")) == {"a.safetensors", "sub/b.json", "README.md"}
    assert len(endpoint.seen("upload")) == 1


def test_large_files_go_in_parts(endpoint: Endpoint, folder: Path) -> None:
    endpoint.part_size = 4000
    endpoint.repository("user/one")
    endpoint.fail("upload_part", after=1000)
    code = f"""
path = {str(folder / "a.safetensors")!r}
api.upload_file(repo_id="user/one", path_in_repo="a.safetensors", path_or_fileobj=path)
"""
    client(endpoint, folder.parent / "home", code)
    assert [seen.received for seen in endpoint.seen("upload_part")] == [1000, 4000, 4000, 2240]
    blob = endpoint.files("user/one")["a.safetensors"]
    assert blob.sha256 == hashlib.sha256(PAYLOAD).hexdigest()
    assert blob.data == PAYLOAD


def test_downloads_go_on_where_they_were_cut(endpoint: Endpoint, tmp_path: Path) -> None:
    """The client keeps pieces of 10 MiB."""
    payload = PAYLOAD * 1200
    endpoint.repository("user/one").put("a.safetensors", payload)
    endpoint.fail("stored_object", after=12_000_000)
    found = client(
        endpoint, tmp_path, 'found["path"] = hf_hub_download("user/one", "a.safetensors")'
    )
    assert Path(str(found["path"])).read_bytes() == payload
    assert [seen.range for seen in endpoint.seen("stored_object")] == ["", "bytes=10485760-"]
    assert {seen.token for seen in endpoint.seen("stored_object")} == {""}
    assert {seen.token for seen in endpoint.seen("resolve")} == {endpoint.token}


@pytest.mark.parametrize(
    ("who", "status"), [(None, 401), ("stranger", 404), ("nobody", 401), ("", 200)]
)
def test_a_private_repository_is_its_owners(
    endpoint: Endpoint, tmp_path: Path, who: str | None, status: int
) -> None:
    endpoint.repository("user/one", private=True).put("a.safetensors", PAYLOAD)
    token = endpoint.add_user("stranger") if who == "stranger" else who
    code = """
try: found["files"] = len(api.list_repo_files("user/one")); found["status"] = 200
except HfHubHTTPError as e: found["status"] = e.response.status_code
"""
    assert client(endpoint, tmp_path, code, token=token)["status"] == status


def test_revisions_are_branches_tags_and_pull_requests(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.repository("user/one").put("a.json", b"1")
    endpoint.page_size = 1
    code = """
api.create_tag("user/one", tag="v1")
api.create_branch("user/one", branch="next/step")
def put(data, **how):
    api.upload_file(repo_id="user/one", path_in_repo="a.json", path_or_fileobj=data, **how)
put(b"2", revision="next/step")
put(b"3", create_pr=True)
def read(revision): return open(hf_hub_download("user/one", "a.json", revision=revision)).read()
found["read"] = [read(r) for r in ("main", "v1", "next/step", "refs/pr/1")]
refs = api.list_repo_refs("user/one", include_pull_requests=True)
found["refs"] = [r.name for r in [*refs.branches, *refs.tags, *refs.pull_requests]]
try: read("v2")
except RevisionNotFoundError: found["none"] = "revision"
try: hf_hub_download("user/one", "b.json")
except EntryNotFoundError: found["no file"] = "file"
"""
    found = client(endpoint, tmp_path, code)
    assert found["read"] == ["1", "1", "2", "3"]
    assert found["refs"] == ["main", "next/step", "v1", "refs/pr/1"]
    assert (found["none"], found["no file"]) == ("revision", "file")


def test_failures_come_when_they_are_wanted(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.fail("info", 429, headers={"Retry-After": "7"}, message="slow down")
    endpoint.repository("user/one")
    code = """
try: api.model_info("user/one")
except HfHubHTTPError as e:
    found["status"], found["wait"] = e.response.status_code, e.response.headers["Retry-After"]
found["then"] = api.model_info("user/one").id
"""
    found = client(endpoint, tmp_path, code)
    assert found == {"status": 429, "wait": "7", "then": "user/one"}


@pytest.mark.parametrize(
    ("metadata", "wrong"),
    [
        ("license: mit", ""),
        ("license: other\nlicense_name: flux-1-dev\nlicense_link: LICENSE.md", ""),
        ("license: other", "license_name"),
        ("license: my-own", "license"),
        ("license: [unclosed", "YAML"),
        ("base_model: some words", "base_model"),
        ("base_model:\n- a/b\n- c/d", ""),
        ("tags: lora", "tags"),
        ("widget: no", "widget"),
    ],
)
def test_metadata_is_read_as_yaml(metadata: str, wrong: str) -> None:
    errors = validated(f"---\n{metadata}\n---\n# Title\n").errors
    assert bool(errors) == bool(wrong)
    assert not errors or wrong in errors[0]


def test_a_bad_card_is_refused_before_anything_is_uploaded(
    endpoint: Endpoint, folder: Path
) -> None:
    endpoint.repository("user/one")
    (folder / "README.md").write_text("---\nlicense: my-own\n---\n")
    code = f"""
try: api.upload_folder(repo_id="user/one", folder_path={str(folder)!r})
except ValueError as e: found["said"] = str(e)
"""
    assert "license" in str(client(endpoint, folder.parent / "home", code)["said"])
    assert endpoint.seen("upload", "commit") == []
