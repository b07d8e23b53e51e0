"""Recipes of compacted files: every byte from where it is, and nothing from where it should not be."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from contextlib import closing
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_convert.errors import CorruptCheckpointError, InputError
from lora_convert.storage.compacted import BASES, as_before, recipe_of
from lora_convert.storage.compacting import Elsewhere, segments_of
from lora_convert.storage.files import SourceFile
from lora_convert.storage.rebuilt import RebuiltFile, widened
from lora_convert.storage.recipes import Part, Recipe, Segment, joined, read_recipe


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(folder: Path, data: bytes) -> Part:
    """A file of the store above a folder."""
    store = folder.parent / BASES
    store.mkdir(exist_ok=True)
    (store / digest(data)).write_bytes(data)
    return Part(digest(data), len(data))


def write(path: Path, recipe: Recipe, literals: bytes) -> None:
    Path(recipe_of(str(path))).write_bytes(recipe.head() + literals)


def made(folder: Path, seed: int, pieces: int = 12) -> bytes:
    """A compacted file of random segments, under the name ``file``; gives what it stands for."""
    draw = random.Random(seed)
    part = put(folder, draw.randbytes(4096))
    beside = draw.randbytes(512)
    (folder / "file.adapter.safetensors").write_bytes(beside)
    base = (folder.parent / BASES / part.digest).read_bytes()
    parts = (part, Part(digest(beside), len(beside), "file.adapter.safetensors"))
    whole, literals, segments = b"", b"", []
    for _ in range(pieces):
        size = 4 * draw.randrange(1, 40)
        kind = draw.randrange(4)
        start = 4 * draw.randrange(50)
        if kind == 0:
            segments.append(Segment(-1, len(literals), size))
            data = draw.randbytes(size)
            literals += data
        elif kind == 1:
            segments.append(Segment(1, start, size))
            data = beside[start : start + size]
        else:
            dtype = ("", "F16", "BF16")[draw.randrange(3)]
            segments.append(Segment(0, start, size, dtype))
            data = base[start : start + segments[-1].read]
            data = widened(data, dtype) if dtype else data
        whole += data
    recipe = Recipe(len(whole), digest(whole), 0o644, 1, parts, tuple(segments))
    write(folder / "file", recipe, literals)
    return whole


@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 4096), min_size=2, max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_range_of_a_compacted_file_is_the_file_s(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    folder.mkdir()
    whole = made(folder, seed)
    with closing(RebuiltFile.of(str(folder / "file"))) as file:
        assert file.size == len(whole)
        for cut, length in pairwise(cuts):
            start = cut % len(whole)
            size = min(length, len(whole) - start)
            assert file.read(start, size) == whole[start : start + size]
        assert b"".join(file.blocks(0, file.size)) == whole
        with pytest.raises(CorruptCheckpointError):
            file.read(len(whole) - 1, 2)


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_widening_keeps_every_number_and_the_bits_of_every_nan(dtype: str) -> None:
    import ml_dtypes

    halves = np.arange(1 << 16, dtype="<u2")
    kind = np.dtype("<f2") if dtype == "F16" else np.dtype(ml_dtypes.bfloat16)
    wide = np.frombuffer(widened(halves.tobytes(), dtype), "<f4")
    narrow = halves.view(kind)
    numbers = ~np.isnan(narrow.astype("f4"))
    assert (wide[numbers] == narrow[numbers].astype("f4")).all()
    assert (np.signbit(wide) == np.signbit(narrow)).all()
    back = {wide_bits >> (13 if dtype == "F16" else 16) for wide_bits in wide.view("<u4").tolist()}
    assert len(back) == 1 << 16, "two halves became one"
    if dtype == "F16":
        bits = wide[~numbers].view("<u4")
        assert (bits >> 13 & 0x3FF == halves[~numbers] & 0x3FF).all()
        assert np.isnan(wide[~numbers]).all()


@given(
    lengths=st.lists(st.integers(1, 50), max_size=20),
    chosen=st.sets(st.integers(0, 19)),
)
def test_segments_tile_the_file_and_neighbours_are_joined(
    lengths: list[int], chosen: set[int]
) -> None:
    size = sum(lengths)
    starts = [0, *accumulate(lengths)]
    elsewhere = [
        Elsewhere(starts[n], Segment(0, starts[n], length))
        for n, length in enumerate(lengths)
        if n in chosen
    ]
    segments = segments_of(size, elsewhere)
    assert sum(one.size for one in segments) == size
    literals = [one for one in segments if one.part < 0]
    assert [one.start for one in literals] == [0, *accumulate(o.size for o in literals)][:-1]
    assert tuple(joined(segments)) == segments
    at = 0
    for one in segments:
        assert one.part < 0 or one.start == at
        at += one.size


def test_tensors_that_share_bytes_count_once() -> None:
    twice = [Elsewhere(4, Segment(0, 0, 8)), Elsewhere(4, Segment(0, 0, 8))]
    assert segments_of(16, [*twice, Elsewhere(8, Segment(0, 4, 8))]) == (
        Segment(-1, 0, 4),
        Segment(0, 0, 8),
        Segment(-1, 4, 4),
    )


def recipe_text(folder: Path) -> tuple[dict, bytes]:  # type: ignore[type-arg]
    data = Path(recipe_of(str(folder / "file"))).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def rewrite(folder: Path, change: dict[str, object]) -> None:
    """The recipe with some of what it says changed."""
    header, literals = recipe_text(folder)
    said = json.loads(header["__metadata__"]["lora_convert.recipe"])
    header["__metadata__"]["lora_convert.recipe"] = json.dumps({**said, **change})
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path = Path(recipe_of(str(folder / "file")))
    path.write_bytes(len(text).to_bytes(8, "little") + text + literals)


OUTSIDE = ["../secret", "/etc/passwd", "a\\b.adapter.safetensors", "../x.adapter.safetensors", 7]
HOSTILE: dict[str, dict[str, object]] = {
    **{f"part-{name}": {"parts": [["0" * 64, 4, name]]} for name in OUTSIDE},
    "digest-is-a-path": {"parts": [["../../../../etc/passwd", 4, ""]]},
    "negative-start": {"segments": [[0, -4, 4]]},
    "beyond-the-part": {"segments": [[0, 4095, 2]]},
    "beyond-the-literals": {"segments": [[-1, 1 << 40, 4]]},
    "no-such-part": {"segments": [[9, 0, 4]]},
    "a-truth-value": {"segments": [[False, 0, 4]]},
    "a-fraction": {"segments": [[0, 0.5, 4]]},
    "widened-to-nothing": {"segments": [[0, 0, 4, "I64"]]},
    "widened-halves": {"segments": [[0, 0, 6, "F16"]]},
    "another-size": {"size": 1},
    "huge": {"size": 1 << 60, "segments": [[0, 0, 1 << 60]]},
    "not-a-digest": {"digest": "x"},
    "set-user-id": {"mode": 0o4755},
    "a-mode-of-text": {"mode": "0644"},
    "a-time-of-text": {"mtime_ns": "now"},
    "later-version": {"version": 2},
    "more-fields": {"extra": 1},
    "no-list": {"segments": {}},
    "no-segments": {"segments": None},
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_recipe_that_is_impossible_is_refused(tmp_path: Path, attack: str) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    made(folder, 3)
    rewrite(folder, HOSTILE[attack])
    refused = pytest.raises(CorruptCheckpointError, match="recipe")
    with closing(SourceFile(recipe_of(str(folder / "file")))) as file, refused:
        read_recipe(file)


@pytest.mark.parametrize("seed", range(200))
def test_a_damaged_recipe_is_a_typed_error_or_the_same_file(tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    made(folder, seed)
    path = Path(recipe_of(str(folder / "file")))
    data = bytearray(path.read_bytes())
    draw = random.Random(seed)
    for _ in range(draw.randrange(1, 4)):
        data[draw.randrange(len(data))] = draw.randrange(256)
    path.write_bytes(data)
    try:
        with closing(RebuiltFile.of(str(folder / "file"))) as file:
            assert len(b"".join(file.blocks(0, file.size))) == file.size
    except InputError:
        pass


def test_what_it_is_rebuilt_from_must_be_there_and_unchanged(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    made(folder, 1)
    adapter = folder / "file.adapter.safetensors"
    data = adapter.read_bytes()
    adapter.write_bytes(data[:-1] + b"!")
    with pytest.raises(CorruptCheckpointError, match="not the one that was taken from it"):
        RebuiltFile.of(str(folder / "file"))
    adapter.unlink()
    with pytest.raises(CorruptCheckpointError, match="is not there"):
        RebuiltFile.of(str(folder / "file"))
    adapter.write_bytes(data)
    store = folder.parent / BASES
    entry = next(store.iterdir())
    kept = entry.read_bytes()
    entry.unlink()
    entry.symlink_to("/etc/passwd")
    with pytest.raises(CorruptCheckpointError, match=BASES):
        RebuiltFile.of(str(folder / "file"))
    entry.unlink()
    entry.write_bytes(kept[:-1])
    with pytest.raises(CorruptCheckpointError, match=BASES):
        RebuiltFile.of(str(folder / "file"))


def test_names_are_as_before() -> None:
    before = ["model.safetensors", "optimizer.bin", "pytorch_model.bin"]
    after = [
        "model.safetensors.recipe",
        "model.adapter.safetensors",
        "optimizer.bin",
        "pytorch_model.bin.recipe",
        "pytorch_model.bin.adapter.safetensors",
    ]
    assert sorted(as_before(after)) == before
    assert as_before(before) == before
    assert as_before(["x.adapter.safetensors"]) == ["x.adapter.safetensors"]
