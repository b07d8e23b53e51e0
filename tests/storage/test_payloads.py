"""What training scripts save around their weights: every layout is read, and nothing in it is refused."""

from __future__ import annotations

import argparse
import collections
import datetime
import decimal
import json
import pathlib
import random
import subprocess
import sys
import types
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration
from peft import LoraConfig, TaskType
from safetensors.torch import save_file
from torch import nn

import lora_convert as lc
from fixtures.hostile.assembling import (
    BUILD,
    EMPTY_DICT,
    EMPTY_TUPLE,
    MARK,
    NEWOBJ,
    NONE,
    PAIR,
    SETITEMS,
    dictionary,
    named,
    number,
    text,
    torch_file,
)
from lora_convert.errors import (
    AmbiguousCheckpointError,
    CheckpointNotFoundError,
    CorruptCheckpointError,
    UnknownFormatError,
)
from lora_convert.storage import pickle_names
from tests.hostile.answering import answer
from tests.storage.torch_files import adapter
from tests.writing import ATTENTION

WEIGHTS = adapter("base_model.model.")
CONFIG = {"r": 4, "lora_alpha": 10, "target_modules": ["to_q", "to_k", "to_v", "to_out.0"]}


def optimizer_state() -> tuple[dict[str, Any], dict[str, Any]]:
    """Of a real AdamW after a step, and of its schedule."""
    parameters = [nn.Parameter(value.clone()) for value in WEIGHTS.values()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, foreach=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    sum(p.square().sum() for p in parameters).backward()
    optimizer.step()
    schedule.step()
    return optimizer.state_dict(), schedule.state_dict()


OPTIMIZER, SCHEDULE = optimizer_state()
LORA_CONFIG = LoraConfig(**CONFIG, task_type=TaskType.FEATURE_EXTRACTION)
PLAIN = {
    "numbers": [0, -1, 255, 65536, 2**31, -(2**63), 2**200, -(2**2000), 2**20_000, 1.5, -0.0],
    "special": [float("nan"), float("inf"), None, True, False, 1 + 2j],
    "texts": ["", "é", "模型", "\U0001f600", "\ud800", "x" * 300, "line\nline"],
    "bytes": [b"", b"\x00\xff", b"x" * 300, b"x" * 70_000, bytearray(b"\x80abc"), bytearray()],
    "containers": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, set(), {1, "a"}, frozenset({2})],
    "nested": {"a": {"b": {"c": [{"d": ({"e": 1},)}]}}},
    1: "keys", 2.5: "of", None: "any", (1, 2): "of tuples", b"x": "of bytes",
    frozenset({1}): "of sets",
    "long list": [float(n) for n in range(5000)],
    "ranges": [range(3), range(0, 10, 2), slice(1, 2)],
    "collections": [
        collections.OrderedDict(a=1), collections.Counter("abca"), collections.deque([1, 2], 5),
        collections.deque(), collections.defaultdict(list, {"a": [1]}),
        collections.defaultdict(int, {"a": 1}), collections.defaultdict(str), collections.defaultdict(set),
        collections.defaultdict(float), collections.defaultdict(dict), collections.defaultdict(None),
    ],
    "paths": [pathlib.Path("a/b"), pathlib.PurePosixPath("/x"), pathlib.PureWindowsPath("C:/x")],
    "times": [
        datetime.datetime(2026, 1, 2, 3, 4, 5, 6), datetime.date(2026, 1, 2), datetime.time(1, 2),
        datetime.timedelta(days=1), datetime.datetime.now(datetime.UTC),
        datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=2))),
    ],
    "others": [uuid.UUID(int=5), decimal.Decimal("1.5")],
    "namespaces": [argparse.Namespace(a=1, b=argparse.Namespace()), types.SimpleNamespace(c=2)],
    "torch": [torch.float16, torch.device("cuda:0"), torch.Size([1, 2]), torch.strided,
              torch.torch_version.TorchVersion("2.13.0")],
    "numpy scalars": [
        kind(1) for kind in (
            np.float16, np.float32, np.float64, np.longdouble, np.int8, np.int16, np.int32, np.int64,
            np.uint8, np.uint16, np.uint32, np.uint64, np.bool_, np.complex64, np.complex128)
    ] + [np.str_("text"), np.bytes_(b"bytes"), np.datetime64("2026-01-01"), np.dtype("float32"),
         np.float64, np.dtype(">f4").type(3)],
    "numpy arrays": [
        np.arange(6.0).reshape(2, 3), np.arange(6).reshape(2, 3).T, np.array(["a", "bc"]), np.zeros(0),
        np.array(3.5), np.zeros((2, 2), "float16", order="F"), np.array([1], ">i4"), np.ones(3, bool),
        np.zeros(2, [("a", "f4"), ("b", "i8")]), np.arange(100_000), np.array([None, "x"], object),
    ],
    "random states": [random.getstate(), np.random.get_state(), torch.get_rng_state(),
                      np.random.default_rng(1).bit_generator.state],
    "peft": [LORA_CONFIG, LORA_CONFIG.to_dict(), LORA_CONFIG.peft_type, TaskType.CAUSAL_LM],
    "metrics": {"loss": torch.tensor(0.5), "history": torch.zeros(100)},
}  # fmt: skip


