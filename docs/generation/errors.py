"""The page of errors: what each means, and a message that was really raised."""

from __future__ import annotations

import ast
import builtins
import contextlib
import inspect
import io
import json
import os
import platform
import re
import shlex
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, get_args
from unittest import mock

import lora_convert
from generation.markdown import check_all, check_same, page, table
from lora_convert import errors
from lora_convert.cli import main
from lora_convert.operations.sharing import TRASH
from lora_convert.planning import LossKind
from lora_convert.storage.identity import state_of
from lora_convert.storage.trash import Trash
from tests.docs.workbench import build
from tests.hub.in_process import served

EXITS = {
    errors.EXIT_DONE: "done, or unchanged: the output was already what it should be",
    errors.EXIT_FAILED: "failed: the input is broken, the output cannot be written, or two files differ",
    errors.EXIT_USAGE: "usage: an option is wrong, or a path does not exist",
    errors.EXIT_PARTIAL: "partial: some of several paths failed",
    errors.EXIT_UNRECOGNISED: "not recognised: sound, but not an adapter this version can explain",
    errors.EXIT_REFUSED: "refused: it would lose, replace or run something, cannot say it, or is locked",
    errors.EXIT_INTERRUPTED: "interrupted",
}

ATTRIBUTES = {
    "path": "the file or folder, as it was given or found",
    "problem": "what is wrong, without the path",
    "name": "what is asked for, `module.name`, or of an option, its name",
    "known_as": "title of a format that is known by name only, or empty",
    "examples": "some of the names",
    "candidates": "architectures that fit, or that there are",
    "choices": "what there is to choose from",
    "keys": "all keys without a meaning",
    "total": "number of keys in the file",
    "module": "the module",
    "missing": "what is not there: roles of tensors, or names of the model's",
    "unexpected": "names in the checkpoint that the model has not",
    "mismatched": "names in the model of tensors that have other shapes",
    "losses": "each loss as a sentence",
    "needed": "bytes that are needed",
    "free": "bytes that are free",
    "value": "what was given",
    "extra": "name of the extra",
    "base": "the base model's path",
    "modules": "the modules",
    "pid": "number of the process, or empty",
    "host": "name of the machine, or empty",
    "status": "the status of the Hub's answer; 0 where there was none",
}


class Case(NamedTuple):
    """A situation in which an error is raised, on the files of ``tests/docs/workbench.py``."""

    command: str
    """A line of the command, or of Python, where only the library raises it."""
    advice: str
    given: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext
    """What is so meanwhile."""
    names: Callable[[], dict[str, object]] = dict
    """What a line of Python speaks of."""


def _full_disk() -> AbstractContextManager[object]:
    return mock.patch("lora_convert.storage.atomic.free_space", return_value=4096)


def _another_batch() -> AbstractContextManager[object]:
    from lora_convert.storage.locks import held

    folder = Path("outputs", "shoes", "checkpoint_pipelines")
    folder.mkdir(exist_ok=True)
    return held(os.fspath(folder))


@contextlib.contextmanager
def _a_link_in_the_way() -> Iterator[None]:
    """Another folder under the name of that from which something was put in the trash."""
    run = Path("outputs", "shoes")
    names = {"checkpoints/checkpoint-500": state_of(str(run / "checkpoints" / "checkpoint-500"))}
    trash = Trash(os.fspath(run), TRASH)
    item = trash.put(names, why="an older checkpoint", command="prune")
    (run / "checkpoints").rename(run / "elsewhere")
    (run / "checkpoints").symlink_to("elsewhere")
    yield
    (run / "checkpoints").unlink()
    (run / "elsewhere").rename(run / "checkpoints")
    trash.undo(item.id)


@contextlib.contextmanager
def _a_training() -> Iterator[None]:
    """A run that says that it is not over."""
    path = Path("outputs", "shoes", "run.json")
    text = path.read_text(encoding="utf-8")
    running = {"state": "running", "pid": os.getpid(), "host": platform.node()}
    path.write_text(json.dumps(json.loads(text) | running), encoding="utf-8")
    yield
    path.write_text(text, encoding="utf-8")


