"""Folders that trainers leave behind, with torch checkpoints in them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration
from torch import nn

import lora_convert as lc
from lora_convert.errors import CheckpointNotFoundError, UnknownFormatError
from tests.hostile.answering import answer
from tests.storage.payloads import WEIGHTS, bare, saved, twin


def test_a_peft_folder_of_a_torch_file(tmp_path: Path) -> None:
    folder = twin(tmp_path / "twin")
    other = tmp_path / "bin"
    other.mkdir()
    saved(bare(), other / "adapter_model.bin")
    (other / "adapter_config.json").write_bytes((folder / "adapter_config.json").read_bytes())
    assert lc.inspect(other).scale_source == "config"
    assert lc.verify(folder, other).exact


def accelerated(folder: Path, *, safe: bool) -> Path:
    """What Accelerate's own save_state leaves."""
    accelerator = Accelerator(cpu=True, project_config=ProjectConfiguration(str(folder)))
    model = nn.Module()
    for name, value in WEIGHTS.items():
        at = model
        *path, last = name.split(".")
        for part in path:
            if not hasattr(at, part):
                at.add_module(part, nn.Module())
            at = getattr(at, part)
        at.register_parameter(last, nn.Parameter(value.clone()))
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    accelerator.prepare(model, optimizer, schedule)
    accelerator.save_state(str(folder), safe_serialization=safe)
    return folder


def test_a_folder_as_accelerate_leaves_it(tmp_path: Path) -> None:
    pickled = accelerated(tmp_path / "a", safe=False)
    names = {path.name for path in pickled.iterdir()}
    assert {"pytorch_model.bin", "optimizer.bin", "scheduler.bin", "random_states_0.pkl"} <= names
    found = lc.inspect(pickled)
    assert (Path(found.weights).name, found.format) == ("pytorch_model.bin", "accelerate")
    safe = accelerated(tmp_path / "b", safe=True)
    assert lc.verify(pickled, safe, architecture="sd1").exact


def test_a_trainers_state_is_no_adapter(tmp_path: Path) -> None:
    folder = accelerated(tmp_path / "a", safe=False)
    for name in ("optimizer.bin", "scheduler.bin"):
        assert answer(["inspect", str(folder / name)]).exit_code == 4
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(CheckpointNotFoundError, match="no weights"):
        lc.inspect(folder)


def test_shards_with_an_index(tmp_path: Path) -> None:
    names = [*WEIGHTS]
    parts = {f"pytorch_model-0000{n}-of-00002.bin": names[n - 1 :: 2] for n in (1, 2)}
    for name, keys in parts.items():
        saved({key: WEIGHTS[key] for key in keys}, tmp_path / name)
    index = tmp_path / "pytorch_model.bin.index.json"
    weight_map = {key: name for name, keys in parts.items() for key in keys}
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    for source in (tmp_path, index):
        found = lc.inspect(source)
        assert (found.container, found.modules) == ("sharded torch zip", 4)
    whole = saved(WEIGHTS, tmp_path / "whole.pth")
    assert lc.verify(index, whole).exact


def test_a_distributed_checkpoint_is_named_with_the_command_that_gathers_it(
    tmp_path: Path,
) -> None:
    import torch.distributed.checkpoint as dcp

    folder = tmp_path / "pytorch_model_fsdp_0"
    dcp.save({"model": WEIGHTS}, checkpoint_id=str(folder), no_dist=True)
    for source in (folder, tmp_path):
        with pytest.raises(UnknownFormatError, match="DCP") as caught:
            lc.inspect(source)
    command = caught.value.hint.split()
    assert command[:2] == ["python", "-m"]
    done = subprocess.run(
        [sys.executable, *command[1:]], cwd=tmp_path, check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    assert lc.verify(tmp_path / "whole.pt", saved(WEIGHTS, tmp_path / "x.pt")).exact


@pytest.mark.parametrize(
    ("files", "named", "word"),
    [
        (
            ("latest", "zero_to_fp32.py", "global_step5/mp_rank_00_model_states.pt"),
            "DeepSpeed",
            "zero_to_fp32.py",
        ),
        (
            ("mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt"),
            "DeepSpeed",
            "zero_to_fp32",
        ),
        (
            ("pytorch_model_fsdp_rank0.bin", "pytorch_model_fsdp_rank1.bin"),
            "FSDP",
            "FULL_STATE_DICT",
        ),
    ],
)
def test_parts_of_several_processes_are_named(
    files: tuple[str, ...], named: str, word: str, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        saved({"module": {}, "optimizer_state_dict": {}}, tmp_path / name)
    with pytest.raises(UnknownFormatError, match=named) as caught:
        lc.inspect(tmp_path)
    assert word in caught.value.hint
    assert answer(["inspect", str(tmp_path)]).exit_code == 4
