"""Mutated files give a result or a typed error, and never what the safetensors library would refuse."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import safetensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lora_convert
from lora_convert.errors import CorruptCheckpointError, LoraConvertError, UnknownFormatError
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.folders import weight_files
from lora_convert.tensors.dtypes import BITS
from tests.storage.making import CONFIG, adapter_tensors, content, framed

KOHYA = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
SEEDS = (
    content(adapter_tensors(), {"format": "pt"}),
    content(
        {
            f"{KOHYA}.lora_down.weight": ("F16", (2, 8)),
            f"{KOHYA}.lora_up.weight": ("F16", (8, 2)),
            f"{KOHYA}.alpha": ("F32", ()),
            f"{KOHYA}.dora_scale": ("F32", (8, 1)),
        },
        {"ss_network_dim": "2"},
    ),
    content(
        {
            "down_blocks.0.resnets.0.conv1.lora_A.weight": ("BF16", (2, 4, 3, 3)),
            "down_blocks.0.resnets.0.conv1.lora_B.weight": ("BF16", (4, 2, 1, 1)),
        },
        {"lora_adapter_metadata": json.dumps({"r": 2, "lora_alpha": 4})},
    ),
)

Mutable = dict[str, Any]

numbers = st.one_of(
    st.integers(-3, 70),
    st.sampled_from([1 << 31, 1 << 62, 1 << 63, 1 << 64, 1 << 80, -(1 << 63)]),
    st.sampled_from([True, False, None, 2.0, "2", [], {}, float("inf")]),
)
texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "lora_A.weight",
            "lora_A.default.weight",
            "alpha",
            ".alpha",
            f"{KOHYA}.alpha",
            f"{KOHYA}.scale",
            "base_model.model.",
            f"{KOHYA}.lora_mid.weight",
            "unet.x.lora_A.weight",
            "__metadata__",
            "a.lora_magnitude_vector",
            "\ud800",
            "x" * 5000,
        ]
    ),
)
entries = st.fixed_dictionaries(
    {
        "dtype": st.one_of(st.sampled_from(sorted(BITS)), texts, numbers),
        "shape": st.one_of(st.lists(numbers, max_size=5), numbers),
        "data_offsets": st.one_of(st.lists(numbers, min_size=2, max_size=2), numbers),
    }
)


@st.composite
def edited_headers(draw: st.DrawFn) -> bytes:
    """A sound file with a few edits of its header, most of which keep it JSON."""
    seed = draw(st.sampled_from(SEEDS))
    length = int.from_bytes(seed[:8], "little")
    header: Mutable = json.loads(seed[8 : 8 + length])
    for _ in range(draw(st.integers(1, 3))):
        _edit(draw, header)
    text = json.dumps(header, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    padding = draw(st.sampled_from([b"", b" ", b"\n\t ", b"\0"]))
    return framed(text + padding, seed[8 + length :] + draw(st.sampled_from([b"", b"", b"\0"])))


def _edit(draw: st.DrawFn, header: Mutable) -> None:
    names = [name for name in header if name != "__metadata__"]
    match draw(st.integers(0, 6)):
        case 0 if names:
            header[draw(texts)] = header.pop(draw(st.sampled_from(names)))
        case 1 if names:
            del header[draw(st.sampled_from(names))]
        case 2:
            header[draw(texts)] = draw(st.one_of(entries, numbers))
        case 3:
            header["__metadata__"] = draw(
                st.one_of(st.dictionaries(texts, st.one_of(texts, numbers), max_size=2), numbers)
            )
        case 4 if names:
            chosen = header[draw(st.sampled_from(names))]
            if isinstance(chosen, dict):
                chosen[draw(st.sampled_from(["dtype", "shape", "data_offsets", "more"]))] = draw(
                    st.one_of(numbers, texts)
                )
        case 5 if names:
            chosen = header[draw(st.sampled_from(names))]
            if isinstance(chosen, dict) and isinstance(chosen.get("shape"), list):
                chosen["shape"] = draw(st.permutations([*chosen["shape"], 1]))
        case _ if len(names) > 1:
            one, other = draw(st.permutations(names))[:2]
            header[one], header[other] = header[other], header[one]


@st.composite
def flipped_bytes(draw: st.DrawFn) -> bytes:
    """A sound file with bytes changed, left out, put in, or cut off."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.one_of(st.integers(0, 9), st.integers(0, len(data) - 1)))
        match draw(st.integers(0, 3)):
            case 0 | 1:
                data[place] = draw(
                    st.one_of(st.integers(0, 255), st.sampled_from(b'"{}[],:0-9\\e.'))
                )
            case 2:
                del data[place : place + draw(st.integers(1, 8))]
            case _:
                data[place:place] = draw(st.binary(min_size=1, max_size=8))
        if len(data) < 10:
            break
    return bytes(data)


def _is_read_by_the_library(data: bytes) -> bool:
    try:
        safetensors.deserialize(data)
    except (safetensors.SafetensorError, MemoryError):
        return False
    return True


def _check(data: bytes, config: bytes | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "adapter_model.safetensors"
        path.write_bytes(data)
        if config is not None:
            (Path(folder) / "adapter_config.json").write_bytes(config)
        try:
            Checkpoint(weight_files(str(path))).close()
        except (CorruptCheckpointError, UnknownFormatError):
            pass
        else:
            assert _is_read_by_the_library(data)
        for to in ("diffusers", "kohya", "peft"):
            try:
                lora_convert.inspect(str(path), health=True)
                lora_convert.convert(str(path), to, output=os.path.join(folder, to))
            except LoraConvertError as error:
                assert str(error)
                error.__traceback__ = None
        assert path.read_bytes() == data


patient = settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


@patient
@given(edited_headers())
def test_edited_headers(data: bytes) -> None:
    _check(data)


@patient
@given(flipped_bytes())
def test_flipped_bytes(data: bytes) -> None:
    _check(data)


@patient
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    _check(data)
    _check(len(data).to_bytes(8, "little") + data)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
configurations = st.dictionaries(
    st.sampled_from(
        [
            "r",
            "lora_alpha",
            "rank_pattern",
            "alpha_pattern",
            "peft_type",
            "use_rslora",
            "use_dora",
            "target_modules",
            "init_lora_weights",
            "modules_to_save",
            "layers_to_transform",
            "bias",
            "base_model_name_or_path",
        ]
    ),
    json_values,
    max_size=4,
)


@patient
@given(configurations)
def test_any_configuration(fields: dict[str, Any]) -> None:
    _check(SEEDS[0], json.dumps(CONFIG | fields).encode("utf-8", "surrogatepass"))
    header = json.dumps({f"unet.{name}": value for name, value in fields.items()})
    _check(content(adapter_tensors("unet.a.to_q"), {"lora_adapter_metadata": header}))


patterns = st.text(st.sampled_from("ab.*+?()|{}[]^$\\1, -"), max_size=14)


@patient
@given(
    st.dictionaries(patterns, st.integers(-1, 4), max_size=3),
    st.sampled_from(["rank_pattern", "alpha_pattern"]),
)
def test_any_pattern(found: dict[str, int], field: str) -> None:
    _check(SEEDS[0], json.dumps(CONFIG | {field: found}).encode())