def _another_model() -> dict[str, object]:
    """A small model that has nothing of any file's."""
    from peft import LoraConfig, get_peft_model
    from torch import nn

    model = get_peft_model(nn.Sequential(nn.Linear(4, 4)), LoraConfig(target_modules=["0"]))
    return {"model": model}


def _unreachable() -> AbstractContextManager[object]:
    """The Hub at a port of this machine that nothing listens to."""
    said = {"ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": False}
    return mock.patch.multiple("huggingface_hub.constants", **said)


@contextlib.contextmanager
def _a_hub() -> Iterator[None]:
    """A Hub with one repository."""
    with tempfile.TemporaryDirectory() as home, served(home) as hub:
        hub.repository("user/shoes").put(
            "style.safetensors", Path("style.safetensors").read_bytes()
        )
        yield


@contextlib.contextmanager
def _no_token() -> Iterator[None]:
    """The same, asked by nobody that it knows."""
    with _a_hub(), mock.patch.dict(os.environ):
        del os.environ["HF_TOKEN"]
        yield


def _without_dask() -> AbstractContextManager[object]:
    return mock.patch.dict("sys.modules", {"distributed": None})


CASES = {
    "CheckpointNotFoundError": Case(
        "lora-convert inspect style.safetensor",
        "Names are those of the disk, with their ending. Of a folder without weights the message says which"
        " folder below it has some.",
    ),
    "CorruptCheckpointError": Case(
        "lora-convert inspect broken.safetensors",
        "Download or save the file again; nothing of it is read. Where a document beside the weights"
        " contradicts them, say what is right with `--scale-from`.",
    ),
    "UnsafePickleError": Case(
        "lora-convert inspect unsafe.pt",
        "[What to do with a refused file](../how-to/is-this-file-safe.md#what-to-do-with-a-refused-file).",
    ),
    "UnknownFormatError": Case(
        "lora-convert to-diffusers downloads/embedding.safetensors",
        "[Which file is this?](../how-to/which-file-is-this.md#what-the-other-lines-mean)",
    ),
    "UnknownArchitectureError": Case(
        "lora-convert to-diffusers trouble/my-own-model.safetensors",
        "If it is one of those that are known, name it with `--architecture`. Else names with underscores"
        " cannot be taken apart; formats with dots convert among each other without a table.",
    ),
    "AmbiguousCheckpointError": Case(
        "lora-convert to-diffusers two-adapters.safetensors",
        "Choose: `--adapter` for [several adapters in one file](../how-to/several-adapters.md), the file"
        " instead of the folder for several files.",
    ),
    "UnexplainedKeysError": Case(
        "lora-convert to-diffusers mystery.safetensors",
        "[Exit code 4](../how-to/refused.md#exit-code-4-not-recognised). `inspect` still says what the other"
        " keys are.",
    ),
    "NotExpressibleError": Case(
        "lora-convert to-peft trouble/column-dora.safetensors",
        "Write another format, most often `--to kohya`, which has a spelling for everything that is read.",
    ),
    "IncompleteModuleError": Case(
        "lora-convert to-diffusers trouble/half.safetensors",
        "Save or download the file again; of shards, give the index or the folder.",
    ),
    "ShapeError": Case(
        "lora-convert to-diffusers trouble/mixed-ranks.safetensors",
        "The file was edited or merged wrongly. Take it from where it was made.",
    ),
    "BaseMismatchError": Case(
        "lora-convert pipeline text-encoders.safetensors --base models/stable-diffusion-v1-5 -o pipeline",
        "The base is what `--base` gives, or `--into` of `merge`, or what the run names. It must have every"
        " component that the adapter changes.",
    ),
    "ModelMismatchError": Case(
        'lc.load_checkpoint("adapter", model)',
        "Load it into the model it was saved from, with its adapters called the same;"
        " [`lc.model_from_checkpoint`](../how-to/own-training-loop.md) makes one of the base.",
        names=_another_model,
    ),
    "LossyConversionError": Case(
        "lora-convert to-kohya no-scale.safetensors --losses refuse",
        "Remove the cause, or leave out the option:"
        " [each loss](../how-to/refused.md#losses-with---losses-refuse).",
    ),
    "DestinationExistsError": Case(
        "lora-convert to-diffusers rounded.safetensors -o converted.safetensors",
        "Choose another name with `-o`, or `--force`, which never replaces a source.",
    ),
    "NotEnoughSpaceError": Case(
        "lora-convert to-kohya no-scale.safetensors -o elsewhere.safetensors",
        "Make room, or write to another disk with `-o`. Nothing was left behind.",
        given=_full_disk,
    ),
    "LockedError": Case(
        "lora-convert batch outputs/shoes",
        "Wait for the other batch, or end it: what it has finished stays, and the lock goes with its"
        " process.",
        given=_another_batch,
    ),
    "RunActiveError": Case(
        "lora-convert prune outputs/shoes --keep-last 1 --yes",
        "A run is left alone whose `run.json` says that it is training, or that was written to in the last"
        " five minutes. Wait, or give `--force` if you know that the training has ended.",
        given=_a_training,
    ),
    "NotMovedError": Case(
        "lora-convert trash undo outputs/shoes",
        "Nothing is moved through a link, onto another disk, or if it has changed since that was planned."
        " Put the folder itself there, or look at the plan again.",
        given=_a_link_in_the_way,
    ),
    "VerificationError": Case(
        "lora-convert to-diffusers trouble/large-values.safetensors --dtype fp16 -o small.safetensors",
        "Keep the dtype, or take [bf16](../how-to/smaller-files.md), whose range is that of fp32. If no dtype"
        " was asked for, it is a defect of `lora-convert`: please report it.",
    ),
    "OptionError": Case(
        "lora-convert inspect style.safetensors --architecture sdx",
        "Take one of the values that the message lists.",
    ),
    "HubAccessError": Case(
        "lora-convert inspect hf://you/shoes",
        "Look at the spelling, or show who you are:"
        " [Files on the Hub](../how-to/files-on-the-hub.md#private-and-gated).",
        given=_no_token,
    ),
    "HubNotFoundError": Case(
        "lora-convert inspect hf://user/shoes/stile.safetensors",
        "Take the name that the message proposes; `hf://USER/REPOSITORY` alone is what is in it.",
        given=_a_hub,
    ),
    "HubUnavailableError": Case(
        "lora-convert pipeline style.safetensors --base you/your-base -o pipeline",
        "Look at the spelling and at the network; for a repository that needs it, log in with"
        " `hf auth login`. Or [give a folder](../how-to/pipeline-from-a-checkpoint.md#what-the-base-is).",
        given=_unreachable,
    ),
    "MissingExtraError": Case(
        "lora-convert batch outputs/shoes --executor tcp://studio:8786",
        "Install the extra, or leave the option out: `--jobs` needs none.",
        given=_without_dask,
    ),
}


