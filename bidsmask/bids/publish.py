"""Files appear whole or not at all, and a product's sidecar last of all.

A file is written beside its place under a dot-name, flushed to the disk and renamed over the
place. The dot-name is locked while its writer lives, so that whoever comes later can tell a
leftover of a killed run from a file in the making. All changes to the disk go through the
eight functions at the end of this module.
"""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from isal import isal_zlib

from bidsmask.errors import OutputRefused, WritingFailed

Content = bytes | Callable[[BinaryIO], None]

# The key of a product's sidecar that tells the sizes of its data files, in their order.
SIZES = "Bytes"

_PREFIX, _SUFFIX = ".bidsmask-", ".part"

# A large file goes to the disk while it is made, not all at its end, and its memory with it:
# new memory for 0.5 GB of text took 1.7 s on a virtual machine, the same memory again 0.4 s.
_SYNC_AHEAD = 64 << 20

# On signals, isal's levels 1 to 3 are within 2 % of each other in size and in time.
_GZIP_LEVEL = 2


def publish(path: Path, content: Content) -> int:
    """Write a file so that at no moment a part of it stands in its place.

    Missing folders are made. An older file is replaced in one step; a symbolic link in the
    place is itself replaced, never written through.

    Parameters
    ----------
    path : Path
        Where the file shall stand.
    content : bytes or callable
        The content, or what writes it into a binary handle (best in large pieces, since the
        handle does not buffer). The handle can also seek, read and truncate, as HDF5 needs.
        What the callable raises passes through, but for OSError.

    Returns
    -------
    int
        The size of the file, bytes.

    Raises
    ------
    WritingFailed
        If the disk is full, a quota used up, the folder not writable, or anything else that
        the system reports. What stood in the place before still does.
    """
    try:
        _make_folder(path.parent)
        temporary = path.parent / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
        try:
            descriptor = _create_locked(temporary)
            try:
                _fill(descriptor, content)
                _sync(descriptor)
                size = os.fstat(descriptor).st_size
                _rename(temporary, path)
            finally:
                os.close(descriptor)
        except BaseException:
            # Also for an interrupt: what cannot be removed now is a leftover like any other.
            with suppress(OSError):
                _remove(temporary)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise _writing_failed(path, error) from error
    return size


def publish_json(path: Path, mapping: Mapping[str, Any]) -> None:
    """Publish a JSON file: indented by 2, keys in the given order, a newline at the end.

    Floats are the shortest text that reads back. Numpy's numbers and arrays are written as
    Python's. Letters beyond ASCII stay as they are.

    Raises
    ------
    ValueError
        On NaN and infinities, which JSON does not have.
    """
    publish(path, json_bytes(mapping))


