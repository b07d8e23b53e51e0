"""Which format and architecture explain a header: a trial parse by the readers' own tables, counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from lora_convert.architectures import AUTHORS, find
from lora_convert.conversion.census import Candidate, Count, counts_of, groups_of
from lora_convert.conversion.recipes import Reading, Shown
from lora_convert.conversion.signs import Evidence, evidence, names_itself
from lora_convert.conversion.spelling import BASE, UNKNOWN_COMPONENT, Spelling
from lora_convert.formats import known_as

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lora_convert.architectures import Architecture
    from lora_convert.conversion.recipes import Group, Name
    from lora_convert.header import Header

_ENOUGH = 0.75
"""Share of an adapter's keys that an architecture must have; below, the names are someone else's."""

_MOST_CANDIDATES = 5

_EMBEDDINGS = ("bundle_emb.", "<")
"""Before the names of bundled embeddings (OneTrainer, modules/modelSaver; cloneofsimo's learned words)."""

_BASE = Reading("", "", "diffusers", BASE, "", "", False)


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
    rivals: tuple[str, ...] = ()
    """Other architectures that explain as much and map the modules otherwise."""
    embeddings: tuple[str, ...] = ()
    """Keys of words' embeddings that OneTrainer bundles with an adapter: known, and no part of it."""
    others: Mapping[str, str] = {}
    """Of the unexplained keys, those in another format's names for the same model: two spellings in one
    file. By key, that format."""

    @property
    def ambiguous(self) -> bool:
        """Whether it matters which of several architectures this is, and nothing tells."""
        return bool(self.rivals)

    @property
    def base(self) -> int:
        """Number of frozen base tensors."""
        return sum(reading.role == BASE for reading in self.readings.values())

    @property
    def explained(self) -> int:
        """Number of explained keys."""
        return len(self.readings)


class _Rival(NamedTuple):
    """One of the spellings that read the most keys."""

    of: Count
    read: int
    """Keys of an adapter."""
    said: bool
    """Whether the metadata say so."""
    agreed: Evidence
    """How well the shapes agree with it."""
    usual: bool
    """Whether these are the names that its own trainers write."""
    named: bool
    """Whether the header says so, or shows its own names, or signs of it."""
    names: list[Name]
    """Of the modules present."""

    @property
    def weight(self) -> tuple[int, ...]:
        """What rivals are compared by, the weightiest first."""
        return (self.read, self.said, *self.agreed, self.usual)

    @property
    def maps(self) -> set[tuple[str, str, tuple[str, ...]]]:
        """What each module present is called in both namespaces."""
        entries = ((name.module, name.entry) for name in self.names)
        return {(module, e.row.native, e.row.diffusers) for module, e in entries if e}


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
    rivals = [_rival(count, header, component) for count in _best(counts)]
    rivals.sort(key=lambda rival: rival.weight, reverse=True)
    loose = next((count for count in counts if not count.spelling.architecture), None)
    chosen = _chosen(rivals, loose)
    count = chosen.of if chosen else loose
    frozen = _frozen(groups, count.spelling) if count and wrapped else []
    if count and component is None:
        component = _by_width(count, header)
    best = _trial(count, frozen, component) if count else None
    left = [key for key in keys if best is None or key not in best.readings]
    embeddings = tuple(key for key in left if best and key.startswith(_EMBEDDINGS))
    unexplained = tuple(key for key in left if key not in embeddings)
    others = _others(unexplained, best, counts) if best else {}
    title = _title(tuple(key for key in unexplained if key not in others), groups, keys)
    candidates = _candidates(counts)
    if best is None or (title and not best.foreign):
        return Detection(None, None, {}, {}, keys, candidates, title)
    named = _candidate(best)
    if named.explained == 0 and not best.foreign:
        return Detection(named.format, None, {}, {}, keys, (named,), "")
    return Detection(
        named.format,
        named.architecture,
        best.readings,
        best.foreign,
        unexplained,
        (named, *(c for c in candidates if c[:2] != named[:2])),
        "",
        tuple(_as_good(chosen, rivals)) if chosen else (),
        embeddings,
        others,
    )


def _others(unexplained: tuple[str, ...], best: _Trial, counts: list[Count]) -> dict[str, str]:
    """Unexplained keys that another format of the same architecture reads, and that format."""
    left = {key for key in unexplained if key not in best.foreign}
    found: dict[str, str] = {}
    for count in counts if left else ():
        if count.spelling.name == best.spelling.name:
            members = (key for one in count.shown for key in one.keys)
            for key in members:
                if key in left:
                    found.setdefault(key, count.spelling.format.name)
    return found


def _title(unexplained: tuple[str, ...], groups: list[Group], keys: tuple[str, ...]) -> str:
    """The title of a format known by name only, of which some keys are; one key of each look says it."""
    if not unexplained:
        return ""
    left = set(unexplained)
    looks = (next((key for key in group.keys if key in left), "") for group in groups)
    return known_as(filter(None, looks), keys)


def _best(counts: list[Count]) -> list[Count]:
    """The counts worth reading in full: those of an architecture that tie at the top."""
    bound = [count for count in counts if count.spelling.architecture]
    return [count for count in bound if count.rank == bound[0].rank]


def _frozen(groups: list[Group], bound: Spelling) -> list[str]:
    """Keys of a wrapped model's own weights."""
    if not bound.format.wrapped:
        return []
    texts = (group for group in groups if not bound.ways(group.text))
    return [key for group in texts if bound.is_base(group.text) for key in group.keys]


def _trial(count: Count, frozen: list[str], component: str | None) -> _Trial:
    readings = dict.fromkeys(frozen, _BASE)
    foreign: dict[str, Reading] = {}
    for one in _placed(count, component):
        into = foreign if one.recipe.foreign else readings
        into.update(one.readings())
    modules = {(r.component, r.module) for r in foreign.values()}
    for key in [
        key for key, r in readings.items() if modules and (r.component, r.module) in modules
    ]:
        # alpha, magnitude and the like belong to the foreign algorithm of their module
        foreign[key] = readings.pop(key)
    return _Trial(count.spelling, readings, foreign)


def _placed(count: Count, component: str | None) -> Iterator[Shown]:
    """What a spelling reads, in the component that an option says where keys do not tell theirs.

    Without those that this component of the architecture does not have.
    """
    architecture = count.spelling.architecture
    for one in count.shown:
        recipe, name = one.recipe, one.recipe.name
        place = name.component or UNKNOWN_COMPONENT
        if component and not name.told:
            place = component
            if architecture and not _has(architecture, name, component):
                continue
        if place == name.component:
            yield one
        else:
            yield one._replace(recipe=recipe._replace(name=name._replace(component=place)))


def _has(architecture: Architecture, name: Name, component: str) -> bool:
    return find(architecture, name.module, component)[0] is not None


def _rival(count: Count, header: Header, component: str | None) -> _Rival:
    bound = count.spelling
    shown = [*_placed(count, component)]
    read = sum(len(one.keys) for one in shown)
    says = bound.format.architecture_of
    said = says is not None and says(header.metadata) == bound.name
    names = [one.recipe.name for one in shown]
    agreed = evidence(bound.architecture, header, shown)
    return _Rival(
        count,
        read,
        said,
        agreed,
        _is_usual(count, names),
        said or names_itself(bound.architecture, shown, agreed),
        names,
    )


def _is_usual(count: Count, names: list[Name]) -> bool:
    """Whether all names are the authors', in a format where an architecture's modules have those.

    Diffusers' names are read there too, but who writes them is another architecture's trainer.
    """
    bound = count.spelling
    return bound.format.namespace_for(bound.name) in AUTHORS and all(
        name.module in (name.entry.row.native, name.entry.row.original)
        for name in names
        if name.entry
    )


def _chosen(rivals: list[_Rival], loose: Count | None) -> _Rival | None:
    """The first whose architecture has enough of the names; None where they are someone else's."""
    for rival in rivals:
        if loose is None or (rival.read >= _ENOUGH * loose.read and rival.named):
            return rival
    return None


def _by_width(count: Count, header: Header) -> str | None:
    """Another component that the width of attention points to, where names fit several."""
    architecture = count.spelling.architecture
    attention = [
        one
        for one in count.shown
        if one.recipe.role == "down"
        and not one.recipe.name.told
        and ".self_attn." in one.recipe.name.module
    ]
    widths = {header.tensors[key].shape[1:2] for one in attention for key in one.keys}
    if architecture is None or len(widths) != 1:
        return None
    for part in architecture.components:
        fits = all(_has(architecture, one.recipe.name, part.name) for one in attention)
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


def _as_good(best: _Rival, rivals: list[_Rival]) -> Iterator[str]:
    """Architectures as good as the best, signs included, with other maps for the modules present.

    Where no sign says anything, those too that nothing names: their names are as much theirs.
    """
    silent = best.agreed[:2] == (0, 0) and not best.said
    others = (rival for rival in rivals if rival is not best and (rival.named or silent))
    for rival in others:
        bound = rival.of.spelling
        alike = bound.format == best.of.spelling.format and rival.weight >= best.weight
        if alike and bound.name and rival.maps != best.maps:
            yield bound.name
