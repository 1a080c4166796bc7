"""Outputs of the participant level for the group level: written here in no time, to be spoilt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bidsmask.bids.description import Origin, prepare_output, publish_participants
from bidsmask.cli import main
from bidsmask.images.grid import Grid
from bidsmask.images.write import nifti_bytes
from tests.make_images import AFFINE
from tests.make_runs import SHAPE, SPACE, brain, contents

ATLAS = "blocks"
REGIONS = ("block1", "block2", "block3", "block4")
# The start of the names of group products.
GROUP = f"task-rest_space-{SPACE}"
# And the end of the names of the masks that they are made of.
MASK = f"{GROUP}_desc-derivative_mask.nii.gz"
CLEANING: Mapping[str, Any] = {
    "Strategy": "simple",
    "Regressors": ["trans_x", "csf"],
    "DroppedRegressors": [],
    "Filter": None,
    "Detrend": True,
    "Standardize": "zscore_sample",
    "Censoring": {
        "FramewiseDisplacement": None,
        "StandardisedDVARS": None,
        "MinSegment": 0,
        "DummyScans": "auto",
    },
}


def run_group(output: Path, *options: object) -> int:
    """Run the group level and return the exit code; there is no bids_dir."""
    return main([str(output / "no-bids"), str(output), "group", *map(str, options)])


def write_outputs(
    root: Path,
    participants: Iterable[str] = ("01", "02", "03"),
    *,
    tasks: Sequence[str] = ("rest",),
    **run: Any,
) -> Path:
    """Write an output of the participant level and return it; `run` as `write_run_outputs`."""
    prepare_output(root, Origin({}))
    for label in participants:
        for task in tasks:
            write_run_outputs(root, f"sub-{label}_task-{task}", **run)
    publish_participants(root, Origin({}))
    return root


def write_masks(root: Path) -> Path:
    """Write an output of four participants with masks alone, each another, and return it."""
    prepare_output(root, Origin({}))
    for number, label in enumerate("1234"):
        voxels = np.roll(brain(SHAPE), number % 3, axis=0)
        write_run_outputs(root, f"sub-{label}_task-rest", voxels=voxels, with_signals=False)
    return root


def write_run_outputs(
    root: Path,
    stem: str,
    *,
    space: str = f"space-{SPACE}",
    strategy: str = "derivative",
    voxels: NDArray[Any] | None = None,
    affine: NDArray[np.float64] = AFFINE,
    cleaning: str = "simple",
    n_volumes: int = 20,
    regions: Sequence[str] = REGIONS,
    with_signals: bool = True,
) -> Path:
    """Write all products of one run, with the signals of one atlas, and return their folder.

    `stem` is the start of all names, as in `sub-01_ses-1_task-rest_run-1`; the mask is `brain()`
    shifted by one voxel for every second participant.
    """
    parts = [part for part in stem.split("_") if part.startswith(("sub-", "ses-"))]
    folder = root.joinpath(*parts, "func")
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{stem}_{space}" if space else stem
    if voxels is None:
        shift = sum(map(ord, parts[0])) % 2
        voxels = np.roll(brain(SHAPE), shift, axis=0)
    mask = f"{name}_desc-{strategy}_mask"
    write_mask(folder / f"{mask}.nii.gz", voxels, affine)
    write_sidecar(
        folder / f"{mask}.json",
        Strategy=strategy,
        StrategyReason="asked for",
        StrategyArguments={},
        Voxels=int(np.count_nonzero(voxels)),
        VolumeMillilitres=float(np.count_nonzero(voxels)) / 100,
    )
    if not with_signals:
        return folder
    rng = np.random.default_rng(list(stem.encode()))
    kept = np.arange(n_volumes) >= 1
    rows = np.where(kept, np.cumsum(kept) - 1, -1)
    volumes = pd.DataFrame(
        {
            "volume": np.arange(n_volumes),
            "row": pd.Series(rows, dtype=object).where(kept, "n/a"),
            "onset": np.arange(n_volumes) * 2.0,
            "kept": np.where(kept, "true", "false"),
            "reason": np.where(kept, "n/a", "non-steady-state"),
            "framewise_displacement": rng.uniform(0, 0.5, n_volumes).round(4),
        }
    )
    write_table(
        folder / f"{stem}_desc-{cleaning}_volumes.tsv", volumes, Thresholds={}, TrialDelay=0.0
    )
    atlas = f"{name}_atlas-{ATLAS}"
    labels = np.indices(SHAPE)[0] * len(regions) // SHAPE[0] + 1
    write_mask(folder / f"{atlas}_dseg.nii.gz", labels, affine)
    table = pd.DataFrame({"index": np.arange(len(regions)) + 1, "name": regions})
    write_table(folder / f"{atlas}_dseg.tsv", table)
    covered = table.assign(voxels=50, coverage=rng.uniform(0.4, 1, len(regions)).round(6))
    write_table(folder / f"{atlas}_stat-coverage_bold.tsv", covered)
    signals = rng.standard_normal((int(kept.sum()), len(regions))).astype(np.float32)
    write_table(
        folder / f"{atlas}_stat-mean_desc-{cleaning}_timeseries.tsv",
        pd.DataFrame(signals, columns=pd.Index(regions)),
        RepetitionTime=2.0,
        SamplingFrequency=0.5,
        StartTime=0.0,
        MaskFile=f"bids::{(folder / mask).relative_to(root).as_posix()}.nii.gz",
        ColumnMap=f"bids::{(folder / atlas).relative_to(root).as_posix()}_dseg.nii.gz",
        VolumesFile=f"bids::{folder.relative_to(root).as_posix()}/{stem}_desc-{cleaning}_volumes.tsv",
        Rows="kept volumes",
        Statistic="mean",
        Units="zscore",
        SmoothingFWHM=None,
        Cleaning=dict(CLEANING),
        DegreesOfFreedom={
            "volumes": n_volumes,
            "censored": 1,
            "intercept_and_trend": 2,
            "filter": 0.0,
            "regressors": 2,
            "remaining": n_volumes - 5.0,
        },
        MeanFramewiseDisplacement=float(volumes["framewise_displacement"].mean().round(6)),
        Columns=len(regions),
        ColumnsWithoutSignal=0,
        NonFiniteValues=0,
        SoftwareVersions={"bidsmask": "0.1.0"},
    )
    return folder


def write_mask(path: Path, voxels: NDArray[Any], affine: NDArray[np.float64] = AFFINE) -> None:
    """Write a mask or labels, as uint8."""
    grid = Grid((voxels.shape[0], voxels.shape[1], voxels.shape[2]), affine)
    path.write_bytes(nifti_bytes(voxels.astype(np.uint8), grid, space="mni"))


def write_table(path: Path, table: pd.DataFrame, **metadata: Any) -> None:
    """Write a table and its sidecar."""
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    write_sidecar(path.with_suffix(".json"), **metadata)


def write_sidecar(path: Path, **metadata: Any) -> None:
    """Write a sidecar, with a Fingerprint of its own that changes when it is written anew."""
    before = json.loads(path.read_text())["Fingerprint"] if path.exists() else "0"
    fingerprint = f"{int(before, 16) + 1:032x}"
    path.write_text(json.dumps({**metadata, "Fingerprint": fingerprint}))


def change_sidecar(path: Path, **changes: Any) -> None:
    """Change what a sidecar says; None takes a key out."""
    said = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in said.items() if value is not None}))


def file_of(root: Path, label: str, ending: str) -> Path:
    """Return a file of a participant's run by the end of its name."""
    [path] = root.glob(f"sub-{label}/func/*{ending}")
    return path


def lose_sidecar(path: Path) -> None:
    """Make a product unfinished."""
    path.with_name(path.name.replace(".nii.gz", ".json")).unlink()


# What the group level wrote


def sidecar_of(root: Path, name: str) -> dict[str, Any]:
    """Return the sidecar of a group product."""
    sidecar: dict[str, Any] = json.loads((root / f"{name}.json").read_text())
    return sidecar


def masks_of(root: Path) -> dict[str, str]:
    """Return a digest of each file of the group masks."""
    digests = contents(root)
    return {
        name: digests[name]
        for name in digests
        if name.startswith("task-") and ("_mask." in name or "_probseg." in name)
    }


def frame(table: h5py.Group) -> pd.DataFrame:
    """Read a table of a stack."""
    return pd.DataFrame(
        {
            name: column.asstr()[:] if column.dtype.kind == "S" else column[:]
            for name, column in table.items()
        }
    )
