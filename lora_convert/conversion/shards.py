"""How a component's weights are laid out in files: one, or what an adapter changes apart from the rest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from lora_convert.planning import TensorFile, TextFile
from lora_convert.tensors.dtypes import byte_count

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lora_convert.tensors.expr import Expr

Layout: TypeAlias = Literal["split", "full"]
LAYOUTS: tuple[Layout, ...] = ("split", "full")
_METADATA = {"format": "pt"}
"""Without it transformers refuses a file."""


class Laid(NamedTuple):
    """A file of a component."""

    file: TensorFile | TextFile
    common: bool
    """Whether nothing in it is changed by the adapter, so that other checkpoints have the same."""


def lay_out(
    path: str, tensors: Mapping[str, Expr], changed: Collection[str], layout: Layout
) -> list[Laid]:
    """The files of a component whose weights are called `path`, ``….safetensors``, when in one.

    Split, they are two shards and the list of their tensors, which Diffusers and transformers read in
    place of the one (diffusers 0.42, transformers 5.23: ``….safetensors.index.json``).
    """
    kept = {name: tensor for name, tensor in tensors.items() if name not in changed}
    if layout == "full" or not kept or not changed:
        return [Laid(TensorFile(path, tensors, _METADATA), not changed)]
    stem = path.removesuffix(".safetensors")
    shards = (
        TensorFile(f"{stem}-00001-of-00002.safetensors", kept, _METADATA),
        TensorFile(
            f"{stem}-00002-of-00002.safetensors",
            {n: tensors[n] for n in sorted(changed)},
            _METADATA,
        ),
    )
    index = TextFile(f"{path}.index.json", _index(shards))
    return [Laid(shards[0], True), Laid(shards[1], False), Laid(index, True)]


def _index(shards: tuple[TensorFile, ...]) -> str:
    places = {name: shard.name.rpartition("/")[2] for shard in shards for name in shard.tensors}
    total = sum(byte_count(t.dtype, t.shape) for shard in shards for t in shard.tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    return json.dumps(index, indent=2) + "\n"
