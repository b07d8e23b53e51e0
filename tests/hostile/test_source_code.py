"""What the programme's own source never names: whatever runs, maps or fetches what a file says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    path for name in ("lora_convert", "lora_convert_train") for path in (ROOT / name).rglob("*.py")
)
IMPORTS = {
    "cloudpickle",
    "code",
    "codeop",
    "dill",
    "joblib",
    "marshal",
    "mmap",
    "multiprocessing",
    "pickle",
    "pty",
    "runpy",
    "shelve",
    "subprocess",
    "yaml",
}
CALLS = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}
ATTRIBUTES = {
    "torch.load",
    "torch.jit",
    "torch.hub",
    "torch.package",
    "numpy.load",
    "np.load",
    "os.system",
    "os.popen",
    "os.fork",
    "os.startfile",
    "builtins.eval",
    "builtins.exec",
    "safetensors.safe_open",
    "safetensors.torch",
}
BEGINNINGS = ("os.exec", "os.spawn", "os.posix_spawn")
KEYWORDS = {"trust_remote_code", "allow_pickle", "weights_only", "shell"}
BY_NAME = {
    "lora_convert/__init__.py",
    "lora_convert/algorithms/_contract.py",
    "lora_convert/architectures/__init__.py",
    "lora_convert/cli/_app.py",
    "lora_convert_train/cli/__init__.py",
}
"""Where modules are imported by name: of this package, from its own tables."""
OWN_PROCESSES = {"lora_convert/operations/executing.py"}
"""Where processes are begun: of this package, to do its own tasks."""
OF_TORCH = {
    "lora_convert/storage/states.py": ["torch.load", "weights_only=True"],
    "lora_convert_train/cache.py": ["safetensors.torch", "safetensors.torch"],
}
"""Where torch unpickles, and that it is not to run anything: states that torch alone can use. And where
the trainer reads and writes files of its own."""


def forbidden(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Lines and names in a module's source that must not be there."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found = [name.name for name in names]
            case ast.ImportFrom(module=str(module), names=names):
                found = [module, *(f"{module}.{name.name}" for name in names)]
            case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                yield node.lineno, name
                continue
            case ast.Attribute() | ast.Name():
                found = [ast.unparse(node)]
            case ast.keyword(arg=str(name)) if name in KEYWORDS:
                yield node.value.lineno, f"{name}={ast.unparse(node.value)}"
                continue
            case _:
                continue
        for name in found:
            imported = not isinstance(node, ast.Name | ast.Attribute)
            if (
                (imported and name.split(".")[0] in IMPORTS)
                or name in ATTRIBUTES
                or name.startswith(BEGINNINGS)
                or name.split(".")[-1] in {"__reduce__", "__subclasses__", "__globals__"}
            ):
                yield node.lineno, name


def test_there_is_source_to_look_at() -> None:
    assert len(MODULES) > 50


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_runs_maps_or_unpickles(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    found = [name for _, name in forbidden(ast.parse(source))]
    if str(path.relative_to(ROOT)) in OWN_PROCESSES:
        found = [name for name in found if not name.startswith("multiprocessing")]
    assert found == OF_TORCH.get(path.relative_to(ROOT).as_posix(), [])
    if "import_module" in source:
        assert str(path.relative_to(ROOT)) in BY_NAME


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load(path)",
        "from torch import load",
        "from os import system",
        "import os\nos.execv(a, b)",
        "import os as o\nfrom os import spawnv",
        "eval(text)",
        "__import__(name)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "np.load(path, allow_pickle=True)",
        "import mmap",
        "import yaml",
        "load = torch.load",
    ],
)
def test_what_must_not_be_there_would_be_found(source: str) -> None:
    assert list(forbidden(ast.parse(source)))