def errors_page() -> str:
    """The exit codes, the tree and each error."""
    known = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    check_same("exit codes", EXITS, known)
    kinds = [*_subclasses(errors.LoraConvertError)]
    leaves = {kind.__name__ for kind in kinds if not kind.__subclasses__()}
    check_same("errors", CASES, leaves)
    check_all("attributes", ATTRIBUTES, {name for kind in kinds for name in _own_attributes(kind)})
    tree = inspect.cleandoc(errors.__doc__ or "").split("\n\n", 1)[1].rsplit("\n\n", 1)[0]
    with _workbench():
        sections = [_section(kind) for kind in kinds]
    return page(
        "Errors and exit codes",
        "A message has up to three parts: what happened, why, and what to type next. In the library they are"
        " the attributes `what`, `why` and `hint` of every error; with `--json` they are on stdout, as an"
        " object `error` with `message`, `why` and `next`.",
        "## Exit codes\n\n"
        + table(("code", "meaning"), [(str(code), text) for code, text in EXITS.items()]),
        f"## The tree\n\n```text\n{textwrap.dedent(tree)}\n```",
        "Catch `LoraConvertError` for all, or a branch, or the built-in error that a class also is.",
        *sections,
        "## Losses\n\nLosses are no errors: a plan lists them, and `--losses refuse` makes an error of them."
        " Their kinds: " + ", ".join(f"`{kind}`" for kind in get_args(LossKind)) + ".",
    )


