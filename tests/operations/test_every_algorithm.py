"""Every operation on every algorithm: right by its definition in numpy, or refused with a next step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import lora_convert as lc
from lora_convert.algorithms import ALGORITHMS
from lora_convert.errors import NotExpressibleError
from lora_convert.operations.combine import plan_combine
from lora_convert.operations.diff import diff
from lora_convert.operations.editing import Writing
from lora_convert.operations.merging import Added
from lora_convert.operations.resize import plan_resize
from lora_convert.operations.resizing import Limits
from lora_convert.operations.scale import plan_bake, plan_scale
from lora_convert.operations.summing import Combination
from lora_convert.operations.writing import ConversionPlan
from tests.laws.generators import base_of
from tests.laws.synthesis import adapter, weight_shape

ADDING = ("lora", "loha", "lokr", "full")
"""What is added is in the file; of all others it depends on the base."""
SCALED = (*ADDING, "ia3", "glora")
ON_A_BASE = tuple(name for name in ALGORITHMS if name not in {*ADDING, "norm"})
WHERE = ("unet",)
NATIVE = {"oft_in": "peft", "boft_in": "peft"}
"""Algorithms that kohya's names do not hold."""

Weights = dict[str, np.ndarray]


def made(algorithm: str, seed: int = 0) -> lc.AdapterArrays:
    """Of a module each that is linear, pointwise and a convolution; of PEFT's alone one that is linear."""
    whole = adapter("sd1", algorithm, components=WHERE, seed=seed)
    ends = ("attn1.to_out.0", "proj_in", "resnets.0.conv1")
    chosen = [next(m for m in whole.modules if m.module.endswith(end)) for end in ends]
    return whole._replace(modules=tuple(chosen[:1] if algorithm in NATIVE else chosen))


def written(folder: Path, name: str, one: lc.AdapterArrays) -> str:
    to = NATIVE.get(one.modules[0].algorithm, "kohya")
    return lc.write_adapter(one, str(folder / name), to=to).output


def base(one: lc.AdapterArrays) -> Weights:
    return {
        m.module: np.asarray(base_of(m.algorithm, weight_shape("sd1", m))["weight"], "float32")
        for m in one.modules
    }


def added(one: lc.AdapterArrays, weights: Weights, times: float = 1.0) -> Weights:
    """What an adapter adds to weights, so many times."""
    wide = {name: weight.astype("float64") for name, weight in weights.items()}
    return {
        m.module: times * (m.merged_weight(wide[m.module]) - wide[m.module]) for m in one.modules
    }


def applied(plan: ConversionPlan) -> lc.AdapterArrays:
    with plan:
        done = plan.apply()
    assert done.proof
    assert done.proof.equal
    return lc.read_adapter(done.output, architecture="sd1")


def to(folder: Path, name: str = "out.safetensors", form: str | None = None) -> Writing:
    return Writing(form, str(folder / name))


def check(found: lc.AdapterArrays, wanted: Weights, weights: Weights, near: float = 1e-4) -> None:
    result = added(found, weights)
    assert result.keys() == wanted.keys()
    for name, change in wanted.items():
        flat = change.reshape(len(change), -1)
        apart = np.linalg.norm(result[name].reshape(flat.shape) - flat)
        assert apart <= near * np.linalg.norm(flat), name


@pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if a != "norm"])
def test_scale(tmp_path: Path, algorithm: str) -> None:
    one = made(algorithm)
    source = written(tmp_path, "a", one)
    if algorithm not in SCALED:
        with pytest.raises(NotExpressibleError) as caught:
            plan_scale(source, 0.5)
        assert "lora-convert merge" in caught.value.hint
        return
    weights = base(one)
    found = applied(plan_scale(source, 0.5, writing=to(tmp_path)))
    check(found, added(one, weights, 0.5), weights)
    assert {m.algorithm for m in found.modules} == {algorithm}


@pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if a != "norm"])
def test_bake(tmp_path: Path, algorithm: str) -> None:
    one = made(algorithm)
    form = NATIVE.get(algorithm)
    name = "out" if form else "out.safetensors"
    found = applied(plan_bake(written(tmp_path, "a", one), writing=to(tmp_path, name, form)))
    assert {m.scale for m in found.modules} == {1.0}
    weights = base(one)
    check(found, added(one, weights), weights, 1e-6)


@pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if a != "norm"])
def test_resize(tmp_path: Path, algorithm: str) -> None:
    one = made(algorithm)
    source = written(tmp_path, "a", one)
    if algorithm in ON_A_BASE and algorithm != "dora":
        with pytest.raises(NotExpressibleError) as caught:
            plan_resize(source, Limits(rank=2))
        assert "--as lora --rank R --base BASE" in caught.value.hint
        return
    plan = plan_resize(source, Limits(rank=2), writing=to(tmp_path, form="kohya"))
    found = applied(plan)
    assert {m.algorithm for m in found.modules} == {"dora" if algorithm == "dora" else "lora"}
    if algorithm == "dora":
        return  # its factors are resized; test_resize.py holds them
    weights = base(one)
    for module, change in added(one, weights).items():
        left, values, right = np.linalg.svd(change.reshape(len(change), -1), full_matrices=False)
        nearest = (left[:, :2] * values[:2]) @ right[:2]
        result = added(found, weights)[module].reshape(nearest.shape)
        assert np.linalg.norm(result - nearest) <= 1e-4 * values[0]
        lost = np.linalg.norm(values[2:]) / np.linalg.norm(values)
        [error] = [v for k, v in plan.fields["errors"].items() if k in plan_labels(plan, module)]
        assert error == pytest.approx(lost, abs=1e-5)


def plan_labels(plan: ConversionPlan, module: str) -> set[str]:
    """The labels that kohya's names give the module of a Diffusers name."""
    from lora_convert.architectures import ARCHITECTURES
    from lora_convert.conversion.translate import translate
    from lora_convert.storage.probe import ByteFacts

    facts = ByteFacts(lambda extent: b"")
    return {
        delta.label
        for delta in plan.adapter.deltas
        for renamed in translate(
            plan.adapter._replace(deltas=(delta,)), ARCHITECTURES["sd1"], "diffusers", facts
        ).deltas
        if renamed.module == module
    }


@pytest.mark.parametrize("other", ADDING)
@pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if a != "norm"])
def test_combine(tmp_path: Path, algorithm: str, other: str) -> None:
    one, two = made(algorithm, 1), made(other, 2)
    two = two._replace(modules=two.modules[: len(one.modules)])
    pair = Added(written(tmp_path, "a", one), 0.5), Added(written(tmp_path, "b", two), -2.0)
    writing = to(tmp_path, form="kohya")
    if algorithm in ON_A_BASE:
        with pytest.raises(NotExpressibleError) as caught:
            plan_combine(pair, Combination("svd", 64), writing=writing)
        assert "--as lora --rank R --base BASE" in caught.value.hint
        return
    exact = algorithm == other and algorithm in {"lora", "full"}
    if not exact:
        with pytest.raises(NotExpressibleError) as caught:
            plan_combine(pair, Combination())
        assert "--rank R" in caught.value.hint
    how = Combination() if exact else Combination("svd", 64)
    weights = base(one)
    first, second = added(one, weights, 0.5), added(two, weights, -2.0)
    wanted = {name: change + second[name].reshape(change.shape) for name, change in first.items()}
    check(applied(plan_combine(pair, how, writing=writing)), wanted, weights)


@pytest.mark.parametrize("other", [a for a in ALGORITHMS if a != "norm"])
@pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if a != "norm"])
def test_diff(tmp_path: Path, algorithm: str, other: str) -> None:
    one, two = made(algorithm, 1), made(other, 2)
    found = diff(written(tmp_path, "a", one), written(tmp_path, "b", two))
    assert not found.proof.equal
    weights = base(one)
    before = added(one, weights)
    after = added(two, base(two))
    for module in found.modules:
        sides = (module.first, module.second)
        assert [side and side.algorithm for side in sides].count(None) == (module.first is None) + (
            module.second is None
        )
        name = module.module.split(".", 1)[1]
        if {algorithm, other} <= {*ADDING} and module.first and module.second:
            first, second = before[name].ravel(), after[name].ravel()
            norm = np.linalg.norm(first)
            assert module.distance == pytest.approx(np.linalg.norm(first - second) / norm, rel=1e-4)
            cosine = first @ second / norm / np.linalg.norm(second)
            assert module.cosine == pytest.approx(cosine, abs=1e-5)
            assert module.first.norm == pytest.approx(norm, rel=1e-5)


@pytest.mark.parametrize("algorithm", ON_A_BASE)
@pytest.mark.parametrize("recast", ["full", "lora"])
def test_on_a_base(tmp_path: Path, algorithm: str, recast: str) -> None:
    one = made(algorithm)
    weights = base(one)
    save_file({f"{name}.weight": w for name, w in weights.items()}, tmp_path / "base.safetensors")
    source = written(tmp_path, "a", one)
    with pytest.raises(NotExpressibleError) as caught:
        lc.convert(source, "kohya", architecture="sd1", recast="full")
    assert "--base" in caught.value.hint
    result = lc.convert(
        source,
        "kohya",
        output=str(tmp_path / "out.safetensors"),
        architecture="sd1",
        recast=recast,  # type: ignore[arg-type]
        rank=64 if recast == "lora" else None,
        base=str(tmp_path / "base.safetensors"),
    )
    found = lc.read_adapter(result.output, architecture="sd1")
    assert {m.algorithm for m in found.modules} == {recast}
    check(found, added(one, weights), weights)
