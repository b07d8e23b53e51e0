"""Changes of other algorithms as LoRAs: exact where the rank allows, else the nearest, and said how near."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import lora_convert as lc
from lora_convert.errors import LossyConversionError, NotExpressibleError, OptionError
from lora_convert.tensors.approximations import Cut
from lora_convert.tensors.arithmetic import Hadamard, Kronecker, Product
from lora_convert.tensors.build import times
from lora_convert.tensors.evaluate import evaluate, held
from lora_convert.tensors.expr import Expr
from lora_convert.tensors.ranges import Range
from tests.cli.test_commands import run
from tests.laws.synthesis import adapter

RNG = np.random.default_rng(11)
QKV = "double_blocks.0.img_attn.qkv"


def read(extent: Range) -> bytes:
    raise AssertionError("everything is in memory")


def array(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def best(matrix: np.ndarray, rank: int) -> np.ndarray:
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray(left[:, :rank] * values[:rank] @ right[:rank])


def changes() -> dict[str, Expr]:
    one, other = Product(held(array(9, 2)), held(array(2, 14)), 0.5), held(array(9, 14))
    return {
        "wide": held(array(9, 14)),
        "tall": held(array(14, 9)),
        "kernel": held(array(9, 4, 3, 3)),
        "a product": one,
        "a Hadamard product": Hadamard(one, Product(held(array(9, 3)), held(array(3, 14)), 1.0)),
        "of more rank than width": Hadamard(one, other),
        "a Kronecker product": Kronecker(held(array(3, 2)), held(array(4, 7))),
        "of a product": times(Kronecker(held(array(3, 2)), one), -2.0),
    }


@pytest.mark.parametrize("rank", [1, 3, 6, 9])
@pytest.mark.parametrize("name", changes())
def test_what_is_cut_is_the_nearest_of_its_rank(name: str, rank: int) -> None:
    change = changes()[name]
    whole = evaluate(change, read).reshape(change.shape[0], -1)
    up, down = (evaluate(Cut(change, rank, side), read) for side in ("up", "down"))
    assert up.shape == (whole.shape[0], rank)
    assert down.shape == (rank, whole.shape[1])
    scale = np.linalg.norm(whole)
    np.testing.assert_allclose(up @ down, best(whole, rank), atol=1e-7 * scale)


def fused_lokr(path: Path) -> np.ndarray:
    """A FLUX LoKr in kohya's names, whose blocks end inside its parts; its ΔW."""
    from safetensors.numpy import save_file

    first, second = (array(*shape).astype("float32") for shape in ((4, 3), (6, 4)))
    keys = {"lokr_w1": first, "lokr_w2": second, "alpha": np.array(9999999999.0, "float32")}
    flat = "lora_unet_" + QKV.replace(".", "_")
    save_file({f"{flat}.{key}": value for key, value in keys.items()}, path)
    return np.kron(first.astype("float64"), second)


def test_a_fused_lokr_comes_apart_as_a_lora(tmp_path: Path) -> None:
    source = tmp_path / "lokr.safetensors"
    change = fused_lokr(source)
    with pytest.raises(NotExpressibleError, match="blocks have 6 rows") as caught:
        lc.convert(source, "diffusers", output=str(tmp_path / "no"))
    assert "--as lora --rank R" in caught.value.hint
    result = lc.convert(source, "diffusers", output=str(tmp_path / "exact"), recast="lora", rank=12)
    assert result.plan["losses"] == []
    assert max(result.plan["errors"].values()) < 1e-7
    parts = {
        m.module.rpartition(".")[2]: m.weight_change()
        for m in lc.read_adapter(result.output).modules
    }
    found = np.concatenate([parts[f"to_{letter}"] for letter in "qkv"])
    np.testing.assert_allclose(found, change, atol=1e-5)


