"""Batches on a real Dask cluster: two worker processes, one of which dies."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lora_convert.errors import OptionError, OutputError
from lora_convert.operations.executing import _check_sight, doing
from tests.hostile.answering import answer
from tests.pipelines import contents, write_base, write_checkpoint, write_run

if os.name == "nt":
    pytest.skip("processes are killed", allow_module_level=True)
distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")

STEPS = tuple(range(100, 900, 100))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as found:
        yield found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("bases") / "base")


def made(run: Path) -> dict[str, bytes]:
    """All that a batch made but what says where it was made."""
    return {
        name: data
        for name, data in contents(run).items()
        if name.startswith(("checkpoint_pipelines/checkpoint", "final_pipeline"))
        and not name.endswith("checkpoint_metadata.json")
    }


def test_a_worker_dies_and_nothing_is_lost(
    cluster: Any, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = write_run(tmp_path / "here/my-run", base, STEPS)
    assert answer(["batch", str(here)]).exit_code == 0
    there = write_run(tmp_path / "there/my-run", base, STEPS)
    with distributed.Client(cluster) as client:
        victim = next(iter(client.run(os.getpid).values()))
    killed: list[float] = []

    def kill() -> None:
        deadline = time.monotonic() + 30
        while not [*there.glob("checkpoint_pipelines/check*")] and time.monotonic() < deadline:
            time.sleep(0.002)
        os.kill(victim, signal.SIGKILL)
        killed.append(len([*there.glob("checkpoint_pipelines/check*")]))

    killer = threading.Thread(target=kill)
    killer.start()
    monkeypatch.chdir(there.parent)
    done = answer(["batch", "--json", "--executor", cluster.scheduler_address, "my-run"])
    killer.join()
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 0, lines
    assert killed[0] < len(STEPS), "it was over before the worker died"
    assert len(lines) == len(STEPS) + 1
    assert made(there) == made(here)
    again = answer(["batch", "--executor", cluster.scheduler_address, "my-run"])
    assert f"Skipped {len(STEPS) + 1}" in again.stderr
    write_checkpoint(there, 900)
    last = answer(["batch", "--executor", cluster.scheduler_address, "my-run"])
    assert "Converted 1" in last.stderr
    assert not [path for path in there.rglob(".*") if "lora-convert" in path.name]


def test_a_failure_on_a_worker_is_one_of_its_task(cluster: Any, base: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", base, (100, 200))
    (run / "checkpoints/checkpoint-100/adapter_model.safetensors").write_bytes(b"broken")
    done = answer(["batch", "--executor", cluster.scheduler_address, str(run)])
    assert (done.exit_code, done.stdout.count("failed: checkpoint-100")) == (3, 1)
    assert "Converted 2, Skipped 0, Failed 1, Total 3" in done.stderr


class Blind:
    """A client of two workers, the second of which has other disks."""

    def run(self, sees: Any, path: str, token: str) -> dict[str, bool]:
        assert sees(path, token)
        return {"tcp://a": True, "tcp://b": sees(f"/nowhere{path}", token)}


class Without:
    """A client without workers."""

    def run(self, sees: Any, path: str, token: str) -> dict[str, bool]:
        return {}


class Strange:
    """A client whose workers lack this package."""

    def run(self, sees: Any, path: str, token: str) -> dict[str, bool]:
        raise ModuleNotFoundError("No module named 'lora_convert'")


@pytest.mark.parametrize(
    ("client", "why"),
    [
        (Blind(), "1 of its workers do not see"),
        (Without(), "it has no workers"),
        (Strange(), "No module named 'lora_convert'"),
    ],
)
def test_workers_that_cannot_do_it_are_refused(client: Any, why: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError) as refused:
        _check_sight(client, "tcp://c:1", str(tmp_path))
    assert why in str(refused.value)
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        _check_sight(Blind(), "tcp://c:1", str(tmp_path / "none"))


def test_an_address_where_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_convert.operations.executing._TIMEOUT", 1)
    started = time.monotonic()
    with (
        pytest.raises(OptionError, match="no cluster answers"),
        doing(executor="tcp://127.0.0.1:9"),
    ):
        pass
    assert time.monotonic() - started < 10
