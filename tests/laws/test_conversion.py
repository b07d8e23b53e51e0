"""ΔW survives every ordered pair of formats, for every architecture and algorithm, pair by pair."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import lora_convert as lc
from lora_convert.architectures import ARCHITECTURES
from tests.laws.covering import covering, spread
from tests.laws.matrix import FOUND, Case, cases, contents
from tests.laws.pairs import WRITTEN, named, possible
from tests.laws.synthesis import adapter, changes, largest_difference
from tests.laws.witness import TOLERANCE, converted, difference, written

LOW_RANK = ("lora", "dora")
"""Algorithms that every format holds; the others are in test_algorithms.py."""


def tree(path: str) -> dict[str, bytes]:
    """Bytes of a file, or of every file of a folder."""
    if os.path.isfile(path):
        return {"": Path(path).read_bytes()}
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(Path(path).rglob("*"))
        if file.is_file()
    }


ONCE_WRONG = [
    # the last block's modulation is half as high and swapped, and nothing but heights tells
    Case("sd3", "oft", "lycoris", "kohya"),
    # a module's whole name is the end of another's, and the configuration lists ends
    Case("hunyuan_video", "ia3", "kohya", "peft"),
]
"""Two things that met and acted otherwise; cases that hold all pairs need not have them."""


@pytest.mark.parametrize(
    "case", sorted({*covering(cases(ARCHITECTURES)), *ONCE_WRONG}), ids=" ".join
)
def test_every_conversion_keeps_the_effective_change(tmp_path: Path, case: Case) -> None:
    architecture, algorithm, origin, target = case
    made = adapter(architecture, algorithm, components=named(architecture, origin, target))
    source = written(tmp_path, origin, made)
    assert difference(made, source, origin) <= TOLERANCE
    converted(tmp_path, made, source, target)


def test_the_whole_matrix_was_run_with_what_there_is() -> None:
    """What the page of formats says of it; ``python -m tests.laws.matrix --new`` runs what is new."""
    wanted = list(cases(ARCHITECTURES))
    told = json.loads(FOUND.read_text(encoding="utf-8"))
    assert told.pop("largest_difference") <= TOLERANCE
    assert told == contents(wanted)


@pytest.mark.parametrize("role", ["up", "down", "alpha"])
def test_the_witness_sees_a_number_that_is_wrong(tmp_path: Path, role: str) -> None:
    made = adapter("flux", components=("transformer",))
    source = written(tmp_path, "kohya", made)
    assert difference(made, source, "kohya") <= TOLERANCE
    tensors = load_file(source)
    name = next(key for key in tensors if f"lora_{role}." in key or key.endswith(f".{role}"))
    wrong = np.asarray(tensors[name] * (1 + 1e-6), "float32")
    save_file({**tensors, name: wrong}, source)
    assert difference(made, source, "kohya") > TOLERANCE


@pytest.mark.parametrize(("architecture", "target"), possible(spread(ARCHITECTURES, WRITTEN)))
def test_parts_of_different_rank_and_scale_keep_their_change_within_fp32(
    tmp_path: Path, architecture: str, target: str
) -> None:
    made = adapter(architecture, mixed=True, components=named(architecture, "diffusers", target))
    source = written(tmp_path, "diffusers", made)
    output = str(tmp_path / f"to-{target}")
    result = lc.convert(source, target, output=output, architecture=architecture, force=True)
    back = lc.read_adapter(result.output, architecture=architecture)
    assert largest_difference(made, back) <= 1e-6


@pytest.mark.parametrize(
    ("architecture", "origin", "algorithm"),
    possible(spread(ARCHITECTURES, WRITTEN, LOW_RANK)),
)
def test_round_trips_are_the_identity(
    tmp_path: Path, architecture: str, origin: str, algorithm: str
) -> None:
    """Of the adapter at once; of the bytes from the second trip on."""
    target = "diffusers" if origin != "diffusers" else "kohya"
    made = adapter(architecture, algorithm, components=named(architecture, origin, target))
    source = written(tmp_path, origin, made)
    trips: list[dict[str, bytes]] = []
    at = source
    for trip in range(3):
        there = lc.convert(
            at, target, output=str(tmp_path / f"there-{trip}"), architecture=architecture
        ).output
        back = lc.convert(
            there, origin, output=str(tmp_path / f"back-{trip}"), architecture=architecture
        ).output
        trips.append(tree(back))
        at = back
    assert trips[1] == trips[2]
    first, last = (lc.read_adapter(path, architecture=architecture) for path in (source, at))
    for one, other in zip(
        sorted(first.modules, key=lambda m: (m.component, m.module)),
        sorted(last.modules, key=lambda m: (m.component, m.module)),
        strict=True,
    ):
        assert (one.module, one.scale) == (other.module, other.scale)
        for role in one.tensors:
            np.testing.assert_array_equal(one.tensors[role], other.tensors[role])


@pytest.mark.parametrize(("architecture", "target"), possible(spread(ARCHITECTURES, WRITTEN)))
def test_plans_tell_the_truth(tmp_path: Path, architecture: str, target: str) -> None:
    made = adapter(architecture, components=named(architecture, "diffusers", target))
    source = written(tmp_path, "diffusers", made)
    with lc.plan_convert(
        source, target, output=str(tmp_path / "out"), architecture=architecture
    ) as plan:
        before = sorted(tmp_path.rglob("*"))
        told = plan.as_json()
        assert sorted(tmp_path.rglob("*")) == before, "planning writes nothing"
        result = plan.apply()
    new = sorted(str(p) for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert new == sorted(told["outputs"])
    assert sum(os.path.getsize(path) for path in new) == told["bytes"]
    assert result.status == "written"
    for force in (False, True):
        again = lc.convert(
            source, target, output=str(tmp_path / "out"), architecture=architecture, force=force
        )
        assert again.status == "unchanged"


@pytest.mark.parametrize(("architecture", "dtype"), spread(ARCHITECTURES, ("fp16", "bf16")))
def test_a_narrower_dtype_is_a_loss_of_one_rounding(
    tmp_path: Path, architecture: str, dtype: str
) -> None:
    made = adapter(architecture)
    source = written(tmp_path, "diffusers", made)
    result = lc.convert(source, "peft", output=str(tmp_path / "out"), dtype=dtype)
    assert [loss["kind"] for loss in result.plan["losses"]] == ["dtype narrowed"]
    with pytest.raises(lc.LoraConvertError):
        lc.convert(source, "peft", output=str(tmp_path / "no"), dtype=dtype, losses="refuse")
    assert not (tmp_path / "no").exists()
    unit = {"fp16": 2.0**-11, "bf16": 2.0**-8}[dtype]
    before = {(m.component, m.module): m for m in made.modules}
    for module in lc.read_adapter(result.output, architecture=architecture).modules:
        for role, values in module.tensors.items():
            exact = before[module.component, module.module].tensors[role]
            difference = np.abs(values.astype("float64") - exact)
            assert (difference <= unit * np.abs(exact) + 2.0**-25).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_factors_are_copied_as_they_are(tmp_path: Path, dtype: str) -> None:
    import ml_dtypes  # noqa: F401 - registers bfloat16 with numpy

    made = adapter("flux", dtype=dtype)
    source = written(tmp_path, "diffusers", made)
    result = lc.convert(source, "kohya", output=str(tmp_path / "k.safetensors"))
    assert result.proof is not None
    assert result.proof.exact
    assert lc.inspect(result.output).dtypes == ({"float16": "F16", "bfloat16": "BF16"}[dtype],)
    assert not changes(made).keys() - changes(lc.read_adapter(result.output)).keys()
