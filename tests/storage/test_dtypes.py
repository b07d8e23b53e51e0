"""Every dtype of the safetensors library can be looked at and carried, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import safetensors

import lora_convert
from lora_convert.errors import LoraConvertError
from lora_convert.planning import TensorFile
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.files import SourceFile
from lora_convert.storage.folders import weight_files
from lora_convert.storage.safetensors import read_header, read_scalars
from lora_convert.storage.writer import check_written, write_tensor_file
from lora_convert.tensors.dtypes import BITS
from tests.storage.making import PEFT, content, tensor_bytes


def test_the_library_knows_each_and_no_other() -> None:
    """Its answer to an unknown dtype lists those it knows."""
    with pytest.raises(safetensors.SafetensorError) as caught:
        safetensors.deserialize(content({"x": ("F32", (1,))}).replace(b'"F32"', b'"F3_"'))
    listed = str(caught.value).split("expected one of", 1)[1].split(" at line", maxsplit=1)[0]
    assert {name.strip(" `") for name in listed.split(",")} == set(BITS)


@pytest.mark.parametrize("dtype", BITS)
def test_carried_through_a_file_byte_for_byte(dtype: str, tmp_path: Path) -> None:
    shapes = {
        "b.x": (4, 6, 2),
        "a.y": (8,),
        "none": (0, 3),
        "one": (1,) if BITS[dtype] % 8 == 0 else (8,),
    }
    data = {name: tensor_bytes(dtype, shape, n) for n, (name, shape) in enumerate(shapes.items())}
    path = tmp_path / "a.safetensors"
    path.write_bytes(content({name: (dtype, shape) for name, shape in shapes.items()}, data=data))
    with Checkpoint(weight_files(str(path))) as checkpoint:
        renamed = {f"new.{name}": source for name, source in checkpoint.header.tensors.items()}
        out = os.open(
            tmp_path / "b.safetensors", os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        )
        try:
            file = TensorFile("b.safetensors", renamed, {"k": "v"})
            written = write_tensor_file(out, file, checkpoint, lambda done: None)
            check_written(out, "b", written, checkpoint, data=True)
        finally:
            os.close(out)
    found = dict(safetensors.deserialize((tmp_path / "b.safetensors").read_bytes()))
    assert {
        name: (entry["dtype"], tuple(entry["shape"]), bytes(entry["data"]))
        for name, entry in found.items()
    } == {f"new.{name}": (dtype, shape, data[name]) for name, shape in shapes.items()}
    assert (tmp_path / "b.safetensors").stat().st_size == file.size


@pytest.mark.parametrize("dtype", BITS)
def test_looked_at_and_converted_or_refused(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "adapter_model.safetensors"
    path.write_bytes(
        content(
            {
                f"{PEFT}.to_q.lora_A.weight": (dtype, (4, 8)),
                f"{PEFT}.to_q.lora_B.weight": (dtype, (8, 4)),
            }
        )
    )
    for health in (False, True):
        found = lora_convert.inspect(str(path), health=health)
        assert (found.dtypes, found.explained) == ((dtype,), 2)
    try:
        assert lora_convert.verify(str(path), str(path)).exact
        result = lora_convert.convert(str(path), "diffusers", output=str(tmp_path / "o"))
    except LoraConvertError as error:
        assert dtype in str(error)
        assert not dtype.startswith(("F32", "F16", "BF16", "F64", "F8_E4M3", "F8_E5M2"))
    else:
        assert result.proof is not None
        assert result.proof.exact


VALUES = {
    "F64": (1.5, "0000 0000 0000 f83f"),
    "F32": (-2.0, "0000 00c0"),
    "F16": (0.5, "0038"),
    "BF16": (1.0, "803f"),
    "F8_E4M3": (1.5, "3c"),
    "F8_E5M2": (0.5, "38"),
    "I64": (-1.0, "ffff ffff ffff ffff"),
    "U8": (200.0, "c8"),
    "I8": (-2.0, "fe"),
    "U16": (258.0, "0201"),
    "I32": (4.0, "0400 0000"),
    "I16": (-4.0, "fcff"),
    "U32": (1.0, "0100 0000"),
    "U64": (1.0, "0100 0000 0000 0000"),
}


@pytest.mark.parametrize("dtype", VALUES)
def test_scalars_are_read(dtype: str, tmp_path: Path) -> None:
    value, data = VALUES[dtype]
    path = tmp_path / "a.safetensors"
    path.write_bytes(
        content(
            {"s": (dtype, ()), "v": (dtype, (2,)), "m": (dtype, (1, 1))},
            data={"s": bytes.fromhex(data), "v": bytes.fromhex(data) * 2, "m": bytes.fromhex(data)},
        )
    )
    file = SourceFile(str(path))
    tensors, _ = read_header(file, 0)
    assert read_scalars(file, tensors) == {"s": (value,), "v": (value, value)}
    file.close()


def test_every_small_float_is_read_as_by_ml_dtypes(tmp_path: Path) -> None:
    import ml_dtypes
    import numpy

    for dtype, kind in (("F8_E4M3", ml_dtypes.float8_e4m3fn), ("F8_E5M2", ml_dtypes.float8_e5m2)):
        path = tmp_path / f"{dtype}.safetensors"
        path.write_bytes(
            content(
                {f"{n:03}": (dtype, ()) for n in range(256)},
                data={f"{n:03}": bytes([n]) for n in range(256)},
            )
        )
        file = SourceFile(str(path))
        ours = [
            values[0] for _, values in sorted(read_scalars(file, read_header(file, 0)[0]).items())
        ]
        file.close()
        theirs = numpy.arange(256, dtype="uint8").view(kind).astype("float64")
        assert numpy.array_equal(numpy.array(ours), theirs, equal_nan=True)
