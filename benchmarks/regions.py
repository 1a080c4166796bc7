"""Regions of probability maps and of labels, beside nilearn, on the same numbers in the same run.

    python benchmarks/regions.py [--repeats 2]

Three maps of 99 x 117 x 95 at 2 mm, a tenth of the volume each, and 400 labels in two
parts each. Both
sides have images in memory and give images back; the least processor time of the repeats counts,
and nilearn's random walker, which takes half a minute, runs once. Beside the ratio stands how
alike the regions are: the share of voxels that are in the same region, and the median and the
lowest Dice of a region. nilearn's solver ends at a residual of a thousandth; `solved` holds ours
to nilearn's walker with a solver that goes on to 1e-8. Aim: 10 times nilearn for local_regions.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any
from unittest import mock

import nibabel as nib
import numpy as np
from nilearn import regions as nilearn_regions
from nilearn._utils import segmentation
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from bidsmask.images.grid import Grid
from bidsmask.regions.labels import connected_label_regions
from bidsmask.regions.maps import as_array, connected_regions

SHAPE = (99, 117, 95)
GRID = Grid(SHAPE, np.diag([2.0, 2.0, 2.0, 1.0]))
SHARES = (0.115, 0.128, 0.075)  # of the volume that each map covers
AIM = 10


def probability_maps() -> np.ndarray:
    """Return smooth noise in a head, 0 but for the highest values."""
    rng = np.random.default_rng(0)
    places = np.indices(SHAPE).reshape(3, -1).T / np.array(SHAPE) * 2 - 1
    head = ((places / 0.84) ** 2).sum(axis=1).reshape(SHAPE) < 1
    maps = np.zeros((*SHAPE, len(SHARES)), np.float32)
    for number, share in enumerate(SHARES):
        noise = np.where(head, gaussian_filter(rng.normal(size=SHAPE), 3), -1)
        maps[..., number] = np.where(noise > np.quantile(noise, 1 - share), noise, 0)
    return maps / maps.max()


def label_image() -> np.ndarray:
    """Return 400 parcels around random places, of two hemispheres with the same labels."""
    places = np.indices(SHAPE).reshape(3, -1).T.astype(np.float32)
    places[:, 0] = np.abs(places[:, 0] - (SHAPE[0] - 1) / 2)
    centres = np.random.default_rng(1).random((400, 3)) * places.max(axis=0)
    labels = cKDTree(centres).query(places)[1].reshape(SHAPE) + 1
    labels[48:51] = 0
    return labels.astype(np.int32)


def best(work: Callable[[], Any], repeats: int) -> tuple[float, float, Any]:
    """Return the least processor time and wall time (s), and what came out."""
    cpu, wall = [], []
    for _ in range(repeats):
        start, clock = time.process_time(), time.perf_counter()
        result = work()
        cpu.append(time.process_time() - start)
        wall.append(time.perf_counter() - clock)
    return min(cpu), min(wall), result


def ours(maps: np.ndarray, kind: Any) -> np.ndarray:
    """Return regions as one array."""
    return as_array(connected_regions(maps, GRID, extract_type=kind), SHAPE)


def theirs(maps: np.ndarray, kind: str) -> np.ndarray:
    """Return nilearn's regions as one array."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image, _ = nilearn_regions.connected_regions(image_of(maps), extract_type=kind)
    return np.asarray(image.dataobj)


def solved(maps: np.ndarray, kind: str) -> np.ndarray:
    """Return nilearn's regions with a solver that goes on to its end."""
    cg = segmentation.cg

    def to_the_end(matrix: Any, side: Any, rtol: float, atol: float) -> Any:
        return cg(matrix, side, rtol=1e-8, atol=atol)

    with mock.patch.object(segmentation, "cg", to_the_end):
        return theirs(maps, kind)


def image_of(values: np.ndarray) -> Any:
    return nib.Nifti1Image(values, GRID.affine)


def likeness(first: np.ndarray, second: np.ndarray) -> str:
    """Return share of voxels, median and lowest Dice of regions that should be the same."""
    if first.shape != second.shape:
        return f"{first.shape[-1]} regions, nilearn {second.shape[-1]}"
    pairs = [
        (np.count_nonzero(a & b), np.count_nonzero(a), np.count_nonzero(b))
        for a, b in ((first[..., n] != 0, second[..., n] != 0) for n in range(first.shape[-1]))
    ]
    shared, left, right = np.array(pairs).T
    dice = 2 * shared / (left + right)
    return f"{shared.sum() / left.sum():9.5f}{np.median(dice):9.4f}{dice.min():9.4f}"


def main() -> int:
    """Print one table; 1 where the random walker is slower than it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2)
    repeats = parser.parse_args().repeats
    maps = probability_maps()
    print(f"maps of {', '.join(str(n) for n in np.count_nonzero(maps, axis=(0, 1, 2)))} voxels")
    print(f"{'CPU s':>35}{'nilearn':>9}{'ratio':>7}{'wall':>7}{'alike':>9}{'Dice':>9}{'lowest':>9}")
    ratios = {}
    for kind in ("connected_components", "local_regions"):
        seconds, wall, found = best(lambda kind=kind: ours(maps, kind), repeats)
        n_runs = 1 if kind == "local_regions" else repeats
        peer, peer_wall, expected = best(lambda kind=kind: theirs(maps, kind), n_runs)
        ratios[kind] = peer / seconds
        numbers = f"{seconds:9.2f}{peer:9.2f}{ratios[kind]:7.1f}{peer_wall / wall:7.1f}"
        print(f"{kind:26}{numbers}{likeness(found, expected)}")
    print(f"{'  solved':58}{likeness(found, solved(maps, 'local_regions'))}")
    labels = label_image()
    seconds, wall, found = best(lambda: connected_label_regions(labels, GRID)[0], repeats)
    volume = image_of(labels)
    peer, peer_wall, image = best(lambda: nilearn_regions.connected_label_regions(volume), repeats)
    same = "same" if np.array_equal(found, image.dataobj) else "other"
    numbers = f"{seconds:9.2f}{peer:9.2f}{peer / seconds:7.1f}{peer_wall / wall:7.1f}"
    print(f"{'connected_label_regions':26}{numbers}     {same} voxels, {found.max()} regions")
    return int(ratios["local_regions"] < AIM)


if __name__ == "__main__":
    raise SystemExit(main())
