"""Speed and memory beside nilearn, on the same file in the same run, outputs compared.

    python benchmarks/speed.py [--folder DIR] [--volumes 200] [--only WORD ...]

Every measurement is a process of its own, so that its peak memory is its own. Two clocks: a warm
process from file to array, and the whole program with its start-up and the TSV that it writes.
nilearn is measured as shipped and, where that changes anything, tuned by
`clean_args={"butterworth__copy": True}`; the tuned one is the fair peer.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHAPE, T_R_S, FWHM_MM = (99, 117, 95), 2.0, 6.0
SIZES = (0.75, 0.765, 0.735)  # of the brain, as shares of the field of view: 236,000 voxels
N_CONFOUNDS, N_REGIONS = 36, 400
NAME = "sub-01/func/sub-01_task-rest"
SERIES = f"{NAME}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
MASK = f"{NAME}_space-MNI152NLin2009cAsym_desc-brain_mask.nii.gz"
TABLE = f"{NAME}_desc-confounds_timeseries.tsv"
ATLAS = "atlas-demo_dseg.nii.gz"

# case -> (what, peer it is held against, least ratio of times, most ratio of memory)
TARGETS = {
    "cleaned": [("nilearn shipped", 35, None), ("nilearn tuned", 10, 0.4)],
    "plain": [("nilearn shipped", 5, None)],
    "smoothed": [("nilearn tuned", 12, None)],
    "regions": [("nilearn shipped", 4, None)],
    "program": [("nilearn tuned", 4, 0.45)],
}
SLOWER_THAN_READING = {"cleaned": 2.0, "regions": 1.3}


def make(folder: Path, n_volumes: int) -> None:
    """Write a run with its mask, confounds and an atlas, as fMRIPrep would name them."""
    import nibabel as nib
    import numpy as np
    import pandas as pd
    from isal import igzip
    from scipy.spatial import cKDTree

    if (folder / "made").exists() and (folder / "made").read_text() == str(n_volumes):
        return
    (folder / NAME).parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    centred = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    radius = np.sqrt(sum((axis / size) ** 2 for axis, size in zip(centred, SIZES, strict=True)))
    mask = radius < 1
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), affine), folder / MASK)
    labels = np.zeros(SHAPE, np.int16)
    inside = np.argwhere(mask)
    seeds = rng.choice(inside, N_REGIONS, replace=False)
    labels[mask] = cKDTree(seeds).query(inside)[1] + 1
    nib.save(nib.Nifti1Image(labels, affine), folder / ATLAS)

    confounds = rng.standard_normal((n_volumes, N_CONFOUNDS)).cumsum(axis=0)
    table = pd.DataFrame(confounds, columns=[f"confound_{n:02d}" for n in range(N_CONFOUNDS)])
    table.to_csv(folder / TABLE, sep="\t", index=False)
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((*SHAPE, n_volumes))
    header.set_sform(affine, 4)
    header.set_zooms((2.0, 2.0, 2.0, T_R_S))
    header.set_xyzt_units("mm", "sec")
    header["vox_offset"], header["magic"] = 352, b"n+1"
    base = np.where(mask, 8000 * (1.2 - radius), 60).astype(np.float32)
    weights = rng.standard_normal((3, *SHAPE)).astype(np.float32) * 40
    with igzip.open(folder / SERIES, "wb", compresslevel=1) as file:
        file.write(header.binaryblock + bytes(4))
        for volume in range(n_volumes):
            noise = rng.standard_normal(SHAPE, dtype=np.float32) * np.where(mask, 60, 8)
            drift = np.tensordot(confounds[volume, :3] / 5, weights, 1) * mask
            values = np.clip(base + drift + noise, 0, 32000).astype(np.int16)
            file.write(values.tobytes(order="F"))
    (folder / (SERIES[:-7] + ".json")).write_text(json.dumps({"RepetitionTime": T_R_S}))
    description = {"Name": "x", "BIDSVersion": "1.9.0", "DatasetType": "derivative"}
    (folder / "dataset_description.json").write_text(json.dumps(description))
    (folder / "made").write_text(str(n_volumes))


def decompress(folder: Path, case: str) -> None:
    """Decompress, and nothing else."""
    from isal import igzip

    buffer = bytearray(2 * SHAPE[0] * SHAPE[1] * SHAPE[2])
    with igzip.open(folder / SERIES, "rb") as file:
        while file.readinto(buffer):
            pass


def ours(folder: Path, case: str) -> object:
    """File to array by the app's own functions."""
    import numpy as np
    import pandas as pd
    from threadpoolctl import threadpool_limits

    from bidsmask.cleaning.censoring import Censoring
    from bidsmask.cleaning.cleaning import Cleaning
    from bidsmask.cleaning.confounds import Regressors
    from bidsmask.cleaning.filter import TemporalFilter
    from bidsmask.cleaning.operator import build_operator, clean
    from bidsmask.images.image import open_image
    from bidsmask.masks.given import load_mask
    from bidsmask.signals.atlas import read_atlas
    from bidsmask.signals.extract import extract
    from bidsmask.signals.extractor import Extractor
    from bidsmask.signals.regions import Regions, StatisticExtractor
    from bidsmask.signals.voxels import VoxelExtractor

    image = open_image(folder / SERIES)
    mask = load_mask(folder / MASK, image.grid, "derivative")
    extractor: Extractor = VoxelExtractor(mask)
    if case == "regions":
        atlas = read_atlas(folder / ATLAS)
        regions = Regions.of_labels(atlas.on(image.grid), atlas.values, mask.voxels)
        extractor = StatisticExtractor(regions)
    (raw,) = extract(image, [extractor], FWHM_MM if case == "smoothed" else None)
    if case in ("plain", "regions"):
        return np.add(raw.values, raw.reference, out=raw.values)
    table = pd.read_csv(folder / TABLE, sep="\t")
    regressors = Regressors(table.to_numpy(float), tuple(table.columns))
    band = TemporalFilter("butterworth", 0.01, 0.1, "odd")  # nilearn's padding, for the comparison
    operator = build_operator(
        Cleaning(True, band, "zscore_sample"),
        T_R_S,
        Censoring.none(image.n_volumes),
        regressors,
        SERIES,
    )
    with threadpool_limits(1, user_api="blas"):  # as in the app
        return clean(operator, raw.values, raw.reference, overwrite=True, n_threads=2).values


