"""What merge tells of the adapters it merges."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lora_convert.cli import main
from lora_convert.errors import BaseMismatchError
from lora_convert.operations.merging import Added, plan_merge
from tests.pipelines import WEIGHTS, write_adapter, write_base


def test_a_scale_that_nothing_gives_is_said_to_be_assumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unet = write_base(tmp_path / "base") / "unet" / WEIGHTS["unet"]
    adapter = write_adapter(tmp_path / "lora", 1)
    (adapter / "adapter_config.json").unlink()
    output = tmp_path / "merged.safetensors"
    with pytest.raises(SystemExit) as ended:
        main(["merge", str(adapter), "--into", str(unet), "-o", str(output)])
    assert ended.value.code == 0
    told = capsys.readouterr().err
    assert f"note: {adapter}: scale assumed: " in told


def test_the_base_is_named_where_a_lora_does_not_fit(tmp_path: Path) -> None:
    text = write_base(tmp_path / "base") / "text_encoder" / WEIGHTS["text_encoder"]
    adapter = write_adapter(tmp_path / "lora", 1)
    added = [Added(os.fspath(adapter), 1.0)]
    with pytest.raises(BaseMismatchError) as caught:
        plan_merge(added, os.fspath(text), os.fspath(tmp_path / "merged.safetensors"))
    assert caught.value.base == os.fspath(text)
