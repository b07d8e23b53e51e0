"""Torch's own files are read as torch reads them, byte for byte; none is refused."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import lora_convert as lc
from lora_convert.errors import CorruptCheckpointError, UnknownFormatError
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.folders import weight_files
from lora_convert.tensors.evaluate import computed_blocks
from tests.hostile.answering import answer
from tests.storage.torch_files import DTYPES, adapter, as_torch_has, as_we_read, bytes_of, drawn

GRID = drawn(6, 8)
IMAGE = drawn(2, 3, 4, 5)


def with_attribute(parameter: nn.Parameter) -> nn.Parameter:
    parameter.tag = "frozen"
    return parameter


VIEWS: dict[str, torch.Tensor] = {
    "whole": GRID,
    "transposed": GRID.t(),
    "rows": GRID[2:5],
    "columns": GRID[:, 1:4],
    "every other": GRID[::2, ::3],
    "one element": GRID[3, 4],
    "one column": GRID[:, 7],
    "permuted": IMAGE.permute(3, 0, 2, 1),
    "channels last": IMAGE.contiguous(memory_format=torch.channels_last),
    "diagonal": GRID[:6, :6].diagonal(),
    "windows": GRID.reshape(-1).unfold(0, 4, 2),
    "expanded": GRID[:1].expand(5, 8),
    "expanded within": IMAGE[:, :1].expand(2, 3, 4, 5),
    "expanded from one": torch.ones(()).expand(3, 4),
    "scalar": torch.tensor(2.5),
    "one of a long storage": torch.zeros(1000)[500:501],
    "empty": torch.empty(0),
    "empty of two dimensions": torch.empty(4, 0),
    "empty slice": GRID[6:],
    "empty and far": GRID[3:3, 5:],
    "ones around": GRID[None, :, None, :, None],
    "ones with odd strides": torch.as_strided(GRID, (1, 4, 1), (99, 2, 77)),
    "of many dimensions": torch.zeros((1,) * 60 + (2, 2)),
    "parameter": nn.Parameter(GRID.clone()),
    "frozen parameter": nn.Parameter(GRID.clone(), requires_grad=False),
    "parameter with attributes": with_attribute(nn.Parameter(GRID.clone())),
    "buffer": nn.Buffer(GRID.clone()),
    "buffer with attributes": with_attribute(nn.Buffer(GRID.clone())),
    "that needs gradients": GRID.clone().requires_grad_(),
    "result": (nn.Parameter(GRID.clone()) * 2).detach(),
    "of numpy": torch.from_numpy(GRID.numpy().copy()),
}


def saved(value: Any, path: Path, **options: Any) -> Path:
    torch.save(value, path, **options)
    return path


def check(path: Path) -> None:
    """What we read is what torch reads."""
    theirs = torch.load(io.BytesIO(path.read_bytes()), weights_only=False)
    assert as_we_read(path) == as_torch_has(theirs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(dtype: str, tmp_path: Path) -> None:
    kind = DTYPES[dtype]
    grid = drawn(6, 4, dtype=kind, seed=1)
    tensors = {"whole": grid, "turned": grid.t(), "some": grid[1:5, 1:3], "one": grid[2, 2]}
    check(saved(tensors | {"none": torch.empty(0, 3, dtype=kind)}, tmp_path / "x.pt"))


def test_complex_numbers_of_128_bits_have_no_name_in_safetensors(tmp_path: Path) -> None:
    with pytest.raises(CorruptCheckpointError, match="safetensors has no name"):
        lc.inspect(saved({"x": torch.zeros(2, dtype=torch.complex128)}, tmp_path / "x.pt"))


UNUSUAL = {
    "complex128": torch.zeros(2, dtype=torch.complex128),
    "complex32": torch.zeros(2, 2).to(torch.complex32).t(),
    "float4": torch.zeros(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
    "sparse": torch.eye(3).to_sparse(),
    "meta": torch.zeros(2, device="meta"),
}


@pytest.mark.parametrize("kind", UNUSUAL)
def test_what_is_no_weight_may_be_of_any_kind(kind: str, tmp_path: Path) -> None:
    payload = {"state_dict": adapter("unet.", infix=""), "other": {"x": UNUSUAL[kind]}}
    assert lc.inspect(saved(payload, tmp_path / "x.pt")).modules == 4


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("view", VIEWS)
def test_every_view_in_every_protocol(view: str, protocol: int, tmp_path: Path) -> None:
    tensors = {"view": VIEWS[view], "other": GRID}
    check(saved(tensors, tmp_path / "x.pt", pickle_protocol=protocol))


@pytest.mark.parametrize("view", VIEWS)
def test_views_alone_are_of_their_own_storage(view: str, tmp_path: Path) -> None:
    check(saved({"view": VIEWS[view]}, tmp_path / "x.pt"))


def test_all_views_of_one_storage_together(tmp_path: Path) -> None:
    check(saved(VIEWS, tmp_path / "x.pt"))


def test_tied_weights_are_all_there(tmp_path: Path) -> None:
    weight = nn.Parameter(drawn(16, 8))
    tied = {f"layers.{n}.weight": weight for n in range(12)}
    check(saved(tied | {"head.weight": weight.t()}, tmp_path / "x.pt"))


def test_a_state_dict_with_the_metadata_of_its_modules(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Sequential(nn.Conv1d(3, 2, 1)))
    state = model.state_dict()
    assert isinstance(state, OrderedDict)
    assert state._metadata
    for protocol in (2, 5):
        check(saved(state, tmp_path / "x.pt", pickle_protocol=protocol))


@pytest.mark.parametrize(
    "name",
    ["x.pt", "noext", "a.b.c.pth", "x..ckpt", "a b.bin", "..pt", "%d.pt", "a'b\".pt", "a\nb.pt",
     "é.pt", "模型.pt", "x.safetensors", "archive.zip"],
)  # fmt: skip
def test_files_of_any_name(name: str, tmp_path: Path) -> None:
    if os.name == "nt" and set(name) & set('"\n'):
        pytest.skip("no name of a file there")
    check(saved({"w": GRID, "b": GRID[0]}, tmp_path / name))


def test_files_written_to_memory(tmp_path: Path) -> None:
    memory = io.BytesIO()
    torch.save({"w": GRID.t()}, memory)
    path = tmp_path / "x.pt"
    path.write_bytes(memory.getvalue())
    check(path)


def test_storages_that_are_aligned_otherwise(tmp_path: Path) -> None:
    with torch.utils.serialization.config.patch("save.storage_alignment", 4096):
        check(saved({"w": GRID, "b": GRID[0]}, tmp_path / "x.pt"))


def rezipped(source: Path, target: Path, method: int, *, folders: bool = False) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", method) as new:
        if folders:
            new.mkdir("x")
            new.mkdir("x/data")
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    return target


def test_a_file_zipped_again_is_read_where_it_is_stored(tmp_path: Path) -> None:
    source = saved(adapter("unet.", infix=""), tmp_path / "x.pt")
    for folders in (False, True):
        stored = rezipped(source, tmp_path / "again.pt", zipfile.ZIP_STORED, folders=folders)
        assert as_we_read(stored) == as_we_read(source)
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        packed = rezipped(source, tmp_path / "packed.pt", method)
        with pytest.raises(CorruptCheckpointError, match="is compressed"):
            lc.inspect(packed)


def test_a_zip_written_without_seeking_is_read(tmp_path: Path) -> None:
    """Sizes then follow the data, with and without the long form."""
    source = saved({"w": GRID}, tmp_path / "x.pt")
    for force in (False, True):
        stream = io.BytesIO()
        stream.seekable = lambda: False
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(stream, "w") as new:
            for entry in old.infolist():
                with new.open(entry.filename, "w", force_zip64=force) as inside:
                    inside.write(old.read(entry))
        (tmp_path / "stream.pt").write_bytes(stream.getvalue())
        assert as_we_read(tmp_path / "stream.pt") == as_we_read(source)


@pytest.mark.skipif(not shutil.which("zip"), reason="needs zip")
def test_a_file_zipped_by_info_zip_is_read(tmp_path: Path) -> None:
    source = saved({"w": GRID, "b": GRID.t()}, tmp_path / "x.pt")
    with zipfile.ZipFile(source) as old:
        old.extractall(tmp_path / "taken")
    command = ["zip", "-q", "-0", "-r", str(tmp_path / "again.pt"), "x"]
    subprocess.run(command, cwd=tmp_path / "taken", check=True)
    assert as_we_read(tmp_path / "again.pt") == as_we_read(source)


@pytest.mark.skipif(os.name == "nt", reason="the file would not be sparse")
def test_a_file_beyond_four_gigabytes(tmp_path: Path) -> None:
    """Sparse: only its beginning and its end are on the disk."""
    path = saved({"w": torch.zeros(1 << 10), "far": GRID}, tmp_path / "x.pt")
    big, size = tmp_path / "big.pt", (1 << 32) + 64
    with open(big, "wb") as file, zipfile.ZipFile(path) as old, zipfile.ZipFile(file, "w") as new:
        with new.open("x/data/0", "w", force_zip64=True) as inside:
            inside._file_size = size
            file.seek(size, io.SEEK_CUR)
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename.endswith("data.pkl"):
                data = data.replace(
                    b"M\0\4tq", b"\x8a\5" + (size // 4).to_bytes(5, "little") + b"tq"
                )
            if not entry.filename.endswith("data/0"):
                new.writestr(entry.filename, data)
    with Checkpoint(weight_files(str(big))) as checkpoint:
        far = checkpoint.header.tensors["far"]
        assert far.start > 1 << 32
        assert b"".join(computed_blocks(far, checkpoint.read)) == bytes_of(GRID)
        assert checkpoint.header.tensors["w"].shape == (1024,)
        assert checkpoint.integrity.total - checkpoint.integrity.checked == 1  # the long one


def older(tmp_path: Path) -> Path:
    tensors = adapter("unet.", infix="")
    return saved(tensors, tmp_path / "OLD.pt", _use_new_zipfile_serialization=False)


def test_files_from_before_torch_1_6_are_refused_and_the_shown_command_helps(
    tmp_path: Path,
) -> None:
    path = older(tmp_path)
    with pytest.raises(UnknownFormatError, match=r"from before torch 1\.6") as caught:
        lc.inspect(path)
    assert answer(["inspect", str(path)]).exit_code == 4
    command = caught.value.hint
    assert command.startswith('python -c "')
    code = command.removeprefix('python -c "').removesuffix('"')
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert lc.inspect(tmp_path / "OLD-new.pt").format == "diffusers"


def test_script_modules_and_big_endian_files_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.jit.script(nn.Linear(2, 2)).save(str(path))
    with pytest.raises(UnknownFormatError, match="TorchScript"):
        lc.inspect(path)
    source = saved({"w": GRID}, tmp_path / "y.pt")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            big = entry.filename.endswith("byteorder")
            new.writestr(entry.filename, b"big" if big else old.read(entry))
    with pytest.raises(UnknownFormatError, match="big-endian"):
        lc.inspect(path)


def test_an_adapter_converts_as_its_safetensors_twin_does(tmp_path: Path) -> None:
    tensors = adapter("base_model.model.")
    save_file(tensors, tmp_path / "twin.safetensors")
    turned = {name: tensor.t().contiguous().t() for name, tensor in tensors.items()}
    for number, some in enumerate((tensors, turned)):
        path = saved(some, tmp_path / f"{number}.pth")
        assert lc.verify(path, tmp_path / "twin.safetensors").exact
        result = lc.convert(path, "diffusers", output=tmp_path / f"{number}.safetensors")
        assert result.proof.exact
    one, other = ((tmp_path / f"{n}.safetensors").read_bytes() for n in (0, 1))
    assert one == other


def test_no_torch_and_no_numpy_are_needed(tmp_path: Path) -> None:
    path = saved({"state_dict": adapter("base_model.model.")}, tmp_path / "x.pth")
    code = (
        "import sys\nfrom lora_convert.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "print(sorted({'torch', 'numpy', 'pickle', 'zipfile'} & sys.modules.keys()))"
    )
    for command in (["inspect"], ["to-diffusers", "-o", str(tmp_path / "o.safetensors")]):
        done = subprocess.run(
            [sys.executable, "-c", code, command[0], str(path), *command[1:]],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] == "[]", done.stdout
