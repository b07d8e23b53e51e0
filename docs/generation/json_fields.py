"""The page of ``--json``: every field of every command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import lora_convert
from generation import (
    bundle_fields,
    compact_fields,
    delta_fields,
    metadata_fields,
    pipeline_fields,
    prune_fields,
    push_fields,
)
from generation.markdown import check_same, page, table
from generation.space_fields import space_section
from lora_convert.adapter import ScaleSource
from lora_convert.conversion.detect import Candidate
from lora_convert.operations.addresses import run_at
from lora_convert.operations.catalogue import catalogue
from lora_convert.operations.run_listing import Sizes
from lora_convert.operations.run_report import report_on, summary_of
from lora_convert.planning import Loss, LossKind
from lora_convert.storage.checkpoint import Integrity

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "fixtures" / "tiny-run" / "checkpoints" / "checkpoint-500" / "model.safetensors"

RUN = report_on(run_at(str(EXAMPLE.parents[2]))).as_json()
CHECKPOINT = tuple(RUN["checkpoints"][0])

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
    "scales_not_read": "modules of a file on the Hub whose alphas lie so far apart that they were not read",
    "scale_source": "where scales come from, the least certain source of all modules",
    "scale_problem": "why scales could not be resolved; only where they could not",
    "dtypes": "of the adapter's factors",
    "bytes": "size of what is read, or would be written",
    "total": "number of keys",
    "explained": "number of keys with a known meaning",
    "base": "frozen base weights among them",
    "unexplained": "the other keys",
    "others": "explained keys that are in another format's names, by format: two spellings in one file",
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
    "run": "what stands before the `@` of its checkpoints' addresses",
    "tool": "whose names it was read by",
    "count": "number of checkpoints",
    "last_step": "of the last checkpoint, or null where only epochs are counted",
    "last_epoch": "of the last checkpoint, or null where it is not known",
    "modified": "when the last checkpoint was written, in UTC",
    "size": "bytes on the disk, hard links counted once",
    "sizes": f"`{{{', '.join(Sizes._fields)}}}`: the same by kind, told by names",
    "base_model": "as the run's documents name it, or null",
    "final": "the adapter beside the checkpoints, or null",
    "loss_source": "file or folder that losses were read from, or null",
    "best": "path of the checkpoint with the lowest loss, or null",
    "checkpoints": f"`{{{', '.join(CHECKPOINT)}}}`, in order; what is not known has no value",
}


def json_page() -> str:
    """The fields of ``--json``, taken from what the commands print about a fixture."""
    found = lora_convert.inspect(str(EXAMPLE), health=True)
    with lora_convert.plan_convert(str(EXAMPLE), "kohya") as plan:
        planned = {**plan.as_json(), "status": "planned"}
    proof = lora_convert.verify(str(EXAMPLE), str(EXAMPLE)).as_json()
    compared = {"first": "", "second": "", **proof}
    inspected = {**found.as_json(), "scale_problem": ""}
    listed = {**summary_of(run_at(str(EXAMPLE.parents[2]))), "last_epoch": 0}
    known = {*inspected, *planned, *compared, *listed, *RUN, "proof", "error"}
    check_same("JSON fields", MEANINGS, known)
    printed = pipeline_fields.Printed()
    pruned = prune_fields.Printed(str(EXAMPLE.parents[2]))
    deltas = delta_fields.Printed(str(EXAMPLE), planned)
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
        + "\n\nWith `--as lora`, too:\n\n"
        + _fields(deltas.recast, delta_fields.RECAST)
        + "\n\nOf several sources one that fails gives `path` and `error` alone.\n\nKinds of losses: "
        + ", ".join(f"`{kind}`" for kind in get_args(LossKind))
        + ".",
        "## resize, scale, bake, select, drop\n\nThe fields of"
        " [convert](#convert-to-diffusers-to-peft-to-kohya), and where ranks are lowered:\n\n"
        + _fields(deltas.resized, delta_fields.RESIZED),
        "## combine, ema\n\nThe fields of [convert](#convert-to-diffusers-to-peft-to-kohya), and:\n\n"
        + _fields(deltas.combined, delta_fields.COMBINED),
        "## extract\n\nThe fields of [convert](#convert-to-diffusers-to-peft-to-kohya), where `from` is null,"
        " and:\n\n" + _fields(deltas.extracted, delta_fields.EXTRACTED),
        "## diff\n\n" + _fields(deltas.diff, delta_fields.DIFF),
        bundle_fields.section(str(EXAMPLE.parents[2])),
        push_fields.section(str(EXAMPLE.parents[2])),
        metadata_fields.sections(str(EXAMPLE)),
        "## verify\n\n" + _fields(compared),
        "## pipeline\n\n" + _fields(printed.pipeline, pipeline_fields.MEANINGS),
        "## batch\n\n"
        + _fields(printed.batch, pipeline_fields.BATCH)
        + "\n\nOne object for each output. One that was made has the fields of [pipeline](#pipeline) too, and"
        " LoRA files those of [convert](#convert-to-diffusers-to-peft-to-kohya).",
        "## merge\n\n"
        + _fields(printed.merge, {**pipeline_fields.MEANINGS, **pipeline_fields.MERGE}),
        "## runs list\n\n" + _fields(listed) + "\n\nOne object for each run.",
        "## runs show\n\n" + _fields(RUN),
        "## runs check\n\n" + _fields(printed.check, pipeline_fields.CHECK),
        space_section(),
        "## prune\n\n" + _fields(pruned.prune, prune_fields.MEANINGS),
        "## trash list\n\n"
        + _fields(pruned.list, prune_fields.MEANINGS)
        + "\n\nOne object for each item, the oldest first.",
        "## trash undo\n\n" + _fields(pruned.undo, prune_fields.MEANINGS),
        "## trash empty\n\n" + _fields(pruned.empty, prune_fields.MEANINGS),
        compact_fields.sections(),
        "## An error\n\n" + _fields({"error": {}}),
        "## formats\n\nThe tables of [formats](formats.md): "
        + ", ".join(f"`{name}`" for name in catalogue().as_json())
        + ".",
    )


def _fields(example: dict[str, Any], meanings: Mapping[str, str] = MEANINGS) -> str:
    return table(
        ("field", "type", "meaning"),
        [
            (f"`{name}`", _json_type(name, value, meanings[name]), meanings[name])
            for name, value in example.items()
        ],
    )


def _json_type(name: str, value: object, meaning: str) -> str:
    names = {bool: "boolean", int: "integer", float: "number", list: "list", dict: "object"}
    known = [text for kind, text in names.items() if isinstance(value, kind)]
    shown = known[0] if known else "object" if name == "proof" else "string"
    return f"{shown} or null" if "null" in meaning else shown
