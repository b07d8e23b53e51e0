"""Does what is written act right in an older Diffusers? By hand: it needs a second environment.

    python -m tests.oracles.older_diffusers write CASES   with lora-convert and today's libraries
    python -m tests.oracles.older_diffusers read CASES    with the older libraries and pytest

The first makes a folder for each case: Diffusers' file, PEFT's folder of the UNet or transformer,
and what PEFT itself adds to which base weights. The second loads both and prints how far
off they are.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file

from tests.oracles.acting import (
    Weights,
    adapted_pipeline,
    added_by,
    loaded_by_diffusers,
    loaded_by_peft,
    saved,
)
from tests.oracles.cases import BACKBONES, SHAPES_OF_SCALE, TWO_PROJECTIONS, configs
from tests.oracles.tiny_models import models

if TYPE_CHECKING:
    import torch


def write(cases: Path) -> None:
    """Cases of every architecture and every way to say a scale."""
    for architecture, scale in product(BACKBONES, SHAPES_OF_SCALE):
        write_case(
            cases / f"{architecture}, {scale}",
            architecture,
            configs(architecture, SHAPES_OF_SCALE[scale]),
        )
    for name, config in TWO_PROJECTIONS.items():
        write_case(cases / f"flux proj_out, {name}", "flux", {"transformer": config})
    bias = {"r": 4, "lora_alpha": 8, "lora_bias": True, "target_modules": ["to_out.0"]}
    write_case(cases / "sd1, trained biases", "sd1", {"unet": bias})


def write_case(folder: Path, architecture: str, wanted: dict[str, dict[str, Any]]) -> None:
    import lora_convert as lc

    adapters = adapted_pipeline(architecture, wanted)
    source = saved(adapters, folder / "source")
    lc.convert(str(source), "diffusers", output=str(folder))
    through = folder / "through" / "pytorch_lora_weights.safetensors"
    lc.convert(str(source / BACKBONES[architecture][0]), "diffusers", output=str(through))
    lc.convert(str(through), "peft", output=str(folder / "peft"))
    expected = added_by(adapters)
    save_file(expected, folder / "added.safetensors")
    base = {key: _parameter(architecture, key).contiguous() for key in expected}
    save_file(base, folder / "base.safetensors")
    (folder / "case.json").write_text(json.dumps({"architecture": architecture}))


def read(cases: Path) -> None:
    """One line a case: Diffusers' largest difference, then PEFT's."""
    print(
        *(f"{name} {version(name)}" for name in ("diffusers", "peft", "transformers", "torch")),
        sep=", ",
    )
    for case in sorted(path.parent for path in cases.glob("*/case.json")):
        architecture = json.loads((case / "case.json").read_text())["architecture"]
        for key, tensor in load_file(case / "base.safetensors").items():
            _parameter(architecture, key).data = tensor
        expected = load_file(case / "added.safetensors")
        whole = loaded_by_diffusers(architecture, case / "pytorch_lora_weights.safetensors")
        backbone = f"{BACKBONES[architecture][0]}."
        part = {key: tensor for key, tensor in expected.items() if key.startswith(backbone)}
        print(
            f"{case.name:40} diffusers {_far(whole, expected)}  peft "
            f"{_far(loaded_by_peft(architecture, case / 'peft'), part)}",
            flush=True,
        )


def _parameter(architecture: str, key: str) -> torch.nn.Parameter:
    """A base weight by its name, whether or not CLIP has the root that transformers 5 dropped."""
    component, _, name = key.partition(".")
    known = dict(models(architecture)[component].named_parameters())
    return known[name] if name in known else known[f"text_model.{name}"]


def _far(ours: Weights, theirs: Weights) -> str:
    ours, theirs = (
        {key.replace("text_model.", ""): t for key, t in weights.items()}
        for weights in (ours, theirs)
    )
    alike = ours.keys() & theirs.keys()
    worst = max(
        (float((ours[key] - theirs[key]).norm() / theirs[key].norm()) for key in alike), default=1.0
    )
    others = len(ours.keys() ^ theirs.keys())
    return f"{worst:.1e} in {len(alike)} weights" + (f", {others} IN ONE ONLY" if others else "")


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](Path(sys.argv[2]))
