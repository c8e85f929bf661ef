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

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file so that at every moment it holds the old content or the new, never a part.

    Text is written in UTF-8. Devices and pipes, which cannot be replaced, are written to directly.
    A link stays a link.

    Raises:
        OSError: It could not be written; the old file, if there was one, is untouched.
    """
    target = real_path(path)
    if target.exists() and not target.is_file():
        target.write_bytes(_encoded(content))
    elif target.exists():
        handle = open_locked(target)  # refused where another varsim adds rows to it
        try:
            remove_temporary_files(target)
            atomic_write(target, content)
        finally:
            os.close(handle)
    else:
        remove_temporary_files(target)
        atomic_write(target, content)


def atomic_write(target: Path, content: str | bytes) -> None:
    """Replace the content of a regular file as a whole: a reader sees the old file or the new one.

    Raises:
        OSError: It could not be written; the old file, if there was one, is untouched.
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


def open_locked(target: Path) -> int:
    """Open a regular file and lock it, creating it if need be; closing it unlocks it.

    Returns:
        Its descriptor, for reading and writing.

    Raises:
        BlockingIOError: Another process owns it.
        OSError: It cannot be opened, or is not meant to be written.
    """
    while True:
        is_new = not target.exists()
        handle = os.open(target, _FLAGS, 0o666)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            if not status.st_mode & 0o222:  # which does not stop root, but says what is meant
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))
            _lock(handle)
            # Whoever owned it before may have put a new file in its place.
            if target.exists() and target.stat().st_ino == status.st_ino:
                if is_new:
                    sync_folder(target)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def is_open_at(target: Path, handle: int) -> bool:
    """Tell whether a name is still that of an open file: it may be deleted, or another's."""
    try:
        return os.path.samestat(target.stat(), os.fstat(handle))
    except OSError:  # the file is gone, or its folder is
        return False


def remove_temporary_files(target: Path) -> None:
    """Remove what a process that was killed while it replaced a file left beside it."""
    for temporary in target.parent.glob(f"{_temporary_prefix(target)}*"):
        with suppress(OSError):  # gone meanwhile, or another user's
            temporary.unlink()


def append_line(handle: int, line: bytes) -> None:
    """Add to the end of an open file so that it outlives a power cut, whole or not at all.

    Raises:
        OSError: It could not be added; the file is as it was.
    """
    length = os.lseek(handle, 0, os.SEEK_END)
    try:
        _write(handle, line)
        os.fsync(handle)
    except BaseException:
        os.ftruncate(handle, length)
        raise


def sync_folder(target: Path) -> None:
    """Make a new name in a folder outlive a power cut, where the system offers that."""
    try:
        folder = os.open(target.parent, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def real_path(path: Path) -> Path:
    """Return where a path leads, all links followed.

    Raises:
        OSError: In a circle.
    """
    target = Path(os.path.realpath(path))
    if target.is_symlink():  # still, after all links were followed
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def _write(handle: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]


def _encoded(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _temporary_prefix(target: Path) -> str:
    # Not the name itself, which may be as long as a name can be.
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
    """Close a locked file in a copy of this process: the lock would outlive its owner there."""
    with suppress(OSError):  # it has been closed since
        if os.path.samestat(os.fstat(handle), locked):
            os.close(handle)


def _mode(target: Path) -> int:
    """Return the permissions of the file that is replaced, or those of any new file."""
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
