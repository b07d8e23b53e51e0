"""What went wrong with the Hub, in words: no answer of its own is shown, for what it may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lora_convert.errors import (
    HubAccessError,
    HubError,
    HubNotFoundError,
    HubUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOGIN = "set HF_TOKEN to a token that has the right, or run: hf auth login"


class AnsweredError(Exception):
    """An answer of the Hub that is none; for those who know what was asked."""

    def __init__(self, response: Any) -> None:
        self.response = response
        super().__init__(str(response.status_code))


def hub_error(
    error: BaseException, address: str, nearest: Callable[[str], list[str]] = lambda _: []
) -> HubError | None:
    """What an error of the client means for an address; None where it is none of the Hub's.

    `nearest` gives files whose names are like that of the address.
    """
    chain = [*chain_of(error)]
    for one in chain:
        if isinstance(one, HubError):
            return one
        response = getattr(one, "response", None)
        if response is not None and hasattr(response, "status_code"):
            return _answered(response, address, nearest)
    names = {type(one).__name__ for one in chain}
    if "OfflineModeIsEnabled" in names or _is_offline():
        return HubUnavailableError(
            f"{address}: not in the Hub's cache, and HF_HUB_OFFLINE is set",
            why=f"nothing is fetched while it is; the cache is {_cache()}",
            hint="unset HF_HUB_OFFLINE for the command that fetches it",
        )
    for one in reversed(chain):
        if type(one).__module__.partition(".")[0] in {"httpx", "httpx2", "httpcore"}:
            return unreachable(address, one)
    if names & {"LocalEntryNotFoundError", "FileMetadataError"}:
        return unreachable(address, chain[-1])
    return None


def unreachable(address: str, error: BaseException) -> HubUnavailableError:
    """The Hub did not answer."""
    from huggingface_hub import constants

    said = str(error).strip() or type(error).__name__
    return HubUnavailableError(
        f"{address}: {constants.ENDPOINT} cannot be reached",
        why=said.splitlines()[0][:200],
        hint="look at the network, at HF_ENDPOINT and at the proxy; with HF_HUB_OFFLINE=1 what is in the"
        " cache is used",
    )


def _answered(response: Any, address: str, nearest: Callable[[str], list[str]]) -> HubError:
    """What an answer that is none means."""
    status, code = response.status_code, response.headers.get("X-Error-Code", "")
    if code == "GatedRepo" or status in (401, 403):
        return _closed(address, status, gated=code == "GatedRepo")
    if status == 404 or code == "RevisionNotFound":
        return _missing(address, code, nearest)
    if status == 429:
        after = response.headers.get("Retry-After", "")
        return HubUnavailableError(
            f"{address}: the Hub asks to slow down (429)",
            status=status,
            why=f"too many requests; it asks to wait {after} s" if after else "too many requests",
            hint="wait, then run the command again" + ("" if _has_token() else f"; or {_LOGIN}"),
        )
    if status < 500:
        return HubAccessError(
            f"{address}: the Hub does not take it ({status})",
            status=status,
            why="what it was asked is not what it expects",
            hint="look at the options; pip install -U huggingface_hub, where the Hub has changed",
        )
    return HubUnavailableError(
        f"{address}: the Hub answers with an error of its own ({status})",
        status=status,
        why="it went on for all attempts",
        hint="run the command again in a few minutes; https://status.huggingface.co says how it is",
    )


def _closed(address: str, status: int, *, gated: bool) -> HubAccessError:
    """The Hub knows, and does not let whoever asks."""
    if gated:
        what = f"the repository is gated, and not open to you ({status})"
        why = "who made it gives access to those who ask for it"
        hint = f"open its page, {_page(address)}, and accept the conditions; then {_LOGIN}"
    elif status == 401 and _has_token():
        what = "the Hub does not accept your token (401)"
        why = "it has expired, was taken back, or is not whole"
        hint = f"make another at {_site()}/settings/tokens; then {_LOGIN}"
    elif status == 401:
        what = "the Hub wants to know who asks (401)"
        why = "the repository is private, or there is none of this name: without a token it does not say"
        hint = f"look at the spelling, or {_LOGIN}"
    else:
        what = "the Hub forbids it (403)"
        why = "your token is known, and not allowed to do this"
        hint = f"give it the right at {_site()}/settings/tokens, or take another; {_LOGIN}"
    return HubAccessError(f"{address}: {what}", status=status, why=why, hint=hint)


def _missing(address: str, code: str, nearest: Callable[[str], list[str]]) -> HubNotFoundError:
    """A repository, a revision or a file that is not there."""
    if code == "RevisionNotFound":
        return HubNotFoundError(
            f"{address}: the repository has no such revision",
            hint="a revision is a branch, a tag, a commit or refs/pr/NUMBER; without @ it is main",
        )
    if code == "RepoNotFound":
        return HubNotFoundError(
            f"{address.partition('@')[0]}: there is no such repository, or your token may not see it",
            hint=f"look at the spelling of its user and name; for a private one {_LOGIN}",
        )
    near = nearest(address)
    looking = f"look at its files with a browser, at {_page(address)}"
    return HubNotFoundError(
        f"{address}: the repository has no such file or folder",
        choices=near,
        hint=f"did you mean {near[0]}?" if near else looking,
    )


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it, the last first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _page(address: str) -> str:
    from lora_convert.storage.hub_address import parsed

    return f"{_site()}/{parsed(address).repository}"


def _site() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


def _cache() -> str:
    from huggingface_hub import constants

    return constants.HF_HUB_CACHE


def _is_offline() -> bool:
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def _has_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None
