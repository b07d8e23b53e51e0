"""`inspect` answers about as fast as the libraries it prints with can be imported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

from benchmarks.claims import Claim, Settings, main, ratio
from benchmarks.files import write_kohya_flux
from benchmarks.measuring import CONSOLE, MODULE, PYTHON, pairs, run


def claims(settings: Settings) -> Iterator[Claim]:
    """A FLUX file with 912 keys, by the console script and by ``python -m``."""
    file = write_kohya_flux(os.path.join(settings.folder, "flux.safetensors"), 1, width=8)
    rounds = settings.turns(21)
    libraries = partial(run, (PYTHON, "-c", "import click, rich.console, rich.table"))
    nothing = partial(run, (PYTHON, "-c", "pass"))
    for name, script in (("lora-convert", (CONSOLE,)), ("python -m lora_convert", MODULE)):
        table = partial(run, (*script, "inspect", file))
        yield ratio(f"{name} inspect ÷ import click, rich", pairs(table, libraries, rounds), 2)
        line = partial(run, (*script, "inspect", "--json", file))
        yield ratio(f"{name} inspect --json ÷ python -c pass", pairs(line, nothing, rounds), 6)


if __name__ == "__main__":
    main(claims)
