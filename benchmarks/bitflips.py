"""One bit flipped at a random place of a `.nii.gz`: who notices?

Prints, for bidsmask and for nilearn, how many of the flips end in an error, how many are
harmless (the same voxels, affine and repetition time come out), and how many silently give
other numbers.

    python benchmarks/bitflips.py FILE.nii.gz [--flips 1000] [--seed 0]
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bidsmask.errors import BidsmaskError
from bidsmask.images.image import open_image
from bidsmask.images.stream import stream

Reader = Callable[[Path], str]


def read_ours(path: Path) -> str:
    """Return a digest of all that bidsmask reads from an image."""
    image = open_image(path)
    for _ in stream(image):  # nearly always ends in an error: hashing would double the time
        pass
    digest = hashlib.blake2b(image.grid.affine.tobytes())
    digest.update(
        repr(
            (image.grid.shape, image.n_volumes, image.dtype, image.slope, image.intercept)
        ).encode()
    )
    digest.update(repr((image.is_series, image.t_r_s)).encode())
    for volume in stream(image):
        digest.update(volume.data)
    return digest.hexdigest()


def read_nilearns(path: Path) -> str:
    """Return a digest of what nilearn's `load_img` and `get_data` give."""
    from nilearn.image import get_data, load_img

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = load_img(path)
        data = get_data(image)
    digest = hashlib.blake2b(np.asarray(image.affine).tobytes())
    digest.update(repr((data.shape, data.dtype, image.header.get_zooms()[3:])).encode())
    digest.update(data.tobytes(order="K"))
    return digest.hexdigest()


@contextmanager
def flipped(path: Path, bit: int) -> Iterator[None]:
    """Flip one bit of a file in place, and back again."""

    def flip() -> None:
        with path.open("r+b") as file:
            file.seek(bit // 8)
            byte = file.read(1)[0]
            file.seek(bit // 8)
            file.write(bytes([byte ^ (1 << bit % 8)]))

    flip()
    try:
        yield
    finally:
        flip()


def verdict(read: Reader, errors: type[Exception], path: Path, bit: int, truth: str) -> str:
    """Return what a reader makes of a file with one bit flipped."""
    with flipped(path, bit):
        try:
            return "harmless" if read(path) == truth else "silently wrong"
        except errors:
            return "error"


def count_verdicts(
    read: Reader, errors: type[Exception], path: Path, n_flips: int, seed: int
) -> Counter[str]:
    """Return the verdicts on random flips of a copy that may be written to."""
    truth = read(path)
    bits = np.random.default_rng(seed).integers(0, path.stat().st_size * 8, n_flips)
    return Counter(verdict(read, errors, path, int(bit), truth) for bit in bits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{options.flips} single-bit flips in {options.file.name}")
    print(f"{'':10}{'error':>8}{'harmless':>10}{'silently wrong':>16}{'seconds':>9}")
    readers: list[tuple[str, Reader, type[Exception]]] = [
        ("bidsmask", read_ours, BidsmaskError),
        ("nilearn", read_nilearns, Exception),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, read, errors in readers:
            copy = Path(folder) / "copy.nii.gz"
            shutil.copyfile(options.file, copy)
            begin = time.perf_counter()
            counts = count_verdicts(read, errors, copy, options.flips, options.seed)
            seconds = time.perf_counter() - begin
            columns = [counts[kind] for kind in ("error", "harmless", "silently wrong")]
            print(f"{name:10}{columns[0]:8}{columns[1]:10}{columns[2]:16}{seconds:9.0f}")


if __name__ == "__main__":
    main()
