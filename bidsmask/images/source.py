"""The bytes of an image file, decompressed, with every foreign error named after the file."""

from __future__ import annotations

import errno
import gzip
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from isal import igzip
from isal.igzip_lib import IsalError

from bidsmask.errors import DamagedFile

COPY_AGAIN = "Copy or download the file again."
GZIP_MAGIC = b"\x1f\x8b"
LARGEST_POINTER = 32768  # bytes; git-annex reads no further itself


def is_compressed(path: Path) -> bool:
    """Return whether the name says that the file is gzipped."""
    return path.name.lower().endswith(".gz")


@contextmanager
def naming_errors(path: Path) -> Iterator[None]:
    """Turn what reading can raise into a DamagedFile that names the file."""
    try:
        yield
    except EOFError as error:
        raise DamagedFile(
            path,
            "is cut off before its end, or has bytes after it that do not belong to it",
            COPY_AGAIN,
        ) from error
    except (gzip.BadGzipFile, IsalError) as error:  # type: ignore[misc]  # a wrong stub
        raise DamagedFile(path, f"is damaged ({str(error).rstrip('.')})", COPY_AGAIN) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DamagedFile(path, f"cannot be read ({reason})", "Check the disk.") from error


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading; a `.gz` is decompressed, all its members one after the other.

    isal compares each member's CRC-32 and length when that member ends, so only who reads
    until nothing comes has verified the file.

    Raises
    ------
    DamagedFile
        For whatever goes wrong inside the `with` while reading: a stream that is cut off,
        a wrong checksum or length, bytes after the last member, an error of the disk.
    """
    with naming_errors(path), _open(path) as file:
        yield file


def _open(path: Path) -> BinaryIO:
    if is_compressed(path):
        return cast(BinaryIO, igzip.open(path))  # type: ignore[no-untyped-call]  # isal says no types
    return path.open("rb")


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file; OSError where it is a pipe or device, which could keep us waiting."""
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115  the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def read_regular(path: Path) -> bytes:
    """Return the bytes of a regular file; raises as `open_regular` does."""
    with open_regular(path) as file:
        return file.read()


def fill(file: BinaryIO, target: memoryview) -> int:
    """Read until the target is full or the file ends; return the number of bytes read."""
    done = 0
    while done < len(target):
        n = file.readinto(target[done:])  # type: ignore[attr-defined]  # not in BinaryIO
        if not n:
            break
        done += n
    return done


def refuse_stand_in(path: Path) -> None:
    """Refuse what stands where an image should be: nothing, a folder, a pointer to elsewhere.

    Raises
    ------
    DamagedFile
        A dangling link, a git-annex or git-lfs pointer, a missing or empty file, a folder.
    """
    with naming_errors(path):
        if path.is_symlink() and not path.exists():
            if "annex/objects" in str(path.readlink()):
                raise _not_fetched(path)
            raise DamagedFile(path, f"is a link to {path.readlink()}, which does not exist")
        if not path.exists():
            raise DamagedFile(path, "does not exist")
        if not path.is_file():
            raise DamagedFile(path, "is not a file")
        size = path.stat().st_size
    if size == 0:
        raise DamagedFile(path, "is empty (0 bytes)", COPY_AGAIN)
    if size <= LARGEST_POINTER:
        _refuse_pointer(path, read_start(path, 1024))


def read_start(path: Path, n_bytes: int) -> bytes:
    """Return a file's first bytes as they are on the disk, compressed or not."""
    with naming_errors(path), path.open("rb") as file:
        return file.read(n_bytes)


def _refuse_pointer(path: Path, start: bytes) -> None:
    if start.startswith(b"/annex/objects/") or b".git/annex/objects/" in start:
        raise _not_fetched(path)
    if start.startswith(b"version https://git-lfs"):
        raise DamagedFile(
            path, "is a git-lfs pointer without its content", "Get it with `git lfs pull`."
        )


def _not_fetched(path: Path) -> DamagedFile:
    return DamagedFile(
        path,
        "is a git-annex pointer whose content is not here",
        "Get it with `datalad get` or `git annex get`.",
    )