def saved(value: Any, path: Path, protocol: int = 2) -> Path:
    torch.save(value, path, pickle_protocol=protocol)
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", PLAIN)
def test_nothing_that_scripts_keep_is_refused(kind: Any, protocol: int, tmp_path: Path) -> None:
    payload = {"state_dict": WEIGHTS, "lora_config": CONFIG, "kept": {kind: PLAIN[kind]}}
    path = saved(payload, tmp_path / "x.pt", protocol)
    found = lc.inspect(path)
    assert (found.format, found.modules, found.scale_source) == ("accelerate", 4, "payload")
    assert found.scales == {"2.5": 4}
    shown = answer(["inspect", "--json", str(path)])
    assert shown.exit_code == 0, shown.stderr
    assert "kept" in json.loads(shown.stdout)["payload"]
    assert answer(["inspect", str(path)]).exit_code == 0
    assert answer(["to-diffusers", str(path), "-o", str(tmp_path / "o.safetensors")]).exit_code == 0


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_numbers_of_every_kind_are_read_with_their_values(protocol: int, tmp_path: Path) -> None:
    values = {
        f"{kind.__name__}{order}": np.dtype(kind).newbyteorder(order).type(3)
        for kind in (np.float16, np.float32, np.float64, np.int8, np.int64, np.uint16, np.bool_)
        for order in "<>"
    }
    values |= {"int": 2**64, "float": 0.1, "big": np.array(7, ">i4")[()]}
    path = saved(WEIGHTS | {"kept": values}, tmp_path / "x.pt", protocol)
    kept = lc.inspect(path).payload["kept"]
    assert kept == {
        name: value if name in {"int", "float"} else value.item() for name, value in values.items()
    }


def beside(**more: Any) -> dict[str, Any]:
    return {
        "epoch": 3, "global_step": 1500, "optimizer": OPTIMIZER, "lr_scheduler": SCHEDULE,
        "loss": torch.tensor(0.25), "metadata": {"trained": "by hand"}, "rng_state": torch.get_rng_state(),
        "args": argparse.Namespace(lr=1e-4, output_dir=pathlib.Path("out"), seed=None), **more,
    }  # fmt: skip


def bare(prefix: str = "") -> dict[str, torch.Tensor]:
    """As PEFT's get_peft_model_state_dict names them."""
    return adapter(f"base_model.model.{prefix}", infix="")


