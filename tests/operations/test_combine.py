"""Laws of combining, with PEFT's own combinations of ΔWs as oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft.utils.merge_utils import ties

import lora_convert as lc
from lora_convert.errors import AmbiguousCheckpointError, NotExpressibleError, OptionError
from lora_convert.operations.combine import plan_combine
from lora_convert.operations.editing import Writing
from lora_convert.operations.merging import Added
from lora_convert.operations.summing import Combination
from tests.laws.synthesis import adapter, changes, largest_difference


def written(folder: Path, name: str, made: lc.AdapterArrays, to: str = "kohya") -> str:
    return lc.write_adapter(made, str(folder / name), to=to).output


def combined(
    folder: Path, how: Combination, *added: tuple[str, float], dtype: str | None = None
) -> tuple[lc.AdapterArrays, dict[str, Any]]:
    output = str(folder / f"combined-{how.method}")
    with plan_combine(
        [Added(*one) for one in added], how, writing=Writing(output=output, dtype=dtype)
    ) as plan:
        told = plan.as_json()
        done = plan.apply(force=True)
    assert done.proof is None or done.proof.equal
    assert done.plan["bytes"] == told["bytes"]
    return lc.read_adapter(done.output, architecture=told["architecture"]), done.as_json()


@pytest.mark.parametrize("to", ["kohya", "diffusers", "peft"])
@pytest.mark.parametrize("architecture", ["sd1", "flux"])
@pytest.mark.parametrize("method", ["linear", "concat", "svd"])
def test_one_alone_is_itself(tmp_path: Path, architecture: str, method: Any, to: str) -> None:
    made = adapter(architecture)
    source = written(tmp_path, "a", made, to)
    found, _ = combined(tmp_path, Combination(method), (source, 1.0))
    assert largest_difference(made, found) == 0.0


@pytest.mark.parametrize("method", ["ties", "dare"])
def test_one_alone_is_nearly_itself_where_nothing_is_dropped(tmp_path: Path, method: Any) -> None:
    made = adapter("sd1", mixed=True)
    how = Combination(method, density=1.0)
    found, _ = combined(tmp_path, how, (written(tmp_path, "a", made), 1.0))
    assert largest_difference(made, found) < 1e-5


@pytest.mark.parametrize("architecture", ["sd1", "flux"])
def test_concat_is_the_sum_and_ranks_add_up(tmp_path: Path, architecture: str) -> None:
    one, other = adapter(architecture, seed=1), adapter(architecture, seed=2)
    first, second = written(tmp_path, "a", one), written(tmp_path, "b", other, "diffusers")
    found, told = combined(tmp_path, Combination("concat"), (first, 0.7), (second, -1.3))
    before, after = changes(one), changes(other)
    for place, change in changes(found).items():
        np.testing.assert_allclose(change, 0.7 * before[place] - 1.3 * after[place], atol=2e-5)
    assert max(map(int, told["ranks"])) > 3
    assert told["method"] == "concat"
    assert told["adapters"] == [{"path": first, "weight": 0.7}, {"path": second, "weight": -1.3}]


def test_of_one_strength_no_factor_is_touched(tmp_path: Path) -> None:
    one, other = (adapter("sdxl", components=("unet",), seed=seed) for seed in (1, 1))
    paths = [written(tmp_path, name, made) for name, made in (("a", one), ("b", other))]
    found, _ = combined(tmp_path, Combination("concat"), (paths[0], 0.5), (paths[1], 0.5))
    by_place = {m.module: m for m in one.modules}
    for module in found.modules:
        before = by_place[module.module].tensors["down"]
        np.testing.assert_array_equal(module.tensors["down"], np.concatenate([before, before]))


def test_svd_is_the_nearest_of_a_rank_and_says_what_is_lost(tmp_path: Path) -> None:
    one, other = adapter("sd1", seed=1, mixed=True), adapter("sd1", seed=2, mixed=True)
    paths = [
        written(tmp_path, name, made, "diffusers") for name, made in (("a", one), ("b", other))
    ]
    found, told = combined(tmp_path, Combination("svd", rank=2), (paths[0], 1.0), (paths[1], 2.0))
    before, after = changes(one), changes(other)
    for (component, module), change in changes(found).items():
        whole = before[component, module] + 2 * after[component, module]
        left, values, right = np.linalg.svd(whole.reshape(len(whole), -1), full_matrices=False)
        nearest = (left[:, :2] * values[:2]) @ right[:2]
        np.testing.assert_allclose(change.reshape(nearest.shape), nearest, atol=1e-4)
        lost = np.sqrt(np.square(values[2:]).sum() / np.square(values).sum())
        found_error = told["errors"].get(f"{component}.{module}", 0.0)  # of those that were cut
        assert found_error == pytest.approx(lost, abs=1e-5)


def test_ties_is_peft_s(tmp_path: Path) -> None:
    made = [adapter("sd1", seed=seed, components=("unet",)) for seed in (1, 2, 3)]
    paths = [written(tmp_path, str(at), one) for at, one in enumerate(made)]
    weights = (0.5, 0.5, 0.5)  # where they differ, PEFT elects signs before it weighs, ours after
    how = Combination("ties", rank=8, density=0.4)
    found, _ = combined(tmp_path, how, *zip(paths, weights, strict=True))
    all_of_them = [changes(one) for one in made]
    for place, change in changes(found).items():
        parts = [torch.from_numpy(each[place]) for each in all_of_them]
        wanted = ties(parts, torch.tensor(weights, dtype=torch.float64), 0.4).numpy()
        np.testing.assert_allclose(change, wanted, atol=2e-5)


def test_dare_drops_elements_and_is_right_on_average(tmp_path: Path) -> None:
    made = adapter("sd1", components=("text_encoder",), seed=1)
    source = written(tmp_path, "a", made)
    how = Combination("dare", rank=8, density=0.5, seed=3)
    found, _ = combined(tmp_path, how, (source, 1.0))
    again, _ = combined(tmp_path, how, (source, 1.0))
    other, _ = combined(tmp_path, how._replace(seed=4), (source, 1.0))
    assert largest_difference(found, again) == 0.0
    assert largest_difference(found, other) > 0.1
    before = changes(made)
    kept = []
    for place, change in changes(found).items():
        ratio = change / before[place]
        assert (np.isclose(ratio, 0, atol=1e-3) | np.isclose(ratio, 2, atol=1e-3)).mean() > 0.98
        kept.append((ratio > 1).mean())
    assert np.mean(kept) == pytest.approx(0.5, abs=0.03)


def test_modules_that_one_alone_has_are_kept(tmp_path: Path) -> None:
    one = adapter("sd1", components=("unet",))
    other = adapter("sd1", components=("text_encoder",))
    paths = [written(tmp_path, name, made) for name, made in (("a", one), ("b", other))]
    found, _ = combined(tmp_path, Combination(), (paths[0], 1.0), (paths[1], 0.5))
    assert len(found.modules) == len(one.modules) + len(other.modules)
    halves = [m for m in found.modules if m.component == "text_encoder"]
    before = changes(other)
    for module in halves:
        whole = before[module.component, module.module]
        np.testing.assert_array_equal(module.weight_change(), whole * 0.5)


def test_what_cannot_be_combined(tmp_path: Path) -> None:
    plain, dora = (written(tmp_path, name, adapter("sd1", name)) for name in ("lora", "dora"))
    flux = written(tmp_path, "flux", adapter("flux"))
    with pytest.raises(NotExpressibleError, match="DoRA"):
        plan_combine([Added(plain, 1.0), Added(dora, 1.0)], Combination())
    with pytest.raises(AmbiguousCheckpointError, match="different architectures"):
        plan_combine([Added(plain, 1.0), Added(flux, 1.0)], Combination())
    for how in (
        Combination("concat", rank=4),
        Combination("svd", rank=0),
        Combination("ties", density=0.0),
        Combination("dare", seed=-1),
        Combination("median"),  # type: ignore[arg-type]
    ):
        with pytest.raises(OptionError):
            plan_combine([Added(plain, 1.0)], how)
    with pytest.raises(OptionError, match="weight"):
        plan_combine([Added(plain, 0.0)], Combination())
