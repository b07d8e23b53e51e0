"""Writes docs/reference/ from the code: ``python docs/generate.py``.

With ``--check`` nothing is written, and the exit code is 1 where a page differs from what is there.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import click

import lora_convert
from lora_convert import errors
from lora_convert.adapter import ScaleSource
from lora_convert.algorithms import ALGORITHMS
from lora_convert.algorithms import FOREIGN as FOREIGN_ALGORITHMS
from lora_convert.architectures import ARCHITECTURES
from lora_convert.cli import app
from lora_convert.conversion.detect import Candidate
from lora_convert.formats import FORMATS, Ending, Format
from lora_convert.formats._foreign import FOREIGN as FOREIGN_FORMATS
from lora_convert.operations.catalogue import catalogue
from lora_convert.planning import Loss, LossKind
from lora_convert.storage.checkpoint import Integrity
from lora_convert_train.cli import main as train

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
NOTICE = "<!-- Written by docs/generate.py. Change the code, then run it. -->"
EXAMPLE = ROOT / "fixtures" / "tiny-run" / "checkpoints" / "checkpoint-500" / "model.safetensors"

PLACES = {
    "tensor": "beside each module, in a tensor",
    "header": "in the file's metadata",
    "config": "in `adapter_config.json`",
}

EXITS = {
    errors.EXIT_DONE: "done, or unchanged: the output was already what it should be",
    errors.EXIT_FAILED: "failed: the input is broken, the output cannot be written, or two files differ",
    errors.EXIT_USAGE: "usage: an option is wrong, or a path does not exist",
    errors.EXIT_PARTIAL: "partial: some of several paths failed",
    errors.EXIT_UNRECOGNISED: "not recognised: sound, but not an adapter this version can explain",
    errors.EXIT_REFUSED: "refused: it would lose, replace or run something, cannot say it, or is locked",
    errors.EXIT_INTERRUPTED: "interrupted",
}

MEANINGS = {
    "path": "as given",
    "weights": "the file, index or folder that was read",
    "container": "what the tensors lie in",
    "format": "name of the format, or null",
    "architecture": "name of the architecture, or null where none or several fit",
    "algorithms": "names of the algorithms present",
    "components": "models of the pipeline that are adapted",
    "adapters": "names of the adapters, where keys hold them",
    "modules": "number of adapted modules",
    "ranks": "rank to number of modules",
    "scales": "scale to number of modules",
    "scale_paths": "documents that scales came from",
    "scale_source": "where scales come from, the least certain source of all modules",
    "scale_problem": "why scales could not be resolved; only where they could not",
    "dtypes": "of the adapter's factors",
    "bytes": "size of what is read, or would be written",
    "total": "number of keys",
    "explained": "number of keys with a known meaning",
    "base": "frozen base weights among them",
    "unexplained": "the other keys",
    "candidates": f"`{{{', '.join(Candidate._fields)}}}`, best first",
    "known_as": "title of a format that is known by name only, or null",
    "metadata": "the file's own, as it is",
    "payload": "what else a torch file holds beside weights, by its place",
    "integrity": f"`{{{', '.join(Integrity._fields)}}}`: parts with a checksum, and how many were checked",
    "passed_over": "other weight files of the folder",
    "health": "lists of findings; only with `--health`",
    "error": "`{type, message}`, with `why` and `next` where there is more to say",
    "source": "the file, index or folder that is read",
    "from": "format of the source",
    "to": "format of the output",
    "output": "the file or folder that is written",
    "outputs": "every file of it",
    "losses": f"`{{{', '.join(Loss._fields)}}}`: what the target cannot hold, or what had to be assumed",
    "notes": "sentences for people",
    "status": "`written`, `unchanged` or, with `--dry-run`, `planned`",
    "proof": "the fields of `verify` below, or null where none was made",
    "first": "as given",
    "second": "as given",
    "worst": "largest relative difference of ΔW; null where infinite",
    "worst_module": "the module it is found in",
    "exact": "whether every module is equal to the last bit",
    "equal": "whether every difference is within the rounding of the dtypes involved",
    "differing": "number of modules beyond that",
    "reasons": "why they differ, where more can be said than a number, with the number of modules",
    "seconds": "how long the comparison took",
}


def pages() -> dict[str, str]:
    """Every page of the reference: file name to text."""
    return {
        "commands.md": commands_page(),
        "formats.md": formats_page(),
        "errors.md": errors_page(),
        "json.md": json_page(),
        "library.md": library_page(),
    }


def page(title: str, *parts: str) -> str:
    """A page of Markdown."""
    text = "\n\n".join([f"# {title}", NOTICE, *(part for part in parts if part)]) + "\n"
    return re.sub(r"(?<!`)``(?!`)([^`\n]+)``(?!`)", r"`\1`", text)  # docstrings mark code with two


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


# commands


def commands_page() -> str:
    """Commands with all their options."""
    return page(
        "Commands",
        "Every option may also be written with underscores (`--scale_from`), and stand before or after"
        " the paths. Results go to stdout, everything else to stderr; `NO_COLOR` is respected. What the"
        " exit codes mean stands in [errors](errors.md), the fields of `--json` in [JSON](json.md).",
        *_command_sections("lora-convert", app),
        *_command_sections("lora-convert-train", train),
    )


def _command_sections(
    name: str, command: click.Command, parent: click.Context | None = None
) -> Iterator[str]:
    context = click.Context(command, parent, name, **command.context_settings)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    text = inspect.cleandoc(command.help or "")
    yield f"## {name}\n\n```text\n{usage}\n```\n\n{text}\n\n{_options(command, context)}"
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                yield from _command_sections(f"{name} {inner}", found, context)


def _options(command: click.Command, context: click.Context) -> str:
    options = [p for p in command.get_params(context) if isinstance(p, click.Option)]
    records = [option.get_help_record(context) for option in options]
    return table(("option", "meaning"), [(f"`{r[0]}`", r[1]) for r in records if r])


# formats


def formats_page() -> str:
    """Formats, architectures, algorithms, the matrix, and how each format spells its keys."""
    found = catalogue()
    matrix = table(
        ("from \\ to", *found.formats),
        [
            (f"**{origin}**", *(" ".join(row[to]) or "–" for to in found.formats))
            for origin, row in found.matrix.items()
        ],
    )
    return page(
        "Formats, architectures, algorithms",
        "The same tables as `lora-convert formats`, and how each format spells its keys.",
        "## What converts to what\n\n" + matrix,
        "## Algorithms\n\n" + _algorithms(),
        "## Architectures\n\n" + _architectures(),
        "## Formats\n\n"
        + table(
            ("name", "title", "scale", "usual output"),
            [
                (f"[{name}](#{name})", f.title, PLACES[f.scale_in], f"`{_usual_output(f)}`")
                for name, f in FORMATS.items()
            ],
        ),
        *(_format_section(format_) for format_ in FORMATS.values()),
        "## Known by name only\n\nThese are recognised, so that they are refused by name and never"
        " converted in part.\n\nAlgorithms: "
        + ", ".join(FOREIGN_ALGORITHMS.values())
        + ".\n\nFormats:\n\n"
        + "\n".join(f"- {foreign.title}" for foreign in FOREIGN_FORMATS),
    )


def _algorithms() -> str:
    return table(
        ("name", "meaning", "tensors", "optional"),
        [
            (f"`{a.name}`", a.title, ", ".join(a.needs), ", ".join(a.may))
            for a in ALGORITHMS.values()
        ],
    )


def _architectures() -> str:
    rows = []
    for architecture in ARCHITECTURES.values():
        components = [
            f"{c.name} ({sum(len(row.diffusers) for row in c.rows)})"
            for c in architecture.components
        ]
        fused = sum(len(row.diffusers) > 1 for c in architecture.components for row in c.rows)
        rows.append(
            (f"`{architecture.name}`", architecture.title, ", ".join(components), str(fused or "–"))
        )
    return (
        table(("name", "title", "components (kinds of modules)", "fused layers"), rows)
        + "\n\nA module is counted once, however often its block is repeated. Any other architecture converts"
        " between formats with dotted names, which need no table."
    )


def _usual_output(format_: Format) -> str:
    name = format_.file_name("NAME")
    return f"{name}/{format_.weights}" if format_.folder else name


def _format_section(format_: Format) -> str:
    parts = [f"### {format_.name}", f"{format_.title}. The scale is {PLACES[format_.scale_in]}."]
    parts.append(table(("component", "its keys begin with"), _prefixes(format_)))
    if format_.bare:
        parts.append(
            "Names without a component are read too; `--component` says which they are of."
        )
    rows = []
    for role, endings in _by_role(format_).items():
        first, *others = [f"`{_spelled(ending)}`" for ending in endings]
        rows.append((role, first, " ".join(others) or "–"))
    parts.append(table(("tensor", "written", "also read"), rows))
    if any(ending.tail for ending in format_.endings):
        parts.append("After an arrow stands what the ending means for the module's name.")
    return "\n\n".join(parts)


def _prefixes(format_: Format) -> list[tuple[str, str]]:
    rows = [
        (component, " ".join(f"`{prefix}`" for prefix in prefixes))
        for component, prefixes in format_.prefixes.items()
    ]
    for variation in format_.variations:
        rows += [
            (
                f"{component} ({', '.join(variation.architectures)})",
                " ".join(f"`{prefix}`" for prefix in prefixes),
            )
            for component, prefixes in variation.prefixes.items()
        ]
    if format_.shared_prefixes:
        rows.append(("any", " ".join(f"`{prefix}`" for prefix in format_.shared_prefixes)))
    return rows


def _by_role(format_: Format) -> dict[str, list[Ending]]:
    found: dict[str, list[Ending]] = {}
    for ending in format_.endings:
        if not ending.foreign:
            found.setdefault(ending.role, []).append(ending)
    return found


def _spelled(ending: Ending) -> str:
    text = ending.text.format("NAME") if "{}" in ending.text else ending.text
    return f"{text} → {ending.tail}" if ending.tail else text


# errors


def errors_page() -> str:
    """The error tree and the exit codes."""
    known = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    _same("exit codes", EXITS, known)
    tree = inspect.cleandoc(errors.__doc__ or "").split("\n\n", 1)[1].rsplit("\n\n", 1)[0]
    rows = []
    for kind in _subclasses(errors.LoraConvertError):
        also = [base.__name__ for base in kind.__mro__ if vars(builtins).get(base.__name__) is base]
        own = [name for name in also if name not in {"Exception", "BaseException", "object"}]
        rows.append(
            (f"`{kind.__name__}`", str(kind.exit_code), ", ".join(own[:1]) or "–", _summary(kind))
        )
    return page(
        "Errors and exit codes",
        "A message has up to three parts: what happened, why, and what to type next. With `--json` the"
        " same parts are on stdout, as an object `error`.",
        "## Exit codes\n\n"
        + table(("code", "meaning"), [(str(code), text) for code, text in EXITS.items()]),
        f"## The tree\n\n```text\n{textwrap.dedent(tree)}\n```",
        "## Each error\n\n" + table(("error", "exit code", "also a", "when"), rows),
        "Losses are no errors: a plan lists them, and `--losses refuse` makes an error of them. Their"
        " kinds: " + ", ".join(f"`{kind}`" for kind in get_args(LossKind)) + ".",
    )


def _subclasses(kind: type[errors.LoraConvertError]) -> Iterator[type[errors.LoraConvertError]]:
    yield kind
    for inner in kind.__subclasses__():
        yield from _subclasses(inner)


def _summary(documented: object) -> str:
    return (inspect.getdoc(documented) or "").split("\n\n")[0].replace("\n", " ")


# JSON


def json_page() -> str:
    """The fields of ``--json``, taken from what the commands print about a fixture."""
    found = lora_convert.inspect(str(EXAMPLE), health=True)
    with lora_convert.plan_convert(str(EXAMPLE), "kohya") as plan:
        planned = {**plan.as_json(), "status": "planned"}
    proof = lora_convert.verify(str(EXAMPLE), str(EXAMPLE)).as_json()
    compared = {"first": "", "second": "", **proof}
    inspected = {**found.as_json(), "scale_problem": ""}
    _same("JSON fields", MEANINGS, {*inspected, *planned, *compared, "proof", "error"})
    return page(
        "JSON",
        "With `--json` every command prints one object on one line of stdout, for each source of"
        " several. The exit code is the same as without.",
        "## inspect\n\n"
        + _fields(inspected)
        + f"\n\n`scale_source` is one of {', '.join(f'`{name}`' for name in get_args(ScaleSource))}."
        " A path that fails gives `path` and `error` alone.",
        "## convert, to-diffusers, to-peft, to-kohya\n\n"
        + _fields({**planned, "proof": None})
        + "\n\nOf several sources one that fails gives `path` and `error` alone.\n\nKinds of losses: "
        + ", ".join(f"`{kind}`" for kind in get_args(LossKind))
        + ".",
        "## verify\n\n" + _fields(compared),
        "## An error\n\n" + _fields({"error": {}}),
        "## formats\n\nThe tables of [formats](formats.md): "
        + ", ".join(f"`{name}`" for name in catalogue().as_json())
        + ".",
    )


def _fields(example: dict[str, Any]) -> str:
    return table(
        ("field", "type", "meaning"),
        [(f"`{name}`", _json_type(name, value), MEANINGS[name]) for name, value in example.items()],
    )


def _json_type(name: str, value: object) -> str:
    names = {bool: "boolean", int: "integer", float: "number", list: "list", dict: "object"}
    known = [text for kind, text in names.items() if isinstance(value, kind)]
    shown = known[0] if known else "object" if name == "proof" else "string"
    return f"{shown} or null" if "null" in MEANINGS[name] else shown


# library


def library_page() -> str:
    """The public names, from their signatures and docstrings."""
    names = [name for name in lora_convert.__all__ if not name.startswith("_")]
    functions = [name for name in names if not inspect.isclass(getattr(lora_convert, name))]
    classes = [name for name in names if name not in functions]
    return page(
        "Library",
        "`import lora_convert as lc`: nothing heavy is imported until a name is used. Every error is a"
        " `lora_convert.errors.LoraConvertError`, see [errors](errors.md).",
        *(_function_section(name) for name in functions),
        *(_class_section(name) for name in classes),
    )


def _function_section(name: str) -> str:
    function = getattr(lora_convert, name)
    return f"## {name}\n\n{_signature(name, function)}\n\n{inspect.getdoc(function)}"


def _signature(name: str, function: Any) -> str:
    """The call as it is written, one argument a line."""
    lines = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in lines:
            lines.append("*")
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        lines.append(f"{parameter.name}: {parameter.annotation}{default}")
    arguments = "".join(f"    {line},\n" for line in lines)
    return f"```text\n{name}(\n{arguments}) -> {inspect.signature(function).return_annotation}\n```"


def _class_section(name: str) -> str:
    kind = getattr(lora_convert, name)
    parts = [f"## {name}", inspect.getdoc(kind) or ""]
    documented = _attribute_docstrings(kind)
    fields = getattr(kind, "_fields", ())
    if fields:
        types = {
            name: getattr(found, "__forward_arg__", found)
            for name, found in kind.__annotations__.items()
        }
        rows = [(f"`{field}`", f"`{types[field]}`", documented.get(field, "")) for field in fields]
        parts.append(table(("field", "type", "meaning"), rows))
    members = [
        (member, value)
        for member, value in vars(kind).items()
        if not member.startswith("_")
        and member not in fields
        and (inspect.isfunction(value) or isinstance(value, property))
    ]
    listed = [
        (f"`{member}`" if isinstance(value, property) else f"`{member}()`", _summary(value))
        for member, value in members
    ]
    if listed:
        parts.append(table(("member", "meaning"), listed))
    return "\n\n".join(parts)


def _attribute_docstrings(kind: type) -> dict[str, str]:
    """The strings under a class's fields, by field."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    found = {}
    if isinstance(body, ast.ClassDef):
        for field, text in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and (isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant))
            ):
                found[field.target.id] = str(text.value.value).replace("\n", " ")
    return found


def _same(what: str, described: Iterable[object], existing: Iterable[object]) -> None:
    """Stop where the descriptions in this file are not those of the code."""
    difference = set(described) ^ set(existing)
    if difference:
        sys.exit(
            f"docs/generate.py describes other {what} than there are: {sorted(map(str, difference))}"
        )


def main() -> None:
    """Write the pages, or compare them."""
    stale = []
    for name, text in pages().items():
        path = REFERENCE / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8", newline="\n")
    print(
        f"{'differs' if '--check' in sys.argv else 'written'}: {', '.join(stale)}"
        if stale
        else "up to date"
    )
    sys.exit(1 if stale and "--check" in sys.argv else 0)


if __name__ == "__main__":
    main()