LAYOUTS: dict[str, Any] = {
    "model_state_dict": beside(model_state_dict=WEIGHTS, lora_config=CONFIG),
    "state_dict": beside(state_dict=WEIGHTS, lora_config=LORA_CONFIG.to_dict()),
    "model": beside(model=WEIGHTS, peft_config=LORA_CONFIG),
    "module": beside(module=WEIGHTS, config=CONFIG),
    "lora": beside(lora=WEIGHTS, lora_config=CONFIG),
    "lora_state_dict": beside(lora_state_dict=bare(), lora_config=CONFIG),
    "adapter": {"adapter": {"weights": WEIGHTS, "config": CONFIG}},
    "by adapter": beside(model=WEIGHTS, peft_config={"default": LORA_CONFIG}),
    "by adapter, as dict": beside(model=WEIGHTS, lora_config={"default": LORA_CONFIG.to_dict()}),
    "alpha beside": beside(state_dict=WEIGHTS, rank=4, alpha=10),
    "lora_alpha beside": beside(state_dict=WEIGHTS, lora_rank=4, lora_alpha=10.0),
    "alpha among the weights": {**WEIGHTS, "lora_alpha": 10, "r": 4},
    "arguments": beside(unet=WEIGHTS)
    | {"args": argparse.Namespace(lora_rank=4, lora_alpha=10, lr=1e-4)},
    "hyper-parameters": {
        "epoch": 2, "global_step": 50, "pytorch-lightning_version": "2.5.0", "state_dict": WEIGHTS,
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.1)}},
        "optimizer_states": [OPTIMIZER], "lr_schedulers": [SCHEDULE], "hparams_name": "kwargs",
        "hyper_parameters": {"lora_rank": 4, "lora_alpha": 10, "lr": 1e-4},
    },
    "EMA beside": beside(model=WEIGHTS, lora_config=CONFIG, ema={k: v * 0.5 for k, v in WEIGHTS.items()}),
    "EMA's shadow beside": beside(
        state_dict=WEIGHTS, lora_config=CONFIG,
        ema_state={"decay": 0.999, "shadow_params": [v.clone() for v in WEIGHTS.values()]}),
    "numpy alpha": beside(state_dict=WEIGHTS, lora_config=CONFIG | {"lora_alpha": np.float64(10)}),
    "a tuple": (WEIGHTS, {"lora_config": CONFIG}),
    "a list": [{"lora_config": CONFIG}, WEIGHTS],
    "deep": {"checkpoint": {"model": {"state_dict": WEIGHTS, "lora_config": CONFIG}}, "epoch": 1},
    "whole model": beside(
        model_state_dict={
            f"base_model.model.{ATTENTION}.to_q.base_layer.weight": torch.ones(8, 8),
            "base_model.model.conv_in.weight": torch.ones(4, 4, 3, 3), **WEIGHTS,
        },
        lora_config=CONFIG),
}  # fmt: skip


