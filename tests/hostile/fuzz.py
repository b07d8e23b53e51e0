"""Mutated files by the hundred thousand: each gives a result or a typed error, soon and in little memory.

    python -m tests.hostile.fuzz --container torch --inputs 200000 --seed 7

Inputs that reach new lines of the reader, or another message, are kept and mutated further. What is accepted
is read by the library of its container too, and must hold the same: of torch, where it is installed and
``weights_only`` reads the file. Exit code 1 where any of that fails; the inputs that show it are kept.
"""

from __future__ import annotations

import argparse
import collections
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
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import Any

import numpy
import safetensors

import lora_convert
from fixtures.hostile.assembling import A, B
from lora_convert.errors import CorruptCheckpointError, LoraConvertError
from lora_convert.storage import torch_zip
from lora_convert.storage.checkpoint import Checkpoint
from lora_convert.storage.files import SourceFile
from lora_convert.storage.folders import weight_files
from lora_convert.storage.pickled import Named, Record, Tensor
from lora_convert.storage.unpickling import unpickle
from lora_convert.storage.zip_entries import read_entries
from lora_convert.tensors.evaluate import computed_blocks
from lora_convert.tensors.expr import Held
from tests.hostile.mutants import CONTAINERS

SECONDS = 10
MEMORY = 2 << 30
"""Of addresses, more than there are when the campaign begins."""
_CONVERTED = 50
"""Of so many that are accepted, one is converted."""


class DifferenceError(Exception):
    """Two readers of one file found different things."""


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
                    name: (t.dtype, tuple(t.shape), _bytes_of(t, checkpoint))
                    for name, t in checkpoint.header.tensors.items()
                }
        finally:
            sys.settrace(None)
        self.accepted += 1
        self.told["accepted"] += 1
        if self.container == "safetensors":
            _check_safetensors(data, found)
        else:
            self._check_torch(data)
        lora_convert.inspect(self.path, health=True)
        if self.accepted % _CONVERTED == 0:
            lora_convert.convert(self.path, "kohya", output=self.out, force=True)

    def _check_torch(self, data: bytes) -> None:
        torch = sys.modules.get("torch")
        if torch is None:
            return
        try:
            theirs = torch.load(BytesIO(data), weights_only=True)
        except Exception as error:  # noqa: BLE001  # of any kind: another reader's
            self.compared[f"torch refuses: {_first_words(error)}"] += 1
            return
        file = SourceFile(self.path)
        try:
            entries = read_entries(file)
            pickle = torch_zip._pickle(file, entries)
            prefix = pickle.name.removesuffix("data.pkl") + "data/"
            stored = {n.removeprefix(prefix): e for n, e in entries.items() if n.startswith(prefix)}
            views = torch_zip._Views(file, 0, stored)
            ours, _ = unpickle(file.read(pickle.start, pickle.size), self.path)
            _compare(ours, theirs, lambda tensor: _of_view(views, tensor), set())
        finally:
            file.close()
        self.compared["the same as torch"] += 1

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


def _bytes_of(tensor: Any, checkpoint: Checkpoint) -> bytes:
    if isinstance(tensor, Held):
        return tensor.data
    if tensor.dtype in {"F4", "F6_E2M3", "F6_E3M2"}:
        return b"".join(checkpoint.files[0].blocks(tensor.start, tensor.size))
    return b"".join(computed_blocks(tensor, checkpoint.read))


