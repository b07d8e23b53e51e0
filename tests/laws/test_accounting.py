"""Nothing is lost in silence: a tensor is in the output, or is told of, or there is an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import lora_convert as lc
from lora_convert.formats import FORMATS
from tests.laws.pairs import PAIRS
from tests.laws.synthesis import adapter

EXTRAS = (
    "extra",
    "extra.weight",
    "step",
    "optimizer.state.0.exp_avg",
    "{}.extra",
    "{}.weight",
    "{}.bias",
    "{}.base_layer.weight",
    "{}.base_layer.bias",
    "{}.diff",
    "{}.diff_b",
    "{}.alpha",
    "{}.scale",
    "{}.rank",
    "{}.dora_scale",
    "{}.lora_magnitude_vector",
    "{}.lora_magnitude_vector.weight",
    "{}.lora_A.bias",
    "{}.lora_B.bias",
    "{}.lora_mid.weight",
    "{}.lora_A.other.weight",
    "{}.lora_B.other.weight",
    "{}.lora_A.weight",
    "{}.lora_down.weight",
    "{}.lora_up.weight",
    "{}.lora.down.weight",
    "{}.lora_embedding_A",
    "{}.lora_C.weight",
    "{}.hada_w1_a",
    "{}.lokr_w1",
    "{}.oft_blocks",
    "{}.on_input",
    "{}.modules_to_save.default.weight",
    "{}.original_module.weight",
    "{}x.lora_A.weight",
    "bundle_emb.name.string_to_param.*",
    "emb_params",
    "clip_l",
    "lora_te9_x.lora_down.weight",
    "text_encoder_9.x.lora_A.weight",
    "base_model.model.x.lora_A.weight",
    "ema.{}",
    "_orig_mod.{}.weight",
    "module.{}.lora_A.weight",
)
"""Names beside an adapter's own; braces stand for one of its modules, as the format spells it."""
SOME = ("sd1", "sdxl", "flux", "z_image")
"""Architectures with and without fused layers; of what else a file holds no architecture knows."""
SHAPES = ((3, 5), (8,), (), (8, 10))
"""Each name has another shape in each architecture."""


def written(folder: Path, format_name: str, architecture: str) -> tuple[Path, Path]:
    """A small adapter in a format: what stands for it, and the file of its tensors."""
    made = adapter(architecture)
    # enough of the largest component to be recognised, in whole groups of fused modules
    first = [module for module in made.modules if module.component == made.modules[0].component]
    made = made._replace(modules=tuple(first))
    name = format_name if FORMATS[format_name].folder else f"{format_name}.safetensors"
    output = Path(lc.write_adapter(made, str(folder / name), to=format_name).output)
    weights = next(output.rglob("*.safetensors")) if output.is_dir() else output
    return output, weights


def mixed_in(weights: Path, name: str, values: np.ndarray) -> None:
    """Add a tensor to a file; one of that name is replaced."""
    with safe_open(weights, "numpy") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
        metadata = file.metadata()
    save_file({**tensors, name: values}, weights, metadata)


def module_of(weights: Path) -> str:
    """A module's name as the file spells it."""
    with safe_open(weights, "numpy") as file:
        down = next(key for key in file.keys() if "down" in key or "lora_A" in key)  # noqa: SIM118
    return down.split(".lora")[0]


def accounted(source: Path, name: str, values: np.ndarray, out: Path, architecture: str) -> str:
    """What became of one tensor; empty where nothing was said of it."""
    target = "kohya" if "kohya" not in source.name else "diffusers"
    try:
        result = lc.convert(str(source), target, output=str(out), architecture=architecture)
    except lc.LoraConvertError as error:
        return f"error: {error}"
    told = [*(str(loss) for loss in result.plan["losses"]), *result.plan["notes"]]
    if name.endswith((".diff_b", ".bias")) and any(
        "diff_b" in m.tensors or np.allclose(m.tensors.get("bias", 0) * m.scale, values)
        for m in lc.read_adapter(result.output, architecture=architecture).modules
    ):
        return "in the bias"
    about = [text for text in told if name in text or "not part of the adapter" in text]
    data = b"".join(Path(path).read_bytes() for path in result.outputs)
    if values.size > 1 and values.tobytes() in data:
        return "in the output"
    if about:
        return f"told: {about}"
    if values.size == 1 and name.endswith((".alpha", ".scale")):
        scales = {module.scale for module in lc.read_adapter(result.output).modules}
        ranks = (1, 2, 3) if name.endswith(".alpha") else (1,)
        if any(abs(scale * rank - float(values)) < 1e-6 for scale in scales for rank in ranks):
            return "in the scale"
    return ""


@pytest.mark.parametrize(("origin", "architecture"), [pair for pair in PAIRS if pair[1] in SOME])
def test_every_tensor_is_accounted_for(origin: str, architecture: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    silent = []
    base, weights = written(tmp_path, origin, architecture)
    whole, turn = weights.read_bytes(), SOME.index(architecture)
    for number, extra in enumerate(EXTRAS):
        weights.write_bytes(whole)
        name = extra.replace("{}", module_of(weights))
        shape = SHAPES[(number + turn) % len(SHAPES)]
        values = rng.uniform(3, 7, shape).astype("float32")
        mixed_in(weights, name, values)
        if not accounted(base, name, values, tmp_path / f"out-{number}", architecture):
            silent.append(f"{name} {list(shape)}")
    assert silent == []
