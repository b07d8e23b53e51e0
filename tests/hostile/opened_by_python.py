"""What plain ``pickle.load`` does with the corpus: each in a child of its own, in a folder of its own.

    python -m tests.hostile.opened_by_python FOLDER

prints, by name, whether the code ran, and else what kept it from running.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
from pathlib import Path

from fixtures.hostile.assembling import pickled
from fixtures.hostile.live_pickles import FRAGMENTS, WHOLE

PATIENCE = 30


def main() -> None:
    """Open all of them; libraries that some ask for are loaded once, here."""
    import torch
    import torch.utils.collect_env
    import torch.utils.serialization  # noqa: F401

    ways = {
        name: (pickled(what, protocol=4), pickled(what)) for name, what in FRAGMENTS.items()
    } | {name: (pickle,) for name, pickle in WHOLE.items()}
    found = {}
    for name, pickles in ways.items():
        folder = Path(sys.argv[1], name)
        folder.mkdir()
        child = os.fork()
        if not child:
            _open(folder, pickles)
        os.waitpid(child, 0)
        ran = any(path.name.startswith("canary") for path in folder.iterdir())
        found[name] = "ran" if ran else (folder / "why").read_text()
    print(json.dumps(found))


def _open(folder: Path, pickles: tuple[bytes, ...]) -> None:
    os.chdir(folder)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    signal.alarm(PATIENCE)
    why = ""
    try:
        for one in pickles:
            try:
                pickle.loads(one)
            except BaseException as error:  # noqa: BLE001
                why += repr(error)
        Path("why").write_text(why)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