def nilearn(folder: Path, case: str, tuned: bool) -> object:
    """File to array by nilearn's maskers."""
    import pandas as pd
    from nilearn.maskers import NiftiLabelsMasker, NiftiMasker

    if case == "plain":
        masker = NiftiMasker(folder / MASK, standardize=None, reports=False)
        return masker.fit().transform(folder / SERIES)
    if case == "regions":
        masker = NiftiLabelsMasker(
            folder / ATLAS, mask_img=folder / MASK, standardize=None, reports=False
        )
        return masker.fit().transform(folder / SERIES)
    masker = NiftiMasker(
        folder / MASK,
        smoothing_fwhm=FWHM_MM if case == "smoothed" else None,
        detrend=True,
        standardize="zscore_sample",
        high_pass=0.01,
        low_pass=0.1,
        t_r=T_R_S,
        reports=False,
        clean_args={"butterworth__copy": True} if tuned else None,
    )
    table = pd.read_csv(folder / TABLE, sep="\t")
    return masker.fit().transform(folder / SERIES, confounds=table)


def measured(folder: Path, who: str, case: str, keep: Path | None) -> None:
    """Measure one call in this warm process; print seconds and peak memory as JSON."""
    import numpy as np

    if who == "isal":
        importlib.import_module("isal.igzip")
    elif who == "bidsmask":
        for name in ("pandas", "bidsmask.signals.extract", "bidsmask.cleaning"):
            importlib.import_module(name)
    else:
        importlib.import_module("nilearn.maskers")
    start, cpu = time.perf_counter(), time.process_time()
    if who == "isal":
        result = decompress(folder, case)
    elif who == "bidsmask":
        result = ours(folder, case)
    else:
        result = nilearn(folder, case, tuned=who.endswith("tuned"))
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if keep is not None and result is not None:
        np.save(keep, np.asarray(result)[:, ::97] if case != "regions" else result)
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_mb": peak}))


