"""Equal inputs give equal bytes, in any process, place, language and time zone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import lora_convert
from tests.laws.synthesis import adapter
from tests.storage.kill_campaign import contents
from tests.storage.making import peft_folder

ROOT = Path(__file__).parents[2]


class Surroundings(NamedTuple):
    """What differs between two machines, or two evenings on one."""

    umask: int
    folder: str
    variables: dict[str, str]


ALIKE = (
    Surroundings(
        0o022,
        ".",
        {"PYTHONHASHSEED": "0", "LC_ALL": "C", "TZ": "UTC", "OMP_NUM_THREADS": "1", "USER": "a"},
    ),
    Surroundings(
        0o077,
        "elsewhere",
        {
            "PYTHONHASHSEED": "1",
            "LC_ALL": "C.UTF-8",
            "TZ": "Pacific/Kiritimati",
            "OMP_NUM_THREADS": "2",
            "OPENBLAS_NUM_THREADS": "2",
            "HOME": "/nowhere",
            "COLUMNS": "20",
            "NO_COLOR": "1",
        },
    ),
    Surroundings(
        0o000,
        "else/where",
        {
            "PYTHONHASHSEED": "4294967295",
            "LC_ALL": "tr_TR.UTF-8",
            "LANG": "de_DE",
            "TZ": "America/St_Johns",
            "PYTHONUTF8": "0",
            "PYTHONOPTIMIZE": "2",
            "SOURCE_DATE_EPOCH": "1",
        },
    ),
)
COMMANDS = {
    "copied": ["to-kohya", "{plain}"],
    "a folder": ["to-peft", "{kohya}"],
    "rounded": ["to-diffusers", "{mixed}", "--dtype", "bf16"],
    "fused and computed": ["to-kohya", "{mixed}"],
    "magnitudes": ["to-peft", "{dora}"],
    "a scale given": ["to-diffusers", "{plain}", "--scale-from", "alpha=3.3"],
    "trained on": ["convert", "{mixed}", "--to", "accelerate"],
}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Sources that take every way of writing: copies, sums, roundings, documents."""
    folder = tmp_path_factory.mktemp("given")
    plain = str(peft_folder(folder / "plain", rank=8, width=512))
    made = {"mixed": adapter("flux", mixed=True), "dora": adapter("sd1", "dora")}
    return {
        "plain": plain,
        "kohya": lora_convert.convert(plain, "kohya", output=str(folder / "k")).output,
        **{
            name: lora_convert.write_adapter(
                one, str(folder / f"{name}.safetensors"), to="diffusers"
            ).output
            for name, one in made.items()
        },
    }


def run(command: list[str], place: Path, around: Surroundings) -> dict[str, object]:
    """What a command answers in surroundings of its own, without what is meant to differ."""
    (place / around.folder).mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "lora_convert", *command, "-o", str(place / "out"), "--json"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **around.variables},
        cwd=place / around.folder,
        umask=around.umask if os.name == "posix" else -1,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    fields: dict[str, object] = json.loads(done.stdout.replace(str(place).encode(), b"FOLDER"))
    proof = fields["proof"]
    assert isinstance(proof, dict)
    return {**fields, "proof": {name: proof[name] for name in ("modules", "exact", "equal")}}


@pytest.mark.parametrize("what", COMMANDS)
def test_surroundings_leave_no_trace(what: str, given: dict[str, str], tmp_path: Path) -> None:
    command = [word.format(**given) for word in COMMANDS[what]]
    answers, written = [], []
    for number, around in enumerate(ALIKE):
        place = tmp_path / str(number)
        answers.append(run(command, place, around))
        written.append(contents(place / "out"))
    assert written[0]
    assert written[0] == written[1] == written[2]
    assert answers[0] == answers[1] == answers[2]


def test_the_order_of_a_folder_leaves_no_trace(tmp_path: Path) -> None:
    """Nor do the names of temporaries, the time, or the name of the source."""
    sources = [peft_folder(tmp_path / name / "a", width=64) for name in ("x", "y")]
    (tmp_path / "y" / "a" / "zzz.txt").write_bytes(b"")
    os.utime(sources[1] / "adapter_model.safetensors", (0, 0))
    for to in ("kohya", "diffusers", "accelerate"):
        done = [
            lora_convert.convert(str(source), to, output=str(source.parent / to))
            for source in sources
        ]
        one, other = ([Path(path).read_bytes() for path in each.outputs] for each in done)
        assert one == other
