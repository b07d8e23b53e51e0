"""What shares its names with other models is told by its blocks, whatever the algorithm."""

from __future__ import annotations

from lora_convert.conversion.detect import Detection, detect
from lora_convert.header import Header
from lora_convert.tensors.source import Source

FACTORS = {"lokr_w1": (48, 48), "lokr_w2": (64, 64), "alpha": ()}


def detected(depths: dict[str, int]) -> Detection:
    """What a LoKr in ComfyUI's names is, of so many blocks of each kind."""
    tensors = {
        key: Source(0, key, "F16", shape, 0, 0)
        for kind, depth in depths.items()
        for block in range(depth)
        for role, shape in FACTORS.items()
        for key in [f"diffusion_model.{kind.format(block)}.{role}"]
    }
    return detect(Header(tensors, {}, {}))


def test_a_whole_lokr_of_flux_is_no_hunyuan_video() -> None:
    found = detected({"double_blocks.{}.img_attn.proj": 19, "single_blocks.{}.linear2": 38})
    assert (found.format, found.architecture, found.ambiguous) == ("comfyui", "flux", False)


def test_of_one_block_it_may_be_either() -> None:
    assert detected({"double_blocks.{}.img_attn.qkv": 1, "single_blocks.{}.linear1": 1}).ambiguous


def test_names_that_several_models_have_are_no_single_ones() -> None:
    """A LoKr tells no widths, and a few blocks no depth: FramePack's have the names of FLUX.1's."""
    found = detected({"single_transformer_blocks.{}.attn.to_q": 3})
    assert found.architecture == "flux"
    assert "framepack" in found.rivals
    assert not detected({"single_transformer_blocks.{}.attn.to_q": 38}).ambiguous
