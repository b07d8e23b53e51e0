"""Where tasks are done: in this process, in several of this machine, or on a Dask cluster."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from concurrent.futures import Executor, as_completed
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from lora_convert.errors import MissingExtraError, OptionError
from lora_convert.operations.tasks import Outcome, Task, do

if TYPE_CHECKING:
    from lora_convert.operations.batch import Doing


@contextmanager
def doing(jobs: int = 1, executor: str | None = None, folder: str = ".") -> Iterator[Doing]:
    """How tasks are done: `jobs` at a time here, or by the workers of the cluster at `executor`.

    A cluster's address is ``tcp://HOST:PORT``; each of its workers must see `folder` as this process
    does, which a file that is left there for a moment shows. OptionError where it cannot be used.
    """
    if executor is not None:
        with _cluster(executor, folder) as workers:
            yield partial(_each, workers)
    elif jobs > 1:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        with ProcessPoolExecutor(jobs, get_context("spawn")) as processes:
            yield partial(_each, processes)
    else:
        yield lambda tasks: map(do, tasks)


def _each(executor: Executor, tasks: list[Task]) -> Iterator[Outcome]:
    futures = {executor.submit(do, task): task for task in tasks}
    try:
        for future in as_completed(futures):
            try:
                yield future.result()
            except Exception as error:  # noqa: BLE001 - a process died, or a worker did too often
                task = futures[future]
                what = f"its process ended: {error}"
                fields = {"error": {"type": type(error).__name__, "message": what}}
                yield Outcome(task, "failed", task.output, what, fields)
    finally:
        for future in futures:
            future.cancel()


@contextmanager
def _cluster(address: str, folder: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtraError("--executor", "dask") from error
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise OptionError("executor", address, why=f"no cluster answers there: {error}") from error
    with client:
        _check_sight(client, address, folder)
        executor: Executor = client.get_executor(pure=False, retries=3)
        yield executor


def _check_sight(client: object, address: str, folder: str) -> None:
    """Raise OptionError where a worker does not see the files that this process sees."""
    token = secrets.token_hex(16)
    path = os.path.join(os.path.abspath(folder), f".lora-convert-{token}")
    try:
        with open(path, "x", encoding="ascii") as file:
            file.write(token)
        seen: dict[str, bool] = client.run(sees, path, token)  # type: ignore[attr-defined]
    finally:
        if os.path.exists(path):
            os.unlink(path)
    blind = [worker for worker, answer in seen.items() if not answer]
    if blind or not seen:
        why = f"{len(blind)} of its workers do not see {folder}" if seen else "it has no workers"
        raise OptionError("executor", address, why=why, hint="give them the same file system")


def sees(path: str, token: str) -> bool:
    """Whether a file is there and holds a text; asked of each worker."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read() == token
    except OSError:
        return False