def json_bytes(mapping: Mapping[str, Any]) -> bytes:
    """Return the bytes that `publish_json` writes."""
    text = json.dumps(mapping, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    # Half a surrogate pair, as `\\ud800` in a source's JSON, is no letter and becomes a `?`.
    return f"{text}\n".encode(errors="replace")


def publish_product(
    data: Mapping[Path, Content], sidecar: Path, metadata: Mapping[str, Any]
) -> None:
    """Publish a product: its data files, then the sidecar that says they are complete.

    An older sidecar is removed before the first byte of data changes. So, wherever this is
    interrupted, a sidecar never stands beside data other than those it describes.

    Parameters
    ----------
    data : mapping of Path to content
        Written in this order, each as by `publish`.
    sidecar : Path
        The JSON file whose presence makes the product complete.
    metadata : mapping
        What it says; the sizes of the data files, in bytes, are added under `Bytes`.
    """
    # First, since what cannot be written as JSON must not cost an older product its sidecar.
    json_bytes(metadata)
    withdraw(sidecar)
    # Whoever reads the sidecar sees without reading the data whether a file was cut since.
    sizes = [publish(path, content) for path, content in data.items()]
    publish(sidecar, json_bytes({**metadata, SIZES: sizes}))


def withdraw(path: Path) -> None:
    """Remove a published file, so that its absence outlasts a power cut; none is fine."""
    try:
        _remove(path)
        _sync_folder(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _writing_failed(path, error) from error


def gzipped(content: Content) -> Callable[[BinaryIO], None]:
    """Return content that is compressed while it is written, without name or time in its header.

    To be given to `publish` and `publish_product` for `.tsv.gz`:
    `publish(path, gzipped(lambda handle: write_signals(handle, names, values)))`.
    """

    def write(handle: BinaryIO) -> None:
        compressor = isal_zlib.compressobj(level=_GZIP_LEVEL, wbits=31)
        sink = _Sink(lambda piece: handle.write(compressor.compress(piece)))
        _pour(sink, content)
        handle.write(compressor.flush())

    return write


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
    path = folder / f"{_PREFIX}{name}{_SUFFIX}"
    try:
        _make_folder(folder)
        descriptor = _hold(path)
    except BlockingIOError as error:
        problem = "is being made by another run of bidsmask"
        advice = (
            "When that has ended, the same command does what is left. If none is at work, but a "
            f"computer was lost that held the lock, remove {path}."
        )
        raise OutputRefused(name, problem, advice) from error
    except OSError as error:
        raise _writing_failed(path, error) from error
    try:
        yield
        withdraw(path)
    except BaseException:
        with suppress(WritingFailed):
            withdraw(path)
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


def _remove_if_abandoned(path: Path) -> bool:
    """Remove a temporary file unless its writer still holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(path)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _create_locked(path: Path) -> int:
    """Create and lock a file; return its descriptor."""
    while True:
        descriptor = _create(path)
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Between the two calls another process may have taken it for a leftover.
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)


def _hold(path: Path) -> int:
    """Lock a file, made if there is none, and return its descriptor; BlockingIOError if held."""
    while True:
        descriptor = _create(path, 0)
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


def _fill(descriptor: int, content: Content) -> None:
    """Write the content into an open file, to its last byte."""
    _pour(_File(descriptor), content)


def _pour(sink: io.RawIOBase, content: Content) -> None:
    """Give the content, or let it give itself, to the sink."""
    if callable(content):
        content(cast(BinaryIO, sink))
    else:
        sink.write(content)


class _Sink(io.RawIOBase):
    """A binary handle that hands each piece on and keeps none.

    A buffer would try to write its rest once more when it is closed after a failure.
    """

    def __init__(self, take: Callable[[memoryview], object]) -> None:
        self._take = take

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        view = memoryview(piece).cast("B")
        self._take(view)
        return len(view)


class _File(io.RawIOBase):
    """The file in the making: a binary handle without a buffer, which can also seek and read."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._unsynced = 0

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        view = memoryview(piece).cast("B")
        done = 0
        while done < len(view):
            done += _write(self._descriptor, view[done:])
        self._unsynced += done
        if self._unsynced >= _SYNC_AHEAD:
            _sync(self._descriptor)
            _forget(self._descriptor)
            self._unsynced = 0
        return done

    def truncate(self, size: int | None = None) -> int:
        size = self.tell() if size is None else size
        _truncate(self._descriptor, size)
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def readinto(self, target: Any) -> int:
        return os.readv(self._descriptor, [target])


def _plain(value: object) -> object:
    """Return numpy's numbers and arrays as Python's, for JSON."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no form in JSON: {value!r}")


_AGAIN = "The same command then resumes."

_FAILURES = {
    errno.ENOSPC: ("the disk is full", f"Make room, or choose another output folder. {_AGAIN}"),
    errno.EDQUOT: ("your disk quota is used up", f"Make room, or raise the quota. {_AGAIN}"),
    errno.EROFS: ("the file system is read-only", "Choose another output folder."),
    errno.EACCES: ("you are not allowed to", "Change the permissions, or choose another folder."),
    errno.EPERM: ("you are not allowed to", "Change the permissions, or choose another folder."),
}


def _writing_failed(path: Path, error: OSError) -> WritingFailed:
    """Return what the system reported as a sentence about the file and its folder."""
    fallback = (error.strerror or str(error) or type(error).__name__, "")
    reason, advice = _FAILURES.get(error.errno or 0, fallback)
    problem = f"cannot be written into {path.parent}: {reason}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        with suppress(OSError):
            problem += f" ({shutil.disk_usage(path.parent).free / 1e6:.1f} MB free)"
    return WritingFailed(path, problem, advice)


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def _create(path: Path, flags: int = os.O_EXCL) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o666)


def _write(descriptor: int, piece: memoryview) -> int:
    return os.write(descriptor, piece)


def _truncate(descriptor: int, size: int) -> None:
    os.ftruncate(descriptor, size)


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


def _forget(descriptor: int) -> None:
    """Give back the memory of what is on the disk already, where the system can."""
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _rename(temporary: Path, path: Path) -> None:
    temporary.replace(path)


def _remove(path: Path) -> None:
    path.unlink()


def _sync_folder(folder: Path) -> None:
    """Make names outlast a power cut, where the file system can do that for folders."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
