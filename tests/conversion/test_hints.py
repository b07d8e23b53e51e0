"""What a format cannot say is refused with what can."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import lora_convert as lc
from lora_convert.errors import NotExpressibleError
from lora_convert.operations.adapters import AdapterArrays, ModuleArrays

_PART = "transformer_blocks.0.attn"


def _factors(**more: np.ndarray) -> dict[str, np.ndarray]:
    factors = {"down": np.ones((2, 4), np.float32), "up": np.ones((4, 2), np.float32)}
    return {**factors, **more}


def _refused(folder: Path, architecture: str | None, *modules: ModuleArrays) -> NotExpressibleError:
    made = AdapterArrays(modules, architecture, {})
    with pytest.raises(NotExpressibleError) as caught:
        lc.write_adapter(made, os.fspath(folder / "kohya.safetensors"), to="kohya")
    return caught.value


def test_a_bias_in_kohya_s_names_has_its_scale_in_it(tmp_path: Path) -> None:
    module = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k"
    factors = _factors(bias=np.ones(4, np.float32))
    made = AdapterArrays((ModuleArrays("unet", module, "lora", factors, 3.0),), "sd1", {})
    there = lc.write_adapter(made, os.fspath(tmp_path / "kohya.safetensors"), to="kohya")
    [read] = lc.read_adapter(there.output, architecture="sd1").modules
    np.testing.assert_array_equal(read.tensors["diff_b"], 3 * factors["bias"])
    back = lc.convert(there.output, "peft", output=str(tmp_path / "back"), architecture="sd1")
    [again] = lc.read_adapter(back.output, architecture="sd1").modules
    np.testing.assert_allclose(again.tensors["bias"], factors["bias"], rtol=1e-6)


def test_algorithms_that_a_format_has_no_place_for(tmp_path: Path) -> None:
    factors = {"diff": np.ones((4, 4), np.float32)}
    made = AdapterArrays(
        (ModuleArrays("transformer", f"{_PART}.to_q", "full", factors, 1.0),), "flux", {}
    )
    with pytest.raises(NotExpressibleError) as caught:
        lc.write_adapter(made, os.fspath(tmp_path / "out"), to="peft")
    assert "no place for full" in caught.value.what
    able = (
        "kohya or comfyui or onetrainer or lycoris"  # a PEFT configuration has no change as it is
    )
    hint = f"--to {able} can hold it; --as lora --rank R writes the nearest LoRA"
    assert caught.value.hint == hint


def test_parts_of_one_module_that_are_not_alike(tmp_path: Path) -> None:
    plain = ModuleArrays("transformer", f"{_PART}.to_q", "lora", _factors(), 1.0)
    magnitude = np.ones(4, np.float32)
    dora = ModuleArrays("transformer", f"{_PART}.to_k", "dora", _factors(magnitude=magnitude), 1.0)
    error = _refused(tmp_path, "flux", plain, dora)
    assert "mix dora and lora" in error.what
    assert error.hint.startswith("lora-convert pipeline ")


def test_an_alpha_that_is_too_large(tmp_path: Path) -> None:
    module = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k"
    error = _refused(tmp_path, "sd1", ModuleArrays("unet", module, "lora", _factors(), 1e39))
    assert "--scale-from" in error.hint


def test_factors_of_rows_whose_biases_peft_multiplies_too(tmp_path: Path) -> None:
    made = AdapterArrays(
        (
            ModuleArrays(
                "transformer", f"{_PART}.to_q", "ia3", {"ia3_l": np.ones((4, 1), np.float32)}, 1.0
            ),
            ModuleArrays(
                "transformer",
                f"{_PART}.to_out.0",
                "ia3",
                {"ia3_l": np.ones((1, 4), np.float32)},
                1.0,
            ),
        ),
        "flux",
        {},
    )
    there = lc.write_adapter(made, os.fspath(tmp_path / "kohya.safetensors"), to="kohya")
    [loss] = there.plan["losses"]
    assert (loss["kind"], loss["affected"]) == ("reader gap", 1)
    assert "biases" in loss["detail"]


def test_oft_of_sd_scripts_has_a_prefix_of_its_own(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    flat = "unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q"
    blocks, alpha = np.ones((2, 4, 4), np.float32), np.array(0.001, np.float32)
    source = tmp_path / "oft.safetensors"
    name = f"oft_{flat.replace('input_blocks_1_1', 'down_blocks_0_attentions_0')}"
    save_file({f"{name}.oft_blocks": blocks, f"{name}.alpha": alpha}, source)
    found = lc.inspect(source, architecture="sd1")
    assert (found.format, found.algorithms, found.unexplained) == ("kohya", ("oft",), ())
    [module] = lc.read_adapter(source, architecture="sd1").modules
    assert module.settings["constraint"] == pytest.approx(0.001)
