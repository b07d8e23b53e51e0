"""Where a run keeps what is made of it, what its checkpoints share, and what was taken from it."""

from __future__ import annotations

import os

from lora_convert.storage import compacted

PIPELINES = "checkpoint_pipelines"
"""Folder of a run's pipelines, a subfolder each."""
FINAL = "final_pipeline"
"""Folder of a run of the pipeline that its last weights make."""
LORAS = "checkpoint_loras"
"""Folder of a run of LoRA files made of its checkpoints."""
SHARED = ".shared"
"""Folder among them of what is theirs together."""
BASES = compacted.BASES
"""Folder of a run of what its compacted checkpoints are rebuilt from: a store."""
METADATA_NAME = "checkpoint_metadata.json"
"""Document of a pipeline that says what it was made of."""
TRASH = ".trash"
"""Folder of a run of what was pruned and can still be had back."""


def store_of(output: str) -> str | None:
    """The store that a pipeline at `output` belongs to; None where it stands for itself."""
    parent = os.path.dirname(os.path.abspath(output))
    inner = os.path.join(parent, SHARED)
    if os.path.basename(parent) == PIPELINES or os.path.isdir(inner):
        return inner
    beside = os.path.join(parent, PIPELINES, SHARED)
    return beside if os.path.isdir(beside) else None
