"""Which format and architecture explain a header: a trial parse by the readers' own tables, counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.architectures import find
from lora_convert.conversion.census import Candidate, Count, Group, counts_of, groups_of
from lora_convert.conversion.recipes import Reading
from lora_convert.conversion.signs import evidence, names_itself
from lora_convert.conversion.spelling import BASE, UNKNOWN_COMPONENT, Spelling
from lora_convert.formats import known_as

if TYPE_CHECKING:
    from lora_convert.header import Header

_ENOUGH = 0.75
"""Share of an adapter's keys that an architecture must have; below, the names are someone else's."""

_MOST_CANDIDATES = 5


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
    """Every key read by one spelling."""

    spelling: Spelling
    readings: dict[str, Reading]
    foreign: dict[str, Reading]


def detect(
    header: Header, *, architecture: str | None = None, component: str | None = None
) -> Detection:
    """Name the format and architecture of a header.

    `architecture` fixes that choice; `component` is the component of names that do not tell theirs.
    Nothing recognised is a Detection too: without a format.
    """
    keys = tuple(header.tensors)
    groups = groups_of(keys)
    wrapped = any(".base_layer." in group.text for group in groups)
    counts = counts_of(groups, architecture, wrapped=wrapped)
    trials = [_trial(count.spelling, groups, wrapped, component) for count in _best(counts)]
    if len(trials) > 1:
        trials.sort(key=lambda trial: _weight(trial, header), reverse=True)
    loose = next((count for count in counts if not count.spelling.architecture), None)
    best = _chosen(trials, loose, header)
    if best is None and loose:
        best = _trial(loose.spelling, groups, wrapped, component)
    if best and component is None:
        elsewhere = _by_width(best, header)
        best = _trial(best.spelling, groups, wrapped, elsewhere) if elsewhere else best
    unexplained = tuple(key for key in keys if best is None or key not in best.readings)
    title = known_as(unexplained, keys) if unexplained else ""
    candidates = _candidates(counts)
    if best is None or (title and not best.foreign):
        return Detection(None, None, {}, {}, keys, candidates, title, False)
    chosen = _candidate(best)
    if chosen.explained == 0 and not best.foreign:
        return Detection(chosen.format, None, {}, {}, keys, (chosen,), "", False)
    return Detection(
        chosen.format,
        chosen.architecture,
        best.readings,
        best.foreign,
        unexplained,
        (chosen, *(c for c in candidates if c[:2] != chosen[:2])),
        "",
        _is_ambiguous(best, trials, header),
    )


def _best(counts: list[Count]) -> list[Count]:
    """The counts worth reading in full: those of an architecture that tie at the top."""
    bound = [count for count in counts if count.spelling.architecture]
    return [count for count in bound if count[1:] == bound[0][1:]]


def _trial(bound: Spelling, groups: list[Group], wrapped: bool, component: str | None) -> _Trial:
    readings: dict[str, Reading] = {}
    foreign: dict[str, Reading] = {}
    for group in groups:
        recipes = bound.recipes(group.text)
        if not recipes and wrapped and bound.format.wrapped and bound.is_base(group.text):
            frozen = Reading("", "", "diffusers", BASE, "", "", False)
            readings.update((key, frozen) for key, _ in group.members)
        for key, digits in group.members if recipes else ():
            recipe = recipes.find(digits)
            placed = recipe and _placed(bound, recipe.read(digits), component)
            if placed:
                (foreign if placed.foreign else readings)[key] = placed
    modules = {(r.component, r.module) for r in foreign.values()}
    for key in [
        key for key, r in readings.items() if modules and (r.component, r.module) in modules
    ]:
        # alpha, magnitude and the like belong to the foreign algorithm of their module
        foreign[key] = readings.pop(key)
    return _Trial(bound, readings, foreign)


def _placed(bound: Spelling, reading: Reading, component: str | None) -> Reading | None:
    """A reading with the component an option says, where the key itself does not tell.

    None where the architecture's component has no such module.
    """
    if component and not reading.told:
        known = not bound.architecture or find(bound.architecture, reading.module, component)[0]
        return reading._replace(component=component) if known else None
    return reading if reading.component else reading._replace(component=UNKNOWN_COMPONENT)


def _chosen(trials: list[_Trial], loose: Count | None, header: Header) -> _Trial | None:
    """The first trial whose architecture has enough of the names; None where they are someone else's."""
    for trial in trials:
        own = sum(reading.role != BASE for reading in trial.readings.values()) + len(trial.foreign)
        if loose is None or (
            own >= _ENOUGH * loose.read
            and names_itself(
                trial.spelling.architecture, header, {**trial.readings, **trial.foreign}
            )
        ):
            return trial
    return None


def _by_width(trial: _Trial, header: Header) -> str | None:
    """Another component that the width of attention points to, where names fit several."""
    architecture = trial.spelling.architecture
    attention = {
        key: reading
        for key, reading in trial.readings.items()
        if reading.role == "down" and not reading.told and ".self_attn." in reading.module
    }
    widths = {header.tensors[key].shape[1:2] for key in attention}
    if architecture is None or len(widths) != 1:
        return None
    for part in architecture.components:
        fits = all(find(architecture, r.module, part.name)[0] for r in attention.values())
        if (part.width,) in widths and fits:
            return part.name
    return None


def _candidate(trial: _Trial) -> Candidate:
    told = trial.spelling.architecture is not None or trial.spelling.format.separator == "."
    explained = len(trial.readings) if told else 0
    return Candidate(trial.spelling.format.name, trial.spelling.name, explained)


def _candidates(counts: list[Count]) -> tuple[Candidate, ...]:
    """Those of an architecture that explain most, or nearly as many."""
    known = [count for count in counts if count.spelling.architecture]
    enough = _ENOUGH * max((count.read for count in known), default=0)
    return tuple(one.candidate for one in known if one.read >= enough)[:_MOST_CANDIDATES]


def _is_ambiguous(best: _Trial, trials: list[_Trial], header: Header) -> bool:
    """Whether an architecture as good as the best, signs included, has other maps for the modules present."""
    rivals = [
        trial
        for trial in trials
        if trial.spelling.architecture
        and trial is not best
        and trial.spelling.format == best.spelling.format
        and names_itself(trial.spelling.architecture, header, trial.readings)
    ]
    if not rivals or best.spelling.architecture is None:
        return False
    weight = _weight(best, header)
    return any(_weight(rival, header) == weight and _maps(rival) != _maps(best) for rival in rivals)


def _weight(trial: _Trial, header: Header) -> tuple[int, ...]:
    """How much of a header an architecture reads, and then how well that agrees with it."""
    read = len(trial.readings) + len(trial.foreign)
    return read, *evidence(trial.spelling.architecture, header, trial.readings)


def _maps(trial: _Trial) -> set[tuple[str, str, str]]:
    """What each module present is called in both namespaces."""
    maps = set()
    for reading in trial.readings.values():
        entry, _ = find(trial.spelling.architecture, reading.module, reading.component)
        if entry is not None:
            maps.add((reading.module, entry.row.native, entry.row.diffusers[0]))
    return maps
