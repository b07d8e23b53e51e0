"""What the Hub refuses is told once, in words, with what to type next, and without the token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.numpy import save, save_file

from tests.hub.endpoint import Endpoint
from tests.hub.session import commands
from tests.writing import kohya

FILE, REPOSITORY = "hf://user/one/style.safetensors", "hf://user/one"
REFUSALS = {
    "401": ("does not accept your token (401)", "HF_TOKEN"),
    "403": ("forbids it (403)", "settings/tokens"),
    "404": ("no such", "look at"),
    "429": ("asks to slow down (429)", "wait"),
    "500": ("an error of its own (500)", "in a few minutes"),
}
"""Status to words, and to what is to be typed next."""


def check(done: object, *words: str) -> None:
    """One error, one next step, exit 1."""
    said, code = done.stderr, done.exit_code  # type: ignore[attr-defined]
    assert code == 1, said
    assert said.count("error: ") == 1
    assert said.count("  next: ") == 1
    assert len(said.splitlines()) <= 3
    assert all(word in said for word in words), said


@pytest.fixture
def hub(endpoint: Endpoint) -> Endpoint:
    endpoint.repository("user/one").put("style.safetensors", save(kohya()))
    return endpoint


def test_every_status_is_told_wherever_it_comes(endpoint: Endpoint, tmp_path: Path) -> None:
    """By the list of files, the file itself, and the host that it lies on; whatever they say with it."""
    lines, expected = [], []
    output = "out.safetensors"
    for kind in ("401", "403", "404", "429"):
        for route in ("tree", "resolve", "stored_object"):
            name = f"user/{route}-{kind}"
            file = save(kohya(alpha=float(len(lines))))
            blob = (
                endpoint.repository(name).put("style.safetensors", file).files["style.safetensors"]
            )
            headers = {"Retry-After": "60"} if kind == "429" else {}
            echo = {"message": f"no, {endpoint.token}", "headers": headers, "times": -1}
            where = blob.sha256 if route == "stored_object" else name
            endpoint.fail(route, int(kind), path=where, **echo)
            lines += [["inspect", f"hf://{name}"], ["to-kohya", f"hf://{name}", "-o", output]]
            expected += 2 * [REFUSALS[kind]]
    told = commands(endpoint, tmp_path / "home", lines, cwd=tmp_path, HF_DEBUG="1")
    for done, (words, next_) in zip(told, expected, strict=True):
        assert words in done.stderr, done.said
        assert next_ in done.stderr
        assert done.exit_code == 1
        assert done.seconds < 10
    assert not (tmp_path / output).exists()


def test_what_goes_on_failing_is_given_up_and_what_does_not_is_not_told(
    hub: Endpoint, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    hub.fail("stored_object", 500, times=2)
    [done] = commands(hub, home, [["to-kohya", FILE]], cwd=tmp_path)
    assert (done.exit_code, done.stderr.count("500")) == (0, 0), done.said
    hub.fail("resolve", 429, headers={"Retry-After": "1"})
    [done] = commands(hub, home, [["inspect", FILE]])
    assert done.exit_code == 0, done.said
    hub.fail("resolve", 500, times=-1)
    [done] = commands(hub, home, [["inspect", FILE]])
    check(done, *REFUSALS["500"])
    assert done.seconds < 30


def test_a_cut_connection_is_tried_again(hub: Endpoint, tmp_path: Path) -> None:
    hub.fail("stored_object", after=500)
    lines = [["inspect", FILE, "--json"], ["to-kohya", FILE]]
    for done in commands(hub, tmp_path / "home", lines, cwd=tmp_path):
        assert done.exit_code == 0, done.said


def test_each_404_says_what_is_not_there(hub: Endpoint, tmp_path: Path) -> None:
    addresses = {
        "hf://user/none": ("hf://user/none", "no such repository"),
        "hf://user/none/a.safetensors": ("hf://user/none", "no such repository"),
        f"{REPOSITORY}@v9": ("no such revision",),
        f"{FILE}@v9": ("no such revision",),
        f"{REPOSITORY}/stile.safetensors": ("no such file", f"did you mean {FILE}?"),
        f"{REPOSITORY}/folder": ("no such file or folder",),
    }
    lines = [[command, address] for address in addresses for command in ("inspect", "to-kohya")]
    done = commands(hub, tmp_path / "home", lines)
    for words, pair in zip(
        addresses.values(), zip(done[::2], done[1::2], strict=True), strict=True
    ):
        for one in pair:
            check(one, *words)


def test_private_and_gated_repositories(hub: Endpoint, tmp_path: Path) -> None:
    hub.repository("user/secret", private=True).put("style.safetensors", save(kohya()))
    gated = hub.repository("maker/gated")
    gated.put("style.safetensors", save(kohya()))
    gated.gated = True
    lines = [["inspect", "hf://user/secret"], ["to-kohya", "hf://maker/gated"]]
    nobody = commands(hub, tmp_path / "home", lines, token=None)
    check(nobody[0], "wants to know who asks (401)", "HF_TOKEN", "hf auth login")
    check(nobody[1], "gated", "/maker/gated, and accept the conditions")
    wrong = commands(hub, tmp_path / "home", lines, token="hf_wrong")
    check(wrong[0], "does not accept your token (401)")
    assert "hf_wrong" not in "".join(one.said for one in (*nobody, *wrong))
    stranger = commands(hub, tmp_path / "home", lines, token=hub.add_user("stranger"))
    check(stranger[0], "no such repository, or your token may not see it")
    check(stranger[1], "gated, and not open to you (403)")
    own = commands(hub, tmp_path / "home", lines[:1])
    assert own[0].exit_code == 0


def test_what_is_no_address_is_said_to_be_none(hub: Endpoint, tmp_path: Path) -> None:
    addresses = ["hf://", "hf://user", "hf://datasets/user/one", "hf://user/one two/a"]
    for done in commands(hub, tmp_path / "home", [["inspect", one] for one in addresses]):
        assert done.exit_code == 2
        assert "no address of a model on the Hub" in done.stderr
    assert hub.requests == []


def test_no_network_is_told_soon_and_stops_no_file(hub: Endpoint, tmp_path: Path) -> None:
    save_file(kohya(), tmp_path / "mine.safetensors")
    hub.server.shutdown()
    hub.server.server_close()
    lines = [["inspect", FILE], ["inspect", "mine.safetensors", FILE]]
    alone, both = commands(hub, tmp_path / "home", lines, cwd=tmp_path)
    check(alone, "cannot be reached", "Connection refused", "HF_ENDPOINT")
    assert alone.seconds < 10
    assert both.exit_code == 3
    assert "kohya sd1" in both.stdout


def test_the_errors_are_of_one_tree_and_carry_data(hub: Endpoint, tmp_path: Path) -> None:
    code = """
import json, lora_convert as lc
from lora_convert.errors import HubAccessError, HubError, HubNotFoundError
found = []
for address in ("hf://user/one/stile.safetensors", "hf://user/secret"):
    try: lc.inspect(address)
    except HubError as error:
        found.append([type(error).__name__, getattr(error, "status", 0), *getattr(error, "choices", ())])
print(json.dumps(found))
"""
    done = hub.python(["-c", code], tmp_path / "home", token=None)
    assert json.loads(done.stdout) == [["HubNotFoundError", 0, FILE], ["HubAccessError", 401]]
