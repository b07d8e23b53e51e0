"""Options that mean the same in every command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
quiet = click.option(
    "--quiet", "-q", is_flag=True, help="Print only the output's path, or one word or line."
)
dry_run = click.option("--dry-run", is_flag=True, help="Show the plan and write nothing.")
force = click.option("--force", is_flag=True, help="Replace an output that exists.")
adapter = click.option(
    "--adapter", metavar="NAME", help="The adapter to read, where a file holds several."
)


def format_names(context: click.Context, parameter: click.Parameter, beginning: str) -> list[str]:
    """Formats, for the shell to complete."""
    from lora_convert.formats import written

    return [name for name in written() if name.startswith(beginning)]


def _architecture_names(
    context: click.Context, parameter: click.Parameter, beginning: str
) -> list[str]:
    from lora_convert.architectures import ARCHITECTURES

    return [name for name in ARCHITECTURES if name.startswith(beginning)]


def _component_names(
    context: click.Context, parameter: click.Parameter, beginning: str
) -> list[str]:
    from lora_convert.formats import COMPONENTS

    return [name for name in COMPONENTS if name.startswith(beginning)]


dtype = click.option(
    "--dtype",
    type=click.Choice(["keep", "fp32", "fp16", "bf16"]),
    default="keep",
    show_default=True,
    help="Dtype of the factors.",
)
losses = click.option(
    "--losses",
    type=click.Choice(["allow", "warn", "refuse"]),
    default="warn",
    show_default=True,
    help="What to do where the target cannot hold everything.",
)


def _application_names(
    context: click.Context, parameter: click.Parameter, beginning: str
) -> list[str]:
    from lora_convert.applications import APPLICATIONS

    return [name for name in APPLICATIONS if name.startswith(beginning)]


application = click.option(
    "--for",
    "application",
    metavar="APP",
    shell_complete=_application_names,
    help="The application that is to load it: comfyui, a1111, forge, invokeai, diffusers, peft,"
    " sd-scripts, musubi, onetrainer, ai-toolkit or sd.cpp.",
)
no_verify = click.option("--no-verify", is_flag=True, help="Skip the proof, all but the header.")
scale_from = click.option(
    "--scale-from",
    metavar="PATH|alpha=N|scale=N|rank",
    help="Where scales come from, over what the file says.",
)


class Size(click.ParamType[int]):
    """A number of bytes, as people write it.

    >>> Size().convert("1.5MB", None, None), Size().convert("2 KiB", None, None)
    (1500000, 2048)
    """

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes; a usage error where it is none."""
        text = str(value).strip().upper().removesuffix("B")
        base = 1024 if text.endswith("I") else 1000
        text = text.removesuffix("I")
        power = " KMGT".find(text[-1:]) if text[-1:] else -1
        try:
            number = float(text[:-1] if power > 0 else text) * base ** max(power, 0)
        except ValueError:
            self.fail(f"{value!r} is no size; for example 20MB", param, ctx)
        return int(number)


component = click.option(
    "--component",
    metavar="NAME",
    shell_complete=_component_names,
    help="The component of names that do not tell theirs, e.g. unet, text_encoder_2.",
)
architecture = click.option(
    "--architecture",
    metavar="NAME",
    shell_complete=_architecture_names,
    help="Read the names as this architecture's (see: lora-convert formats).",
)


def reading(command: Command) -> Command:
    """Options that say how a source is read."""
    return adapter(component(architecture(command)))


def merging(command: Command) -> Command:
    """Options that say how a pipeline is made."""
    for decorate in (
        click.option(
            "--config",
            metavar="DIR|REPO",
            help="A pipeline that has what a base in one file lacks: tokenizers, configurations.",
        ),
        click.option(
            "--hash",
            "hash_files",
            is_flag=True,
            help="Hash source and base whole, for checkpoint_metadata.json.",
        ),
        click.option(
            "--link",
            type=click.Choice(["auto", "reflink", "hardlink", "symlink", "copy"]),
            default="auto",
            show_default=True,
            help="How files that do not change come into the pipeline. Only our own are hard-linked.",
        ),
        click.option(
            "--layout",
            type=click.Choice(["split", "full"]),
            default="split",
            show_default=True,
            help="Changed weights in a file of their own, so that the rest can be shared, or all in one.",
        ),
        click.option(
            "--dtype",
            type=click.Choice(["keep", "fp32", "fp16", "bf16"]),
            default="keep",
            show_default=True,
            help="Dtype of all weights.",
        ),
        click.option(
            "--scale",
            type=float,
            default=1.0,
            show_default=True,
            help="How many times the adapter is added.",
        ),
    ):
        command = decorate(command)
    return command


def output(command: Command) -> Command:
    """Options that say how results are shown."""
    return as_json(quiet(command))
