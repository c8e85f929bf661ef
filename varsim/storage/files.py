"""Files: whole or not at all, and one writer at a time."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import zlib
from contextlib import suppress
from functools import partial
from pathlib import Path

_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)  # Windows has neither


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file atomically: at every moment it has the old content or the new one.

    Text is written in UTF-8. Devices and pipes, which cannot be replaced, are written to directly;
    a pipe needs a reader already. A link stays a link.

    Raises:
        OSError: The file could not be written; an old file is unchanged.
    """
    target = real_path(path)
    if is_stream(target):
        _write_stream(target, _encoded(content))
    elif target.exists():
        handle = open_locked(target)  # fails if another varsim adds rows to it
        try:
            remove_temporary_files(target)
            atomic_write(target, content)
        finally:
            os.close(handle)
    else:
        remove_temporary_files(target)
        atomic_write(target, content)


def is_stream(path: Path) -> bool:
    """Return whether a path leads to a device or a pipe, which can block a writer."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:  # it is to be created, or writing it will fail
        return False


def atomic_write(target: Path, content: str | bytes) -> None:
    """Replace a regular file atomically: a reader sees the old content or the new one.

    Raises:
        OSError: The file could not be written; an old file is unchanged.
    """
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=_temporary_prefix(target))
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_encoded(content))
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_mode(target))
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target)


def open_regular(target: Path, flags: int) -> int:
    """Open a regular file and return its descriptor.

    Raises:
        OSError: The file cannot be opened, or is a device or a pipe.
    """
    handle = os.open(target, flags | _FLAGS, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return handle


def open_locked(target: Path) -> int:
    """Open and lock a regular file, created if missing; closing it unlocks it.

    Returns:
        The descriptor, for reading and writing.

    Raises:
        BlockingIOError: Another process has locked the file.
        OSError: The file cannot be opened, or is read-only.
    """
    while True:
        is_new = not target.exists()
        handle = open_regular(target, os.O_RDWR | os.O_CREAT)
        try:
            status = os.fstat(handle)
            if not status.st_mode & 0o222:  # root could write, but the mode says not to
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))
            _lock(handle)
            # The previous owner of the lock may have replaced the file.
            if target.exists() and target.stat().st_ino == status.st_ino:
                if is_new:
                    sync_folder(target)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def is_open_at(target: Path, handle: int) -> bool:
    """Return whether a path still leads to an open file, which may be deleted or replaced."""
    try:
        return os.path.samestat(target.stat(), os.fstat(handle))
    except OSError:  # the file is gone, or its folder is
        return False


def remove_temporary_files(target: Path) -> None:
    """Remove temporary files that a killed process left beside a file."""
    for temporary in target.parent.glob(f"{_temporary_prefix(target)}*"):
        with suppress(OSError):  # removed meanwhile, or another user's
            temporary.unlink()


def append_line(handle: int, line: bytes) -> None:
    """Add a line to the end of an open file, complete or not at all, and sync it to disk.

    Raises:
        OSError: The line could not be added; the file is unchanged.
    """
    length = os.lseek(handle, 0, os.SEEK_END)
    try:
        _write(handle, line)
        os.fsync(handle)
    except BaseException:
        os.ftruncate(handle, length)
        raise


def sync_folder(target: Path) -> None:
    """Sync a new name in a folder to disk, if the system supports that."""
    try:
        folder = os.open(target.parent, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def real_path(path: Path) -> Path:
    """Return the path after all links are followed.

    Raises:
        OSError: The links form a circle.
    """
    target = Path(os.path.realpath(path))
    if target.is_symlink():  # still, after all links were followed
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def _write(handle: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]


def _write_stream(target: Path, content: bytes) -> None:
    try:
        handle = os.open(target, os.O_WRONLY | _FLAGS)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise OSError(errno.ENXIO, "nothing reads from this pipe") from None
    try:
        os.set_blocking(handle, True)  # only opening must not wait for a reader
        _write(handle, content)
    finally:
        os.close(handle)


def _encoded(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _temporary_prefix(target: Path) -> str:
    # Not the name itself, which may already have the maximal length.
    return f".varsim-{zlib.crc32(os.fsencode(target.name)):08x}-"


def _lock(handle: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(errno.EAGAIN, "it is in use by another varsim") from None
    except OSError:  # a file system without locks
        return
    os.register_at_fork(after_in_child=partial(_close_copy, handle, os.fstat(handle)))


def _close_copy(handle: int, locked: os.stat_result) -> None:
    """Close a locked file in a forked copy of this process: the lock would outlive its owner."""
    with suppress(OSError):  # it was closed meanwhile
        if os.path.samestat(os.fstat(handle), locked):
            os.close(handle)


def _mode(target: Path) -> int:
    """Return the permissions of the file to replace, or the default ones of a new file."""
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
