"""An adapter_config.json that is broken, contradicts its tensors, or is meant to harm."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

import lora_convert
from lora_convert.errors import (
    CorruptCheckpointError,
    LoraConvertError,
    NotExpressibleError,
)
from tests.hostile.answering import answer
from tests.storage.making import adapter_tensors, content, peft_folder

FIELDS: dict[str, tuple[str, Any]] = {
    "r-a-text": ("r", "2"),
    "r-true": ("r", True),
    "r-zero": ("r", 0),
    "r-negative": ("r", -1),
    "r-a-float": ("r", 2.0),
    "r-null": ("r", None),
    "r-huge": ("r", 1 << 31),
    "r-nan": ("r", float("nan")),
    "r-infinite": ("r", float("inf")),
    "r-a-list": ("r", [2]),
    "alpha-null": ("lora_alpha", None),
    "alpha-nan": ("lora_alpha", float("nan")),
    "alpha-infinite": ("lora_alpha", float("-inf")),
    "alpha-a-text": ("lora_alpha", "x"),
    "alpha-true": ("lora_alpha", True),
    "alpha-longer-than-a-float": ("lora_alpha", 10**400),
    "rank-pattern-a-list": ("rank_pattern", ["to_k"]),
    "rank-pattern-a-text": ("rank_pattern", "to_k"),
    "rank-pattern-of-texts": ("rank_pattern", {"to_k": "2"}),
    "rank-pattern-of-zero": ("rank_pattern", {"to_k": 0}),
    "rank-pattern-not-an-expression": ("rank_pattern", {"to_(k": 2}),
    "alpha-pattern-a-number": ("alpha_pattern", 3),
    "alpha-pattern-of-nan": ("alpha_pattern", {"to_k": float("nan")}),
    "pattern-of-nested-repetition": ("alpha_pattern", {"(a+)+$": 4}),
    "pattern-of-overlapping-repetition": ("alpha_pattern", {"(.*.*)*x": 4}),
    "pattern-of-many-repetitions": ("alpha_pattern", {".*.*.*.*.*.*x": 4}),
    "pattern-of-alternatives": ("rank_pattern", {"(a|a)*b": 4}),
    "pattern-of-counted-repetition": ("rank_pattern", {"(a{1,99}){1,99}b": 4}),
    "pattern-too-long": ("rank_pattern", {"a" * 100_000: 4}),
    "rslora-a-text": ("use_rslora", "yes"),
    "dora-a-number": ("use_dora", 3),
    "type-a-number": ("peft_type", 7),
    "type-null": ("peft_type", None),
    "type-unknown": ("peft_type", "SUPERLORA"),
}

DOCUMENTS = {
    "empty": b"",
    "not-json": b"{r: 2}",
    "a-list": b"[1, 2]",
    "a-number": b"4",
    "null": b"null",
    "not-utf8": b'{"r": 2, "x": "\xff\xfe"}',
    "nested-deeply": b'{"r": ' + b"[" * 100_000,
    "an-exponent-beyond-a-float": b'{"peft_type": "LORA", "r": 1e999}',
    "digits-beyond-an-int": b'{"peft_type": "LORA", "r": ' + b"9" * 5000 + b"}",
    "cut": b'{"peft_type": "LORA", "r": 2, "lora_al',
}


def refused(folder: Path) -> CorruptCheckpointError:
    """The error of converting a folder; inspecting it works and tells the same."""
    out = folder.parent / "out.safetensors"
    with pytest.raises(CorruptCheckpointError, match=r"adapter_config\.json") as caught:
        lora_convert.convert(str(folder), "diffusers", output=str(out))
    result = answer(["to-diffusers", str(folder), "-o", str(out)])
    assert result.exit_code == 1
    assert "adapter_config.json" in result.stderr
    assert not out.exists()
    found = lora_convert.inspect(str(folder))
    assert (found.format, found.explained, found.total) == ("peft", 8, 8)
    assert found.scale_problem == caught.value.what
    return caught.value


@pytest.mark.parametrize("case", FIELDS)
def test_a_field_of_the_wrong_type_is_refused(case: str, tmp_path: Path) -> None:
    name, value = FIELDS[case]
    started = time.process_time()
    refused(peft_folder(tmp_path / "a", **{name: value}))
    assert time.process_time() - started < 5


@pytest.mark.parametrize("case", DOCUMENTS)
def test_a_broken_document_is_refused(case: str, tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "a")
    (folder / "adapter_config.json").write_bytes(DOCUMENTS[case])
    refused(folder)


def test_a_folder_in_place_of_the_document_is_refused(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "a")
    (folder / "adapter_config.json").unlink()
    (folder / "adapter_config.json").mkdir()
    refused(folder)


@pytest.mark.skipif(os.name == "nt", reason="POSIX files only")
def test_a_fifo_in_place_of_the_document_is_refused(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "a")
    (folder / "adapter_config.json").unlink()
    os.mkfifo(folder / "adapter_config.json")
    refused(folder)


def test_a_document_of_many_bytes_is_refused_unread(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "a")
    with (folder / "adapter_config.json").open("r+b") as document:
        document.truncate(1 << 40)
    assert "the limit is" in refused(folder).problem


@pytest.mark.parametrize("fields", [{"r": 3}, {"rank_pattern": {"to_k": 3}}])
def test_ranks_that_the_tensors_contradict_are_refused(
    fields: dict[str, Any], tmp_path: Path
) -> None:
    folder = peft_folder(tmp_path / "a")
    config = json.loads((folder / "adapter_config.json").read_text()) | fields
    (folder / "adapter_config.json").write_text(json.dumps(config))
    error = refused(folder)
    assert "says rank 3" in error.problem
    assert "have rank 2" in error.problem
    assert "--scale-from" in error.hint


@pytest.mark.parametrize("kind", ["VERA", "ADALORA", "PREFIX_TUNING"])
def test_other_methods_of_peft_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "a", peft_type=kind)
    with pytest.raises(NotExpressibleError, match=kind):
        lora_convert.convert(str(folder), "diffusers", output=str(tmp_path / "o"))
    assert answer(["to-diffusers", str(folder), "-o", str(tmp_path / "o")]).exit_code == 5


@pytest.mark.parametrize("kind", ["LOHA", "IA3"])
def test_a_method_that_the_weights_are_not_of(kind: str, tmp_path: Path) -> None:
    error = refused(peft_folder(tmp_path / "a", peft_type=kind))
    assert f"says {kind}, but" in error.problem


def test_other_fields_are_carried_and_never_evaluated(tmp_path: Path) -> None:
    """Paths, code and modules in a configuration mean nothing here."""
    folder = peft_folder(
        tmp_path / "a",
        base_model_name_or_path="../../etc/passwd",
        auto_mapping={"parent_library": "os"},
        init_lora_weights="__import__('os').system('touch owned')",
        target_modules="(a+)+$",
        revision=7,
    )
    result = lora_convert.convert(str(folder), "diffusers", output=str(tmp_path / "o"))
    assert result.proof is not None
    assert result.proof.exact
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '{"unet.r": "2"}',
        '{"unet.r": 3, "unet.lora_alpha": 3}',
        '{"unet.r": 2, "unet.lora_alpha": NaN}',
        "[" * 100_000,
    ],
)
def test_a_header_that_is_no_configuration_is_refused(text: str, tmp_path: Path) -> None:
    """The same rules for what Diffusers keeps in the file itself."""
    path = tmp_path / "a.safetensors"
    tensors = adapter_tensors("unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1")
    path.write_bytes(content(tensors, {"lora_adapter_metadata": text}))
    assert lora_convert.inspect(str(path)).format == "diffusers"
    try:
        lora_convert.convert(str(path), "kohya", output=str(tmp_path / "o"))
    except LoraConvertError as error:
        assert isinstance(error, CorruptCheckpointError)
    else:
        assert '"unet.r": 3' in text  # ranks in a header say nothing of the scale: alpha does


def test_a_run_document_of_another_tool_is_passed_over(tmp_path: Path) -> None:
    weights = tmp_path / "checkpoints" / "checkpoint-1"
    weights.mkdir(parents=True)
    (weights / "adapter_model.safetensors").write_bytes(content(adapter_tensors()))
    (tmp_path / "run.json").write_bytes(b"\xff not ours")
    with lora_convert.plan_convert(str(weights), "kohya") as plan:
        assert [loss.kind for loss in plan.losses] == ["scale assumed"]
