"""What a process is at work on is locked while it lives.

So whoever comes later can tell a leftover of a killed run from a file in the making, and two
runs of the program do not make one product at the same time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bidsmask.bids import disk
from bidsmask.errors import OutputRefused, WritingFailed

_PREFIX, _SUFFIX = ".bidsmask-", ".part"


@contextmanager
def held(folder: Path, name: str) -> Iterator[None]:
    """Keep other processes, here and on other machines, from what has this name meanwhile.

    Else the sidecar of one run of the program could come to stand beside the data of another with
    other choices. A process that was killed holds nothing; its file is a leftover like others.
    Where the file system knows no locks, nothing is kept from anybody.

    Raises
    ------
    OutputRefused
        If another process holds the name.
    WritingFailed
        If its file cannot be made or removed.
    """
    path = folder / temporary_name(name)
    try:
        disk.make_folder(folder)
        descriptor = _hold(path)
    except BlockingIOError as error:
        problem = "is being made by another run of bidsmask"
        advice = (
            "When that has ended, the same command does what is left. If none is at work, but a "
            f"computer was lost that held the lock, remove {path}."
        )
        raise OutputRefused(name, problem, advice) from error
    except OSError as error:
        raise disk.writing_failed(path, error) from error
    try:
        yield
        disk.withdraw(path)
    except BaseException:
        with suppress(WritingFailed):
            disk.withdraw(path)
        raise
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path, *, recursive: bool = True) -> list[Path]:
    """Remove what killed runs left half-written below a folder; return what was removed.

    A file that another process, here or on another machine of a shared file system, is
    writing at this moment is locked by it and stays. Where the file system knows no locks,
    everything stays.
    """
    removed = []
    for parent, folders, names in os.walk(folder):
        removed += [
            path
            for path in (Path(parent, name) for name in sorted(names))
            if is_temporary(path) and _remove_if_abandoned(path)
        ]
        folders.sort()
        if not recursive:
            break
    return removed


def is_temporary(path: Path) -> bool:
    """Tell whether a file has the name of one in the making."""
    return path.name.startswith(_PREFIX) and path.name.endswith(_SUFFIX)


def temporary_name(name: str) -> str:
    """Return the name of a file in the making."""
    return f"{_PREFIX}{name}{_SUFFIX}"


def create_locked(path: Path) -> int:
    """Create and lock a file; return its descriptor."""
    while True:
        descriptor = disk.create(path)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Between the two calls another process may have taken it for a leftover.
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)


def _hold(path: Path) -> int:
    """Lock a file, made if there is none, and return its descriptor; BlockingIOError if held."""
    while True:
        descriptor = disk.create(path, 0)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise
        except OSError:  # no locks here
            return descriptor
        # Who held it before may have removed it between the two calls.
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)


def _remove_if_abandoned(path: Path) -> bool:
    """Remove a temporary file unless its writer still holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        disk.remove(path)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
