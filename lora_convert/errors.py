"""Everything that can go wrong, as a tree. Each error carries data and says what to do next.

    LoraConvertError                          exit 1
    ├── InputError
    │   ├── CheckpointNotFoundError           exit 2   also FileNotFoundError
    │   ├── CorruptCheckpointError            exit 1   also ValueError
    │   └── UnsafePickleError                 exit 5   also ValueError
    ├── RecognitionError                      exit 4   also LookupError
    │   ├── UnknownFormatError
    │   ├── UnknownArchitectureError
    │   ├── AmbiguousCheckpointError
    │   └── UnexplainedKeysError
    ├── ConversionError                       exit 1   also ValueError
    │   ├── NotExpressibleError               exit 5
    │   ├── IncompleteModuleError
    │   ├── ShapeError
    │   ├── BaseMismatchError
    │   ├── ModelMismatchError
    │   └── LossyConversionError              exit 5
    ├── OutputError
    │   ├── DestinationExistsError            exit 5   also FileExistsError
    │   ├── NotEnoughSpaceError               exit 1   also OSError
    │   ├── LockedError                       exit 5
    │   ├── RunActiveError                    exit 5
    │   ├── NotMovedError                     exit 5
    │   └── VerificationError                 exit 1
    ├── OptionError                           exit 2   also ValueError
    ├── HubError                              exit 1   also OSError
    │   ├── HubAccessError
    │   ├── HubNotFoundError                           also LookupError
    │   └── HubUnavailableError
    └── MissingExtraError                     exit 1   also ImportError

Other exit codes: 0 done or unchanged, 2 usage, 3 some of several failed, 130 interrupted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_PARTIAL = 3
EXIT_UNRECOGNISED = 4
EXIT_REFUSED = 5
EXIT_INTERRUPTED = 130


_NAMES: dict[str, str] = {}


def call(path: str, name: str) -> None:
    """Give a folder a name in messages: of one in a cache, what it is a copy of."""
    _NAMES[path] = name


def called(text: str) -> str:
    """`text`, with the names of folders that have one instead of their paths."""
    for path, name in _NAMES.items():
        text = text.replace(path, name)
    return text


class LoraConvertError(Exception):
    """Base of every error that this package raises on purpose.

    The message has up to three parts: what happened, why, and what to type next.
    """

    exit_code = EXIT_FAILED

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        self.what = what
        self.why = why
        self.hint = hint
        super().__init__(what)

    def __str__(self) -> str:
        """All three parts, one a line."""
        return "\n".join(self.lines)

    @property
    def lines(self) -> list[str]:
        """The parts as they are shown; each may hold a name with ends of lines in it."""
        lines = [self.what]
        if self.why:
            lines.append(f"  why:  {self.why}")
        if self.hint:
            lines.append(f"  next: {self.hint}")
        return [called(line) for line in lines]


class InputError(LoraConvertError):
    """The input cannot be read."""


class CheckpointNotFoundError(InputError, FileNotFoundError):
    """There is no file to read at this path."""

    exit_code = EXIT_USAGE

    def __init__(self, path: str, what: str = "", *, hint: str = "") -> None:
        self.path = path
        if not what:
            what = f"{path}: no such file or folder"
            hint = hint or "look at its spelling, and at the folder you are in"
        super().__init__(what, hint=hint)


class CorruptCheckpointError(InputError, ValueError):
    """The container, or a document beside it, is broken."""

    def __init__(self, path: str, problem: str, *, why: str = "", hint: str = "") -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path}: {problem}", why=why, hint=hint)


class UnsafePickleError(InputError, ValueError):
    """A torch checkpoint asks for something that only running code could give; nothing was run.

    ``name`` is what it asks for, ``module.name``; empty where it asks in another way.
    """

    exit_code = EXIT_REFUSED

    def __init__(self, path: str, problem: str, *, name: str = "") -> None:
        self.path = path
        self.problem = problem
        self.name = name
        super().__init__(
            f"{path}: {problem}",
            why="reading it would mean running what it asks for; nothing was run",
            hint="where the file was made, save the state_dict() alone as safetensors;"
            " what a stranger made is better left alone",
        )


class RecognitionError(LoraConvertError, LookupError):
    """The file is sound, but what it holds was not recognised."""

    exit_code = EXIT_UNRECOGNISED


class UnknownFormatError(RecognitionError):
    """No format explains the names, or the format is known by name only (``known_as``)."""

    def __init__(
        self, path: str, *, known_as: str = "", examples: Sequence[str] = (), hint: str = ""
    ) -> None:
        self.path = path
        self.known_as = known_as
        self.examples = tuple(examples)
        shown = ", ".join(repr(name) for name in self.examples[:3])
        next_ = "lora-convert formats lists what is read"
        if known_as:
            what = f"{path}: this is {known_as}, which this version does not read"
        elif self.examples:
            what = f"{path}: no known LoRA format explains these names"
            next_ += "; lora-convert inspect --names FILE shows the names"
        else:
            what = f"{path}: holds no tensors"
            next_ = "give the file that has the weights, or the folder both lie in"
        super().__init__(what, why=f"for example {shown}" if shown else "", hint=hint or next_)


class UnknownArchitectureError(RecognitionError):
    """The names need an architecture's module list, and none fits."""

    def __init__(self, what: str, *, candidates: Sequence[str] = (), why: str = "") -> None:
        self.candidates = tuple(candidates)
        super().__init__(
            what,
            why=why,
            hint="name it with --architecture; lora-convert formats lists the known ones",
        )


