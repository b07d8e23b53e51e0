"""Two spellings in one file: each key is explained by the one it fits, and only a conversion refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

import lora_convert as lc
from lora_convert.errors import UnexplainedKeysError
from tests.laws.synthesis import adapter


@pytest.mark.parametrize(("first", "second"), [("onetrainer", "kohya"), ("kohya", "comfyui")])
def test_each_key_is_explained_by_the_spelling_it_fits(
    first: str, second: str, tmp_path: Path
) -> None:
    made = adapter("flux", components=("transformer",))
    halves = {first: made.modules, second: made.modules[:8]}
    tensors = {}
    for name, modules in halves.items():
        path = tmp_path / f"{name}.safetensors"
        lc.write_adapter(made._replace(modules=tuple(modules)), str(path), to=name)
        tensors[name] = load_file(path)
    mixed = tmp_path / "mixed.safetensors"
    save_file({**tensors[second], **tensors[first]}, mixed)
    found = lc.inspect(mixed, architecture="flux")
    assert found.format == first
    assert (found.explained, found.unexplained) == (found.total, ())
    assert found.others == {second: len(tensors[second])}
    assert found.exit_code == 0
    with pytest.raises(UnexplainedKeysError, match="two spellings in one file"):
        lc.convert(mixed, "diffusers", output=str(tmp_path / "out"), architecture="flux")


def test_parts_of_fused_layers_are_read_by_their_numbers(tmp_path: Path) -> None:
    """As OneTrainer wrote FLUX for the Open Model Initiative."""
    import numpy as np

    down, up = np.ones((2, 8), "float32"), np.ones((8, 2), "float32")
    tensors = {
        f"transformer.double_blocks.0.img_attn.qkv.{part}.{name}": value
        for part in range(3)
        for name, value in (
            ("lora_down.weight", down),
            ("lora_up.weight", up),
            ("alpha", np.array(1, "float32")),
        )
    }
    save_file(tensors, tmp_path / "omi.safetensors")
    found = lc.read_adapter(tmp_path / "omi.safetensors", architecture="flux")
    assert {module.module for module in found.modules} == {
        f"transformer_blocks.0.attn.to_{letter}" for letter in "qkv"
    }
    assert {module.scale for module in found.modules} == {0.5}


def test_a_slice_of_a_fused_layer_is_read(tmp_path: Path) -> None:
    """As XLabs wrote FLUX's single blocks: queries, keys and values of ``linear1`` alone."""
    import numpy as np

    tensors = {
        "single_blocks.0.processor.qkv_lora.down.weight": np.ones((2, 8), "float32"),
        "single_blocks.0.processor.qkv_lora.up.weight": np.ones((24, 2), "float32"),
        "double_blocks.0.processor.proj_lora2.down.weight": np.ones((2, 8), "float32"),
        "double_blocks.0.processor.proj_lora2.up.weight": np.ones((8, 2), "float32"),
    }
    save_file(tensors, tmp_path / "xlabs.safetensors")
    found = lc.read_adapter(tmp_path / "xlabs.safetensors", architecture="flux")
    assert {module.module for module in found.modules} == {
        "transformer_blocks.0.attn.to_add_out",
        *(f"single_transformer_blocks.0.attn.to_{letter}" for letter in "qkv"),
    }


def test_bundled_embeddings_are_named_and_left_out(tmp_path: Path) -> None:
    import numpy as np

    made = adapter("flux", components=("transformer",))
    path = tmp_path / "bundled.safetensors"
    lc.write_adapter(made, str(path), to="onetrainer")
    word = {"bundle_emb.<token>.clip_l": np.ones((2, 8), "float32")}
    save_file({**load_file(path), **word}, path)
    found = lc.inspect(path, architecture="flux")
    assert (found.format, found.explained, found.unexplained) == ("onetrainer", found.total, ())
    result = lc.convert(path, "kohya", output=str(tmp_path / "out"), architecture="flux")
    assert any("bundle_emb.<token>.clip_l" in note for note in result.plan["notes"])
    assert result.proof is not None
    assert result.proof.exact
