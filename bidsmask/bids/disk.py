"""The few functions through which published files change the disk, and what can go wrong."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from bidsmask.errors import WritingFailed

_AGAIN = "The same command then resumes."

_FAILURES = {
    errno.ENOSPC: ("the disk is full", f"Make room, or choose another output folder. {_AGAIN}"),
    errno.EDQUOT: ("your disk quota is used up", f"Make room, or raise the quota. {_AGAIN}"),
    errno.EROFS: ("the file system is read-only", "Choose another output folder."),
    errno.EACCES: ("you are not allowed to", "Change the permissions, or choose another folder."),
    errno.EPERM: ("you are not allowed to", "Change the permissions, or choose another folder."),
}


def writing_failed(path: Path, error: OSError) -> WritingFailed:
    """Return what the system reported as a sentence about the file and its folder."""
    fallback = (error.strerror or str(error) or type(error).__name__, "")
    reason, advice = _FAILURES.get(error.errno or 0, fallback)
    problem = f"cannot be written into {path.parent}: {reason}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        with suppress(OSError):
            problem += f" ({shutil.disk_usage(path.parent).free / 1e6:.1f} MB free)"
    return WritingFailed(path, problem, advice)


def withdraw(path: Path) -> None:
    """Remove a published file, so that its absence outlasts a power cut; none is fine."""
    try:
        remove(path)
        sync_folder(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise writing_failed(path, error) from error


def make_folder(folder: Path) -> None:
    """Make a folder, with those it lies in; one that is there is fine."""
    folder.mkdir(parents=True, exist_ok=True)


def create(path: Path, flags: int = os.O_EXCL) -> int:
    """Open a file for reading and writing; made, and never through a link."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o666)


def write(descriptor: int, piece: memoryview) -> int:
    """Write as much of a piece as the system takes; return how many bytes."""
    return os.write(descriptor, piece)


def truncate(descriptor: int, size: int) -> None:
    """Give an open file this length."""
    os.ftruncate(descriptor, size)


def sync(descriptor: int) -> None:
    """Bring an open file to the disk."""
    os.fsync(descriptor)


def begin(descriptor: int) -> None:
    """Begin to bring an open file to the disk, and give back what memory has arrived there.

    Linux does both at this word, without waiting; elsewhere nothing happens until `sync`.
    """
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def rename(temporary: Path, path: Path) -> None:
    """Give a file its name, in place of what has it."""
    temporary.replace(path)


def remove(path: Path) -> None:
    """Remove a file."""
    path.unlink()


def sync_folder(folder: Path) -> None:
    """Make names outlast a power cut, where the file system can do that for folders."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
