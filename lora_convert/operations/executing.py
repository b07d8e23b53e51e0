"""Where tasks are done: in this process, in several of this machine, or on a Dask cluster."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, as_completed, wait
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from lora_convert.errors import MissingExtraError, OptionError, OutputError
from lora_convert.operations.tasks import Outcome, Task, do, failure

if TYPE_CHECKING:
    from lora_convert.operations.batch import Doing

_TIMEOUT = 10
"""Seconds for a cluster to answer."""


@contextmanager
def doing(
    jobs: int = 1, executor: str | None = None, folders: Iterable[str] = (".",)
) -> Iterator[Doing]:
    """How tasks are done: `jobs` at a time here, or by the workers of the cluster at `executor`.

    A cluster's address is ``tcp://HOST:PORT``; each of its workers must see `folders` as this process
    does, which a file that is left there for a moment shows. OptionError where it cannot be used.
    """
    if executor is not None:
        with _cluster(executor, folders) as workers:
            yield partial(_on_cluster, workers)
    elif jobs > 1:
        yield partial(_in_processes, jobs)
    else:
        yield lambda tasks: map(do, tasks)


def _in_processes(jobs: int, tasks: list[Task]) -> Iterator[Outcome]:
    """No more is begun than is done at once. A process that dies takes along what is done just then."""
    waiting = tasks[::-1]
    running: dict[Future[Outcome], Task] = {}
    processes: Executor | None = None
    try:
        while waiting or running:
            processes = processes or _processes(min(jobs, len(tasks)))
            try:
                while waiting and len(running) < jobs:
                    running[processes.submit(_do_as_child, waiting[-1])] = waiting[-1]
                    waiting.pop()
            except BrokenExecutor:
                processes.shutdown()
                processes = None
            for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                yield _outcome(future, running.pop(future))
    finally:
        if processes:
            processes.shutdown(cancel_futures=True)


def _processes(jobs: int) -> Executor:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    return ProcessPoolExecutor(jobs, get_context("spawn"), _begin_child)


def _begin_child() -> None:
    """An interruption ends what a child does and not the child; without its parent it ends at once."""
    import signal
    from multiprocessing import parent_process
    from threading import Thread

    def follow() -> None:
        parent = parent_process()
        if parent:
            parent.join()
            os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=follow, daemon=True).start()


def _do_as_child(task: Task) -> Outcome:
    import signal

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return do(task)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _outcome(future: Future[Outcome], task: Task) -> Outcome:
    try:
        return future.result()._replace(task=task)
    except Exception as error:  # noqa: BLE001 - a process died, or a worker did too often
        what = next(iter(str(error).splitlines()), "") or type(error).__name__
        return failure(
            task, OutputError(f"its process ended: {what}", hint="run the command again")
        )


def _on_cluster(executor: Executor, tasks: list[Task]) -> Iterator[Outcome]:
    futures = {executor.submit(do, _absolute(task)): task for task in tasks}
    try:
        for future in as_completed(futures):
            yield _outcome(future, futures[future])
    finally:
        for future in futures:
            future.cancel()


def _absolute(task: Task) -> Task:
    """The same task for a process in another folder."""
    source, output, store = map(os.path.abspath, (task.source, task.output, task.store))
    base, config = map(_whole_path, (task.base, task.options.config))
    options = task.options._replace(config=config)
    return task._replace(source=source, output=output, store=store, base=base, options=options)


def _whole_path(name: str | None) -> str | None:
    """A path that is there, seen from anywhere; the name of a repository as it is."""
    return os.path.abspath(name) if name and os.path.exists(name) else name


@contextmanager
def _cluster(address: str, folders: Iterable[str]) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtraError("--executor", "dask") from error
    try:
        connect: Any = Client
        client = connect(address, timeout=_TIMEOUT)
    except Exception as error:
        why = f"no cluster answers there: {_first_line(error)}"
        raise OptionError(
            "executor", address, why=why, hint="tcp://HOST:PORT of its scheduler"
        ) from error
    with client:
        for folder in folders:
            _check_sight(client, address, folder)
        executor: Executor = client.get_executor(pure=False, retries=3)
        yield executor


def _check_sight(client: Any, address: str, folder: str) -> None:
    """Raise OptionError where a worker does not see the files that this process sees."""
    token = secrets.token_hex(16)
    path = os.path.join(os.path.abspath(folder), f".lora-convert-{token}")
    try:
        with open(path, "x", encoding="ascii") as file:
            file.write(token)
        seen: dict[str, bool] = client.run(sees, path, token)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    except Exception as error:
        why = f"its workers cannot do this work: {_first_line(error)}"
        hint = "install the same lora-convert where they run"
        raise OptionError("executor", address, why=why, hint=hint) from error
    finally:
        with suppress(OSError):
            os.unlink(path)
    blind = [worker for worker, answer in seen.items() if not answer]
    if blind or not seen:
        why = f"{len(blind)} of its workers do not see {folder}" if seen else "it has no workers"
        raise OptionError("executor", address, why=why, hint="give them the same file system")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def sees(path: str, token: str) -> bool:
    """Whether a file is there and holds a text; asked of each worker."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read() == token
    except OSError:
        return False
