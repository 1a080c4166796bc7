"""Masks beside nilearn's: the time of each, and of what nobody can do without.

    python benchmarks/mask_speed.py [--folder DIR] [--volumes 200] [--repeats 3]

Aims: at most 1.3 times what decompressing takes, and 3 times as fast as nilearn for templates along
the axes of their grid. Of a run, 4 times nilearn was hoped for, but nilearn takes no more than 2.6
to 3.3 times what decompressing alone does: the last column says how far it is from there.

A gzipped run of 99 x 117 x 95 voxels (that of benchmarks/speed.py). In one warm process each
mask is made several times, ours and nilearn's by turns; the least processor time counts, since
others may be at work on the machine. A mask of a run is held against decompressing it with isal,
a mask of a template against nilearn's from the same template. Outputs are compared voxel by voxel.
Peak memory is that of a process of its own, less what its imports take.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip
from speed import SERIES, SHAPE, make

import bidsmask
from bidsmask.images.image import open_image
from bidsmask.images.stream import mean_volume
from bidsmask.masks.otsu import otsu_mask

READING, TEMPLATE = 1.3, 3
# Of a template at 1 mm: the usual grid of EPI, the template's own, and one that lies askew.
GRIDS = {
    "2 mm": (SHAPE, np.diag([2.0, 2.0, 2.0, 1.0])),
    "2 mm, off": ((97, 115, 97), np.diag([2.0, 2.0, 2.0, 1.0])),
    "1 mm": ((197, 233, 189), np.eye(4)),
    "3 mm oblique": ((66, 78, 63), np.array([[3, 0.1, 0], [-0.1, 3, 0], [0, 0, 3]])),
}
OFFSETS = {"2 mm, off": (-96.5, -132.5, -78.5)}


def decompress(path: Path) -> None:
    """Read a file to its end."""
    buffer = bytearray(int(2 * np.prod(SHAPE)))
    with igzip.open(path, "rb") as file:
        while file.readinto(buffer):
            pass


def otsu(path: Path) -> Any:
    """Return the mask of a run's mean; nidataset takes 3D images alone."""
    image = open_image(path)
    return otsu_mask(mean_volume(image), image.grid)


def of_nilearn(name: str, *arguments: Any) -> Any:
    """Call a function of nilearn's without its warnings."""
    from nilearn import masking

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(masking, name)(*arguments)


RUN_MASKS: dict[str, Callable[[Path], Any]] = {
    "epi": bidsmask.compute_epi_mask,
    "background": bidsmask.compute_background_mask,
    "otsu": otsu,
}


def least_seconds(works: list[Callable[[], Any]], repeats: int) -> tuple[list[float], list[Any]]:
    """Return the least processor time of each, done by turns, and what came out."""
    seconds = [float("inf")] * len(works)
    results: list[Any] = [None] * len(works)
    for _ in range(repeats):
        for number, work in enumerate(works):
            start = time.process_time()
            results[number] = work()
            seconds[number] = min(seconds[number], time.process_time() - start)
    return seconds, results


def runs(path: Path, repeats: int) -> bool:
    """Print what masks of a run cost; return whether all are as fast as they should be."""
    is_fast = True
    heads = f"{'reading':>9}{'ratio':>7}{'nilearn':>9}{'ratio':>7}"
    print(f"{'CPU s':26}{'ours':>8}{heads}  differ   best")
    for name, work in RUN_MASKS.items():
        works: list[Callable[[], Any]] = [lambda work=work: work(path), lambda: decompress(path)]
        if name != "otsu":
            works.append(lambda name=name: of_nilearn(f"compute_{name}_mask", path))
        seconds, results = least_seconds(works, repeats)
        share = seconds[0] / seconds[1]
        is_fast &= share <= READING
        line = f"{name:26}{seconds[0]:8.2f}{seconds[1]:9.2f}{share:7.2f}"
        if name != "otsu":
            line += f"{seconds[2]:9.2f}{seconds[2] / seconds[0]:7.1f}{differing(results):8d}"
            line += f"{seconds[2] / seconds[1]:7.1f}"
        print(line)
    return is_fast


def templates(repeats: int) -> bool:
    """Print what masks of nilearn's own template cost; return whether aligned ones are fast."""
    is_fast = True
    print(f"{'CPU s':26}{'ours':>8}{'':16}{'nilearn':>9}{'ratio':>7}  differ")
    for grid, (shape, axes) in GRIDS.items():
        affine = np.eye(4)
        affine[:3, :3] = axes[:3, :3]
        affine[:3, 3] = OFFSETS.get(grid, (-98, -134, -72))
        image = nib.Nifti1Image(np.zeros(shape, np.uint8), affine)
        for kind in ("whole-brain", "gm", "wm"):
            arguments = (image, 0.5, True, 2, None, 0, kind)
            (ours, theirs), results = least_seconds(
                [
                    lambda a=arguments: bidsmask.compute_brain_mask(*a),
                    lambda a=arguments: of_nilearn("compute_brain_mask", *a),
                ],
                repeats,
            )
            is_fast &= theirs / ours >= TEMPLATE or "oblique" in grid
            n_other = differing(results)
            ratio = f"{theirs:25.2f}{theirs / ours:7.1f}{n_other:8d}"
            print(f"{f'{kind}, {grid}':26}{ours:8.2f}{ratio}")
    return is_fast


def differing(results: list[Any]) -> int:
    """Return how many voxels the first and the last mask do not share."""
    first, last = np.asarray(results[0].dataobj), np.asarray(results[-1].dataobj)
    return int(np.count_nonzero(first != last))


def memory(path: Path) -> None:
    """Print what a mask of a run takes in a process of its own, beyond its imports."""
    print(f"{'memory, MB':26}{'ours':>8}{'':16}{'nilearn':>9}")
    for name in RUN_MASKS:
        sides = ("ours",) if name == "otsu" else ("ours", "nilearn")
        peaks = []
        for side in sides:
            command = [sys.executable, __file__, "--folder", str(path), "--peak", side, name]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            peaks.append(f"{float(output):.0f}")
        print(f"{name:26}{peaks[0]:>8}{peaks[-1] if len(peaks) > 1 else '':>25}")


def peak(path: Path, side: str, name: str) -> float:
    """Return by how many MB one mask raises the peak of this process."""

    def now() -> float:
        # Not getrusage: a child begins with the peak of its parent there.
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(float(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM"))

    import nilearn.masking  # noqa: F401  imported before it is measured

    before = now()
    RUN_MASKS[name](path) if side == "ours" else of_nilearn(f"compute_{name}_mask", path)
    return now() - before


def main() -> int:
    """Print the tables; 1 where a mask is slower than it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--volumes", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print(peak(options.folder, *options.peak))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        make(folder, options.volumes)
        is_fast = runs(folder / SERIES, options.repeats)
        is_fast &= templates(options.repeats)
        memory(folder / SERIES)
    return int(not is_fast)


if __name__ == "__main__":
    raise SystemExit(main())
