"""A training checkpoint of torch's is read without torch, in little memory, and sooner."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec

from benchmarks.claims import Claim, Settings, main, ratio
from benchmarks.files import sd1_attention
from benchmarks.measuring import CONSOLE, PYTHON, Run, pairs, run

_LIMIT = 80
_MODULES = ",".join(f"{m.name}:{m.inputs}:{m.outputs}" for m in sd1_attention())
_SAVE = """
import sys, torch
path, megabytes, modules = sys.argv[1], int(sys.argv[2]), sys.argv[3]
weights = {}
for module in modules.split(","):
    name, inputs, outputs = module.split(":")
    inputs, outputs = int(inputs), int(outputs)
    weights[f"base_model.model.{name}.base_layer.weight"] = torch.zeros(outputs, inputs)
    weights[f"base_model.model.{name}.lora_A.default.weight"] = torch.randn(16, inputs)
    weights[f"base_model.model.{name}.lora_B.default.weight"] = torch.randn(outputs, 16)
left = megabytes * 250_000 - sum(weight.numel() for weight in weights.values())
for number in range(300):
    weights[f"base_model.model.mid_block.resnets.0.conv{number}.weight"] = torch.ones(left // 300)
config = {"r": 16, "lora_alpha": 32, "target_modules": ["to_q", "to_k", "to_v", "to_out.0"]}
torch.save({"model_state_dict": weights, "lora_config": config, "epoch": 3}, path)
"""
_WITH_TORCH = """
import sys, torch
from safetensors.torch import save_file
source, target = sys.argv[1:]
weights = torch.load(source, weights_only=True, mmap=True)["model_state_dict"]
renamed = {name.replace("base_model.model.", "unet.").replace(".default", ""): weight
           for name, weight in weights.items() if ".lora_" in name}
save_file(renamed, target, {"format": "pt"})
"""


def claims(settings: Settings) -> Iterator[Claim]:
    """A payload with a whole wrapped model: 13 MB of LoRA in all sizes."""
    if find_spec("torch") is None:
        return
    for megabytes in (400, 3400):
        if megabytes > settings.largest:
            continue
        source = os.path.join(settings.folder, f"payload_{megabytes}.pth")
        run((PYTHON, "-c", _SAVE, source, str(megabytes), _MODULES))
        target = os.path.join(settings.folder, "from_torch.safetensors")
        command = (CONSOLE, "to-diffusers", source, "--force", "-o", target)
        by_torch = os.path.join(settings.folder, "by_torch.safetensors")
        ours = partial(_anew, command, target)
        theirs = partial(run, (PYTHON, "-c", _WITH_TORCH, source, by_torch))
        what = f"{megabytes} MB payload.pth → Diffusers, proved, faster than torch"
        yield ratio(what, pairs(ours, theirs, settings.turns(5)), 5, inverse=True)
        for name, arguments in (("inspect", ("inspect", source)), ("→ Diffusers", command[1:])):
            peak = run((CONSOLE, *arguments)).megabytes
            yield Claim(f"peak memory: {megabytes} MB payload.pth, {name}", peak, _LIMIT, "MB")
        os.unlink(source)


def _anew(command: tuple[str, ...], target: str) -> Run:
    if os.path.exists(target):
        os.unlink(target)
    return run(command)


if __name__ == "__main__":
    main(claims)
