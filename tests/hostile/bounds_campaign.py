"""Headers as large as the limits allow, and a little larger: how long they take, and how much memory.

    python -m tests.hostile.bounds_campaign

Each file is inspected, and converted, by a process of its own, under a limit on its address space that a
runaway would meet. Time is the processor's, so that other work on the machine does not count; memory is the
peak. Exit code 1 where either exceeds its bound, or where the answer is none of the documented exit codes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from tests.storage.making import framed

SECONDS = 5.0
MEMORY = 512 << 20
ADDRESSES = 4 << 30
"""Of the address space: far above the bound, so that what exceeds it is measured instead of killed."""
ATTENTION = "unet.down_blocks.{}.attentions.0.transformer_blocks.0.attn1.to_q"
_CHILD = """
import os, sys, time
def peak():
    lines = open("/proc/self/status") if os.path.exists("/proc/self/status") else ()
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
except ImportError:
    pass
from lora_convert.cli import main
try:
    main(sys.argv[2:])
finally:
    sys.stderr.write(f"\\n{peak()} {time.process_time()}")
"""


class Spent(NamedTuple):
    """What a command cost."""

    exit_code: int
    seconds: float
    memory: int
    said: str


def spent(arguments: Iterable[str]) -> Spent:
    """Run the command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(ADDRESSES), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said, _, cost = done.stderr.rpartition("\n")
    memory, seconds = cost.split()
    return Spent(done.returncode, float(seconds), int(memory), said.strip() or done.stdout.strip())


def problems(cost: Spent) -> str:
    """Which bounds a command exceeded, if any."""
    found = []
    if cost.seconds > SECONDS:
        found.append(f"{cost.seconds:.1f} s")
    if cost.memory > MEMORY:
        found.append(f"{cost.memory >> 20} MiB")
    if cost.exit_code not in {0, 1, 4, 5}:
        found.append(f"exit code {cost.exit_code}")
    return ", ".join(found)


def tensors(names: Iterable[str], shape: str = "[0,4]", size: int = 0, dtype: str = "F32") -> bytes:
    """A file of tensors that are alike."""
    entries, at = [], 0
    for name in names:
        entries.append(
            f'"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{at},{at + size}]}}'
        )
        at += size
    return framed(("{" + ",".join(entries) + "}").encode(), bytes(at))


def pairs(down: str, up: str, count: int) -> bytes:
    """Pairs of factors without elements."""
    entry = '"{}":{{"dtype":"F32","shape":{},"data_offsets":[0,0]}}'
    entries = []
    for number in range(count):
        entries.append(entry.format(down.format(number), "[0,4]"))
        entries.append(entry.format(up.format(number), "[4,0]"))
    return framed(("{" + ",".join(entries) + "}").encode())


def metadata(text: str) -> bytes:
    """A file of nothing but metadata."""
    return framed(('{"__metadata__":{' + text + "}}").encode())


def listed(element: str, count: int) -> bytes:
    """A header whose one tensor is a list."""
    return framed(('{"a":[' + ",".join([element] * count) + "]}").encode())


MOST = 99_999_800
"""Bytes: what fits into the largest header beside a few words."""
SMALL: dict[str, Callable[[], bytes]] = {
    "two tensors": lambda: pairs("a.lora_A.weight", "a.lora_B.weight", 1),
    "100,000 numbers": lambda: tensors((f"m{n}.alpha" for n in range(100_000)), "[]", 4),
    "100,001 numbers": lambda: tensors((f"m{n}.alpha" for n in range(100_001)), "[]", 4),
    "200,001 tensors": lambda: tensors(f"m{n}.lora_A.weight" for n in range(200_001)),
    "4,000,000 empty lists": lambda: listed("[]", 1_999_990),
    "4,000,000 empty objects": lambda: listed("{}", 1_999_990),
    "4,000,001 values": lambda: listed("1", 4_000_001),
    "a list of 100 MB of digits": lambda: listed("9" * 4000, 24_000),
    "blanks": lambda: framed(b"{" + b" " * MOST + b"}"),
    "a text of 100 MB": lambda: metadata('"a":"' + "x" * MOST + '"'),
    "a text of 100 MB of escapes": lambda: metadata('"a":"' + "\\u00e9" * (MOST // 6) + '"'),
    "brackets within a text": lambda: metadata('"lora_adapter_metadata":"' + "[" * MOST + '"'),
    "63 dimensions": lambda: tensors((f"a{n}" for n in range(58_000)), str([1] * 63 + [0])),
}
LARGE: dict[str, Callable[[], bytes]] = {
    "200,000 halves of PEFT modules": lambda: tensors(
        f"base_model.model.b.{n}.to_q.lora_A.weight" for n in range(200_000)
    ),
    "100,000 PEFT modules": lambda: pairs(
        "base_model.model.b.{}.lora_A.weight", "base_model.model.b.{}.lora_B.weight", 100_000
    ),
    "100,000 Diffusers modules": lambda: pairs(
        f"{ATTENTION}.lora_A.weight", f"{ATTENTION}.lora_B.weight", 100_000
    ),
    "100,000 kohya modules": lambda: pairs(
        "lora_unet_down_blocks_{}_x.lora_down.weight",
        "lora_unet_down_blocks_{}_x.lora_up.weight",
        100_000,
    ),
    "long names of kohya modules": lambda: pairs(
        f"lora_unet_{'a_1_' * 90}{{}}.lora_down.weight",
        f"lora_unet_{'a_1_' * 90}{{}}.lora_up.weight",
        95_000,
    ),
    "a name of 100 MB": lambda: tensors(["x" * MOST]),
    "a name of 50 million parts": lambda: tensors(["a." * (MOST // 2 - 60) + "lora_A.weight"]),
    "a flattened name of 50 million parts": lambda: tensors(
        ["lora_unet_" + "a_" * (MOST // 2 - 90) + ".lora_down.weight"]
    ),
    "900,000 lines of metadata": lambda: metadata(
        ",".join(f'"{n:07}":"{n}"' for n in range(900_000))
    ),
    "3,900,000 lines of metadata": lambda: metadata(
        ",".join(f'"{n:07}":"x"' for n in range(3_900_000))
    ),
    "a text of 25 million large characters": lambda: metadata('"a":"' + "😀" * (MOST // 4) + '"'),
    "a text of 100 MB with one large character": lambda: metadata(
        '"a":"😀' + "x" * (MOST - 4) + '"'
    ),
}


def main() -> int:
    """Run a campaign; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder, "x.safetensors"), os.path.join(folder, "out")
        for name, make in (SMALL | LARGE).items():
            path.write_bytes(make())
            for command in (["inspect", "--quiet"], ["to-diffusers", "--quiet", "-o", out]):
                cost = spent([*command, str(path)])
                wrong = problems(cost)
                failed += bool(wrong)
                told = f"{cost.seconds:5.1f} s {cost.memory >> 20:5} MiB  exit {cost.exit_code:3}"
                print(f"{told}  {command[0]:13} {name}{f'  EXCEEDED: {wrong}' if wrong else ''}")
    print(
        f"{failed} exceeded {SECONDS:.0f} s or {MEMORY >> 20} MiB"
        if failed
        else "all within bounds"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
