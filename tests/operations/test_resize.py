"""Laws of resizing, with torch's decomposition of the whole product as oracle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import lora_convert as lc
from lora_convert.errors import NotExpressibleError, OptionError
from lora_convert.operations.editing import Writing
from lora_convert.operations.resize import plan_resize
from lora_convert.operations.resizing import Limits
from tests.laws.synthesis import adapter, changes, largest_difference

FORMATS = ["kohya", "diffusers", "peft"]


def written(folder: Path, made: lc.AdapterArrays, to: str = "kohya") -> str:
    name = "source" if to == "peft" else "source.safetensors"
    return lc.write_adapter(made, str(folder / name), to=to).output


def resized(
    source: str, limits: Limits, **how: object
) -> tuple[lc.AdapterArrays, dict[str, object]]:
    output = str(Path(source).parent / "resized")
    writing = Writing(output=output, **how)  # type: ignore[arg-type]
    with plan_resize(source, limits, writing=writing) as plan:
        told = plan.as_json()
        done = plan.apply(force=True)
    assert done.proof
    assert done.proof.equal
    for name in ("bytes", "ranks", "errors"):
        assert done.plan[name] == told[name], "known before anything is computed"
    return lc.read_adapter(done.output, architecture=done.plan["architecture"]), told


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("architecture", ["sd1", "flux"])
def test_a_rank_that_all_have_is_the_identity(tmp_path: Path, architecture: str, to: str) -> None:
    made = adapter(architecture)
    found, told = resized(written(tmp_path, made, to), Limits(rank=16))
    assert largest_difference(made, found) == 0.0
    assert set(told["errors"].values()) <= {0.0}  # type: ignore[attr-defined]
    assert "rank lowered" not in str(told["losses"])


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("rank", [1, 2])
def test_what_is_lost_is_what_torch_would_leave_away(tmp_path: Path, rank: int, to: str) -> None:
    made = adapter("sd1", mixed=True)
    found, told = resized(written(tmp_path, made, to), Limits(rank=rank))
    errors = told["errors"]
    before, after = changes(made), changes(found)
    assert before.keys() == after.keys()
    for (component, module), change in before.items():
        whole = change.reshape(len(change), -1)
        values = torch.linalg.svdvals(torch.from_numpy(whole)).numpy()
        predicted = np.sqrt(np.square(values[rank:]).sum() / np.square(values).sum())
        lost = np.linalg.norm(whole - after[component, module].reshape(whole.shape))
        assert lost / np.linalg.norm(whole) == pytest.approx(predicted, abs=2e-6)
        if to == "diffusers":  # others call modules otherwise
            assert errors[f"{component}.{module}"] == pytest.approx(predicted, abs=1e-6)  # type: ignore[index]


def test_scales_stay_and_a_given_alpha_is_stored(tmp_path: Path) -> None:
    made = adapter("sd1", mixed=True)
    source = written(tmp_path, made)
    found, _ = resized(source, Limits(rank=1))
    scales = {(m.component, m.module): m.scale for m in made.modules}
    assert all(m.scale == pytest.approx(scales[m.component, m.module]) for m in found.modules)
    output = str(tmp_path / "alpha.safetensors")
    with plan_resize(source, Limits(rank=9), alpha=2.0, writing=Writing(output=output)) as plan:
        plan.apply()
    given = lc.read_adapter(output)
    for module in given.modules:
        assert module.scale * module.tensors["down"].shape[0] == pytest.approx(2.0)
    assert largest_difference(made, given) < 1e-5


@pytest.mark.parametrize("energy", [0.5, 0.9, 1.0])
def test_every_module_keeps_the_energy_with_the_lowest_rank_that_does(
    tmp_path: Path, energy: float
) -> None:
    made = adapter("sdxl", components=("unet",), mixed=True)
    found, told = resized(written(tmp_path, made, "diffusers"), Limits(energy=energy))
    for label, error in told["errors"].items():  # type: ignore[attr-defined]
        assert error**2 <= 1 - energy + 1e-9, label
    for module in found.modules:
        size = module.tensors["down"].shape[0]
        before = next(m for m in made.modules if m.module == module.module).weight_change()
        values = np.linalg.svd(before.reshape(len(before), -1), compute_uv=False)
        if size > 1:
            assert np.square(values[: size - 1]).sum() < energy * np.square(values).sum()


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_every_module_keeps_its_share_of_the_sum(tmp_path: Path, share: float) -> None:
    made = adapter("sd1", mixed=True)
    found, _ = resized(written(tmp_path, made, "diffusers"), Limits(sum=share))
    before = changes(made)
    for module in found.modules:
        whole = before[module.component, module.module]
        values = np.linalg.svd(whole.reshape(len(whole), -1), compute_uv=False)
        size = module.tensors["down"].shape[0]
        assert values[:size].sum() >= share * values.sum() - 1e-5
        if size > 1:
            assert values[: size - 1].sum() < share * values.sum()


def test_a_ratio_leaves_small_singular_values_away(tmp_path: Path) -> None:
    made = adapter("sd1", mixed=True)
    found, _ = resized(written(tmp_path, made, "diffusers"), Limits(ratio=2.0))
    for module in found.modules:
        values = np.linalg.svd(
            module.weight_change().reshape(len(module.tensors["up"]), -1), compute_uv=False
        )
        assert values[module.tensors["down"].shape[0] - 1] >= values[0] / 2.0001


def test_a_size_is_kept_and_used(tmp_path: Path) -> None:
    made = adapter("sd1", mixed=True)
    source = written(tmp_path, made)
    with plan_resize(source, Limits(rank=1000)) as plan:
        whole = plan.plan.size  # of the source, and where it came from
    with plan_resize(source, Limits(rank=1)) as plan:
        least = plan.plan.size
    size = (whole + least) // 2
    _, told = resized(source, Limits(size=size))
    assert size - 512 < int(told["bytes"]) <= size  # type: ignore[call-overload]
    assert len(told["ranks"]) > 1  # type: ignore[arg-type]
    uniform = sum(e**2 for e in told["errors"].values())  # type: ignore[attr-defined]
    assert uniform > 0
    with pytest.raises(OptionError, match="size"):
        plan_resize(source, Limits(size=100))
    _, all_of_it = resized(source, Limits(size=whole))
    assert set(all_of_it["errors"].values()) <= {0.0}  # type: ignore[attr-defined]


def test_magnitudes_of_dora_are_kept_and_that_is_said(tmp_path: Path) -> None:
    made = adapter("flux", "dora")
    found, told = resized(written(tmp_path, made, "diffusers"), Limits(rank=1))
    assert "DoRA" in str(told["notes"])
    before = {(m.component, m.module): m.tensors["magnitude"] for m in made.modules}
    for module in found.modules:
        kept = module.tensors["magnitude"]
        np.testing.assert_array_equal(kept, before[module.component, module.module])
        assert module.tensors["down"].shape[0] == 1


def test_a_tucker_core_is_contracted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {
        "down": rng.standard_normal((3, 8, 1, 1)).astype("float32"),
        "mid": rng.standard_normal((3, 3, 3, 3)).astype("float32"),
        "up": rng.standard_normal((8, 3, 1, 1)).astype("float32"),
    }
    name = "down_blocks.0.resnets.0.conv1"
    made = lc.AdapterArrays((lc.ModuleArrays("unet", name, "lora", tensors, 0.5),), "sd1", {})
    source = written(tmp_path, made)
    found, told = resized(source, Limits(rank=2))
    assert found.modules[0].tensors["down"].shape == (2, 8, 3, 3)
    whole = made.modules[0].weight_change()
    lost = np.linalg.norm(whole - found.modules[0].weight_change()) / np.linalg.norm(whole)
    assert [*told["errors"].values()] == [pytest.approx(lost, abs=1e-6)]  # type: ignore[attr-defined]
    kept, _ = resized(source, Limits(rank=3))
    assert "mid" in kept.modules[0].tensors


def test_limits_that_cannot_be(tmp_path: Path) -> None:
    source = written(tmp_path, adapter("sd1", components=("text_encoder",)))
    for limits in (
        Limits(),
        Limits(rank=0),
        Limits(energy=1.5),
        Limits(ratio=0.5),
        Limits(sum=-0.1),
        Limits(energy=float("nan")),
    ):
        with pytest.raises(OptionError):
            plan_resize(source, limits)
    with pytest.raises(OptionError, match="alpha"):
        plan_resize(source, Limits(rank=1), alpha=0.0)
    with pytest.raises(NotExpressibleError):
        plan_resize(source, Limits(rank=1), writing=Writing(output=str(tmp_path / "a.ckpt")))


def test_by_default_it_is_written_beside_the_source(tmp_path: Path) -> None:
    source = written(tmp_path, adapter("sd1", components=("text_encoder",)), "peft")
    with plan_resize(source, Limits(rank=1)) as plan:
        assert plan.destination.path == f"{source}-resized"
    with plan_resize(source, Limits(rank=1), writing=Writing(to="kohya")) as plan:
        assert plan.destination.path == f"{source}-resized.safetensors"
