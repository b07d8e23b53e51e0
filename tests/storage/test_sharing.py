"""Where data lies as it lay in its source, both files can share it: decided by the plan alone."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

import lora_convert
from lora_convert.planning import SHARED_BLOCK, TensorFile
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.folders import weight_files
from lora_convert.storage.writer import Copied, _steps
from lora_convert.tensors.build import cast, rows, stack, times
from lora_convert.tensors.expr import Expr, Scalar
from lora_convert.tensors.ranges import Range
from tests.storage.making import content, peft_folder

BIG = {f"{name}.weight": ("F32", (512, 256)) for name in "abcd"}


def start(path: Path) -> int:
    """Where the data of a file begins."""
    with path.open("rb") as file:
        return 8 + int.from_bytes(file.read(8), "little")


def planned(tmp_path: Path, change: str) -> tuple[TensorFile, int]:
    """An output made of a big file's tensors, and where that file's data begins."""
    path = tmp_path / "source.safetensors"
    path.write_bytes(content(BIG))
    with Checkpoint(weight_files(str(path))) as checkpoint:
        tensors: dict[str, Expr] = {
            f"long.prefix.{k}": v for k, v in checkpoint.header.tensors.items()
        }
    a, b, c, d = tensors.values()
    changed: dict[str, dict[str, Expr]] = {
        "renamed": tensors,
        "left out at the end": dict(zip(tensors, (a, b, c), strict=False)),
        "split": {
            f"x{n}": part for n, part in enumerate((rows(a, 0, 100), rows(a, 100, 512), b, c, d))
        },
        "joined": {"x": stack(a, b), "y": stack(c, d)},
        "left out between": {"x": a, "y": c},
        "swapped": dict(zip(tensors, (b, a, c, d), strict=True)),
        "computed": {**tensors, "long.prefix.b.weight": times(b, 2.0)},
        "halved": {**tensors, "long.prefix.b.weight": cast(b, "F16"), "long.prefix.z": c},
        "a number more": {**tensors, "long.prefix.z": Scalar(1.0, "F32")},
        "small": {"x": rows(a, 0, 10)},
    }
    return TensorFile("o.safetensors", changed[change], {"note": "x" * 500}), start(path)


@pytest.mark.parametrize(
    "change", ["renamed", "left out at the end", "split", "joined", "computed"]
)
def test_data_in_the_source_s_order_is_aligned_with_it(change: str, tmp_path: Path) -> None:
    file, origin = planned(tmp_path, change)
    assert len(file.head()) % SHARED_BLOCK == origin % SHARED_BLOCK
    assert len(file.head()) - len(file.head().rstrip(b" ")) < SHARED_BLOCK
    assert file.size == len(file.head()) + sum(size for *_, size in file.layout())


@pytest.mark.parametrize(
    "change", ["left out between", "swapped", "halved", "a number more", "small"]
)
def test_other_data_is_not(change: str, tmp_path: Path) -> None:
    file, _ = planned(tmp_path, change)
    assert len(file.head()) - len(file.head().rstrip(b" ")) < 8


def test_steps_begin_with_blocks_where_the_places_are_alike() -> None:
    alike = list(_steps(Copied(Range(0, 1360, 1 << 28), 5456)))
    assert [step.place % SHARED_BLOCK for step in alike[1:]] == [0] * len(alike[1:])
    assert [step.source.start % SHARED_BLOCK for step in alike[1:]] == [0] * len(alike[1:])
    for copy in (
        Copied(Range(0, 1360, 1 << 28), 5456),
        Copied(Range(2, 7, 1 << 28), 5456),
        Copied(Range(0, 0, 9), 0),
    ):
        steps = list(_steps(copy))
        assert sum(step.source.size for step in steps) == copy.source.size
        assert steps[0].place == copy.place
        for before, after in pairwise(steps):
            assert after.place == before.place + before.source.size
            assert after.source.start == before.source.start + before.source.size


def test_equal_inputs_give_equal_bytes_and_round_trips_settle(tmp_path: Path) -> None:
    source = peft_folder(tmp_path / "a", rank=64, width=2048)
    once = lora_convert.convert(str(source), "diffusers", output=str(tmp_path / "1"))
    again = lora_convert.convert(str(source), "diffusers", output=str(tmp_path / "2"))
    back = lora_convert.convert(once.output, "peft", output=str(tmp_path / "p"))
    third = lora_convert.convert(back.output, "diffusers", output=str(tmp_path / "3"))
    first = Path(once.output).read_bytes()
    assert first == Path(again.output).read_bytes() == Path(third.output).read_bytes()
    weights = source / "adapter_model.safetensors"
    assert start(Path(once.output)) % SHARED_BLOCK == start(weights) % SHARED_BLOCK
    assert first[start(Path(once.output)) :] == weights.read_bytes()[start(weights) :]


@pytest.mark.skipif(not hasattr(os, "copy_file_range"), reason="no copying in the kernel")
def test_the_kernel_is_asked_for_whole_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = peft_folder(tmp_path / "a", rank=64, width=2048)
    asked: list[tuple[int, int]] = []
    real = os.copy_file_range

    def watched(source: int, target: int, count: int, start: int, place: int) -> int:
        asked.append((start, place))
        return real(source, target, count, start, place)

    monkeypatch.setattr(os, "copy_file_range", watched)
    lora_convert.convert(str(source), "diffusers", output=str(tmp_path / "o"))
    assert [(start % SHARED_BLOCK, place % SHARED_BLOCK) for start, place in asked[1:]] == [(0, 0)]


def test_a_kernel_that_stops_half_way_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = peft_folder(tmp_path / "a", rank=64, width=2048)
    whole = Path(
        lora_convert.convert(str(source), "diffusers", output=str(tmp_path / "1")).output
    ).read_bytes()
    real = getattr(os, "copy_file_range", None)
    calls = [0]

    def tired(source: int, target: int, count: int, start: int, place: int) -> int:
        calls[0] += 1
        if calls[0] % 3 == 0 or real is None:
            raise OSError(18, "Invalid cross-device link")
        return real(source, target, min(count, 100_001), start, place)

    monkeypatch.setattr(os, "copy_file_range", tired, raising=False)
    again = lora_convert.convert(str(source), "diffusers", output=str(tmp_path / "2"))
    assert Path(again.output).read_bytes() == whole
