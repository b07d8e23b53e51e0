"""Detection over all tables costs less than half of what importing the output's libraries does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from functools import partial
from itertools import islice

from benchmarks.claims import Claim, Settings, main, ratio
from benchmarks.files import write_tensors
from benchmarks.measuring import PYTHON, Run, pairs
from lora_convert.architectures import ARCHITECTURES
from lora_convert.conversion.spelling import spelling

KEYS = 5000
FILES = {
    "SDXL LoHa, kohya": (
        "kohya",
        "sdxl",
        ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "alpha"),
    ),
    "SD1 LoRA, kohya": ("kohya", "sd1", ("down", "up", "alpha")),
    "FLUX LoRA, Diffusers": ("diffusers", "flux", ("down", "up")),
    "Wan LoRA, ComfyUI": ("comfyui", "wan", ("down", "up", "alpha")),
}
"""Format, architecture and roles: families whose names are alike, and models of many blocks."""
_BLOCKS = 200

# as in the command line, whose garbage collector is off
_TIMED = (
    "import gc, time; gc.disable(); {before}; "
    "t = time.process_time(); {work}; t = time.process_time() - t"
)
_DETECTING = (
    _TIMED.replace(
        "{before}",
        "from lora_convert.conversion.detect import detect; "
        "from lora_convert.storage.checkpoint import Checkpoint; "
        "from lora_convert.storage.folders import weight_files; "
        "header = Checkpoint(weight_files({path!r})).header",
    ).replace("{work}", "found = detect(header)")
    + "; assert len(found.readings) == len(header.tensors); print(t)"
)
_IMPORTING = (
    _TIMED.replace("{before}", "pass").replace("{work}", "import click, rich.console, rich.table")
    + "; print(t)"
)


def names(format_name: str, architecture: str, roles: tuple[str, ...]) -> Iterator[str]:
    """Keys of one model after another, as long as they are wanted."""
    bound = spelling(format_name, architecture)
    for block in range(_BLOCKS):
        for component in ARCHITECTURES[architecture].components:
            if bound.format.names(component.name, architecture):
                for row in component.rows:
                    for module in row.names(bound.format.namespace_for(architecture)):
                        if "{}" in module or not block:
                            filled = module.replace("{}", str(block))
                            yield from (bound.spell(component.name, filled, role) for role in roles)


def printed(code: str) -> Run:
    """The seconds that a new process says it took."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [PYTHON, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return Run(float(done.stdout), 0)


def claims(settings: Settings) -> Iterator[Claim]:
    """Headers of 5,000 keys, in processor time."""
    for what, (format_name, architecture, roles) in FILES.items():
        path = os.path.join(settings.folder, f"{architecture}.safetensors")
        keys = dict.fromkeys(islice(names(format_name, architecture, roles), KEYS))
        shapes = {key: () if key.endswith("alpha") else (8, 8) for key in keys}
        write_tensors(path, {key: ("F16", shape) for key, shape in shapes.items()})
        detecting = partial(printed, _DETECTING.replace("{path!r}", repr(path)))
        measured = pairs(detecting, partial(printed, _IMPORTING), settings.turns(15))
        claim = ratio("detection ÷ import click, rich", measured, 0.5)
        yield claim._replace(what=f"{claim.what}, {len(keys)} keys: {what}")


if __name__ == "__main__":
    main(claims)