def test_what_is_lost_is_measured_and_told(tmp_path: Path) -> None:
    source = tmp_path / "lokr.safetensors"
    change = fused_lokr(source)
    result = lc.convert(source, "diffusers", output=str(tmp_path / "cut"), recast="lora", rank=2)
    wanted = np.linalg.norm(change - best(change, 2)) / np.linalg.norm(change)
    [(module, lost)] = result.plan["errors"].items()
    assert module == f"transformer.{QKV}"
    assert lost == pytest.approx(wanted, rel=1e-5)
    [loss] = result.plan["losses"]
    assert loss["kind"] == "rank lowered"
    assert f"up to {100 * wanted:.2g} % of a change is lost, in {module}" in loss["detail"]
    assert result.proof
    assert result.proof.equal
    with pytest.raises(LossyConversionError, match="rank lowered"):
        lc.convert(
            source, "diffusers", output=str(tmp_path / "n"), recast="lora", rank=2, losses="refuse"
        )


@pytest.mark.parametrize("algorithm", ["loha", "lokr", "full"])
@pytest.mark.parametrize("architecture", ["sd1", "flux"])
def test_whole_adapters_as_loras_of_enough_rank(
    algorithm: str, architecture: str, tmp_path: Path
) -> None:
    made = adapter(architecture, algorithm, components=("unet", "transformer"))
    source = lc.write_adapter(made, str(tmp_path / "source.safetensors"), to="kohya").output
    result = lc.convert(
        source,
        "diffusers",
        output=str(tmp_path / "out"),
        recast="lora",
        rank=64,
        architecture=architecture,
    )
    before = {m.module: m.weight_change() for m in made.modules}
    after = {m.module: m for m in lc.read_adapter(result.output, architecture=architecture).modules}
    assert before.keys() == after.keys()
    for name, change in before.items():
        found = after[name].weight_change()
        assert after[name].algorithm == "lora"
        np.testing.assert_allclose(
            found.reshape(len(change), -1), change.reshape(len(change), -1), atol=2e-4
        )
        conv = after[name].tensors["down"].ndim == 4
        assert not conv or after[name].tensors["down"].shape[1] == 12


def test_changes_as_they_are(tmp_path: Path) -> None:
    source = tmp_path / "lokr.safetensors"
    change = fused_lokr(source)
    result = lc.convert(source, "kohya", output=str(tmp_path / "k.safetensors"), recast="full")
    parts = {m.module.rpartition(".")[2]: m for m in lc.read_adapter(result.output).modules}
    assert {m.algorithm for m in parts.values()} == {"full"}
    found = np.concatenate([parts[f"to_{letter}"].weight_change() for letter in "qkv"])
    np.testing.assert_allclose(found, change, rtol=1e-6)


@pytest.mark.parametrize("algorithm", ["oft", "ia3", "glora"])
def test_what_multiplies_the_base_has_no_nearest_lora(algorithm: str, tmp_path: Path) -> None:
    made = adapter("sd1", algorithm, components=("unet",))
    source = lc.write_adapter(made, str(tmp_path / "source.safetensors"), to="kohya").output
    with pytest.raises(NotExpressibleError, match="no change of its own") as caught:
        lc.convert(source, "diffusers", recast="lora", rank=4, architecture="sd1")
    assert "lora-convert merge" in caught.value.hint


@pytest.mark.parametrize(
    "how", [{"recast": "lora"}, {"rank": 4}, {"recast": "full", "rank": 4}, {"recast": "loha"}]
)
def test_options_that_do_not_go_together(how: dict[str, object], tmp_path: Path) -> None:
    fused_lokr(tmp_path / "lokr.safetensors")
    with pytest.raises(OptionError):
        lc.convert(tmp_path / "lokr.safetensors", "kohya", **how)  # type: ignore[arg-type]


def test_the_command_says_what_is_lost(tmp_path: Path) -> None:
    source = tmp_path / "lokr.safetensors"
    fused_lokr(source)
    out = ["-o", str(tmp_path / "o.safetensors")]
    arguments = ["to-diffusers", str(source), *out, "--as", "lora", "--rank", "2", "--json"]
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    fields = json.loads(done.stdout)
    assert fields["errors"].keys() == {f"transformer.{QKV}"}
