"""Commands in a process that tells what it does: imports, code, files, processes, sockets.

Python raises an audit event before each of these (PEP 578), whoever causes it: this package, a library,
or code that came with a file. What no reader of a stranger's file does is listed by not being in
`_known`; a new kind of event is therefore suspicious until it is explained there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CODE = tuple(
    os.path.join(os.path.realpath(folder), "")
    for folder in (
        sys.prefix,
        sys.base_prefix,
        sysconfig.get_path("stdlib"),
        ROOT / "lora_convert",
        ROOT / "lora_convert_train",
        ROOT / "tests",
    )
)
_MACHINE = ("/proc/", "/sys/", "/etc/", "/usr/", "/dev/null", "/dev/urandom")
"""What libraries look at when they are loaded."""
_MAKES_CLASSES = ("<frozen importlib", "collections/__init__.py", "dataclasses.py", "enum.py")
"""Ends of the files that make code of their own: of modules, and of the methods of values."""
_READS_ANNOTATIONS = os.sep + "typing.py"
"""Compiles the text of annotations, and runs none of it."""
_HARMLESS = frozenset({
    "object.__getattr__",
    "object.__setattr__",
    "os.listdir",
    "os.scandir",
    "sys._getframe",
    "sys.excepthook",
    "sys.unraisablehook",
    "time.sleep",
    "fcntl.flock",
    "builtins.id",
    "gc.freeze",
    "_thread.start_new_thread",
    "os.walk",
    "glob.glob",
})  # fmt: skip
_CHANGING = frozenset({
    "os.chmod",
    "os.chown",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.truncate",
    "os.utime",
    "shutil.rmtree",
    "tempfile.mkdtemp",
    "tempfile.mkstemp",
})  # fmt: skip
"""Harmless within the folder that may be written to."""
_FOREIGN_CALLS = frozenset({"renameat2", "renameatx_np"})


class Watched(NamedTuple):
    """What some commands did in a process of their own."""

    exit_codes: tuple[int, ...]
    imports: frozenset[str]
    opened: tuple[str, ...]
    """Files outside the programme and the machine that were opened, for reading or writing."""
    acts: tuple[str, ...]
    """Events that no command should cause."""
    stdout: str
    stderr: str


def watched(
    commands: Sequence[Sequence[str]], writable: Path, *, code: str = "", timeout: float = 120
) -> Watched:
    """Run commands one after the other in a fresh process that writes to one folder only.

    `code` is run instead of commands, to show that it is noticed. A process that a signal ended has
    its number as the last exit code, and has still told what it did until then.
    """
    with tempfile.TemporaryDirectory() as folder:
        job, report = Path(folder, "job"), Path(folder, "report")
        job.write_text(json.dumps({"commands": commands, "code": code, "writable": str(writable)}))
        done = subprocess.run(
            [sys.executable, "-B", "-m", "tests.hostile.watching", str(job), str(report)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=ROOT,
        )
        lines = [json.loads(line) for line in report.read_text().splitlines()]
    told = {kind: [text for k, text in lines if k == kind] for kind, _ in lines}
    codes = [int(code) for code in told.get("exit", ())]
    if done.returncode:
        codes.append(done.returncode)
    return Watched(
        tuple(codes),
        frozenset(told.get("import", ())),
        tuple(told.get("opened", ())),
        tuple(told.get("act", ())),
        done.stdout,
        done.stderr,
    )


class _Hook:
    """Writes down events as they come: a process that is killed has told all until then."""

    def __init__(self, report: int, writable: str) -> None:
        self._report = report
        self._writable = os.path.join(os.path.realpath(writable), "")

    def tell(self, kind: str, text: str) -> None:
        os.write(self._report, (json.dumps([kind, text]) + "\n").encode())

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if event == "import":
            self.tell("import", str(given[0]))
        elif event == "open":
            self._open(*given)
        elif not self._known(event, given):
            self.tell("act", f"{event} {given!r}"[:300])

    def _open(self, path: object, mode: object, flags: int) -> None:
        if isinstance(path, int):
            return
        place = _place(path)
        if flags & _WRITING and not place.startswith(self._writable):
            self.tell("act", f"open for writing {place}")
        if not place.startswith((*_CODE, *_MACHINE)):
            self.tell("opened", place)

    def _known(self, event: str, given: tuple[Any, ...]) -> bool:
        if event in _HARMLESS:
            return True
        if event in _CHANGING:
            paths = [given[1]] if event == "os.symlink" else given[:2]
            return all(
                (_place(path) + os.sep).startswith(self._writable)
                for path in paths
                if isinstance(path, str | bytes | os.PathLike)
            )
        if event in {"exec", "compile", "marshal.loads", "code.__new__"}:
            return _is_the_programme(event, given)
        if event in {"os.putenv", "os.unsetenv"}:
            return given[0].startswith(
                b"OPENBLAS_"
            )  # numpy, while it is loaded, and for its threads
        if event == "ctypes.dlopen":
            return given[0] is None or _is_code(str(given[0]))
        if event in {"ctypes.dlsym", "ctypes.dlsym/handle"}:
            return given[1] in _FOREIGN_CALLS
        return False


def _is_the_programme(event: str, given: tuple[Any, ...]) -> bool:
    """Whether code that is about to be made or run belongs to a module or to a class of values."""
    if event == "exec" and _is_code(given[0].co_filename):
        return True
    asking: str = sys._getframe(3).f_code.co_filename  # below are this function and the hook
    makers = _MAKES_CLASSES if event == "exec" else (*_MAKES_CLASSES, _READS_ANNOTATIONS)
    return any(part in asking for part in makers)


def _is_code(path: str) -> bool:
    return path.startswith("<frozen ") or os.path.realpath(path).startswith(_CODE)


def _place(path: Any) -> str:
    """Where a path leads: its folder's links followed, its own not."""
    text = os.path.abspath(os.fsdecode(path))
    return os.path.join(os.path.realpath(os.path.dirname(text)), os.path.basename(text))


def _commands(commands: Sequence[Sequence[str]]) -> Callable[[_Hook], None]:
    def run(hook: _Hook) -> None:
        from lora_convert.cli import main

        for command in commands:
            try:
                main(list(command))
            except SystemExit as ended:
                hook.tell("exit", str(int(ended.code or 0)))

    return run


def _code(text: str, writable: str) -> Callable[[_Hook], None]:
    made = compile(text, str(ROOT / "tests" / "given"), "exec")
    return lambda hook: exec(made, {"writable": writable})


def _child(job: str, report: str) -> None:
    given = json.loads(Path(job).read_text())
    run = _code(given["code"], given["writable"]) if given["code"] else _commands(given["commands"])
    hook = _Hook(os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND), given["writable"])
    sys.addaudithook(hook)
    run(hook)


if __name__ == "__main__":
    _child(*sys.argv[1:])
