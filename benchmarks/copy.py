"""A conversion without arithmetic costs about as much as copying its output."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import count

from benchmarks.claims import Claim, Settings, main, ratio
from benchmarks.files import write_kohya_flux, write_peft
from benchmarks.measuring import CONSOLE, Run, pairs, run

_FLUX_MEGABYTES = 153
_numbers = count()


def claims(settings: Settings) -> Iterator[Claim]:
    """Each against ``cp A B && sync B`` to a new name, first without the proof, then with it."""
    for megabytes, bare, proved, rounds in ((200, 2.0, 3.0, 7), (3400, 1.3, 2.5, 3)):
        if megabytes <= settings.largest:
            folder = os.path.join(settings.folder, f"copy_{megabytes}")
            _check_space(settings.folder, 3 * megabytes)
            source = write_peft(folder, megabytes)
            yield from _against_cp(
                f"{megabytes} MB PEFT → Diffusers",
                source,
                source,
                (bare, proved),
                settings.turns(rounds),
            )
            shutil.rmtree(folder)
    if settings.largest >= _FLUX_MEGABYTES:
        source = write_kohya_flux(os.path.join(settings.folder, "flux_16.safetensors"), 16)
        output = os.path.join(settings.folder, "flux_split.safetensors")
        run((CONSOLE, "to-diffusers", source, "-o", output))
        yield from _against_cp(
            "FLUX kohya → Diffusers", source, output, (2.5, 3.0), settings.turns(5)
        )
        os.unlink(source)
        os.unlink(output)


def _against_cp(
    what: str, source: str, like: str, limits: tuple[float, float], rounds: int
) -> Iterator[Claim]:
    """`source` converted, against a copy of `like`, which is as large as the output."""
    folder = os.path.dirname(like)
    copied = partial(_fresh, folder, "/bin/sh", "-c", 'cp "$0" "$1" && sync "$1"', like, "{target}")
    for options, said, limit in (
        (("--no-verify",), "without proof", limits[0]),
        ((), "with proof", limits[1]),
    ):
        converted = partial(
            _fresh, folder, CONSOLE, "to-diffusers", source, "-o", "{target}", *options
        )
        yield ratio(f"{what}, {said} ÷ cp && sync", pairs(converted, copied, rounds), limit)


def _fresh(folder: str, *command: str) -> Run:
    """Run a command with a new output name, on a disk that has nothing else to write."""
    target = os.path.join(folder, f"copy_{next(_numbers)}.safetensors")
    os.sync()
    try:
        return run([part.format(target=target) for part in command])
    finally:
        with suppress(FileNotFoundError):
            os.unlink(target)


def _check_space(folder: str, megabytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < megabytes * 1e6:
        raise SystemExit(
            f"{folder}: {megabytes} MB are needed; choose another --folder or --largest"
        )


if __name__ == "__main__":
    main(claims)
