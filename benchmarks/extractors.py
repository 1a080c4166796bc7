"""Extractors and our maskers beside nilearn's: the same file, to signals or back, compared.

    python benchmarks/extractors.py [--folder DIR] [--volumes 200] [--voxel-mm 2] [--only WORD ...]

Each measurement is a process of its own, warm: seconds of the processor, of the clock, and peak
memory, reading of series and atlas included. A ratio is of seconds of the processor. nilearn
holds 1024 maps whole: at 2 mm that is more than 10 GB, at 3 mm 5 GB.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import resource
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

FIELD_MM = (194, 230, 194)
N_LABELS, N_SPHERES, RADIUS_MM = 400, 264, 5.0
# case -> least ratio to nilearn
TARGETS = {
    "labels mean": 4,
    "labels median": 5,
    "labels variance": 3,
    "maps 64": 5,
    "maps 64 everywhere": 1,
    "maps 1024": 5,
    "spheres": 5,
    "labels back": 5,
}
# How much longer than the extractor by itself, from the same file, a masker may take.
SLOWER_THAN_EXTRACTOR = 1.15
MODULES = {
    "extractor": "bidsmask.signals.way_back",
    "masker": "bidsmask.maskers.region_extractor",
    "nilearn": "nilearn.maskers",
}
RUN, MASK, LABELS, SEEDS = "bold.nii.gz", "mask.nii.gz", "labels.nii.gz", "seeds.txt"


def make(folder: Path, n_volumes: int, voxel_mm: float, cases: list[str]) -> None:
    """Write a run of noise in a head, and the regions of these cases."""
    import nibabel as nib
    from scipy.spatial import cKDTree

    random = np.random.default_rng(0)
    shape = tuple(round(length / voxel_mm) for length in FIELD_MM)
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1])
    affine[:3, 3] = -voxel_mm * np.array(shape) / 2

    def save(values: np.ndarray, name: str) -> None:
        nib.save(nib.Nifti1Image(values, affine), folder / name)

    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    mask = sum((axis / 0.75) ** 2 for axis in axes) < 1
    inside = np.argwhere(mask)
    save(mask.astype(np.uint8), MASK)
    series = random.normal(0, 60, (*shape, n_volumes)).astype(np.float32)
    series += np.where(mask, 8000, 60)[..., np.newaxis]
    save(series.astype(np.int16), RUN)
    labels = np.zeros(shape, np.int16)
    labels[mask] = cKDTree(random.choice(inside, N_LABELS, replace=False)).query(inside)[1] + 1
    save(labels, LABELS)
    centres = random.choice(inside, 4 * N_SPHERES, replace=False) @ affine[:3, :3] + affine[:3, 3]
    np.savetxt(folder / SEEDS, centres[:N_SPHERES])
    for n_maps, reach, name in ((64, 3.0, "maps 64"), (1024, 1.5, "maps 1024")):
        if name not in cases:
            continue
        # Blobs that overlap their neighbours, as large as so many maps of a brain are.
        width = (len(inside) / n_maps) ** (1 / 3) / 2
        maps = np.zeros((*shape, n_maps), np.float32)
        for one, centre in enumerate(random.choice(inside, n_maps, replace=False)):
            distance = np.linalg.norm((inside - centre) / width, axis=1)
            maps[mask, one] = np.where(distance < reach, np.exp(-(distance**2) / 2), 0)
        save(maps, f"{name}.nii.gz")
    if "maps 64 everywhere" in cases:
        save(random.random((*shape, 64), np.float32), "maps 64 everywhere.nii.gz")


def back(n_volumes: int = 200) -> np.ndarray:
    """Return signals of the labels, to be turned back into volumes."""
    return np.random.default_rng(0).normal(size=(n_volumes, N_LABELS)).astype(np.float32)


def by_extractors(folder: Path, case: str) -> np.ndarray:
    """File to signals by our extractors, as the program does it; or signals to volumes."""
    from bidsmask.images.image import open_image
    from bidsmask.masks.given import load_mask
    from bidsmask.signals.atlas import read_atlas
    from bidsmask.signals.extract import extract
    from bidsmask.signals.extractor import Extractor
    from bidsmask.signals.maps import MapExtractor, read_maps
    from bidsmask.signals.regions import Regions, StatisticExtractor
    from bidsmask.signals.spheres import Spheres
    from bidsmask.signals.way_back import WayBack

    image = open_image(folder / RUN)
    mask = load_mask(folder / MASK, image.grid, "file")
    kind, _, statistic = case.partition(" ")
    if kind == "labels":
        atlas = read_atlas(folder / LABELS)
        regions = Regions.of_labels(atlas.on(image.grid), atlas.values, mask.voxels)
        if statistic == "back":
            return WayBack.of_regions(regions, image.grid.shape).array(back())
        extractor: Extractor = StatisticExtractor(regions, statistic)
    elif kind == "maps":
        extractor = MapExtractor(read_maps(folder / f"{case}.nii.gz", mask), mask)
    else:
        spheres = Spheres(np.loadtxt(folder / SEEDS), np.full(N_SPHERES, RADIUS_MM))
        extractor = StatisticExtractor(spheres.on(image.grid, mask.voxels)[0])
    [raw] = extract(image, [extractor])
    return raw.reference + raw.values


def by_maskers(folder: Path, case: str, who: str) -> np.ndarray:
    """File to signals, or signals to volumes, by our maskers or by nilearn's."""
    if who == "masker":
        from bidsmask import NiftiLabelsMasker, NiftiMapsMasker, NiftiSpheresMasker
    else:
        import nibabel as nib
        from nilearn.maskers import NiftiLabelsMasker, NiftiMapsMasker, NiftiSpheresMasker

    given = {"mask_img": folder / MASK, "reports": False}
    kind, _, statistic = case.partition(" ")
    image = folder / RUN
    if kind == "labels":
        strategy = "mean" if statistic == "back" else statistic
        masker = NiftiLabelsMasker(folder / LABELS, strategy=strategy, **given)
        if statistic == "back":
            return np.asarray(masker.fit().inverse_transform(back()).dataobj)
    elif kind == "maps":
        masker = NiftiMapsMasker(folder / f"{case}.nii.gz", **given)
    else:
        seeds = [tuple(seed) for seed in np.loadtxt(folder / SEEDS)]
        masker = NiftiSpheresMasker(seeds, RADIUS_MM, allow_overlap=True, **given)
        if who == "nilearn":
            # Of whole numbers it would make whole numbers.
            loaded = nib.load(image)
            image = nib.Nifti1Image(loaded.get_fdata(dtype=np.float32), loaded.affine)
    return masker.fit_transform(image)


