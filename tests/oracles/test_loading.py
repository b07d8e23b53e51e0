"""What `check` says of Diffusers and PEFT is what they do with the same file."""

from __future__ import annotations

from pathlib import Path

import pytest

import lora_convert as lc
from lora_convert.formats import FORMATS
from tests.oracles.acting import (
    Weights,
    adapted_pipeline,
    added_by,
    loaded_by_diffusers,
    loaded_by_peft,
    saved,
)
from tests.oracles.cases import SHAPES_OF_SCALE, configs

ROUNDING = 1e-6
SCALES = ("alpha is not rank", "ranks and alphas per module", "DoRA")
CASES = [
    (architecture, format_name, scale)
    for architecture in ("sd1", "sdxl", "flux")
    for format_name in ("diffusers", "kohya", "comfyui", "onetrainer", "lycoris")
    for scale in SCALES
    if not (format_name == "onetrainer" and architecture != "flux")
    # its converter of FLUX's fused layers knows one width only, 3072
    if not (format_name == "kohya" and architecture == "flux")
]


def acts_right(loaded: Weights, expected: Weights) -> bool:
    """Whether every weight that the adapter touches is touched, and as it should be."""
    return loaded.keys() == expected.keys() and all(
        (loaded[key] - expected[key]).norm() <= ROUNDING * expected[key].norm() for key in expected
    )


@pytest.mark.parametrize(("architecture", "format_name", "scale"), CASES)
def test_diffusers_does_what_is_said_of_it(
    architecture: str, format_name: str, scale: str, tmp_path: Path
) -> None:
    wanted = configs(architecture, SHAPES_OF_SCALE[scale])
    named = {
        name: config
        for name, config in wanted.items()
        if FORMATS[format_name].names(name, architecture)
    }
    adapters = adapted_pipeline(architecture, named)
    source = str(saved(adapters, tmp_path / "peft"))
    if len(named) == 1:
        source = f"{source}/{next(iter(named))}"
    result = lc.convert(
        source, format_name, output=str(tmp_path / "file.safetensors"), architecture=architecture
    )
    said = lc.check(result.output, application="diffusers", architecture=architecture)
    try:
        loaded = loaded_by_diffusers(architecture, Path(result.output))
    except Exception:  # noqa: BLE001 - whatever a loader raises, the file was not loaded
        loaded = {}
    [loading] = said.loadings
    assert loading.right == acts_right(loaded, added_by(adapters)), loading
    assert bool(loading.applied) == bool(loaded), loading


@pytest.mark.parametrize("scale", SCALES)
def test_peft_does_what_is_said_of_it(scale: str, tmp_path: Path) -> None:
    adapters = adapted_pipeline("sdxl", configs("sdxl", SHAPES_OF_SCALE[scale]))
    source = saved(adapters, tmp_path / "peft")
    assert lc.check(source, application="peft").exit_code == 0
    assert acts_right(loaded_by_peft("sdxl", source), added_by(adapters))
