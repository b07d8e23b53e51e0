"""What of a run can go: checkpoints that no rule keeps, what training goes on from, what nothing uses.

It is planned first, as a value; what then goes to the trash is what the plan saw, or it stays.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from lora_convert.errors import NotMovedError, OptionError
from lora_convert.operations import belongings
from lora_convert.operations.idle import remove_dead_locks, reserved
from lora_convert.operations.runs import twins_in
from lora_convert.operations.selecting import at_step, count_of
from lora_convert.operations.sharing import TRASH
from lora_convert.storage.footprint import freed_by
from lora_convert.storage.trash import Trash

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from lora_convert.operations.runs import Run, RunCheckpoint
    from lora_convert.storage.identity import State
    from lora_convert.storage.trash import Item

Kind: TypeAlias = Literal["checkpoint", "resume state", "shared"]


class Rules(NamedTuple):
    """What to keep, and what else may go."""

    best: int | None = None
    last: int | None = None
    every: int | None = None
    pins: tuple[int, ...] = ()
    drop_resume_state: bool = False
    unused: bool = False

    @property
    def keeps(self) -> bool:
        """Whether any rule says which checkpoints stay; else all do."""
        return not {self.best, self.last, self.every} <= {None}

    @property
    def command(self) -> str:
        """The command that has these rules."""
        counts = {"best": self.best, "last": self.last, "every": self.every}
        words = [f"--keep-{name} {count}" for name, count in counts.items() if count is not None]
        words += [f"--pin {step}" for step in self.pins]
        words += ["--drop-resume-state"] * self.drop_resume_state + ["--unused"] * self.unused
        return " ".join(["prune", *words])


class Kept(NamedTuple):
    """A checkpoint that stays, and why."""

    checkpoint: RunCheckpoint
    reasons: tuple[str, ...]


class Taken(NamedTuple):
    """What goes together, or stays together."""

    kind: Kind
    title: str
    names: Mapping[str, State]
    """Seen from the run, with ``/`` between folders, and what each was when this was planned."""
    size: int
    """Bytes that are free once the trash is emptied of it alone."""


class Left(NamedTuple):
    """What would have gone, but stays."""

    title: str
    error: NotMovedError


class Pruned(NamedTuple):
    """What came of a plan."""

    item: Item | None
    """What is in the trash now; None where nothing was moved."""
    taken: tuple[Taken, ...]
    left: tuple[Left, ...]


class PrunePlan(NamedTuple):
    """What stays of a run and what goes; nothing is moved yet."""

    run: Run
    rules: Rules
    kept: tuple[Kept, ...]
    taken: tuple[Taken, ...]
    left: tuple[Left, ...]
    freed: int
    """Bytes that are free once the trash is emptied; what is hard-linked counts once, and only whole."""

    @property
    def notes(self) -> list[str]:
        """What is to be known before."""
        states = [one.title for one in self.taken if one.kind == "resume state"]
        said = f"training cannot go on from {', '.join(states)} any more"
        return [said] if states else []

    def as_json(self) -> dict[str, Any]:
        """The documented fields."""
        return {
            "run": self.run.address,
            "kept": [{"path": one.checkpoint.path, "reasons": [*one.reasons]} for one in self.kept],
            "taken": [{**one._asdict(), "names": [*one.names]} for one in self.taken],
            "left": [{"path": one.error.path, "problem": str(one.error.what)} for one in self.left],
            "freed": self.freed,
            "notes": self.notes,
        }

    def apply(self, *, force: bool = False) -> Pruned:
        """Move all to the trash, as one item, that is still what it was; the rest is named and stays.

        RunActiveError where the run may still be training, unless `force`; LockedError, and OutputError
        where the trash cannot be written: then nothing was moved.
        """
        trash, waiting, left = (
            _trash(self.run),
            {one.title: one for one in self.taken},
            [*self.left],
        )
        if not waiting:
            remove_dead_locks(self.run.path)
            return Pruned(None, (), self.left)
        with reserved(self.run.path, force=force):
            while waiting:
                taken = tuple(waiting.values())
                try:
                    why = ", ".join(dict.fromkeys(one.kind for one in taken))
                    item = trash.put(_names(taken), why=why, command=self.rules.command)
                except NotMovedError as error:
                    title = _owner(self.run, waiting, error)
                    left.append(Left(title, error))
                    del waiting[title]
                else:
                    return Pruned(item, taken, tuple(left))
        return Pruned(None, (), tuple(left))


def _names(taken: Iterable[Taken]) -> dict[str, State]:
    """All names, what is shared before the pipelines: they alone say that nobody else uses it."""
    return {name: state for one in reversed([*taken]) for name, state in one.names.items()}


def _trash(run: Run) -> Trash:
    return Trash(run.path, TRASH)


def _owner(run: Run, waiting: Mapping[str, Taken], error: NotMovedError) -> str:
    """The title of what cannot be moved; the error again where it is of none, but of the trash."""
    name = _name(run, error.path)
    for title, one in waiting.items():
        if any(
            f"{own}/".startswith(f"{name}/") or f"{name}/".startswith(f"{own}/")
            for own in one.names
        ):
            return title
    raise error


def _name(run: Run, path: str) -> str:
    return os.path.relpath(path, run.path).replace(os.sep, "/")


def plan_prune(run: Run, rules: Rules, *, only: Collection[str] | None = None) -> PrunePlan:
    """What goes by some rules. The newest checkpoint and the adapter that training ended with stay always.

    `only` are the checkpoints, by what is opened of them, whose states go; None for all, and that at the end.
    OptionError where nothing says what goes; CheckpointNotFoundError where a pinned step is not there,
    or the best are to be kept and no loss is recorded.
    """
    if not (rules.keeps or rules.drop_resume_state or rules.unused):
        hint = "for example --keep-best 3 --keep-last 1; or --drop-resume-state, or --unused"
        raise OptionError("rules", "none", why="nothing says what is to go", hint=hint)
    kept = _kept(run, rules)
    planner = _Planner(run)
    staying = {one.checkpoint.path for one in kept}
    planner.add_checkpoints(one for one in run.checkpoints if one.path not in staying)
    if rules.drop_resume_state:
        chosen = (one.checkpoint for one in kept)
        planner.add_states(one for one in chosen if only is None or one.source in only)
        if only is None:
            planner.add_state_at_the_end()
    if rules.unused:
        planner.add_unused()
    freed = freed_by(path for one in planner.taken for path in planner.paths(one.names))
    return PrunePlan(run, rules, kept, tuple(planner.taken), tuple(planner.left), freed)


def _kept(run: Run, rules: Rules) -> tuple[Kept, ...]:
    reasons: dict[str, list[str]] = {}
    for path, reason in _reasons(run, rules):
        reasons.setdefault(path, []).append(reason)
    return tuple(
        Kept(one, tuple(reasons.get(one.path, ["no rule says what goes"])))
        for one in run.checkpoints
        if one.path in reasons or not rules.keeps
    )


def _reasons(run: Run, rules: Rules) -> Iterator[tuple[str, str]]:
    """Paths of checkpoints that stay, each as often as something keeps it."""
    newest = run.checkpoints[-1]
    yield newest.path, "newest"
    written = max(run.checkpoints, key=lambda one: one.modified)
    if written.modified > newest.modified:  # training went on from an earlier one
        yield written.path, "written last"
    if rules.best is not None:
        from lora_convert.operations.losses import needed_losses, ranked

        for one, loss in ranked(run, needed_losses(run))[: rules.best]:
            yield one.path, f"loss {loss:.4g}"
    for one in run.checkpoints[-rules.last :] if rules.last else ():
        yield one.path, f"of the last {rules.last}"
    for one in run.checkpoints if rules.every else ():
        if count_of(run, one) >= 0 and count_of(run, one) % (rules.every or 1) == 0:
            yield one.path, f"every {rules.every}"
    for step in rules.pins:
        yield at_step(run, step).path, "pinned"


class _Planner:
    """Collects what goes, with its state now; what cannot go is kept apart."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.taken: list[Taken] = []
        self.left: list[Left] = []
        self._twins = twins_in(run)

    def paths(self, names: Iterable[str]) -> list[str]:
        return [os.path.join(self.run.path, *name.split("/")) for name in names]

    def add_checkpoints(self, checkpoints: Iterable[RunCheckpoint]) -> None:
        """Each with all of its step, its state, its pipeline and its LoRA files.

        The weights come last: what is moved before a crash belongs to a checkpoint that is still there.
        """
        for one in checkpoints:
            paths: list[str] = []
            for twin in self._twins[one.path]:
                paths += belongings.beside(self.run, twin.path)
                paths += belongings.made_of(self.run, twin)
            for twin in reversed(self._twins[one.path]):
                paths += reversed(belongings.weights_of(twin))
            self._add("checkpoint", one.name, paths)

    def add_states(self, checkpoints: Iterable[RunCheckpoint]) -> None:
        """What training would go on from at checkpoints that stay."""
        for one in checkpoints:
            paths = [
                p for twin in self._twins[one.path] for p in belongings.states_of(self.run, twin)
            ]
            self._add("resume state", one.name, paths)

    def add_state_at_the_end(self) -> None:
        """What it would go on from at the end."""
        self._add("resume state", "the last weights", belongings.states_at_the_end(self.run))

    def add_unused(self) -> None:
        """What pipelines shared, and none that stays uses any more."""
        from lora_convert.operations.unused import unused_entries

        going = [path for one in self.taken for path in self.paths(one.names)]
        for entry in unused_entries(self.run, going):
            self._add("shared", entry.digest, [entry.path])

    def _add(self, kind: Kind, title: str, paths: Iterable[str]) -> None:
        names: dict[str, State] = {}
        try:
            for path in dict.fromkeys(paths):
                name = _name(self.run, path)
                names[name] = _trash(self.run).state(name)
        except NotMovedError as error:
            self.left.append(Left(title, error))
            return
        if names:
            size = freed_by(self.paths(names))
            said = f"{kind} of {title}" if kind == "resume state" else title
            self.taken.append(Taken(kind, said, names, size))
