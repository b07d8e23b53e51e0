"""The fields of ``--json`` of bundle."""

from __future__ import annotations

from generation.markdown import check_same, field_table
from lora_convert.operations.bundle import plan_bundle
from lora_convert.operations.publication import publication
from lora_convert.operations.publishing import PublishedFile

MEANINGS = {
    "source": "what is opened: the file, or the folder of a checkpoint",
    "output": "the folder",
    "name": "what its files are called",
    "title": "what people call it",
    "architecture": "name of the architecture, or null where none or several fit",
    "base_models": "repositories of the models it is for",
    "base_model_inferred": "whether nothing says so, and it is the architecture's usual one",
    "civitai_base_model": "what Civitai calls that",
    "license": "of the base, as the Hub has it, or its name",
    "trigger_words": "words that call it up",
    "training": "rows of a table: steps, rates, images",
    "bytes": "of the weights",
    "warnings": "sentences for people",
    "files": f"`{{{', '.join(PublishedFile._fields)}, auto_v2}}` of each; `{{name}}` with `--dry-run`",
    "status": "`written`, `unchanged` or, with `--dry-run`, `planned`",
}


def section(run: str) -> str:
    """The table, from what a bundle of a small run would be."""
    plan = plan_bundle(publication(f"{run}@500"), "kit").as_json()
    bundled = {**plan, "files": [], "status": "planned"}
    check_same("JSON fields of bundle", MEANINGS, bundled)
    return f"## bundle\n\n{field_table(bundled, MEANINGS)}"
