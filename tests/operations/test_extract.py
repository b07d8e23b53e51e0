"""Laws of extracting: a base with a LoRA merged into it gives the LoRA back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import lora_convert as lc
from lora_convert.architectures import ARCHITECTURES, SINGLE_FILES
from lora_convert.errors import BaseMismatchError, OptionError, UnknownArchitectureError
from lora_convert.operations.editing import Writing
from lora_convert.operations.extract import Extraction, plan_extract
from lora_convert.operations.merging import Added, plan_merge
from tests.laws.synthesis import INPUTS, adapter, changes, largest_difference, module_names
from tests.pipelines import WEIGHTS, write_adapter, write_base


def base_of(
    made: lc.AdapterArrays, component: str, dtype: str = "float32"
) -> dict[str, np.ndarray]:
    """Weights that an adapter fits, in Diffusers' names, and others."""
    rng = np.random.default_rng(0)
    weights = {
        f"{module.module}.weight": rng.standard_normal(module.weight_change().shape).astype(dtype)
        for module in made.modules
        if module.component == component
    }
    return {**weights, "rest.bias": rng.standard_normal(5).astype(dtype)}


def tuned(folder: Path, made: lc.AdapterArrays, base: Path) -> Path:
    """The base with an adapter merged into it."""
    source = lc.write_adapter(made, str(folder / "lora.safetensors"), to="kohya").output
    output = folder / "tuned.safetensors"
    with plan_merge([Added(source, 1.0)], str(base), str(output)) as plan:
        plan.apply()
    return output


def extracted(
    folder: Path, one: Path, base: Path, how: Extraction, **writing: Any
) -> tuple[lc.AdapterArrays, dict[str, Any]]:
    output = str(folder / "extracted.safetensors")
    with plan_extract(one, base, how, writing=Writing(output=output, **writing)) as plan:
        told = plan.as_json()
        done = plan.apply(force=True)
    assert done.proof is None or done.proof.equal
    assert done.plan["bytes"] == told["bytes"]
    return lc.read_adapter(done.output, architecture=told["architecture"]), done.as_json()


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(
    ("architecture", "component"), [("sd1", "unet"), ("sdxl", "unet"), ("flux", "transformer")]
)
def test_what_was_merged_comes_back(
    tmp_path: Path, architecture: str, component: str, fast: bool
) -> None:
    made = adapter(architecture, components=(component,))
    base = tmp_path / "base.safetensors"
    save_file(base_of(made, component), base)
    how = Extraction(4, fast=fast, architecture=architecture)
    found, told = extracted(tmp_path, tuned(tmp_path, made, base), base, how)
    assert largest_difference(made, found) < 1e-4
    assert max(told["errors"].values()) < 1e-3
    assert told["unchanged"] == 0


def test_a_lower_rank_is_the_nearest_and_says_what_is_lost(tmp_path: Path) -> None:
    made = adapter("sd1", components=("unet",), mixed=True)
    base = tmp_path / "base.safetensors"
    save_file(base_of(made, "unet"), base)
    found, told = extracted(
        tmp_path, tuned(tmp_path, made, base), base, Extraction(1), to="diffusers"
    )
    before = changes(made)
    for (component, module), change in changes(found).items():
        whole = before[component, module].reshape(len(change), -1)
        values = np.linalg.svd(whole, compute_uv=False)
        lost = np.sqrt(np.square(values[1:]).sum() / np.square(values).sum())
        assert told["errors"][f"{component}.{module}"] == pytest.approx(lost, abs=2e-5)
        difference = np.linalg.norm(whole - change.reshape(whole.shape)) / np.linalg.norm(whole)
        assert difference == pytest.approx(lost, abs=2e-5)


@pytest.mark.parametrize("architecture", ["sd1", "sd2", "sdxl", "flux"])
def test_checkpoints_in_one_file(tmp_path: Path, architecture: str) -> None:
    """In the authors' names: fused layers and OpenCLIP's too."""
    made = adapter(architecture)
    made = made._replace(  # which OpenCLIP keeps as a parameter, transposed
        modules=tuple(m for m in made.modules if m.module != "text_projection")
    )
    layout = SINGLE_FILES[architecture]
    rng = np.random.default_rng(0)
    weights = {}
    for part in layout.named(ARCHITECTURES[architecture]).components:
        for row in part.rows:
            height = 8 * len(row.order)
            kernel = (3, 3) if row.kind == "conv" else ()
            if row.kind == "conv" and row.diffusers[0].endswith(
                ("proj_in", "proj_out", "conv_shortcut")
            ):
                kernel = (1, 1)
            for name, _ in module_names(row, "native"):
                for start in layout.keys(part.name, name)[:1]:
                    shape = (height, INPUTS, *kernel)
                    weights[f"{start}weight"] = rng.standard_normal(shape).astype("float32")
    base = tmp_path / "base.safetensors"
    save_file({**weights, "first_stage_model.x": np.ones(3, "float32")}, base)
    one = tuned(tmp_path, made, base)
    found, told = extracted(tmp_path, one, base, Extraction(20, architecture=architecture))
    assert largest_difference(made, found) < 1e-4
    _, again = extracted(tmp_path, one, base, Extraction(20))
    assert told["architecture"] == again["architecture"]
    assert again["status"] == "unchanged"


