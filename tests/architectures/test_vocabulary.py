"""What the words of a table mean: names with alternatives, and rows of ΔW."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import lora_convert as lc
from lora_convert.architectures import ARCHITECTURES, Architecture, Component, Row
from lora_convert.architectures._vocabulary import (
    alike,
    fused,
    native_only,
    nested,
    same,
    shuffled,
    swapped,
)
from lora_convert.conversion.spelling import spelling
from lora_convert.errors import NotExpressibleError
from lora_convert.operations.adapters import AdapterArrays, ModuleArrays

TOY = Architecture(
    name="toy",
    title="A made-up model",
    components=(
        Component("transformer", (
            *nested("blocks.{}", "layers.{}", (
                fused("attn.to_q", "attn.to_k", "attn.to_v", into="qkv", ratio=(3, 1, 1)),
                same("attn.to_<out.0,gate>", "<o,g>"),
                shuffled("norm1", "norm2", into="mod", chunks=((0, 2), (3, 1))),
                same("context", "ctx", "context_first", growth=3),
                swapped("context", "ctx", "context_first", growth=2),
            )),
            *alike("top"),
            native_only("direction"),
        )),
    ),
)  # fmt: skip


@pytest.fixture
def _toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(ARCHITECTURES, "toy", TOY)
    spelling.cache_clear()
    yield
    spelling.cache_clear()


def delta(module: str, height: int) -> ModuleArrays:
    """A module with all of ΔW in ``up``: its rows tell where they went."""
    up = np.arange(height, dtype=np.float32)[:, None] + 1000 * len(module)
    return ModuleArrays("transformer", module, "lora", {"down": np.ones((1, 4), "f4"), "up": up}, 1)


def written(folder: Path, *modules: ModuleArrays, to: str = "kohya") -> dict[str, np.ndarray]:
    """The first column of ΔW by the name in the file."""
    made = AdapterArrays(modules, "toy", {})
    output = lc.write_adapter(made, str(folder / "made.safetensors"), to=to).output
    from safetensors.numpy import load_file

    tensors = load_file(output)
    found = {}
    for name, up in tensors.items():
        if name.endswith(".lora_up.weight"):
            module = name.removesuffix(".lora_up.weight")
            change = up @ tensors[f"{module}.lora_down.weight"]
            found[module] = change[:, 0] * tensors[f"{module}.alpha"] / up.shape[1]
    back = lc.read_adapter(output, architecture="toy")
    assert {m.module for m in back.modules} == {m.module for m in modules}
    for module in modules:
        (again,) = (m for m in back.modules if m.module == module.module)
        np.testing.assert_array_equal(again.weight_change(), module.weight_change())
    return found


def test_lists_of_alternatives_are_combined() -> None:
    (row,) = alike("a.{}.<b,c>.<d,e.0>")
    names = [one.native for one in Component("unet", (row,)).rows]
    assert names == ["a.{}.b.d", "a.{}.b.e.0", "a.{}.c.d", "a.{}.c.e.0"]
    both = Component("unet", (fused("x.<q,k>1", "x.<q,k>2", into="<y,z>"),)).rows
    assert both == (
        Row(("x.q1", "x.q2"), "y", ((0,), (1,))),
        Row(("x.k1", "x.k2"), "z", ((0,), (1,))),
    )


@pytest.mark.usefixtures("_toy")
def test_rows_of_different_heights_are_fused(tmp_path: Path) -> None:
    q, k, v = (delta(f"blocks.0.attn.to_{x}", n) for x, n in (("q", 6), ("k", 2), ("v", 2)))
    found = written(tmp_path, q, k, v)
    whole = np.concatenate([m.weight_change()[:, 0] for m in (q, k, v)])
    np.testing.assert_array_equal(found["lora_unet_layers_0_qkv"], whole)


@pytest.mark.usefixtures("_toy")
def test_chunks_of_rows_lie_where_the_table_says(tmp_path: Path) -> None:
    one, other = delta("blocks.1.norm1", 4), delta("blocks.1.norm2", 4)
    found = written(tmp_path, one, other)
    first, second = one.weight_change()[:, 0], other.weight_change()[:, 0]
    whole = np.concatenate([first[:2], second[2:], first[2:], second[:2]])
    np.testing.assert_array_equal(found["lora_unet_layers_1_mod"], whole)


@pytest.mark.usefixtures("_toy")
@pytest.mark.parametrize(("height", "order"), [(12, range(12)), (8, [4, 5, 6, 7, 0, 1, 2, 3])])
def test_a_block_that_is_smaller_has_its_own_row(
    height: int, order: list[int], tmp_path: Path
) -> None:
    one = delta("blocks.7.context", height)
    found = written(tmp_path, one)
    np.testing.assert_array_equal(
        found["lora_unet_layers_7_ctx"], one.weight_change()[list(order), 0]
    )


@pytest.mark.usefixtures("_toy")
def test_the_original_name_is_read_too() -> None:
    bound = spelling("kohya", "toy")
    reading = bound.parse("lora_unet_layers_3_context_first.alpha")
    assert reading is not None
    assert (reading.module, reading.namespace) == ("layers.3.context_first", "original")


@pytest.mark.usefixtures("_toy")
def test_a_module_that_diffusers_lacks_is_refused_by_name(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    file = tmp_path / "native.safetensors"
    save_file(
        {
            "lora_unet_direction.lora_down.weight": np.ones((1, 4), "f4"),
            "lora_unet_direction.lora_up.weight": np.ones((4, 1), "f4"),
            "lora_unet_direction.alpha": np.ones((), "f4"),
        },
        file,
    )
    with pytest.raises(NotExpressibleError, match="direction"):
        lc.convert(str(file), "diffusers", output=str(tmp_path / "out"), architecture="toy")
    assert lc.inspect(str(file), architecture="toy").unexplained == ()
