"""The command group. A command is one row here and one file; nothing is imported until it is chosen."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from lora_convert.errors import EXIT_INTERRUPTED

COMMANDS = {
    "inspect": ("inspect", "What is this file or folder?"),
    "convert": ("convert", "Write an adapter in another format, and prove it acts the same."),
    "to-diffusers": ("convert", "Convert to Diffusers' pytorch_lora_weights.safetensors."),
    "to-peft": ("convert", "Convert to a PEFT adapter folder."),
    "to-kohya": ("convert", "Convert to kohya's names, for A1111, Forge and sd-scripts."),
    "to-comfyui": ("convert", "Convert to the names that ComfyUI has for any model."),
    "pipeline": ("pipeline", "Build a whole Diffusers pipeline from a checkpoint and its base."),
    "batch": ("batch", "Make pipelines, or LoRA files, of all checkpoints of runs."),
    "merge": ("merge", "Merge LoRAs into a checkpoint of one file, or into a component."),
    "resize": ("resize", "Lower a LoRA's rank: to a rank, an energy, a file size."),
    "scale": ("scale", "Change a LoRA's strength for good."),
    "bake": ("scale", "Move alpha into the factors, for tools that do not read it."),
    "select": ("select", "Keep some modules of a LoRA, by their names."),
    "drop": ("select", "Leave some modules of a LoRA away, by their names."),
    "combine": ("combine", "Make one LoRA of several."),
    "extract": ("extract", "Make a LoRA of a fine-tuned model and its base."),
    "ema": ("ema", "Average the checkpoints of a run, after the fact."),
    "metadata": ("metadata", "What a file says of itself: show it, set it, copy it, strip it."),
    "bundle": (
        "bundle",
        "Make a folder to upload or hand on: files, previews, hashes, how to use them.",
    ),
    "push": ("push", "Put a LoRA, or a pipeline, on the Hub, with a page that says how to use it."),
    "check": ("check", "Will it load in your application, and load right?"),
    "verify": ("verify", "Do two files, in any formats, act alike?"),
    "space": ("space", "Where the bytes of training runs are, and what would free them."),
    "diff": ("diff", "Where, and how much, do two LoRAs differ?"),
    "runs": ("runs", "Training runs: their checkpoints, losses and sizes."),
    "prune": ("prune", "Take from a run the checkpoints that no rule keeps."),
    "trash": ("trash", "What was pruned from a run: list it, undo it, empty it."),
    "compact": ("compact", "Give up the frozen base in checkpoints; what is left rebuilds them."),
    "restore": ("compact", "Bring compacted checkpoints back, to the byte."),
    "formats": ("formats", "Formats, architectures, algorithms, and what converts to what."),
}
"""Name to module and one line of help."""

SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "token_normalize_func": lambda token: token.replace("_", "-"),
    "max_content_width": 100,
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        row = COMMANDS.get(cmd_name)
        if row is None:
            return None
        module = importlib.import_module(f"lora_convert.cli.{row[0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command, or a usage error that names the nearest one."""
        name = args[0].replace("_", "-")
        if name not in COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, n=1)
            ctx.fail(
                f"No such command {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else "")
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from lora_convert import __version__

        click.echo(f"lora-convert {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings=SETTINGS)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def app() -> None:
    """Make any LoRA work anywhere, and prove it.

    lora-convert inspect FILE says what a file is; lora-convert to-diffusers FILE makes it load. A LoRA on
    the Hub is a source too: hf://USER/REPOSITORY, and /FILE and @REVISION behind it.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    from lora_convert.cli._errors import report

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # adding to weights is memory's work
    gc.disable()  # one command makes no cycles worth finding
    try:
        result: Any = app.main(args=arguments, prog_name="lora-convert", standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except click.exceptions.Exit as done:
        code = done.exit_code
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
        code = EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except Exception as error:  # noqa: BLE001 - typed errors become messages, others are raised again
        code = report(error, json="--json" in (arguments or sys.argv[1:]))
    gc.freeze()  # nor does taking everything apart at the end free anything
    sys.exit(code)
