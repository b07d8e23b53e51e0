"""Nothing that training scripts are known to keep beside their weights is refused."""

from __future__ import annotations

import argparse
import collections
import datetime
import decimal
import json
import pathlib
import random
import types
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import TaskType

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
    called,
    dictionary,
    named,
    number,
    text,
    torch_file,
)
from lora_convert.errors import UnsafePickleError
from lora_convert.storage import pickle_names
from tests.hostile.answering import answer
from tests.storage.payloads import CONFIG, LORA_CONFIG, WEIGHTS, saved

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


@pytest.mark.parametrize("member", ["LORA", "FEATURE_EXTRACTION"])
def test_members_of_enumerations_that_are_asked_for_by_name(member: str, tmp_path: Path) -> None:
    """As Python 3.11.0 to 3.11.3 pickles them; nothing else may be asked for in that way."""
    kind = "PeftType" if member == "LORA" else "TaskType"
    class_ = named("peft.utils.peft_types", kind)
    asked = called(named("builtins", "getattr"), class_, text(member))
    path = tmp_path / "x.pt"
    path.write_bytes(torch_file(dictionary({"x": asked} | PAIR)))
    assert member in lc.inspect(path).payload.values()
    wrong = {
        "another class": (named("torch", "Size"), text(member)),
        "another name": (class_, text("__class__")),
        "a value": (text("x"), text(member)),
        "a default": (class_, text(member), text("x")),
    }
    for arguments in wrong.values():
        asked = called(named("builtins", "getattr"), *arguments)
        path.write_bytes(torch_file(dictionary({"x": asked} | PAIR)))
        with pytest.raises(UnsafePickleError) as caught:
            lc.inspect(path)
        assert caught.value.name == "builtins.getattr"
    path.write_bytes(torch_file(dictionary({"x": named("builtins", "getattr")} | PAIR)))
    with pytest.raises(UnsafePickleError):
        lc.inspect(path)
