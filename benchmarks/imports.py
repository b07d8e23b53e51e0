"""`inspect` imports nothing heavy. Also lists the modules that take longest to import."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.claims import Claim, Settings, main
from benchmarks.files import write_kohya_flux
from benchmarks.measuring import PYTHON

HEAVY = ("torch", "numpy", "diffusers", "transformers", "peft", "huggingface_hub")
_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")
_SHOWN = 15


def imported(*arguments: str) -> dict[str, int]:
    """Microseconds that each module imported by `inspect` took, without those it imports."""
    command = (PYTHON, "-X", "importtime", "-m", "lora_convert", "inspect", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name: int(time) for time, name in _LINE.findall(done.stderr)}


def claims(settings: Settings) -> Iterator[Claim]:
    """No heavy module, whether a table or JSON is printed."""
    file = write_kohya_flux(os.path.join(settings.folder, "imports.safetensors"), 1, width=8)
    for arguments in ((file,), ("--json", file)):
        times = imported(*arguments)
        heavy = sorted({name.partition(".")[0] for name in times}.intersection(HEAVY))
        slowest = sorted(times.items(), key=lambda item: -item[1])[:_SHOWN]
        print(
            *(f"{time / 1000:7.1f} ms  {name}" for name, time in slowest), sep="\n", file=sys.stderr
        )
        shown = "inspect --json" if len(arguments) > 1 else "inspect"
        yield Claim(
            f"heavy modules imported by {shown}",
            len(heavy),
            0,
            "",
            ", ".join(heavy) or f"{len(times)} modules, {sum(times.values()) / 1000:.0f} ms",
        )


if __name__ == "__main__":
    main(claims)
