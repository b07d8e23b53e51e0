"""A small adapter is converted many times faster than torch could load and save it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from itertools import count

from benchmarks.claims import Claim, Settings, main, ratio
from benchmarks.files import write_peft
from benchmarks.measuring import CONSOLE, PYTHON, Run, pairs, run

_WITH_TORCH = """
import sys
from safetensors.torch import load_file, save_file
source, target = sys.argv[1:]
renamed = {f"unet.{name.removeprefix('base_model.model.')}": tensor
           for name, tensor in load_file(source).items()}
save_file(renamed, target, {"format": "pt"})
"""


def claims(settings: Settings) -> Iterator[Claim]:
    """PEFT to Diffusers, 6 MB in 256 tensors."""
    if find_spec("torch") is None:
        return
    source = write_peft(os.path.join(settings.folder, "small"), 6)
    numbers = count()

    def fresh(*command: str) -> Run:
        target = os.path.join(settings.folder, f"small_{next(numbers)}.safetensors")
        try:
            return run([part.format(target=target) for part in command])
        finally:
            with suppress(FileNotFoundError):
                os.unlink(target)

    ours = partial(fresh, CONSOLE, "to-diffusers", source, "-o", "{target}")
    by_torch = os.path.join(settings.folder, "by_torch.safetensors")
    theirs = partial(run, (PYTHON, "-c", _WITH_TORCH, source, by_torch))
    measured = pairs(ours, theirs, settings.turns(7))
    yield ratio(
        "6 MB PEFT → Diffusers, proved, faster than safetensors.torch", measured, 10, inverse=True
    )


if __name__ == "__main__":
    main(claims)