def test_pipelines_and_components(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    lora = write_adapter(tmp_path / "lora", 1)
    made = write_base(tmp_path / "made")
    weights = made / "unet" / WEIGHTS["unet"]
    with plan_merge(
        [Added(str(lora), 1.0)], str(base / "unet"), str(tmp_path / "unet.safetensors")
    ) as plan:
        plan.apply()
    weights.write_bytes((tmp_path / "unet.safetensors").read_bytes())
    wanted = lc.read_adapter(lora)
    for pair in ((made, base), (made / "unet", base / "unet")):
        found, _ = extracted(tmp_path, *pair, Extraction(4, architecture="sd1"))
        assert largest_difference(wanted, found) < 1e-4


def test_what_a_lora_cannot_hold_is_a_loss_and_what_is_alike_has_none(tmp_path: Path) -> None:
    made = adapter("sd1", components=("unet",))
    weights = base_of(made, "unet")
    save_file(weights, tmp_path / "base.safetensors")
    first, *_ = weights
    changed = {**weights, first: weights[first] + 1, "rest.bias": weights["rest.bias"] + 1}
    save_file(changed, tmp_path / "tuned.safetensors")
    with plan_extract(
        tmp_path / "tuned.safetensors", tmp_path / "base.safetensors", Extraction(1)
    ) as plan:
        assert [loss.kind for loss in plan.losses] == ["rank lowered", "not low-rank"]
        assert len(plan.adapter.deltas) == 1
        assert plan.fields["unchanged"] == len(weights) - 2


def test_a_narrower_copy_of_the_base_is_the_base(tmp_path: Path) -> None:
    made = adapter("sd1", components=("unet",))
    weights = base_of(made, "unet")
    save_file(weights, tmp_path / "base.safetensors")
    half = {name: tensor.astype("float16") for name, tensor in weights.items()}
    save_file(half, tmp_path / "half.safetensors")
    with pytest.raises(OptionError, match="finetuned"):
        plan_extract(tmp_path / "half.safetensors", tmp_path / "base.safetensors", Extraction(1))


def test_what_cannot_be_extracted(tmp_path: Path) -> None:
    made = adapter("sd1", components=("unet",))
    weights = base_of(made, "unet")
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    save_file(weights, one)
    save_file(dict([*weights.items()][1:]), other)
    with pytest.raises(BaseMismatchError):
        plan_extract(one, other, Extraction(1))
    save_file({"x": np.ones((3, 3), "float32")}, other)
    with pytest.raises(UnknownArchitectureError):
        plan_extract(other, one, Extraction(1))
    for how in (Extraction(0), Extraction(1, seed=-1), Extraction(1, architecture="sd9")):
        with pytest.raises(OptionError):
            plan_extract(one, one, how)
    assert load_file(one).keys() == weights.keys()


def tuned_beside(folder: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Two files: of one module weight and bias differ, of another the bias alone, of norms both or one."""
    modules = [m.module for m in adapter("sd1", components=("unet",)).modules]
    names = [next(m for m in modules if m.endswith(end)) for end in ("to_out.0", "ff.net.2")]
    block = names[0].split(".attn")[0]
    norms = [f"{block}.norm1", f"{block}.norm2"]
    rng = np.random.default_rng(1)
    shapes = {
        **{f"{name}.weight": (8, 12) for name in names},
        **{f"{name}.weight": (8,) for name in norms},
        **{f"{name}.bias": (8,) for name in (*names, *norms)},
        "conv_norm_out.other": (8,),
    }
    base = {name: rng.standard_normal(shape).astype("float32") for name, shape in shapes.items()}
    added = {name: rng.standard_normal(t.shape).astype("float32") for name, t in base.items()}
    del added[f"{names[1]}.weight"], added[f"{norms[1]}.weight"]
    save_file(base, folder / "base.safetensors")
    both = {name: tensor + added.get(name, 0) for name, tensor in base.items()}
    save_file(both, folder / "tuned.safetensors")
    return added, [*names, *norms]


def test_biases_and_norms_are_extracted_where_the_format_holds_them(tmp_path: Path) -> None:
    added, (whole, alone, norm, only) = tuned_beside(tmp_path)
    paths = tmp_path / "tuned.safetensors", tmp_path / "base.safetensors"
    how = Extraction(8, architecture="sd1", component="unet")
    found, told = extracted(tmp_path, *paths, how)
    modules = {module.module: module for module in found.modules}
    assert {name: module.algorithm for name, module in modules.items()} == {
        whole: "lora",
        alone: "full",
        norm: "norm",
        only: "norm",
    }
    np.testing.assert_allclose(modules[whole].weight_change(), added[f"{whole}.weight"], atol=1e-5)
    wanted = {whole: "diff_b", alone: "diff_b", norm: "b_norm", only: "b_norm"}
    for name, role in wanted.items():
        np.testing.assert_allclose(modules[name].tensors[role], added[f"{name}.bias"], atol=1e-6)
    given = modules[norm].tensors["w_norm"]
    np.testing.assert_allclose(given, added[f"{norm}.weight"], atol=1e-6)
    assert not modules[only].tensors["w_norm"].any()
    [loss] = [loss for loss in told["losses"] if loss["kind"] == "not low-rank"]
    assert loss["affected"] == 1
    assert "conv_norm_out.other" in loss["detail"]


def test_biases_alone_are_losses_of_formats_without_them(tmp_path: Path) -> None:
    added, (whole, _, norm, _) = tuned_beside(tmp_path)
    paths = tmp_path / "tuned.safetensors", tmp_path / "base.safetensors"
    how = Extraction(8, architecture="sd1", component="unet")
    writing = Writing("peft", str(tmp_path / "peft"))
    with plan_extract(*paths, how, writing=writing) as plan:
        done = plan.apply()
        [loss] = [loss for loss in plan.losses if loss.kind == "not low-rank"]
    assert loss.affected == 5
    assert f"{norm}.weight" in loss.detail
    [module] = lc.read_adapter(done.output, architecture="sd1").modules
    assert module.module == whole
    np.testing.assert_allclose(module.tensors["bias"], added[f"{whole}.bias"], atol=1e-6)