def _check_safetensors(data: bytes, ours: dict[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    theirs = {
        name: (given["dtype"], tuple(given["shape"]), bytes(given["data"]))
        for name, given in safetensors.deserialize(data)
    }
    if ours != theirs:
        raise DifferenceError(f"{ours} {theirs}"[:2000])


def _of_view(views: Any, tensor: Tensor) -> tuple[str, bytes] | None:
    """Dtype and bytes of a tensor; None where safetensors has no such dtype."""
    try:
        stored = views.stored("x", tensor)
    except CorruptCheckpointError:
        return None
    file = views.file
    return stored.dtype, b"".join(
        computed_blocks(stored, lambda extent: file.read(extent.start, extent.size))
    )


def _compare(ours: Any, theirs: Any, of_view: Callable[[Tensor], Any], seen: set[int]) -> None:
    """Raise DifferenceError where plain values or tensors differ; inert records are passed over."""
    import torch

    if id(theirs) in seen or isinstance(ours, (Record, Named)):
        return
    if isinstance(theirs, torch.Tensor):
        _compare_tensors(ours, theirs, of_view)
    elif isinstance(theirs, (dict, list, tuple)):
        seen.add(id(theirs))
        if isinstance(ours, (dict, list, tuple)):
            for one, other in _pairs(ours, theirs):
                _compare(one, other, of_view, seen)
    elif type(theirs) in {int, float, str, bytes}:
        both_nan = ours != ours and theirs != theirs
        if ours != theirs and not both_nan:
            raise DifferenceError(f"{ours!r:.300} and {theirs!r:.300}")


def _pairs(ours: Any, theirs: Any) -> list[tuple[Any, Any]]:
    """What stands at the same place; of a dict, what has a key that is kept as it is, or a number."""
    if isinstance(theirs, dict):
        numbers_last = sorted(theirs, key=lambda key: not isinstance(key, str))
        texts = {str(key): key for key in numbers_last if isinstance(key, (str, int, float))}
        if len(texts) < len(theirs) or not isinstance(ours, dict):
            return []
        return [(ours[text], theirs[key]) for text, key in texts.items() if type(key) is not bool]
    if len(ours) != len(theirs) or isinstance(ours, dict):
        raise DifferenceError(f"{ours!r:.300} and {theirs!r:.300}")
    return [*zip(ours, theirs, strict=True)]


def _compare_tensors(ours: Any, theirs: Any, of_view: Callable[[Tensor], Any]) -> None:
    import torch

    if not isinstance(ours, Tensor) or tuple(theirs.shape) != ours.shape:
        raise DifferenceError(f"{ours!r:.300} and {theirs!r:.300}")
    found = of_view(ours)
    if found is not None:
        flat = theirs.detach().contiguous().reshape(-1).view(torch.uint8)
        if found[1] != flat.numpy().tobytes():
            raise DifferenceError(f"the bytes of {ours!r:.300}")


def _first_words(error: Exception) -> str:
    text = str(error).replace("\n", " ")
    named = re.search(r"Unsupported (global|operand|class|\w+)", text)
    return named[0] if named else re.sub(r"\d+|'.*'", "…", text)[:60]


def _of_torch() -> list[bytes]:
    """Files that torch writes, where it is installed."""
    torch = sys.modules.get("torch")
    if torch is None:
        return []
    weights = {A: torch.ones(2, 4), B: torch.ones(2, 4).t(), "alpha": torch.tensor(2.0)}
    state = collections.OrderedDict(weights)
    state._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    around = {
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "loss": 0.5,
        "done": True,
        "none": None,
    }
    config = {"r": 2, "lora_alpha": 4.0, "target_modules": ["a", "b"], "rank_pattern": {"x": 4}}
    numbers = [numpy.float32(1), numpy.arange(3), {1, 2}, (1, 2, 3, 4), b"x", 1 << 70, 1 + 2j]
    kinds = {
        f"x{n}": torch.ones(2, dtype=kind)
        for n, kind in enumerate((torch.bfloat16, torch.uint16, torch.bool))
    }
    payloads = (
        weights,
        {"state_dict": state, "lora_config": config, **around},
        {
            "model": {**weights, "p": parameter},
            "args": argparse.Namespace(lora_alpha=4, lora_rank=2),
        },
        {"unet": weights, "numbers": numbers, "metadata": {"a": "b"}, "kinds": kinds},
    )
    files = []
    for payload in payloads:
        for protocol in (2, 5):
            file = BytesIO()
            torch.save(payload, file, pickle_protocol=protocol)
            files.append(file.getvalue())
    return files


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
            campaign.kept += _of_torch()
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
