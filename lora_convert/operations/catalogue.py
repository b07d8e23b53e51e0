"""What there is: generated from the tables, never written by hand."""

from __future__ import annotations

from typing import Any, NamedTuple

from lora_convert.algorithms import ALGORITHMS, Algorithm
from lora_convert.applications import APPLICATIONS
from lora_convert.architectures import ARCHITECTURES
from lora_convert.formats import FORMATS, written


class Catalogue(NamedTuple):
    """Names with their titles, and which algorithms each pair of formats can carry over."""

    formats: dict[str, str]
    written: tuple[str, ...]
    """Formats that are written too."""
    architectures: dict[str, str]
    components: dict[str, tuple[str, ...]]
    """By architecture."""
    algorithms: dict[str, str]
    holding: dict[str, tuple[str, ...]]
    """By algorithm: the formats that can hold it."""
    matrix: dict[str, dict[str, tuple[str, ...]]]
    """From, to, algorithms."""
    applications: dict[str, str]
    reading: dict[str, dict[str, tuple[str, ...]]]
    """By application and format: the architectures whose files it reads."""

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return self._asdict()

    def sections(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Tables for people."""
        architectures = [
            (name, f"{title} ({', '.join(self.components[name])})")
            for name, title in self.architectures.items()
        ]
        other = ("(any other)", "between formats with dotted names, whose names need no table")
        return [
            ("Formats", list(self.formats.items())),
            ("Architectures", [*architectures, other]),
            (
                "Algorithms",
                [
                    (name, f"{title} ({' '.join(self.holding[name])})")
                    for name, title in self.algorithms.items()
                ],
            ),
        ]

    def matrix_rows(self) -> list[tuple[str, ...]]:
        """The matrix as rows of text."""
        return [
            (origin, *(" ".join(found) for found in row.values()))
            for origin, row in self.matrix.items()
        ]

    def reading_rows(self) -> list[tuple[str, ...]]:
        """Of how many architectures each application reads each format, as rows of text."""
        return [
            (name, *(f"{len(row[one])}" if row.get(one) else "" for one in self.formats))
            for name, row in self.reading.items()
        ]


def catalogue() -> Catalogue:
    """The registries, as names and titles."""
    return Catalogue(
        formats={name: format_.title for name, format_ in FORMATS.items()},
        written=tuple(written()),
        architectures={name: architecture.title for name, architecture in ARCHITECTURES.items()},
        components={
            name: tuple(component.name for component in architecture.components)
            for name, architecture in ARCHITECTURES.items()
        },
        algorithms={name: algorithm.title for name, algorithm in ALGORITHMS.items()},
        holding={
            name: tuple(format_ for format_ in written() if _holds(format_, algorithm))
            for name, algorithm in ALGORITHMS.items()
        },
        matrix={
            origin: {target: _carried(origin, target) for target in written()} for origin in FORMATS
        },
        applications={name: application.title for name, application in APPLICATIONS.items()},
        reading={
            name: application.formats_read(tuple(ARCHITECTURES))
            for name, application in APPLICATIONS.items()
        },
    )


def _carried(origin: str, target: str) -> tuple[str, ...]:
    """Algorithms whose needed roles both formats can spell."""
    return tuple(
        name
        for name, algorithm in ALGORITHMS.items()
        if _reads(origin, algorithm) and _holds(target, algorithm)
    )


def _reads(format_name: str, algorithm: Algorithm) -> bool:
    """Whether a format's names have a spelling for some form of an algorithm."""
    format_ = FORMATS[format_name]
    return any(all(map(format_.reads, form)) for form in algorithm.forms)


def _holds(format_name: str, algorithm: Algorithm) -> bool:
    """Whether a format has a place for some form of an algorithm."""
    format_ = FORMATS[format_name]
    return any(
        all(format_.holds(algorithm.name, role) for role in form) for form in algorithm.forms
    )
