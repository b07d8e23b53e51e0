"""Which formats have names for which architectures."""

from __future__ import annotations

from collections.abc import Iterable

from lora_convert.architectures import ARCHITECTURES
from lora_convert.formats import FORMATS, written
from tests.laws.synthesis import parts


def named(architecture: str, *formats: str) -> tuple[str, ...]:
    """The components of an architecture that all of these formats have names for."""
    return tuple(
        part.name
        for part in parts(architecture)
        if all(FORMATS[name].names(part.name, architecture) for name in formats)
    )


def holds(format_name: str, architecture: str) -> bool:
    """Whether a format has names for an architecture's denoiser."""
    return parts(architecture)[0].name in named(architecture, format_name)


WRITTEN = tuple(written())

PAIRS = [(name, one) for name in written() for one in ARCHITECTURES if holds(name, one)]
"""Every format with every architecture that it can be written for."""


def possible(cases: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Cases that begin with an architecture, PEFT in the place of formats without names for it."""
    return list(
        dict.fromkeys(
            tuple("peft" if v in written() and not holds(v, case[0]) else v for v in case)
            for case in cases
        )
    )