def measured(folder: Path, who: str, case: str) -> tuple[float, float, float, np.ndarray]:
    """Return seconds of the processor and of the clock, peak MB, and a part of the outcome."""
    warnings.simplefilter("ignore")
    importlib.import_module(MODULES[who])
    start, cpu = time.perf_counter(), time.process_time()
    made = by_extractors(folder, case) if who == "extractor" else by_maskers(folder, case, who)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    # Of volumes each hundredth voxel is enough to compare, and goes through a pipe.
    part = made if made.ndim == 2 else made.transpose().reshape(made.shape[-1], -1)[:, ::101]
    return cpu, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, part


def compare(folder: Path, cases: list[str]) -> int:
    """Measure every case, print one table; 1 where a target is missed."""
    context = multiprocessing.get_context("spawn")
    missed = []
    print(f"{'':20}{'':10}{'s CPU':>8}{'s clock':>9}{'MB':>7}")
    for case in cases:
        results = {}
        for who in MODULES:
            with context.Pool(1) as pool:
                results[who] = pool.apply(measured, (folder, who, case))
            cpu, seconds, peak_mb, _ = results[who]
            print(f"{case:20}{who:10}{cpu:8.2f}{seconds:9.2f}{peak_mb:7.0f}", flush=True)
        peer = results["nilearn"]
        for who in ("extractor", "masker"):
            mine = results[who]
            apart = np.abs(mine[3] - peer[3]).max() / np.abs(peer[3]).max()
            ratio = peer[0] / mine[0]
            print(f"{who:20}{ratio:.1f} times, outputs within {apart:.1g} of their size")
            if ratio < TARGETS[case]:
                missed.append(f"{case}: {who} under {TARGETS[case]} times")
        slower = results["masker"][0] / results["extractor"][0]
        print(f"{'':20}the masker takes {slower:.2f} times the extractor's seconds")
        if slower > SLOWER_THAN_EXTRACTOR and case != "labels back":
            missed.append(f"{case}: the masker takes {slower:.2f} times the extractor's seconds")
    print("\nall targets reached" if not missed else "\nmissed: " + "; ".join(missed))
    return int(bool(missed))


def main() -> int:
    """Make the files and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--folder", type=Path, help="where files made before are")
    arguments.add_argument("--volumes", type=int, default=200)
    arguments.add_argument("--voxel-mm", type=float, default=2.0)
    arguments.add_argument("--only", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        if not (folder / SEEDS).exists():
            # In a process of its own: a peak of memory is inherited by those started later.
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                pool.apply(make, (folder, given.volumes, given.voxel_mm, given.only))
        return compare(folder, given.only)


if __name__ == "__main__":
    raise SystemExit(main())
