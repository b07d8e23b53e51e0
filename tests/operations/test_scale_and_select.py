"""Laws of scale, bake, select and drop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lora_convert as lc
from lora_convert.errors import NotExpressibleError, OptionError
from lora_convert.operations.editing import Writing
from lora_convert.operations.scale import plan_bake, plan_scale
from lora_convert.operations.select import plan_select
from lora_convert.operations.writing import ConversionPlan
from tests.laws.synthesis import adapter, changes, largest_difference

FORMATS = ["kohya", "diffusers", "peft"]


def written(folder: Path, made: lc.AdapterArrays, to: str) -> str:
    return lc.write_adapter(made, str(folder / f"source-{to}"), to=to).output


def to(path: Path) -> Writing:
    return Writing(output=str(path))


def applied(plan: ConversionPlan) -> str:
    with plan:
        done = plan.apply()
    assert done.proof
    assert done.proof.equal
    return done.output


def read(path: str, architecture: str) -> lc.AdapterArrays:
    return lc.read_adapter(path, architecture=architecture)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("architecture", ["sd1", "flux"])
def test_scaling_back_is_the_identity(tmp_path: Path, architecture: str, name: str) -> None:
    made = adapter(architecture)
    source = written(tmp_path, made, name)
    half = applied(plan_scale(source, -0.5, writing=to(tmp_path / "half")))
    back = applied(plan_scale(half, -2.0, writing=to(tmp_path / "back")))
    assert lc.verify(source, back, architecture=architecture).exact
    before = changes(made)
    for place, change in changes(read(half, architecture)).items():
        np.testing.assert_allclose(change, -0.5 * before[place], rtol=1e-6)


def test_a_scale_that_alpha_cannot_hold_is_a_loss(tmp_path: Path) -> None:
    source = written(tmp_path, adapter("sd1"), "kohya")
    with plan_scale(source, 0.3) as plan:
        assert [loss.kind for loss in plan.losses] == ["alpha rounded"]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("algorithm", ["lora", "dora"])
def test_baked_factors_need_no_alpha(tmp_path: Path, algorithm: str, name: str) -> None:
    made = adapter("sd1", algorithm, mixed=True)
    baked = read(
        applied(plan_bake(written(tmp_path, made, name), writing=to(tmp_path / "b"))), "sd1"
    )
    assert {module.scale for module in baked.modules} == {1.0}
    assert largest_difference(made, baked) < 1e-6


def test_what_has_no_strength_is_not_scaled(tmp_path: Path) -> None:
    source = written(tmp_path, adapter("sd1", "dora"), "kohya")
    with pytest.raises(NotExpressibleError, match="DoRA"):
        plan_scale(source, 0.5)
    for factor in (0.0, float("inf")):
        with pytest.raises(OptionError):
            plan_scale(source, factor)


@pytest.mark.parametrize(
    ("architecture", "pattern"),
    [
        ("sd1", "text_encoder"),
        ("sd1", "*attn1*"),
        ("sdxl", "unet.mid_block"),
        ("flux", "*.attn.to_q"),
        ("flux", "transformer.transformer_blocks.1"),
    ],
)
@pytest.mark.parametrize("name", FORMATS)
def test_select_and_drop_part_an_adapter(
    tmp_path: Path, architecture: str, pattern: str, name: str
) -> None:
    made = adapter(architecture)
    source = written(tmp_path, made, name)
    kept, rest = (
        changes(
            read(
                applied(
                    plan_select(source, [pattern], drop=drop, writing=to(tmp_path / str(drop)))
                ),
                architecture,
            )
        )
        for drop in (False, True)
    )
    before = changes(made)
    none = {place for place in before if place not in kept or not kept[place].any()}
    assert set(before) > none
    assert none
    for place, change in before.items():  # fused with others, a part that was left away is zeros
        one, other = (side.get(place, np.zeros_like(change)) for side in (kept, rest))
        np.testing.assert_array_equal(one + other, change)
        assert not (one.any() and other.any())


def test_names_of_the_file_come_first(tmp_path: Path) -> None:
    source = written(tmp_path, adapter("flux", components=("transformer",)), "kohya")
    with plan_select(source, ["double_blocks.0"]) as plan:
        modules = {delta.module for delta in plan.adapter.deltas}
    assert modules
    assert all(module.startswith("double_blocks.0.") for module in modules)
    assert "kept" in str(plan.notes)


def test_patterns_that_name_nothing(tmp_path: Path) -> None:
    source = written(tmp_path, adapter("sd1"), "kohya")
    with pytest.raises(OptionError, match="nosuch"):
        plan_select(source, ["nosuch"])
    with pytest.raises(OptionError, match="modules"):
        plan_select(source, ["*"], drop=True)
