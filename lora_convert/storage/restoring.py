"""Writing a compacted file again, byte for byte, and letting go of what stood in its place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import closing

from lora_convert.errors import CorruptCheckpointError, InputError, OutputError
from lora_convert.storage.atomic import check_space, settle, staged_file, sync, sync_folder
from lora_convert.storage.compacted import BASES, RECIPE, before, recipe_of
from lora_convert.storage.files import BLOCK, SourceFile
from lora_convert.storage.flushing import Flushing
from lora_convert.storage.hashes import hash_of, hash_written
from lora_convert.storage.positions import write_at
from lora_convert.storage.rebuilt import RebuiltFile
from lora_convert.storage.recipes import Recipe, read_recipe
from lora_convert.storage.store import KNOWN, entries, unused


def recipes_below(folder: str) -> Iterator[str]:
    """Paths of the compacted files in a folder and below it; links are not followed."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (os.path.join(place, before(n)) for n in sorted(names) if n.endswith(RECIPE))


def read_recipe_of(path: str) -> Recipe:
    """The recipe that stands for a file. Errors as of `SourceFile` and `read_recipe`."""
    with closing(SourceFile(recipe_of(path))) as file:
        recipe, _ = read_recipe(file)
    return recipe


def problem_of(path: str, progress: Callable[[int], None] = lambda done: None) -> str:
    """Why a compacted file could not be restored to the byte; empty where it could. Reads all of it."""
    try:
        with closing(RebuiltFile.of(path)) as rebuilt:
            found = hash_of(rebuilt)
            progress(rebuilt.size)
    except InputError as error:
        return error.what.removeprefix(f"{path}: ")
    return "" if found == rebuilt.digest else f"would be rebuilt with the hash {found}"


def restore(path: str, progress: Callable[[int], None] = lambda done: None) -> None:
    """Make a compacted file whole: its bytes, mode and time; adapter and recipe go after that.

    Where the file is there already, whole, only they go. CorruptCheckpointError where what it is rebuilt
    from is gone or changed, DestinationExistsError where another file has its name.
    """
    recipe = read_recipe_of(path)
    if is_whole(path):
        settle(path)  # copied back, perhaps, and not on the disk yet
    else:
        with closing(RebuiltFile.of(path)) as rebuilt:
            _write(rebuilt, progress)
    beside = [os.path.join(os.path.dirname(path), part.beside) for part in recipe.parts]
    for name in filter(os.path.isfile, beside):
        _remove(name)
    _remove(recipe_of(path))  # last: while it is there, all is known
    sync_folder(os.path.dirname(path))


def is_whole(path: str) -> bool:
    """Whether a file is there that its recipe stands for: a run was killed, or it was copied back.

    Errors as of `read_recipe_of`.
    """
    recipe = read_recipe_of(path)
    if not os.path.isfile(path) or os.path.getsize(path) != recipe.size:
        return False
    with closing(SourceFile(path)) as file:
        return hash_of(file) == recipe.digest


def _write(rebuilt: RebuiltFile, progress: Callable[[int], None]) -> None:
    recipe = rebuilt.recipe
    check_space(os.path.dirname(rebuilt.path), recipe.size)
    with staged_file(rebuilt.path, recipe.size) as (descriptor, staged):
        for at in range(0, recipe.size, BLOCK):
            block = rebuilt.read(at, min(BLOCK, recipe.size - at))
            write_at(descriptor, block, at)
            progress(len(block))
        rebuilt.check_unchanged()
        with Flushing(descriptor):
            found = hash_written(descriptor)
        if found != recipe.digest:
            raise CorruptCheckpointError(
                rebuilt.path,
                "cannot be restored: what it is rebuilt from gives other bytes",
                why="a file of the base was changed, or the disk is failing; nothing was removed",
                hint=f"get the base again, and give it with --base, after moving away {BASES}",
            )
        os.chmod(staged.path, recipe.mode)
        os.utime(staged.path, ns=(recipe.mtime_ns, recipe.mtime_ns))
        sync(descriptor)
        staged.publish(replace=False)


def sweep(folder: str, needed: Collection[str]) -> None:
    """Remove from a store of bases what no recipe needs any more, and the store where nothing is left."""
    for entry in unused(folder, needed):
        _remove(entry.path)
    if not entries(folder):
        with contextlib.suppress(OSError):  # not there, or with something in it that is not ours
            _remove(os.path.join(folder, KNOWN))
            os.rmdir(folder)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be removed: {error.strerror}",
            why="what it stood for is restored, and whole",
            hint="run the command again",
        ) from error
