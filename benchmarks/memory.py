"""Peak memory does not grow with the file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from benchmarks.claims import Claim, Settings, main
from benchmarks.files import write_diffusers_flux, write_kohya_flux, write_peft
from benchmarks.measuring import CONSOLE, run

_LIMIT = 80
_FLUX_MEGABYTES = 153


def claims(settings: Settings) -> Iterator[Claim]:
    """Whole conversions with their proof: copies of any size, FLUX split and fused, a new dtype."""
    for megabytes in (6, 200, 3400):
        if megabytes <= settings.largest:
            folder = os.path.join(settings.folder, f"memory_{megabytes}")
            source = write_peft(folder, megabytes)
            yield _peak(f"inspect, {megabytes} MB", "inspect", source)
            yield _peak(f"PEFT → Diffusers, {megabytes} MB", "to-diffusers", source)
            yield _peak(f"PEFT → kohya, {megabytes} MB", "to-kohya", source)
            if megabytes < 3400:  # at that rank, wider than the layers, the proof is out of reach
                yield _peak(
                    f"--dtype bf16, {megabytes} MB", "to-diffusers", source, "--dtype", "bf16"
                )
            yield _peak(f"inspect --health, {megabytes} MB", "inspect", "--health", source)
            shutil.rmtree(folder)
    path = os.path.join(settings.folder, "memory_flux.safetensors")
    if settings.largest >= _FLUX_MEGABYTES:
        yield _peak("FLUX split, kohya → Diffusers", "to-diffusers", write_kohya_flux(path, 16))
        yield _peak("FLUX fused, Diffusers → kohya", "to-kohya", write_diffusers_flux(path, 16))
        os.unlink(path)
    if settings.largest >= 4 * _FLUX_MEGABYTES:
        wide = write_kohya_flux(path, 64)
        yield _peak("FLUX of rank 64, --dtype fp16", "to-diffusers", wide, "--dtype", "fp16")
        os.unlink(path)


def _peak(what: str, command: str, source: str, *options: str) -> Claim:
    target = f"{source}.out.safetensors"
    output = () if command == "inspect" else ("-o", target)
    done = run((CONSOLE, command, source, *options, *output))
    if output:
        os.unlink(target)
    return Claim(f"peak memory: {what}", done.megabytes, _LIMIT, "MB", f"{done.seconds:.2f} s")


if __name__ == "__main__":
    main(claims)
