"""Files appear whole or not at all, and a product's sidecar last of all.

A file is written beside its place under a dot-name, flushed to the disk and renamed over the
place. The dot-name is locked while its writer lives, so that whoever comes later can tell a
leftover of a killed run from a file in the making.
"""

from __future__ import annotations

import io
import json
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from isal import isal_zlib

from bidsmask.bids import disk
from bidsmask.bids.locks import create_locked, temporary_name

Content = bytes | Callable[[BinaryIO], None]

# The key of a product's sidecar that tells the sizes of its data files, in their order.
SIZES = "Bytes"

# A large file begins its way to the disk while it is made, not all at its end, and its memory
# goes with it: new memory for 0.5 GB of text took 1.7 s on a virtual machine, the same again 0.4 s.
_BEGIN_AFTER = 16 << 20

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
        disk.make_folder(path.parent)
        temporary = path.parent / temporary_name(secrets.token_hex(8))
        try:
            descriptor = create_locked(temporary)
            try:
                _fill(descriptor, content)
                disk.sync(descriptor)
                size = os.fstat(descriptor).st_size
                disk.rename(temporary, path)
            finally:
                os.close(descriptor)
        except BaseException:
            # Also for an interrupt: what cannot be removed now is a leftover like any other.
            with suppress(OSError):
                disk.remove(temporary)
            raise
        disk.sync_folder(path.parent)
    except OSError as error:
        raise disk.writing_failed(path, error) from error
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
    disk.withdraw(sidecar)
    # Whoever reads the sidecar sees without reading the data whether a file was cut since.
    sizes = [publish(path, content) for path, content in data.items()]
    publish(sidecar, json_bytes({**metadata, SIZES: sizes}))


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
        self._unbegun = 0

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
            done += disk.write(self._descriptor, view[done:])
        self._unbegun += done
        if self._unbegun >= _BEGIN_AFTER:
            disk.begin(self._descriptor)
            self._unbegun = 0
        return done

    def truncate(self, size: int | None = None) -> int:
        size = self.tell() if size is None else size
        disk.truncate(self._descriptor, size)
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