def twin(folder: Path) -> Path:
    """The same adapter as PEFT saves it."""
    folder.mkdir()
    save_file(bare(), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", **CONFIG}))
    return folder


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_acts_as_its_safetensors_twin(
    layout: str, protocol: int, tmp_path: Path
) -> None:
    path = saved(LAYOUTS[layout], tmp_path / "x.pth", protocol)
    found = lc.inspect(path)
    assert (found.scale_source, found.scales, found.unexplained) == ("payload", {"2.5": 4}, ())
    peft = twin(tmp_path / "twin")
    assert lc.verify(path, peft).exact
    ours = lc.convert(path, "diffusers", output=tmp_path / "a.safetensors")
    theirs = lc.convert(peft, "diffusers", output=tmp_path / "b.safetensors")
    assert ours.proof.exact
    assert lc.verify(ours.output, theirs.output).exact


@pytest.mark.parametrize("name", pickle_names._DICTS)
def test_hyper_parameters_in_dicts_of_other_names(name: str, tmp_path: Path) -> None:
    """As their packages write them, which need not be installed here."""
    module, _, kind = name.rpartition(".")
    fields = text("lora_alpha") + number(5) + text("lora_rank") + number(2)
    made = (
        named(module, kind) + EMPTY_TUPLE + NEWOBJ + MARK + fields + SETITEMS + EMPTY_DICT + BUILD
    )
    path = tmp_path / "x.ckpt"
    path.write_bytes(
        torch_file(dictionary({"state_dict": dictionary(PAIR), "hyper_parameters": made}))
    )
    found = lc.inspect(path)
    assert (found.scale_source, found.scales) == ("payload", {"2.5": 1})


def wrapped(kind: str, value: bytes, field: str) -> bytes:
    """A node as OmegaConf 2.3 pickles it."""
    about = named("omegaconf.base", "Metadata") + EMPTY_TUPLE + NEWOBJ
    about += dictionary({"ref_type": named("typing", "Any"), "key": NONE}) + BUILD
    state = dictionary({"_metadata": about, "_parent": NONE, field: value})
    return named(*kind.rsplit(".", 1)) + EMPTY_TUPLE + NEWOBJ + state + BUILD


def test_hyper_parameters_of_omegaconf(tmp_path: Path) -> None:
    def node(value: bytes) -> bytes:
        return wrapped("omegaconf.nodes.AnyNode", value, "_val")

    def of(fields: dict[str, bytes]) -> bytes:
        return wrapped("omegaconf.dictconfig.DictConfig", dictionary(fields), "_content")

    lora = of({"lora_alpha": node(number(5)), "r": node(number(2))})
    made = of({"lora": lora, "lr": node(text("1e-4"))})
    path = tmp_path / "x.ckpt"
    path.write_bytes(
        torch_file(dictionary({"state_dict": dictionary(PAIR), "hyper_parameters": made}))
    )
    found = lc.inspect(path)
    assert (found.scale_source, found.scales) == ("payload", {"2.5": 1})
    assert found.payload["hyper_parameters"]["lora"] == {"lora_alpha": 5, "r": 2}


TEXT = tuple(f"text_model.encoder.layers.0.self_attn.{n}_proj" for n in "qkv")


@pytest.mark.parametrize(
    "names",
    [
        (f"unet{ending}", f"text_encoder{ending}")
        for ending in ("", "_lora", "_state_dict", "_lora_layers")
    ],
)
def test_components_have_their_parts_and_configurations(
    names: tuple[str, str], tmp_path: Path
) -> None:
    text = {
        f"base_model.model.{name}.lora_{side}.weight": torch.ones(shape)
        for name in TEXT
        for side, shape in (("A", (2, 768)), ("B", (768, 2)))
    }
    configs = {"unet": CONFIG, "text_encoder": {"r": 2, "lora_alpha": 1}}
    payload = {names[0]: bare(), names[1]: text, "lora_config": configs, "step": 5}
    found = lc.inspect(saved(payload, tmp_path / "x.pt"))
    assert found.components == ("unet", "text_encoder")
    assert (found.scales, found.scale_source) == ({"2.5": 4, "0.5": 3}, "payload")
    assert lc.convert(tmp_path / "x.pt", "kohya", output=tmp_path / "o.safetensors").proof.exact


def kohya(alpha: Any) -> dict[str, Any]:
    flat = f"lora_unet_{ATTENTION.replace('.', '_')}_to_q"
    return {f"{flat}.lora_down.weight": torch.ones(4, 8), f"{flat}.lora_up.weight": torch.ones(8, 4),
            f"{flat}.alpha": alpha}  # fmt: skip


@pytest.mark.parametrize(
    "alpha",
    [2, 2.0, torch.tensor(2.0), torch.tensor([2.0]), torch.tensor(2.0, dtype=torch.bfloat16),
     np.float32(2), np.int64(2), nn.Parameter(torch.tensor(2.0))],
    ids=lambda a: f"{type(a).__name__} {getattr(a, 'dtype', '')} {getattr(a, 'shape', '')}",
)  # fmt: skip
def test_an_alpha_among_the_weights_is_that_of_its_module(alpha: Any, tmp_path: Path) -> None:
    path = saved(kohya(alpha), tmp_path / "x.pt")
    found = lc.inspect(path)
    assert (found.format, found.scale_source, found.scales) == ("kohya", "tensor", {"0.5": 1})
    assert lc.convert(path, "diffusers", output=tmp_path / "o.safetensors").proof.exact


def test_an_alpha_beyond_all_floats_is_no_alpha(tmp_path: Path) -> None:
    for alpha in (2**2000, 2**5000, -(10**400)):
        found = lc.inspect(saved(kohya(alpha), tmp_path / "x.pt"))
        assert found.scale_source == "assumed"
        payload = {"state_dict": WEIGHTS, "lora_config": CONFIG | {"lora_alpha": alpha}}
        shown = answer(["inspect", "--json", str(saved(payload, tmp_path / "y.pt"))])
        assert json.loads(shown.stdout)["format"] == "accelerate"


@pytest.mark.parametrize("place", ["lora_config", "args", ""])
def test_an_alpha_in_a_tensor_beside_the_weights_is_not_known(place: str, tmp_path: Path) -> None:
    """It could be read; that nobody does so is said."""
    found = CONFIG | {"lora_alpha": torch.tensor(10.0)}
    payload = beside(state_dict=WEIGHTS) | ({place: found} if place else found)
    path = saved(payload, tmp_path / "x.pt")
    assert lc.inspect(path).scale_source == "assumed"
    with lc.plan_convert(path, "diffusers") as plan:
        assert "scale assumed" in {loss.kind for loss in plan.losses}


def test_a_configuration_of_thousands_of_modules_is_read_whole(tmp_path: Path) -> None:
    patterns = {f"blocks.{n}.to_q": 4 for n in range(20_000)}
    config = CONFIG | {"alpha_pattern": {**patterns, f"{ATTENTION}.to_q": 20}}
    found = lc.inspect(saved({"model": WEIGHTS, "lora_config": config}, tmp_path / "x.pt"))
    assert found.scales == {"2.5": 3, "5": 1}
    config["rank_pattern"] = {f"a{n}.b": n + 1 for n in range(100_000)}
    path = saved({"model": WEIGHTS, "lora_config": config}, tmp_path / "y.pt")
    with pytest.raises(CorruptCheckpointError, match="lora_config holds more than 100,000 values"):
        lc.inspect(path)


def test_an_alpha_among_ten_thousand_weights_is_found(tmp_path: Path) -> None:
    base = {f"base_model.model.x{n}.weight": torch.zeros(1) for n in range(12_000)}
    payload = {**base, **WEIGHTS, "lora_alpha": 10, "r": 4}
    found = lc.inspect(saved(payload, tmp_path / "x.pt"))
    assert (found.scale_source, found.scales) == ("payload", {"2.5": 4})


def test_much_that_is_no_weight_is_in_nobodys_way(tmp_path: Path) -> None:
    """A mask that is one number everywhere, and a record of a hundred thousand images."""
    kept = {
        "mask": torch.ones(1).expand(1 << 14, 1 << 14),
        "images": {f"{n}.png": {"caption": "x"} for n in range(110_000)},
    }
    path = saved({"state_dict": WEIGHTS, "lora_config": CONFIG, **kept}, tmp_path / "x.pt")
    found = lc.inspect(path)
    assert (found.modules, found.scales) == (4, {"2.5": 4})
    assert found.payload["mask"] == "a tensor"


def test_two_adapters_in_one_payload_are_asked_about(tmp_path: Path) -> None:
    path = saved({"first": WEIGHTS, "second": dict(WEIGHTS)}, tmp_path / "x.pt")
    with pytest.raises(AmbiguousCheckpointError) as caught:
        lc.inspect(path)
    assert caught.value.choices == ("first", "second")


def test_the_list_of_cloneofsimo_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError, match="cloneofsimo"):
        lc.inspect(saved([torch.ones(8, 4), torch.ones(4, 8)], tmp_path / "x.pt"))


@pytest.mark.parametrize("value", [{}, [], None, 5, "text", torch.ones(3), {"epoch": 3}])
def test_a_payload_without_an_adapter_is_unrecognised(value: Any, tmp_path: Path) -> None:
    path = saved(value, tmp_path / "x.pt")
    assert answer(["inspect", str(path)]).exit_code == 4
    assert answer(["to-peft", str(path), "-o", str(tmp_path / "o")]).exit_code == 4


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
