"""Which format and architecture explain a header: a trial parse by the readers' own tables, counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.architectures import ARCHITECTURES, skeleton
from lora_convert.conversion.signs import names_itself, odd_shapes, signs
from lora_convert.conversion.spelling import (
    BASE,
    UNKNOWN_COMPONENT,
    Reading,
    Spelling,
    find,
    spelling,
    unwrapped,
)
from lora_convert.formats import FORMATS, known_as

if TYPE_CHECKING:
    from lora_convert.header import Header

_ENOUGH = 0.75
"""Share of an adapter's keys that an architecture must have; below, the names are someone else's."""

_SHORTLIST = 4


class Candidate(NamedTuple):
    """A format and an architecture, and how many keys they explain together."""

    format: str
    architecture: str | None
    explained: int


class Detection(NamedTuple):
    """What a header holds, read key by key."""

    format: str | None
    architecture: str | None
    readings: Mapping[str, Reading]
    """Of the keys that are explained."""
    foreign: Mapping[str, Reading]
    """Of the keys of algorithms that are known by name only."""
    unexplained: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    """Best first; the chosen one among them."""
    known_as: str
    """The title of a format that is known by name only."""
    ambiguous: bool
    """Whether another architecture explains as much and maps the modules otherwise."""

    @property
    def base(self) -> int:
        """Number of frozen base tensors."""
        return sum(reading.role == BASE for reading in self.readings.values())

    @property
    def explained(self) -> int:
        """Number of explained keys."""
        return len(self.readings)


class _Trial(NamedTuple):
    spelling: Spelling
    readings: dict[str, Reading]
    foreign: dict[str, Reading]
    rank: tuple[float, ...]

    @property
    def candidate(self) -> Candidate:
        known = self.spelling.architecture is not None or self.spelling.format.separator == "."
        return Candidate(
            self.spelling.format.name, self.spelling.name, len(self.readings) if known else 0
        )


def detect(
    header: Header, *, architecture: str | None = None, component: str | None = None
) -> Detection:
    """Name the format and architecture of a header.

    `architecture` fixes that choice; `component` is the component of names that do not tell theirs.
    Nothing recognised is a Detection too: without a format.
    """
    keys = tuple(header.tensors)
    groups = _groups(keys)
    wrapped = any(".base_layer." in key for key in keys)
    tried = [
        _trial(bound, header, wrapped=wrapped, component=component)
        for bound in _shortlist(groups, architecture)
    ]
    trials = [trial for trial in tried if trial.readings or trial.foreign]
    trials.sort(key=lambda trial: trial.rank, reverse=True)
    best = _chosen(trials, forced=architecture is not None)
    unexplained = tuple(key for key in keys if best is None or key not in best.readings)
    foreign_title = known_as(unexplained)
    if best is None or (foreign_title and not best.foreign):
        return Detection(None, None, {}, {}, keys, _candidates(trials), foreign_title, False)
    if best.candidate.explained == 0 and not best.foreign:
        return Detection(
            best.spelling.format.name, None, {}, {}, keys, (best.candidate,), "", False
        )
    return Detection(
        best.spelling.format.name,
        best.spelling.name,
        best.readings,
        best.foreign,
        unexplained,
        (best.candidate, *(c for c in _candidates(trials) if c != best.candidate)),
        "",
        _is_ambiguous(best, trials),
    )


def _groups(keys: tuple[str, ...]) -> dict[str, list[str]]:
    """Keys by what they look like with their numbers abstracted."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(skeleton(key)[0], []).append(key)
    return groups


def _shortlist(groups: dict[str, list[str]], architecture: str | None) -> list[Spelling]:
    """The few spellings worth a full parse, by one key of each group."""
    names: list[str | None] = [architecture] if architecture else [*ARCHITECTURES, None]
    scored = []
    for format_ in FORMATS.values():
        for name in names:
            bound = spelling(format_.name, name)
            score = sum(len(group) for group in groups.values() if bound.parse(group[0]))
            if score:
                scored.append((score, bound))
    scored.sort(key=lambda pair: (-pair[0], pair[1].architecture is None))
    best = scored[0][0] if scored else 0
    generic = [bound for score, bound in scored if bound.architecture is None][:1]
    likely = [bound for score, bound in scored if bound.architecture and 4 * score >= best]
    return likely[:_SHORTLIST] + generic


def _trial(bound: Spelling, header: Header, *, wrapped: bool, component: str | None) -> _Trial:
    readings: dict[str, Reading] = {}
    foreign: dict[str, Reading] = {}
    for key in header.tensors:
        reading = bound.parse(key)
        if reading is None and wrapped and bound.format.wrapped and bound.is_base(key):
            reading = Reading("", unwrapped(key), "diffusers", BASE, "", "", False)
        if reading is None:
            continue
        if reading.role != BASE:
            reading = _placed(reading, component)
        (foreign if reading.foreign else readings)[key] = reading
    if wrapped and not any(reading.role != BASE for reading in readings.values()):
        readings.clear()
    modules = {(r.component, r.module) for r in foreign.values()}
    for key in [
        key for key, r in readings.items() if (r.component, r.module) in modules and r.role != BASE
    ]:
        # alpha, magnitude and the like belong to the foreign algorithm of their module
        foreign[key] = readings.pop(key)
    held, broken = signs(bound.architecture, header, readings)
    named = len(readings) + len(foreign)
    odd = odd_shapes(bound.architecture, header, readings)
    rank = (named, bound.architecture is not None, -broken, held, -odd)
    return _Trial(bound, readings, foreign, rank)


def _placed(reading: Reading, component: str | None) -> Reading:
    """A reading with the component an option says, where the key itself does not tell."""
    if component and not reading.told:
        return reading._replace(component=component)
    return reading if reading.component else reading._replace(component=UNKNOWN_COMPONENT)


def _chosen(trials: list[_Trial], *, forced: bool) -> _Trial | None:
    """The best trial; one without an architecture only where no architecture has enough of the names."""
    if not trials:
        return None
    bound = [trial for trial in trials if trial.spelling.architecture]
    loose = [trial for trial in trials if not trial.spelling.architecture]
    if not loose or forced:
        return trials[0]
    generic = loose[0]
    adapter_keys = sum(reading.role != BASE for reading in generic.readings.values()) + len(
        generic.foreign
    )
    for trial in bound:
        own = sum(reading.role != BASE for reading in trial.readings.values()) + len(trial.foreign)
        evident = names_itself(trial.spelling.architecture, trial.readings, trial.rank)
        if own >= _ENOUGH * adapter_keys and evident:
            return trial
    return generic


def _candidates(trials: list[_Trial]) -> tuple[Candidate, ...]:
    return tuple(
        trial.candidate for trial in trials if trial.spelling.architecture or not trials[1:]
    )


def _is_ambiguous(best: _Trial, trials: list[_Trial]) -> bool:
    """Whether an architecture as good as the best, signs included, has other maps for the modules present."""
    return any(
        trial.rank == best.rank and trial.spelling.architecture and _maps(trial) != _maps(best)
        for trial in trials
        if trial is not best
        and trial.spelling.format == best.spelling.format
        and best.spelling.architecture
    )


def _maps(trial: _Trial) -> set[tuple[str, str, str]]:
    """What each module present is called in both namespaces."""
    maps = set()
    for reading in trial.readings.values():
        if reading.role != BASE:
            entry, _ = find(trial.spelling.architecture, reading.module, reading.component)
            if entry is not None:
                maps.add((reading.module, entry.row.native, entry.row.diffusers[0]))
    return maps
