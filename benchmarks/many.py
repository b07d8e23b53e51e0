"""A folder of hundreds of broken and hostile files ends in seconds, each file with its line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from itertools import cycle, islice

from benchmarks.claims import Claim, Settings, main
from benchmarks.measuring import CONSOLE, run
from fixtures.hostile.make import CONTAINERS, FOREIGN_KINDS, MEANINGS, ODDITIES
from fixtures.hostile.torch_files import PICKLES, UNSAFE
from fixtures.hostile.torch_large import LARGE
from fixtures.hostile.torch_zips import FOREIGN, HARMLESS, ZIPS

_FILES = 600
_MINUTE = 60


def claims(settings: Settings) -> Iterator[Claim]:
    """Every hostile file again and again, all in one folder."""
    folder = os.path.join(settings.folder, "hostile")
    os.mkdir(folder)
    for number, (suffix, data) in enumerate(islice(cycle(_given()), _FILES)):
        with open(os.path.join(folder, f"{number:03}{suffix}"), "wb") as file:
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
        missing = abs(_FILES - len(told.stdout.splitlines()))
        yield Claim(f"files without their line: {what}", missing, 0, "")
        yield Claim(f"peak memory: {what}", done.megabytes, 512, "MB")


def _given() -> list[tuple[str, bytes]]:
    """The corpus: suffix and content."""
    headers = CONTAINERS | FOREIGN_KINDS | MEANINGS | ODDITIES
    torch = UNSAFE | PICKLES | ZIPS | HARMLESS
    return [
        *((".safetensors", data) for data in headers.values()),
        *((".pt", data) for data in torch.values()),
        *((".pt", data) for data, _ in FOREIGN.values()),
        *((".ckpt", make()) for make in LARGE.values()),
    ]


if __name__ == "__main__":
    main(claims)
