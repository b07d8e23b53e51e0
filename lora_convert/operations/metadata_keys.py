"""Keys of a file's metadata: what readers need, what speaks of the tensors, what tells of a person."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lora_convert.conversion.read import HASHES
from lora_convert.conversion.scales import HEADER_KEY
from lora_convert.operations.origins import PROVENANCE

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = "format"
OF_TENSORS = frozenset({FORMAT, HEADER_KEY, PROVENANCE, *HASHES})
"""Keys that are right of the tensors they were written for, and of no others."""
LOCKED = frozenset({FORMAT, HEADER_KEY})
"""Without the first transformers reads no file; the second holds the scale."""
LEGACY_HASH = "sshs_legacy_hash"
"""Of 64 KiB that begin a MiB into the file, with the ``ss_`` metadata alone in its header
(kohya sd-scripts, library/train_util.py, precalculate_safetensors_hashes); the other two hash all data."""

NEEDED = (
    *LOCKED,
    "ss_base_model_version",  # A1111 lists a file by these two (extensions-builtin/Lora/network.py)
    "ss_v2",
    "modelspec.sai_model_spec",  # SwarmUI and InvokeAI tell a model by ModelSpec
    "modelspec.architecture",
    "modelspec.implementation",
    "modelspec.title",
    "modelspec.resolution",
    "modelspec.prediction_type",
)
"""What programs read to use a file; people may want more."""

TELLING = (
    ("ss_dataset_dirs", "folders of the training images, by their names"),
    ("ss_reg_dataset_dirs", "folders of the regularisation images, by their names"),
    ("ss_datasets", "folders, sizes and captions' tags of the training images"),
    ("ss_bucket_info", "sizes of the training images"),
    ("ss_tag_frequency", "every tag of the captions, by folder"),
    ("ss_session_id", "number of a training session"),
    ("ss_hostname", "name of a machine"),
    ("ot_config", "OneTrainer's whole configuration, with paths"),
    ("prompt", "ComfyUI's workflow"),
    ("workflow", "ComfyUI's workflow"),
    ("training_config*", "a trainer's whole configuration"),
)
"""Patterns of keys that tell of the user's machine and data, and of what. kohya sd-scripts, train_network.py;
OneTrainer, modules/modelSaver; ComfyUI, comfy_extras/nodes_model_merging.py."""

_PATH = re.compile(
    r"""(?:^|[\s"'=\[({,:])(?:file://|~/|[A-Za-z]:\\|\\\\\w"""
    r"""|/(?:home|Users|root|mnt|media|workspace|content|kaggle|data|tmp|var|opt|srv|storage)/)"""
)
"""The beginning of a path on a machine; data URLs and addresses hold none."""


def telling(key: str, value: str) -> str:
    """What a value tells of the machine or the data it was made with; empty where it tells nothing."""
    if key in LOCKED:
        return ""
    for pattern, reason in TELLING:
        if fnmatchcase(key, pattern):
            return reason
    return "a path on a machine" if _PATH.search(value) else ""


def named(key: str, patterns: Iterable[str]) -> bool:
    """Whether any of the patterns names a key."""
    return any(fnmatchcase(key, pattern) for pattern in patterns)
