"""Volumes of an image, one by one, with one decompression and every checksum verified."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import closing
from itertools import islice
from queue import SimpleQueue
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import DamagedFile, UnusableImage
from bidsmask.images.image import Image
from bidsmask.images.source import COPY_AGAIN, fill, open_bytes

# One with the consumer, one ready, one being filled.
N_BUFFERS = 3
# Of these many volumes of 16 bits no sum leaves int32.
MOST_IN_INT32 = 2**15


def stream(image: Image) -> Generator[NDArray[Any]]:
    """Yield an image's volumes in turn, while a thread of its own decompresses ahead.

    Parameters
    ----------
    image : Image
        3D or 4D.

    Yields
    ------
    (n_voxels,) array, read-only
        One volume in file order (i fastest), in the stored type in native byte order, not
        scaled (`Image.scale` does that). Valid until the next one is asked for: the memory
        of three volumes is used again and again.

    Raises
    ------
    DamagedFile
        While reading, or after the last volume: the iterator ends only when the file was
        read to its end and every checksum, length and the absence of further bytes was
        verified. What came before is to be thrown away then.
    """
    reader = _Reader(image)
    reader.start()
    try:
        while True:
            item = reader.filled.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
            reader.free.put(item)
    finally:
        reader.stop()


def read_volume(image: Image) -> NDArray[Any]:
    """Return the one volume of an image, scaled and verified.

    Parameters
    ----------
    image : Image
        3D, or 4D with one volume.

    Returns
    -------
    (i, j, k) array
        float64 for a scaled image, else the stored type in native byte order.

    Raises
    ------
    UnusableImage
        With more than one volume.
    DamagedFile
        As `stream`.
    """
    if image.n_volumes != 1:
        raise UnusableImage(image.path, f"has {image.n_volumes} volumes, but a 3D image is needed")
    values: list[NDArray[Any]] = [image.scale(volume).copy() for volume in stream(image)]
    return values[0].reshape(image.grid.shape, order="F")


def mean_volume(image: Image, *, absolute: bool = False, most: int | None = None) -> NDArray[Any]:
    """Return the mean over volumes, the numbers of nilearn's `compute_mean` to the last bit.

    Parameters
    ----------
    image : Image
        3D (returned as it is) or 4D.
    absolute : bool
        The mean of absolute values, in float64.
    most : int, optional
        Of no more volumes than these first ones; what follows is neither read nor verified.

    Returns
    -------
    (i, j, k) array
        A 3D image as `read_volume` gives it. Of a 4D image: float64 for stored integers
        and scaled images; float32 for float32, since numpy adds the volumes of a NIfTI file
        (whose last axis is the slowest) one by one in that type.

    Raises
    ------
    DamagedFile
        As `stream`.
    """
    if not image.is_series:
        return read_volume(image)
    is_as_stored = not (image.is_scaled or absolute)
    is_float32 = image.dtype.newbyteorder("=") == np.float32 and is_as_stored
    kind = np.dtype(np.float32 if is_float32 else np.float64)
    is_small = image.dtype.kind in "iu" and image.dtype.itemsize <= 2 and is_as_stored
    # The same sums, exact as those of float64, in half the time.
    counts = np.int32 if is_small and image.n_volumes <= MOST_IN_INT32 else kind
    total: NDArray[Any] = np.zeros(image.grid.n_voxels, dtype=counts)
    with closing(stream(image)) as volumes:
        for volume in islice(volumes, most):
            values = np.abs(image.scale(volume).astype(kind)) if absolute else image.scale(volume)
            with np.errstate(invalid="ignore", over="ignore"):  # Inf - Inf is NaN, and meant
                np.add(total, values, out=total)
    mean = total.astype(kind, copy=False)
    np.divide(mean, kind.type(min(most or image.n_volumes, image.n_volumes)), out=mean)
    return mean.reshape(image.grid.shape, order="F")


def varying_voxels(image: Image) -> NDArray[np.bool_]:
    """Return the voxels whose value is not the same in all volumes: those of some variance.

    Parameters
    ----------
    image : Image
        4D. NaN and infinite values count as 0.

    Returns
    -------
    (i, j, k) bool array

    Raises
    ------
    DamagedFile
        As `stream`.
    """
    first: NDArray[Any] | None = None
    varying = np.zeros(image.grid.n_voxels, bool)
    for volume in stream(image):
        values = volume
        if volume.dtype.kind == "f":
            zero_as_stored = volume.dtype.type(-image.intercept / image.slope)
            values = np.where(np.isfinite(volume), volume, zero_as_stored)
        if first is None:
            first = values.copy()
        varying |= values != first
    return varying.reshape(image.grid.shape, order="F")


class _Reader(threading.Thread):
    """Fills free buffers with volumes; None or an error follows the last one."""

    def __init__(self, image: Image) -> None:
        super().__init__(name=f"read {image.path.name}", daemon=True)
        self._image = image
        self._stopped = False
        self.free: SimpleQueue[NDArray[Any] | None] = SimpleQueue()
        self.filled: SimpleQueue[NDArray[Any] | BaseException | None] = SimpleQueue()

    def run(self) -> None:
        try:
            native = self._image.dtype.newbyteorder("=")
            buffers = min(N_BUFFERS, self._image.n_volumes)
            for _ in range(buffers):
                self.free.put(np.empty(self._image.grid.n_voxels, dtype=native))
            with open_bytes(self._image.path) as file:
                self._read(file)
        except BaseException as error:  # raised again in the consumer, whatever it is
            self.filled.put(error)
        else:
            self.filled.put(None)

    def _read(self, file: BinaryIO) -> None:
        self._skip(file, self._image.offset)
        for number in range(self._image.n_volumes):
            buffer = self.free.get()
            if buffer is None or self._stopped:
                return
            buffer.setflags(write=True)
            if fill(file, buffer.data.cast("B")) < self._image.volume_bytes:
                raise DamagedFile(
                    self._image.path,
                    f"ends within volume {number} of {self._image.n_volumes}",
                    COPY_AGAIN,
                )
            if not self._image.dtype.isnative:
                buffer.byteswap(inplace=True)
            buffer.setflags(write=False)
            self.filled.put(buffer)
        # Only a read beyond the last voxel makes the decompressor compare the checksum.
        if file.read(1):
            raise DamagedFile(
                self._image.path,
                f"goes on after the {self._image.n_volumes} volumes that its header claims",
                COPY_AGAIN,
            )

    def _skip(self, file: BinaryIO, n_bytes: int) -> None:
        scratch = memoryview(bytearray(min(n_bytes, 1 << 16)))
        while n_bytes:
            done = fill(file, scratch[:n_bytes])
            if not done:
                raise DamagedFile(self._image.path, "ends before its first voxel", COPY_AGAIN)
            n_bytes -= done

    def stop(self) -> None:
        """End the thread, wherever it is, and wait for it: one volume at most."""
        self._stopped = True
        self.free.put(None)
        self.join()
