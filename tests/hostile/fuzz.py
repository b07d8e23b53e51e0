"""Mutated files by the hundred thousand: each gives a result or a typed error, soon and in little memory.

    python -m tests.hostile.fuzz --container torch --inputs 200000 --seed 7

Inputs that reach new lines of the reader, or another message, are kept and mutated further. What is accepted
is read by the library of its container too, and must hold the same: of torch, where it is installed and
``weights_only`` reads the file. Exit code 1 where any of that fails; the inputs that show it are kept.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import lora_convert
from lora_convert.errors import LoraConvertError
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.folders import weight_files
from tests.hostile.header_mutants import Safetensors
from tests.hostile.mutants import Torch
from tests.hostile.torch_seeds import of_torch
from tests.hostile.two_readers import bytes_of, check_safetensors, check_torch

CONTAINERS: dict[str, Callable[[], Torch | Safetensors]] = {
    "torch": Torch,
    "safetensors": Safetensors,
}
SECONDS = 10
MEMORY = 2 << 30
"""Of addresses, more than there are when the campaign begins."""
_CONVERTED = 50
"""Of so many that are accepted, one is converted."""


class Reached:
    """Steps from line to line of some modules, and what was said."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._files = {f"{os.sep}storage{os.sep}{name}.py" for name in modules}
        self._known: dict[object, bool] = {}
        self.steps: set[object] = set()
        self.new = False

    def watch(self, frame: FrameType, event: str, given: object) -> Callable[..., object] | None:
        """A trace function: of the modules' own functions, every step."""
        code = frame.f_code
        wanted = self._known.get(code)
        if wanted is None:
            wanted = code.co_filename[code.co_filename.rfind(os.sep + "storage") :] in self._files
            self._known[code] = wanted
        if not wanted:
            return None
        last = 0

        def step(frame: FrameType, event: str, given: object) -> Callable[..., object]:
            nonlocal last
            self.add((code, last, frame.f_lineno))
            last = frame.f_lineno
            return step

        return step

    def add(self, step: object) -> None:
        if step not in self.steps:
            self.steps.add(step)
            self.new = True


class Campaign:
    """One container's files, what became of them, and which are worth mutating further."""

    def __init__(self, container: str, seed: int, folder: str) -> None:
        self.container = container
        self.draw = random.Random(seed)
        self.kind = CONTAINERS[container]()
        self.kept = [*self.kind.seeds]
        self.sound: list[bytes] = []
        self.reached = Reached(self.kind.modules)
        self.path = os.path.join(folder, f"x.{container}")
        self.out = os.path.join(folder, "out")
        self.told: Counter[str] = Counter()
        self.compared: Counter[str] = Counter()
        self.problems: list[str] = []
        self.slowest = 0.0
        self.inputs = 0
        self.accepted = 0

    def try_one(self, data: bytes) -> None:
        """One input."""
        self.inputs += 1
        self.reached.new, accepted = False, self.accepted
        Path(self.path).write_bytes(data)
        since = time.perf_counter()
        signal.alarm(SECONDS)
        try:
            self._read(data)
        except LoraConvertError as error:
            said = re.sub(
                r"'.*'|\".*\"|\d[\d,]*|\[.*\]|0x\w+", "…", error.what.removeprefix(self.path)
            )
            self.told[type(error).__name__] += 1
            self.reached.add((type(error), said[:80]))
        except (Exception, MemoryError):  # noqa: BLE001  # which is what is looked for
            self._problem(data, traceback.format_exc())
        finally:
            sys.settrace(None)
            signal.alarm(0)
        self.slowest = max(self.slowest, time.perf_counter() - since)
        if self.reached.new and len(data) < 100_000:
            self.kept.append(data)
            if self.accepted > accepted:
                self.sound.append(data)

    def _read(self, data: bytes) -> None:
        sys.settrace(self.reached.watch)
        try:
            with Checkpoint(weight_files(self.path)) as checkpoint:
                sys.settrace(None)
                checkpoint.check_sums(checkpoint.header.tensors.values())
                found = {
                    name: (t.dtype, tuple(t.shape), bytes_of(t, checkpoint))
                    for name, t in checkpoint.header.tensors.items()
                }
        finally:
            sys.settrace(None)
        self.accepted += 1
        self.told["accepted"] += 1
        if self.container == "safetensors":
            check_safetensors(data, found)
        else:
            self.compared[check_torch(data, self.path)] += 1
        lora_convert.inspect(self.path, health=True)
        if self.accepted % _CONVERTED == 0:
            lora_convert.convert(self.path, "kohya", output=self.out, force=True)

    def _problem(self, data: bytes, text: str) -> None:
        self.problems.append(text)
        place = Path(tempfile.gettempdir(), f"fuzz-{self.container}-{len(self.problems)}")
        if len(self.problems) <= 20:
            place.write_bytes(data)
            print(f"{place}\n{text}", flush=True)

    def next(self) -> bytes:
        """Another input: near what was accepted more often than near what was not."""
        draw = self.draw
        some = self.sound if self.sound and draw.random() < 0.6 else self.kept
        one = (
            some[-draw.randint(1, min(len(some), 100))]
            if draw.random() < 0.4
            else draw.choice(some)
        )
        return self.kind.mutant(draw, one, draw.choice(self.kept))


def _limit_memory() -> None:
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))


def run(container: str, inputs: int, seed: int, seconds: float) -> Campaign:
    """A campaign; its `problems` are what was found."""
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(container, seed, folder)
        until = time.monotonic() + seconds
        if container == "torch":
            campaign.kept += of_torch()
        for data in [*campaign.kept]:
            campaign.try_one(data)
        descriptors = len(os.listdir("/proc/self/fd"))
        told = time.monotonic()
        while campaign.inputs < inputs and time.monotonic() < until:
            campaign.try_one(campaign.next())
            if time.monotonic() - told > 30:
                told = time.monotonic()
                print(f"{campaign.inputs:,} {len(campaign.reached.steps):,} steps", flush=True)
        if len(os.listdir("/proc/self/fd")) != descriptors:
            campaign.problems.append("descriptors are left open")
    return campaign


def _too_long(number: int, frame: object) -> None:
    raise TimeoutError(f"more than {SECONDS} seconds")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--container", choices=CONTAINERS, required=True)
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # of torch, about protocols
    signal.signal(signal.SIGALRM, _too_long)
    if given.container == "torch":
        try:
            import torch  # noqa: F401
        except ImportError:
            print("torch is not installed: nothing is compared with it")
    _limit_memory()
    since = time.monotonic()
    done = run(given.container, given.inputs, given.seed, given.seconds)
    took = time.monotonic() - since
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(
        f"{done.inputs:,} inputs, seed {given.seed}, {took:,.0f} s ({done.inputs / took:,.0f} a second)"
    )
    print(f"{len(done.kept):,} kept, {len(done.reached.steps):,} steps and messages")
    print(f"slowest {done.slowest:.2f} s, peak memory {peak} MiB")
    for counted in (done.told, done.compared):
        for what, count in counted.most_common(12):
            print(f"  {count:9,} {what}")
    print(f"{len(done.problems)} problems")
    return 1 if done.problems else 0


if __name__ == "__main__":
    sys.exit(main())
