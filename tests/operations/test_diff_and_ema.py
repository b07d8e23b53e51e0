"""Laws of diff and of averages over a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lora_convert as lc
from lora_convert.errors import OptionError
from lora_convert.operations.diff import diff
from lora_convert.operations.editing import Writing
from lora_convert.operations.ema import plan_ema, weights
from lora_convert.operations.scale import plan_scale
from tests.laws.synthesis import adapter, changes
from tests.pipelines import write_run


def written(folder: Path, name: str, made: lc.AdapterArrays, to: str = "kohya") -> str:
    return lc.write_adapter(made, str(folder / name), to=to).output


@pytest.mark.parametrize("algorithm", ["lora", "dora"])
@pytest.mark.parametrize("architecture", ["sd1", "flux"])
def test_nothing_differs_from_itself(tmp_path: Path, architecture: str, algorithm: str) -> None:
    made = adapter(architecture, algorithm)
    one, other = written(tmp_path, "a", made), written(tmp_path, "b", made, "peft")
    found = diff(one, other)
    assert found.proof.equal
    assert found.headers["format"] == ("kohya", "peft")
    for module in found.modules:
        assert module.distance == 0.0
        assert module.cosine == pytest.approx(1.0)
        assert module.first == module.second
    assert not diff(one, one).headers


def test_it_says_what_verify_says(tmp_path: Path) -> None:
    made = [adapter("sd1", seed=seed, mixed=True) for seed in (1, 2)]
    one, other = (written(tmp_path, str(at), each) for at, each in enumerate(made))
    found, proof = diff(one, other), lc.verify(one, other)
    assert found.proof._replace(seconds=0.0) == proof._replace(seconds=0.0)
    assert max(module.distance or 0 for module in found.modules) == proof.worst
    before, after = (changes(each) for each in made)
    for module in found.modules:
        place = tuple(module.module.split(".", 1))
        first, second = before[place], after[place]  # type: ignore[index]
        norms = np.linalg.norm(first), np.linalg.norm(second)
        assert module.first
        assert module.first.norm == pytest.approx(norms[0], rel=1e-5)
        assert module.distance == pytest.approx(np.linalg.norm(first - second) / norms[0], rel=1e-4)
        assert module.cosine == pytest.approx(
            np.vdot(first, second) / norms[0] / norms[1], abs=1e-5
        )
        values = np.square(np.linalg.svd(first.reshape(len(first), -1), compute_uv=False)).cumsum()
        assert module.first.used == int(np.searchsorted(values, 0.99 * values[-1])) + 1


def test_strength_alone_has_the_same_direction(tmp_path: Path) -> None:
    source = written(tmp_path, "a", adapter("sd1"))
    with plan_scale(source, -0.5, writing=Writing(output=str(tmp_path / "b"))) as plan:
        output = plan.apply().output
    for module in diff(source, output).modules:
        assert module.cosine == pytest.approx(-1.0)
        assert module.distance == pytest.approx(1.5)


def test_modules_of_one_alone(tmp_path: Path) -> None:
    made = adapter("sd1")
    less = made._replace(modules=made.modules[1:])
    found = diff(written(tmp_path, "a", made), written(tmp_path, "b", less))
    gone = [module for module in found.modules if module.second is None]
    assert len(gone) == 1
    assert gone[0].distance is None
    assert not found.proof.equal


def test_weights_of_an_average_are_what_running_it_gives() -> None:
    for count in (1, 2, 5):
        average = np.eye(count)[0]
        for at in range(1, count):
            average = 0.8 * average + 0.2 * np.eye(count)[at]
        np.testing.assert_allclose(weights(count, 0.8), average)
        assert sum(weights(count, 0.8)) == pytest.approx(1.0)


def test_the_average_of_a_run_is_that_of_its_changes(tmp_path: Path) -> None:
    write_run(tmp_path / "run", "base")
    run = str(tmp_path / "run")
    steps = [changes(lc.read_adapter(f"{run}@{step}")) for step in (500, 1000, 1500)]
    with plan_ema(run, 0.5, rank=12) as plan:
        done = plan.apply()
    assert done.output == f"{run}-ema.safetensors"
    for place, change in changes(lc.read_adapter(done.output)).items():
        wanted = sum(w * step[place] for w, step in zip((0.25, 0.25, 0.5), steps, strict=True))
        np.testing.assert_allclose(change, wanted, atol=1e-5)
    with plan_ema(run, 0.5, last=2, writing=Writing("peft", str(tmp_path / "out"))) as plan:
        found = plan.apply()
    assert found.plan["ranks"] == {"4": 4}
    assert max(found.plan["errors"].values()) > 0.01
    for wrong in ({"decay": 1.0}, {"decay": 0.5, "last": 1}):
        with pytest.raises(OptionError):
            plan_ema(run, **wrong)  # type: ignore[arg-type]
