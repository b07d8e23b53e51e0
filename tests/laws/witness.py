"""What a file does to a model, told by its names and formulas alone, beside what it was made to do.

Names are taken apart by a list of endings and put together from the architecture's rows, each as any
reader would; the engine that converts has no part in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

import lora_convert as lc
from lora_convert.architectures import Row, fill
from lora_convert.formats import FORMATS
from lora_convert.operations.adapters import AdapterArrays, ModuleArrays
from tests.laws.formulas import Array, Numbers, Tensors, merged, scale_beside
from tests.laws.synthesis import placed, weight_shape

Place = tuple[str, str]
"""A component and a module of it."""

_PLAIN = (
    *(f"hada_{role}" for role in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")),
    *(
        "lokr_w1",
        "lokr_w2",
        "lokr_w2_a",
        "lokr_w2_b",
        "oft_blocks",
        "rescale",
        "boft_R",
        "boft_s",
        "ia3_l",
    ),
    *("diff", "w_norm", "b_norm", "set_weight", "alpha", "on_input"),
)
ROLES = {
    "lora_A.weight": "down",
    "lora_B.weight": "up",
    "lora_down.weight": "down",
    "lora_up.weight": "up",
    "lora_linear_layer.down.weight": "down",
    "lora_linear_layer.up.weight": "up",
    "lora_magnitude_vector.weight": "magnitude",
    "lora_magnitude_vector": "magnitude",
    "dora_scale": "magnitude",
    "oft_R.weight": "oft_R",
    **{f"{role}.weight": role for role in ("a1", "a2", "b1", "b2")},
    **{role: role for role in _PLAIN},
    "weight": "ia3_weight",  # LyCORIS's; the shortest, so the last that is tried
}
"""By ending: what any reader of such files takes a tensor for."""
_ENDING = re.compile(rf"\.({'|'.join(map(re.escape, ROLES))})$")


TOLERANCE = 1e-12
"""Of a weight, relative: factors are kept as they are, and sums in float64 differ in their order alone."""


def written(folder: Path, format_name: str, made: AdapterArrays) -> str:
    """A file or folder of `made` in a format."""
    name = format_name if FORMATS[format_name].folder else f"{format_name}.safetensors"
    return lc.write_adapter(made, str(folder / name), to=format_name).output


def converted(folder: Path, made: AdapterArrays, source: str, target: str) -> float:
    """How far a conversion is from what its source was made from; AssertionError where it is not right."""
    output = str(folder / f"to-{target}")
    result = lc.convert(source, target, output=output, architecture=made.architecture)
    assert result.proof is not None
    assert result.proof.exact, result.proof
    far = difference(made, result.output, target)
    assert far <= TOLERANCE, f"a weight differs by {far}"
    return far


def difference(made: AdapterArrays, path: str, format_name: str) -> float:
    """Largest relative difference of a weight that a file makes from what `made` makes of the same base.

    Infinite where the file's modules are others.
    """
    wanted = dict(expected(made, format_name))
    found = dict(_modules(Path(path), tuple(dict.fromkeys(m.component for m in made.modules))))
    if wanted.keys() != found.keys():
        return float("inf")
    return max(
        float(np.linalg.norm(merged(*found[name], base) - weight) / np.linalg.norm(weight - base))
        for name, (base, weight) in wanted.items()
    )


def expected(made: AdapterArrays, format_name: str) -> Iterator[tuple[str, tuple[Array, Array]]]:
    """By the names that a format has for them: modules' base weights, and what is made of them."""
    assert made.architecture
    format_ = FORMATS[format_name]
    prefixes = format_.prefixes_for(made.architecture)
    for (component, module), weights in _in_namespace(
        made, format_.namespace_for(made.architecture)
    ).items():
        yield f"{prefixes[component][0]}{module.replace('.', format_.separator)}", weights


_made: dict[tuple[int, str], tuple[AdapterArrays, dict[Place, tuple[Array, Array]]]] = {}


def _in_namespace(made: AdapterArrays, namespace: str) -> dict[Place, tuple[Array, Array]]:
    """Base weights of the modules of a namespace, and what is made of them."""
    key = id(made), namespace
    if key not in _made:
        if not any(known is made for known, _ in _made.values()):
            _made.clear()
        _made[key] = made, dict(_placed(made, namespace))
    return _made[key][1]


