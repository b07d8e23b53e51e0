"""lora-convert push."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lora_convert.cli import _options
from lora_convert.cli._output import Output

if TYPE_CHECKING:
    from lora_convert.operations.pushing import Pushed, PushPlan


@click.command()
@click.argument("source", type=click.Path())
@click.argument("repo_id")
@click.option(
    "--formats",
    metavar="NAME,…",
    help="Formats to push; without it, diffusers and kohya where both have names for it.",
)
@click.option("--public", is_flag=True, help="Let everybody see a repository that is made now.")
@click.option("--revision", default="main", show_default=True, help="Branch to push to.")
@click.option("--message", default="", help="Of the commit.")
@click.option("--base-model", "base_models", multiple=True, metavar="REPO", help="What it is for.")
@click.option("--license", "licence", metavar="ID", help="Its licence, as the Hub spells it.")
@click.option("--instance-prompt", metavar="TEXT", help="The words that call it up.")
@click.option("--images", type=click.Path(), metavar="DIR", help="Pictures for the page.")
@click.option(
    "--also-folder", "folders", multiple=True, type=click.Path(), help="Push this folder too."
)
@click.option("--allow", is_flag=True, help="Push what the licence of its base forbids.")
@_options.architecture
@_options.dry_run
@_options.as_json
@_options.quiet
def push(
    source: str,
    repo_id: str,
    formats: str | None,
    public: bool,
    revision: str,
    message: str,
    base_models: tuple[str, ...],
    licence: str | None,
    instance_prompt: str | None,
    images: str | None,
    folders: tuple[str, ...],
    allow: bool,
    architecture: str | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Put a LoRA on the Hub, in several formats and with a page that says how to use it.

    SOURCE is a file or folder of one, a run, one of its checkpoints (outputs/shoes@500, outputs/shoes@best),
    or a whole pipeline. Each format is proved, and all is uploaded in one commit; what the Hub has already
    is not sent again. A new repository is private unless --public.
    """
    from tempfile import TemporaryDirectory

    from lora_convert.operations.pushing import Asked, plan_push

    wanted = tuple(name.strip() for name in (formats or "").split(",") if name.strip())
    asked = Asked(
        formats=wanted,
        public=public,
        revision=revision,
        message=message,
        base_models=base_models,
        licence=licence,
        instance_prompt=instance_prompt,
        images=images,
        folders=folders,
        allow=allow,
        architecture=architecture,
    )
    out = Output(json=as_json, quiet=quiet)
    with TemporaryDirectory(prefix="lora-convert-") as folder:
        plan = plan_push(source, repo_id, folder, asked)
        for warning in plan.warnings:
            out.note(f"warning: {warning}")
        if dry_run:
            _show(out, plan)
            return
        pushed = plan.apply()
    if as_json:
        out.object(pushed.as_json())
    elif quiet:
        out.line(pushed.url)
    else:
        count = f"{len(pushed.files)} files and a page"
        out.line(f"{pushed.status}: {pushed.repository}{_seen_by(pushed)}, {count}")
        out.line(pushed.url)


def _seen_by(pushed: Pushed) -> str:
    """Of a repository that was made now."""
    if pushed.private is None:
        return ""
    return " (new, private)" if pushed.private else " (new, public)"


def _show(out: Output, plan: PushPlan) -> None:
    """The page as it will be, and then the files."""
    if out.json:
        out.object({**plan.as_json(), "status": "planned"})
        return
    out.text(plan.card.text())
    for file in plan.files:
        out.line(f"{file.bytes:>12,}  {file.name}")
