"""A folder of hundreds of broken and hostile files ends in seconds, each file with its line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from itertools import cycle, islice

from benchmarks.claims import Claim, Settings, main
from benchmarks.measuring import CONSOLE, run
from fixtures.hostile.make import CONTAINERS, FOREIGN_KINDS, MEANINGS, ODDITIES

_FILES = 600
_MINUTE = 60


def claims(settings: Settings) -> Iterator[Claim]:
    """Every hostile file again and again, all in one folder."""
    folder = os.path.join(settings.folder, "hostile")
    os.mkdir(folder)
    given = [*(CONTAINERS | FOREIGN_KINDS | MEANINGS | ODDITIES).values()]
    for number, data in enumerate(islice(cycle(given), _FILES)):
        with open(os.path.join(folder, f"{number:03}.safetensors"), "wb") as file:
            file.write(data)
    for arguments in (
        ("inspect", folder),
        ("to-kohya", folder, "-o", os.path.join(settings.folder, "from_hostile")),
    ):
        command = ("sh", "-c", '"$@"; test $? = 3', "sh", CONSOLE, *arguments)  # some were refused
        done = run(command)
        what = f"{_FILES} hostile files, {arguments[0]}"
        yield Claim(f"seconds: {what}", done.seconds, _MINUTE, "s")
        told = subprocess.run((CONSOLE, *arguments), capture_output=True, text=True, check=False)
        yield Claim(f"lines: {what}", len(told.stdout.splitlines()), _FILES, "")
        yield Claim(f"peak memory: {what}", done.megabytes, 80, "MB")


if __name__ == "__main__":
    main(claims)
