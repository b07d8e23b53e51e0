"""Giving a finished file or folder its name, without taking the name from another unasked."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys

_AT_FDCWD = -2 if sys.platform == "darwin" else -100
"""sys/fcntl.h of macOS, linux/fcntl.h."""
_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2
"""linux/fs.h."""
_RENAME_EXCL, _RENAME_SWAP = 4, 2
"""sys/stdio.h of macOS."""
_NOT_HERE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}
"""What systems and file systems answer that have no such rename."""
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR}


def rename(path: str, target: str, *, replace: bool) -> None:
    """Give `path` the name `target`; a link under that name is replaced, never followed.

    FileExistsError where the name is taken and `replace` is false. Folders replace nothing here, ever.
    """
    folder = os.path.isdir(path)
    if replace and not folder:
        os.replace(path, target)
        return
    if os.name == "nt":
        os.rename(path, target)  # does not replace there
        return
    code = _rename_exclusively(os.fsencode(path), os.fsencode(target))
    if code in _NOT_HERE:
        (_rename_folder if folder else _link_file)(path, target)
    elif code:
        raise OSError(code, os.strerror(code), target)


def move(name: str, folder: int, target: str, into: int) -> None:
    """Move what lies under `name` in one open folder to `target` in another, on the same disk.

    FileExistsError where that name is taken. Links are moved, not followed. Not for Windows.
    """
    code = _rename_exclusively(os.fsencode(name), os.fsencode(target), folder, into)
    if code in _NOT_HERE:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        by = _rename_folder if stat.S_ISDIR(status.st_mode) else _link_file
        by(name, target, folder, into)
    elif code:
        raise OSError(code, os.strerror(code), target)


def exchange(path: str, target: str) -> bool:
    """Let two names change places in one step; False where the system or file system has no such call."""
    code = _rename_exchanging(os.fsencode(path), os.fsencode(target))
    if code and code not in _NOT_HERE:
        raise OSError(code, os.strerror(code), target)
    return not code


def can_exchange(folder: str) -> bool:
    """Whether names can change places on the disk of an empty folder, found by trying in it."""
    first, second = (os.path.join(folder, name) for name in "12")
    os.mkdir(first)
    os.mkdir(second)
    try:
        return exchange(first, second)
    finally:
        os.rmdir(first)
        os.rmdir(second)


def _link_file(path: str, target: str, folder: int | None = None, into: int | None = None) -> None:
    """By a link, which does not replace; where there are none, by looking first."""
    try:
        os.link(path, target, src_dir_fd=folder, dst_dir_fd=into, follow_symlinks=False)
        with contextlib.suppress(
            OSError
        ):  # the name is given: what is left here is only a left-over
            os.unlink(path, dir_fd=folder)
    except FileExistsError:
        raise
    except OSError:  # FAT and some network disks have no links
        _check_free(target, into)
        os.rename(path, target, src_dir_fd=folder, dst_dir_fd=into)


def _check_free(target: str, into: int | None) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.stat(target, dir_fd=into, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)


def _rename_folder(
    path: str, target: str, folder: int | None = None, into: int | None = None
) -> None:
    """POSIX lets a folder take the place of an empty folder only; that one is looked for before."""
    _check_free(target, into)
    try:
        os.rename(path, target, src_dir_fd=folder, dst_dir_fd=into)
    except OSError as error:
        if error.errno in _TAKEN:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from error
        raise


def _rename_exclusively(
    path: bytes, target: bytes, folder: int = _AT_FDCWD, into: int = _AT_FDCWD
) -> int:
    """The error number of a rename that replaces nothing: 0 where done, ENOSYS where there is none.

    `folder` and `into` are descriptors of the folders that the names are seen from.
    """
    flags = (_RENAME_NOREPLACE, _RENAME_EXCL)
    return _flagged_rename(path, target, *flags, folder=folder, into=into)


def _rename_exchanging(path: bytes, target: bytes) -> int:
    """The error number of a rename both ways, likewise."""
    return _flagged_rename(path, target, _RENAME_EXCHANGE, _RENAME_SWAP)


def _flagged_rename(
    path: bytes,
    target: bytes,
    linux: int,
    darwin: int,
    *,
    folder: int = _AT_FDCWD,
    into: int = _AT_FDCWD,
) -> int:
    if os.name == "nt":
        return errno.ENOSYS
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        failed = library.renameat2(folder, path, into, target, linux)
    elif sys.platform == "darwin" and hasattr(library, "renameatx_np"):
        failed = library.renameatx_np(folder, path, into, target, darwin)
    else:
        return errno.ENOSYS
    return ctypes.get_errno() if failed else 0