def child(arguments: list[str], repeat: int = 1) -> dict[str, float]:
    """Run a measurement in a process of its own; the fastest of several."""
    runs = []
    for _ in range(repeat):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", __file__, *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return min(runs, key=lambda run: run["seconds"])


def program(command: list[str], repeat: int) -> dict[str, float]:
    """Time a whole process, start-up included, several times; return the fastest."""
    return min((once(command) for _ in range(repeat)), key=lambda run: run["seconds"])


def once(command: list[str]) -> dict[str, float]:
    """Time one process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    assert process.stderr is not None
    message = process.stderr.read().decode()
    if status:
        raise RuntimeError(f"{command}: {message}")
    seconds = time.perf_counter() - start
    cpu = usage.ru_utime + usage.ru_stime
    return {"seconds": seconds, "cpu": cpu, "peak_mb": usage.ru_maxrss / 1024}


def our_program(folder: Path, output: Path) -> list[str]:
    """The command line that does what nilearn's tuned masker does, and writes it."""
    app = [sys.executable, "-m", "bidsmask", str(folder), str(output), "participant"]
    band = ["--high-pass", "0.01", "--low-pass", "0.1", "--padding", "odd"]
    return [*app, "--confounds", "none", "--confounds-columns", "confound_*", *band, "--force"]


def show(who: str, case: str, result: dict[str, float], base: dict[str, float]) -> None:
    """Print one row of the table, as ratios to ours."""
    seconds, cpu, peak = result["seconds"], result["cpu"], result["peak_mb"]
    print(
        f"{case:9} {who:16} {seconds:8.2f} s {cpu:8.2f} s CPU {peak:7.0f} MB   "
        f"{seconds / base['seconds']:6.1f}x time {base['peak_mb'] / peak:6.2f} of its memory"
    )


def main() -> int:
    """Print the table, then the targets that were reached or missed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--folder", type=Path)
    arguments.add_argument("--volumes", type=int, default=200)
    arguments.add_argument("--only", nargs="+", default=list(TARGETS))
    arguments.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments.add_argument("--keep", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.measure:
        measured(given.folder, *given.measure, given.keep)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        make(folder, given.volumes)
        return compare(folder, given.only)


def compare(folder: Path, cases: list[str]) -> int:
    """Measure every case and print one table; 1 where a target is missed."""
    import numpy as np

    at = ["--folder", str(folder)]
    reading = child([*at, "--measure", "isal", "plain"], repeat=3)
    print(f"decompressing alone (isal): {reading['seconds']:.2f} s\n")
    missed = []
    for case in cases:
        with tempfile.TemporaryDirectory() as temporary:
            ours_file, theirs_file = Path(temporary, "a.npy"), Path(temporary, "b.npy")
            if case == "program":
                mine = program(our_program(folder, Path(temporary, "out")), repeat=3)
            else:
                keep = ["--keep", str(ours_file)]
                mine = child([*at, "--measure", "bidsmask", case, *keep], repeat=3)
            show("bidsmask", case, mine, mine)
            for peer, times, memory in TARGETS[case]:
                if case == "program":
                    command = [sys.executable, __file__, *at, "--measure", peer, "cleaned"]
                    theirs = program(command, repeat=3)
                else:
                    keep = ["--keep", str(theirs_file)]
                    theirs = child([*at, "--measure", peer, case, *keep])
                    apart = np.abs(np.load(ours_file) - np.load(theirs_file)).max()
                    print(f"{'':26} greatest difference of the outputs {apart:.2g}")
                show(peer, case, theirs, mine)
                if theirs["seconds"] < times * mine["seconds"]:
                    missed.append(f"{case}: under {times}x {peer}")
                if memory is not None and mine["peak_mb"] > memory * theirs["peak_mb"]:
                    missed.append(f"{case}: above {memory} of the memory of {peer}")
            if case in SLOWER_THAN_READING:
                ratio = mine["seconds"] / reading["seconds"]
                print(f"{case:9} {ratio:.2f} of decompressing alone")
                if ratio > SLOWER_THAN_READING[case]:
                    missed.append(f"{case}: {ratio:.2f} of decompressing alone")
    print("\nall targets reached" if not missed else "\nmissed: " + "; ".join(missed))
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