class AmbiguousCheckpointError(RecognitionError):
    """Several readings are equally good; ``choices`` lists them."""

    def __init__(self, what: str, *, choices: Sequence[str] = (), hint: str = "") -> None:
        self.choices = tuple(choices)
        super().__init__(
            what, why="choices: " + ", ".join(self.choices) if choices else "", hint=hint
        )


class UnexplainedKeysError(RecognitionError):
    """Some keys have no meaning in the detected format, so nothing is converted."""

    def __init__(
        self, path: str, keys: Sequence[str], total: int, *, why: str = "", hint: str = ""
    ) -> None:
        self.path = path
        self.keys = tuple(keys)
        self.total = total
        super().__init__(
            f"{path}: {len(keys)} of {total} keys are not explained, for example {keys[0]!r}",
            why=why,
            hint=hint or "lora-convert inspect --names FILE shows them all",
        )


class ConversionError(LoraConvertError, ValueError):
    """The adapter was understood but cannot be turned into the target."""

    def of(self, path: str) -> None:
        """Name the file too: the engine that raises such an error does not know what a file is."""
        if path not in self.what:
            self.what = f"{path}: {self.what}"


class NotExpressibleError(ConversionError):
    """The target format has no spelling for something this adapter holds."""

    exit_code = EXIT_REFUSED


class IncompleteModuleError(ConversionError):
    """A module lacks one of its tensors."""

    def __init__(self, module: str, missing: Sequence[str], *, others: int = 0) -> None:
        self.module = module
        self.missing = tuple(missing)
        more = f" (and {others} more modules like it)" if others else ""
        super().__init__(
            f"{module}: {' and '.join(missing)} missing{more}",
            why="a LoRA module acts only with both factors; the file may be cut or one shard of several",
            hint="lora-convert inspect --health FILE lists every incomplete module",
        )


class ShapeError(ConversionError):
    """Tensors of one module do not fit together."""

    def __init__(self, module: str, problem: str) -> None:
        self.module = module
        super().__init__(
            f"{module}: {problem}", hint="lora-convert inspect --health FILE lists such modules"
        )


class BaseMismatchError(ConversionError):
    """An adapter changes modules that the base has not; ``modules`` lists them."""

    def __init__(self, base: str, modules: Sequence[str]) -> None:
        self.base = base
        self.modules = tuple(modules)
        super().__init__(
            f"{base}: has no weight for {len(self.modules)} modules of the adapter,"
            f" for example {self.modules[0]}",
            why="the adapter was trained on another base, or is of another architecture",
            hint="lora-convert inspect shows the adapter's architecture; give the base it was trained on",
        )


class ModelMismatchError(ConversionError):
    """A checkpoint does not fit the model or optimizer that it was to be loaded into; nothing was loaded.

    ``missing`` are names in the model that the checkpoint has not, ``unexpected`` names in the checkpoint
    that the model has not, ``mismatched`` names of tensors with other shapes.
    """

    def __init__(
        self,
        what: str,
        *,
        missing: Sequence[str] = (),
        unexpected: Sequence[str] = (),
        mismatched: Sequence[str] = (),
        why: str = "",
        hint: str,
    ) -> None:
        self.missing = tuple(missing)
        self.unexpected = tuple(unexpected)
        self.mismatched = tuple(mismatched)
        super().__init__(what, why=why, hint=hint)


