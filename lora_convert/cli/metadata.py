"""lora-convert metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output, size
from lora_convert.errors import EXIT_DONE

if TYPE_CHECKING:
    from lora_convert.operations.metadata_plan import MetadataPlan

Command = TypeVar("Command", bound=Callable[..., Any])


def _editing(command: Command) -> Command:
    """Options that all edits have."""
    for decorate in (
        _options.output,
        _options.dry_run,
        _options.no_verify,
        _options.force,
        click.option(
            "-o",
            "--output",
            metavar="FILE",
            type=click.Path(),
            help="Write another file. Default: the file itself, replaced in one step.",
        ),
    ):
        command = decorate(command)
    return command


_only = click.option(
    "--only",
    metavar="PATTERN",
    multiple=True,
    help="Keys that are meant; * is anything. Repeatable.",
)


@click.group()
def metadata() -> None:
    """What a safetensors file says of itself. Edits rewrite its header; weights are copied as they lie."""


@metadata.command(short_help="Show it, long values shortened.")
@click.argument("file", type=click.Path())
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@_options.architecture
@_options.output
def show(
    file: str, keys: tuple[str, ...], architecture: str | None, as_json: bool, quiet: bool
) -> int:
    """Show the metadata of FILE, or the whole values of KEYs; what is wrong with its ModelSpec, too."""
    from lora_convert.cli._metadata import brief
    from lora_convert.errors import OptionError
    from lora_convert.operations.metadata import show_metadata

    out = Output(json=as_json, quiet=quiet)
    found = show_metadata(file, architecture=architecture)
    for key in keys:
        if key not in found.metadata:
            raise OptionError("KEY", key, choices=[*found.metadata])
    chosen = {key: found.metadata[key] for key in keys or found.metadata}
    if as_json:
        out.object({**found.as_json(), "metadata": chosen})
    elif keys:
        for value in chosen.values():
            out.text(value)
    elif quiet:
        for key in chosen:
            out.line(key)
    elif chosen:
        out.table((key, brief(key, value)) for key, value in chosen.items())
    else:
        out.note("it has no metadata")
    for problem in () if keys else found.problems:
        out.note(f"note: {problem}")
    return EXIT_DONE


@metadata.command("set", short_help="Set values, a ModelSpec, a hash of the weights.")
@click.argument("file", type=click.Path())
@click.argument("values", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--from-json",
    metavar="DOC",
    type=click.Path(),
    help="Set what a JSON object of texts says, too.",
)
@click.option(
    "--modelspec", is_flag=True, help="Complete a ModelSpec block from what is known of the file."
)
@click.option("--thumbnail", metavar="IMAGE", type=click.Path(), help="Set modelspec.thumbnail.")
@click.option("--hash", "hash_data", is_flag=True, help="Compute modelspec.hash_sha256.")
@_options.architecture
@_editing
def set_(
    file: str,
    values: tuple[str, ...],
    from_json: str | None,
    modelspec: bool,
    thumbnail: str | None,
    hash_data: bool,
    architecture: str | None,
    output: str | None,
    **how: Any,
) -> int:
    """Set metadata of FILE, for example modelspec.title="Red shoes". An empty VALUE is a value."""
    from lora_convert.operations.metadata import plan_set

    given = {**_document(from_json), **_pairs(values)}
    if not (given or modelspec or thumbnail or hash_data):
        raise click.UsageError("nothing to set: give KEY=VALUE, --from-json, --modelspec or --hash")
    plan = plan_set(
        file,
        given,
        output=output,
        model_spec=modelspec,
        image=thumbnail,
        hash=hash_data,
        architecture=architecture,
    )
    return _run(plan, **how)


@metadata.command("copy", short_help="Copy it from another file.")
@click.argument("source", metavar="FROM", type=click.Path())
@click.argument("file", metavar="TO", type=click.Path())
@_only
@_editing
def copy_(source: str, file: str, only: tuple[str, ...], output: str | None, **how: Any) -> int:
    """Copy the metadata of FROM into TO, over what TO says under the same keys.

    What speaks of FROM's tensors alone is left: lora_adapter_metadata, hashes, where it came from.
    """
    from lora_convert.operations.metadata import plan_copy

    return _run(plan_copy(source, file, only=only, output=output), **how)


@metadata.command(short_help="Take out what tells of your machine and data.")
@click.argument("file", type=click.Path())
@_only
@click.option(
    "--keep", metavar="PATTERN", multiple=True, help="Take out all other keys. Repeatable."
)
@click.option("--all", "everything", is_flag=True, help="Take out all that no program reads.")
@_editing
def strip(
    file: str,
    only: tuple[str, ...],
    keep: tuple[str, ...],
    everything: bool,
    output: str | None,
    **how: Any,
) -> int:
    """Take out of FILE what tells of your machine and data: paths, folders, captions' tags, configurations.

    What weights are read by stays, whatever is named.
    """
    from lora_convert.operations.metadata import plan_strip

    plan = plan_strip(file, only=only, keep=keep, everything=everything, output=output)
    return _run(plan, **how)


def _run(
    plan: MetadataPlan,
    *,
    force: bool,
    no_verify: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Show what changes, and write it."""
    out = Output(json=as_json, quiet=quiet)
    with plan:
        status = "planned"
        if not dry_run:
            progress = out.progress("writing", plan.file.size)
            status = plan.apply(force=force, verify=not no_verify, progress=progress)
    if as_json:
        out.object({**plan.as_json(), "status": status})
    elif quiet:
        out.line(plan.output)
    else:
        _show_changes(out, plan)
        word = "would write" if dry_run else f"{status}:"
        out.line(f"{word} {plan.output} ({size(plan.file.size)})")
    return EXIT_DONE


def _show_changes(out: Output, plan: MetadataPlan) -> None:
    from lora_convert.cli._metadata import brief

    for key, value in plan.added.items():
        out.line(f"+ {key} = {brief(key, value)}")
    for key, (old, new) in plan.changed.items():
        out.line(f"~ {key} = {brief(key, old)} → {brief(key, new)}")
    for key, value in plan.removed.items():
        reason = plan.reasons.get(key, "")
        out.line(f"- {key} = {brief(key, value)}" + (f"  ({reason})" if reason else ""))
    for note in plan.notes:
        out.note(f"note: {note}")


def _pairs(values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for key, equals, _ in pairs:
        if not equals or not key:
            raise click.UsageError(f"{key!r} is no KEY=VALUE; for example modelspec.title=Shoes")
    return {key: value for key, _, value in pairs}


def _document(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    from lora_convert.errors import OptionError
    from lora_convert.storage.documents import read_document

    found = read_document(path)
    if not isinstance(found, dict):
        raise OptionError(
            "from-json", path, why="it holds no object", hint='like {"title": "Shoes"}'
        )
    return found