def _placed(made: AdapterArrays, namespace: str) -> Iterator[tuple[Place, tuple[Array, Array]]]:
    rows: dict[tuple[str, Row, tuple[str, ...]], dict[int, tuple[Array, Array]]] = {}
    for number, module in enumerate(made.modules):
        row, member, numbers = placed(made.architecture or "", module)
        place = module.component, row, numbers
        rows.setdefault(place, {})[member] = _both(made.architecture or "", module, number)
    for (component, row, numbers), members in rows.items():
        names = [fill(pattern, numbers) for pattern in row.names(namespace)]
        if namespace in ("native", "original"):
            yield (component, names[0]), _joined(row, members)
        else:
            for member, weights in members.items():
                yield (component, names[member]), weights


def _both(architecture: str, module: ModuleArrays, number: int) -> tuple[Array, Array]:
    """A base weight, and what a module's factors as they were made make of it."""
    shape = weight_shape(architecture, module)
    kind = shape[:1] if module.algorithm == "norm" else shape
    base = np.random.default_rng(number).standard_normal(kind)
    numbers = {"scale": module.scale, "constraint": 0.0, **module.settings}
    return base, merged(module.tensors, numbers, base)


def _joined(row: Row, members: Mapping[int, tuple[Array, Array]]) -> tuple[Array, Array]:
    """One module of several: its chunks of rows are theirs, each where the row says."""
    chunks: dict[int, tuple[Array, Array]] = {}
    for member, weights in members.items():
        own = row.chunks[member]
        parts = zip(*(np.split(weight, len(own)) for weight in weights), strict=True)
        chunks.update(zip(own, parts, strict=True))
    base, weight = (np.concatenate([chunks[at][n] for at in sorted(chunks)]) for n in (0, 1))
    return base, weight


def _modules(
    path: Path, components: tuple[str, ...]
) -> Iterator[tuple[str, tuple[Tensors, Numbers]]]:
    """What a file or folder holds: modules by their whole names, with tensors and numbers."""
    for file in [path] if path.is_file() else sorted(path.rglob("*.safetensors")):
        with safe_open(file, "numpy") as opened:
            # an adapter's name stands in the middle, or at the end
            tensors = {
                re.sub(r"\.default(?=\.weight$|$)", "", key): opened.get_tensor(key)
                for key in opened.keys()  # noqa: SIM118 - not a mapping
            }
            header = json.loads((opened.metadata() or {}).get("lora_adapter_metadata", "{}"))
        start, config = "", None
        if path.is_dir():
            component = file.parent.name if file.parent != path else components[0]
            start = f"{component}/"
            config = json.loads((file.parent / "adapter_config.json").read_text("utf-8"))
        groups: dict[str, dict[str, Array]] = {}
        for key, tensor in tensors.items():
            ending = _ENDING.search(key)
            assert ending, key
            groups.setdefault(key[: ending.start()], {})[ROLES[ending[1]]] = tensor
        for name, group in groups.items():
            yield start + name, (group, _numbers(name, group, config, header))


def _numbers(
    name: str, group: dict[str, Array], config: dict[str, Any] | None, header: dict[str, Any]
) -> Numbers:
    """Scale and settings of a module, from wherever its format keeps them."""
    if config is None and header:
        component, _, name = name.partition(".")
        own = f"{component}."
        config = {key.removeprefix(own): v for key, v in header.items() if key.startswith(own)}
        # CLIP's names in the header are without it (diffusers 0.42 strips it from the keys)
        name = name.removeprefix("text_model.")
    if config is not None:
        return _configured(name.removeprefix("base_model.model."), config)
    alpha = group.pop("alpha", None)
    said = None if alpha is None else float(alpha)
    on_input = float(group.pop("on_input", 0))
    return {"scale": scale_beside(group, said), "constraint": said or 0.0, "on_input": on_input}


def _configured(name: str, config: dict[str, Any]) -> Numbers:
    """As PEFT takes them from a configuration (utils/other.py, get_pattern_key)."""

    def of(patterns: str, *defaults: str) -> float:
        default = next((config[field] for field in defaults if field in config), 1)
        found = config.get(patterns) or {}
        return float(
            next((v for key, v in found.items() if re.match(rf"(.*\.)?({key})$", name)), default)
        )

    alpha, rank = of("alpha_pattern", "lora_alpha", "alpha"), of("rank_pattern", "r")
    forward = config.get("feedforward_modules") or ()
    if isinstance(forward, str):
        on_input = re.fullmatch(forward, name) is not None
    else:
        on_input = any(name.endswith(one) for one in forward)
    return {
        "scale": alpha / (rank**0.5 if config.get("use_rslora") else rank or 1),
        "neumann": float(config.get("num_cayley_neumann_terms", 0)),
        "on_input": float(on_input),
    }