class LossyConversionError(ConversionError):
    """The plan has losses and the policy is to refuse them."""

    exit_code = EXIT_REFUSED

    def __init__(self, losses: Sequence[str]) -> None:
        self.losses = tuple(losses)
        super().__init__(
            "refused: " + "; ".join(self.losses), hint="--losses warn goes on and reports them"
        )


class OutputError(LoraConvertError):
    """The output cannot be written."""


class DestinationExistsError(OutputError, FileExistsError):
    """The output is already there, and is something else."""

    exit_code = EXIT_REFUSED

    def __init__(self, path: str, *, why: str = "", hint: str = "--force replaces it") -> None:
        self.path = path
        super().__init__(f"{path}: exists already", why=why, hint=hint)


class NotEnoughSpaceError(OutputError, OSError):
    """The disk cannot hold the plan."""

    def __init__(self, path: str, needed: int, free: int) -> None:
        self.path = path
        self.needed = needed
        self.free = free
        super().__init__(
            f"{path}: needs {needed:,} bytes, {free:,} are free", hint="choose another disk with -o"
        )


class LockedError(OutputError):
    """Another run writes into the same folder; ``pid`` and ``host`` are what it says of itself."""

    exit_code = EXIT_REFUSED

    def __init__(self, path: str, *, pid: str = "", host: str = "") -> None:
        self.path = path
        self.pid = pid
        self.host = host
        super().__init__(
            f"{path}: another run is writing there",
            why=f"process {pid} on {host} holds its lock" if pid and host else "",
            hint="wait until it has ended, then run the command again",
        )


class RunActiveError(OutputError):
    """A training may still be writing to a run, so nothing is taken from it; ``problem`` says the sign."""

    exit_code = EXIT_REFUSED

    def __init__(self, path: str, problem: str, *, hint: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(
            f"{path}: may still be training: {problem}",
            why="what a training writes or may go on from is left alone",
            hint=hint,
        )


class NotMovedError(OutputError):
    """A file or folder that was to be moved away, or back, is not what was meant, and stays."""

    exit_code = EXIT_REFUSED

    def __init__(
        self, path: str, problem: str, *, hint: str = "look at what lies there, then run it again"
    ) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path}: left as it is: {problem}", hint=hint)


class VerificationError(OutputError):
    """What was written is not what was planned, or does not act like its source."""


class OptionError(LoraConvertError, ValueError):
    """An option or argument has a value it cannot have."""

    exit_code = EXIT_USAGE

    def __init__(
        self,
        name: str,
        value: object,
        *,
        choices: Sequence[str] = (),
        why: str = "",
        hint: str = "",
    ) -> None:
        self.name = name
        self.value = value
        self.choices = tuple(choices)
        near = _nearest(str(value), self.choices)
        super().__init__(
            f"{name}: {value!r} is not a value it can have",
            why="it can be " + ", ".join(self.choices) if choices else why,
            hint=hint or (f"did you mean {near}?" if near else ""),
        )


def _nearest(word: str, choices: Sequence[str]) -> str:
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, choices, n=1)), "")


class HubError(LoraConvertError, OSError):
    """The Hub could not be reached, or refused."""


class HubAccessError(HubError):
    """The Hub wants a token, another one, or that conditions are accepted; ``status`` is its answer's."""

    def __init__(self, what: str, *, status: int, why: str, hint: str) -> None:
        self.status = status
        super().__init__(what, why=why, hint=hint)


class HubNotFoundError(HubError, LookupError):
    """The Hub has no such repository, revision, folder or file; ``choices`` are files called alike."""

    def __init__(self, what: str, *, choices: Sequence[str] = (), hint: str) -> None:
        self.choices = tuple(choices)
        super().__init__(what, hint=hint)


class HubUnavailableError(HubError):
    """The Hub does not answer, asks to wait, or is broken; ``status`` is its answer's, or 0 without one."""

    def __init__(self, what: str, *, status: int = 0, why: str, hint: str) -> None:
        self.status = status
        super().__init__(what, why=why, hint=hint)


class MissingExtraError(LoraConvertError, ImportError):
    """A feature needs packages of an extra that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        self.extra = extra
        super().__init__(
            f"{feature} needs packages that are not installed",
            hint=f'pip install "lora-convert[{extra}]"',
        )