def _section(kind: type[errors.LoraConvertError]) -> str:
    name = kind.__name__
    group = bool(kind.__subclasses__())
    parts = [f"{'##' if group else '###'} {name}", inspect.getdoc(kind) or ""]
    if not group:
        also = [base.__name__ for base in kind.__mro__ if vars(builtins).get(base.__name__) is base]
        own = [base for base in also if base not in {"Exception", "BaseException", "object"}][:1]
        facts = [
            f"Exit code {kind.exit_code}.",
            *(f"Also {_article(base)} `{base}`." for base in own),
        ]
        parts.append(" ".join(facts))
        attributes = _own_attributes(kind)
        if attributes:
            parts.append(
                table(("data", "meaning"), [(f"`{a}`", ATTRIBUTES[a]) for a in attributes])
            )
    if name in CASES:
        case = CASES[name]
        prompt = "$" if case.command.startswith("lora-convert ") else ">>>"
        parts += [f"```text\n{prompt} {case.command}\n{_raised(name, case)}```", case.advice]
    return "\n\n".join(parts)


def _article(word: str) -> str:
    return "an" if word[0] in "AEIO" else "a"


def _own_attributes(kind: type) -> list[str]:
    """What a class's own ``__init__`` keeps, apart from the three parts of the message."""
    function = vars(kind).get("__init__")
    if function is None:
        return []
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    names = [
        node.targets[0].attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute)
    ]
    return [name for name in names if name not in {"what", "why", "hint"}]


def _subclasses(kind: type[errors.LoraConvertError]) -> Iterator[type[errors.LoraConvertError]]:
    """Of the converter: the trainer's are there too where something has imported it."""
    yield kind
    for inner in kind.__subclasses__():
        if inner.__module__ == errors.__name__:
            yield from _subclasses(inner)


@contextlib.contextmanager
def _workbench() -> Iterator[None]:
    """The files that the documentation speaks of, as the current folder."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        build(Path(folder))
        yield


def _raised_in_python(name: str, case: Case) -> str:
    """What an error says that only the library raises; stops where that is another error."""
    try:
        exec(case.command, {"lc": lora_convert, **case.names()})
    except errors.LoraConvertError as error:
        check_same(f"errors of {case.command!r}", {name}, {type(error).__name__})
        return f"error: {error}\n"
    raise AssertionError(case.command)


def _raised(name: str, case: Case) -> str:
    """What a command says on stderr; stops where it raises another error."""
    if not case.command.startswith("lora-convert "):
        return _raised_in_python(name, case)
    printed, told = io.StringIO(), io.StringIO()
    with (
        case.given(),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(told),
        contextlib.suppress(SystemExit),
    ):
        main([*shlex.split(case.command)[1:], "--json"])
    found = json.loads(printed.getvalue().splitlines()[-1])["error"]
    check_same(f"errors of {case.command!r}", {name}, {found["type"]})
    check_all(f"parts of the message of {case.command!r}", found, {"next"})
    folder = os.path.realpath(os.curdir)
    text = told.getvalue().replace(folder, "/home/you")
    text = re.sub(r"process \d+ on \S+", "process 4711 on studio", text)
    text = re.sub(r"\[\w+ \d+\] .*connection.*", "Connection refused", text, flags=re.IGNORECASE)
    return re.sub(r"^(?!error: |  why:  |  next: ).*\n", "", text, flags=re.MULTILINE)
