"""Values of metadata in few words."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from lora_convert.cli._output import size

_LONGEST = 100
_TAGS = 3


def brief(key: str, value: str) -> str:
    """A value that fits on a line.

    >>> brief("modelspec.thumbnail", "data:image/jpeg;base64," + 4000 * "A")
    'image/jpeg, 3.0 kB'
    """
    if value.startswith("data:") and "," in value:
        head, _, data = value.partition(",")
        kind = head.removeprefix("data:").partition(";")[0] or "text/plain"
        return f"{kind}, {size(len(data) * 3 // 4 if 'base64' in head else len(data))}"
    if key == "ss_tag_frequency":
        return _tags(value) or _cut(value)
    return _cut(value)


def _cut(value: str) -> str:
    return (
        value
        if len(value) <= _LONGEST
        else f"{value[:_LONGEST]}… ({size(len(value.encode('utf-8', 'replace')))})"
    )


def _tags(value: str) -> str:
    """How many tags there are, and which are the most frequent; empty where the value is something else."""
    try:
        folders: Any = json.loads(value)
        counted: Counter[str] = Counter()
        for tags in folders.values():
            counted.update({str(tag).strip(): int(count) for tag, count in tags.items()})
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ""
    most = ", ".join(f"{tag} (×{count})" for tag, count in counted.most_common(_TAGS))
    told = f"{len(counted)} tags in {len(folders)} folder{'s' * (len(folders) != 1)}"
    return _cut(f"{told}: {most}" if most else told)
