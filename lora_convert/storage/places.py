"""What is at a place, on the disk or on the Hub: an address there begins with ``hf://``."""

from __future__ import annotations

import os

HUB = "hf://"


def is_hub(path: str) -> bool:
    """Whether a path is an address on the Hub."""
    return path.startswith(HUB)


def is_root(folder: str) -> bool:
    """Whether a folder is a whole repository on the Hub, which has nothing above it."""
    if not is_hub(folder):
        return False
    from lora_convert.storage.hub_address import parsed

    return not parsed(folder).path


def on_disk(path: str) -> str:
    """Where a file is that is to be read whole: one on the Hub is fetched into the cache."""
    if is_hub(path):
        from lora_convert.storage.hub import fetched
        from lora_convert.storage.hub_address import parsed

        where = parsed(path)
        return f"{fetched(where, [where.path])}/{where.path}"
    return path


def is_folder(path: str) -> bool:
    """Whether a folder is there. HubError where the Hub cannot say."""
    if is_hub(path):
        from lora_convert.storage.hub import is_folder_there

        return is_folder_there(path)
    return os.path.isdir(path)


def is_file(path: str) -> bool:
    """Whether a file is there. HubError where the Hub cannot say."""
    if is_hub(path):
        from lora_convert.storage.hub import is_file_there

        return is_file_there(path)
    return os.path.isfile(path)
