"""The whole app on a dataset, in this process, and readers of what it wrote."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import nidataset.volume
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from bidsmask.cli import main
from tests.make_images import write_image
from tests.make_trees import DERIVATIVE, write_tree

VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")

needs_validator = pytest.mark.skipif(
    not VALIDATOR.exists(), reason="bids-validator-deno is not installed"
)


def run_app(bids: Path, output: Path, *options: object) -> int:
    """Run the participant level and return the exit code."""
    return main([str(bids), str(output), "participant", *map(str, options)])


def run_on_terminal(bids: Path, output: Path, *options: str) -> tuple[int, str]:
    """Run the participant level on a terminal; return the exit code and what is seen there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "bidsmask", bids, output, "participant", *options]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        command, stderr=theirs, stdout=subprocess.PIPE, env=environment
    ) as process:
        os.close(theirs)
        seen = io.BytesIO()
        while True:
            try:
                seen.write(os.read(ours, 4096))
            except OSError:  # the other end is closed
                break
        assert process.stdout is not None
        assert process.stdout.read() == b""
    os.close(ours)
    return process.returncode, seen.getvalue().decode()


@dataclass(frozen=True)
class Written:
    """What the app wrote about one run: `name` is the start of the names of its files."""

    output: Path
    name: str
    space: str = ""

    @property
    def folder(self) -> Path:
        """Where its files are."""
        parts = [part for part in self.name.split("_") if part.startswith(("sub-", "ses-"))]
        return self.output.joinpath(*parts, "func")

    def path(self, ending: str) -> Path:
        """Return the path of a file that belongs to the run in its space."""
        space = f"_space-{self.space}" if self.space else ""
        return self.folder / f"{self.name}{space}_{ending}"

    def mask(self, strategy: str) -> npt.NDArray[np.bool_]:
        """Return the mask, (i, j, k)."""
        return image_of(self.path(f"desc-{strategy}_mask.nii.gz")) != 0

    def column_map(self, strategy: str) -> npt.NDArray[np.int64]:
        """Return the column map, (i, j, k)."""
        return image_of(self.path(f"seg-voxels_desc-{strategy}_dseg.nii.gz")).astype(int)

    def voxels(self, cleaning: str) -> npt.NDArray[np.float64]:
        """Return the voxel signals, rows x voxels."""
        return table_of(self.path(f"seg-voxels_desc-{cleaning}_timeseries.tsv")).to_numpy(float)

    def regions(self, cleaning: str, atlas: str) -> pd.DataFrame:
        """Return the signals of regions, rows x regions."""
        return table_of(self.path(f"atlas-{atlas}_stat-mean_desc-{cleaning}_timeseries.tsv"))

    def volumes(self, cleaning: str) -> pd.DataFrame:
        """Return the table of volumes."""
        return table_of(self.folder / f"{self.name}_desc-{cleaning}_volumes.tsv")

    def kept(self, cleaning: str) -> npt.NDArray[np.bool_]:
        """Return which volumes are kept."""
        return self.volumes(cleaning)["kept"].to_numpy(bool)

    def sidecar(self, ending: str) -> dict[str, Any]:
        """Return what a JSON file of the run in its space holds."""
        content: dict[str, Any] = json.loads(self.path(ending).read_text())
        return content


def image_of(path: Path) -> npt.NDArray[Any]:
    """Return an image's scaled values by nibabel."""
    return np.asarray(nibabel.load(path).dataobj)


def table_of(path: Path) -> pd.DataFrame:
    """Return a table by pandas, `n/a` as NaN."""
    return pd.read_csv(path, sep="\t", na_values="n/a", keep_default_na=False)


def write_run(
    root: Path,
    stored: npt.NDArray[Any],
    *,
    confounds: pd.DataFrame | None = None,
    mask: npt.NDArray[np.bool_] | None = None,
    metadata: Mapping[str, object] | None = None,
    name: str = "sub-01_task-rest",
    extension: str = ".nii.gz",
    compression: str = "single",
    **image: Any,
) -> Path:
    """Write derivatives of one run, in the run's own space, and return their root.

    `image` goes to `nifti_content`; the mask is written with the same affine.
    """
    metadata = {"RepetitionTime": 2.0} if metadata is None else metadata
    stem = f"sub-01/func/{name}"
    write_tree(
        root,
        {
            "dataset_description.json": DERIVATIVE,
            f"{stem}_desc-preproc_bold.json": metadata,
        },
    )
    path = root / f"{stem}_desc-preproc_bold{extension}"
    write_image(path, stored, compression, **image)
    if mask is not None:
        affine = {"affine": image["affine"]} if "affine" in image else {}
        mask_path = root / f"{stem}_desc-brain_mask.nii.gz"
        write_image(mask_path, mask.astype(np.uint8), **affine)
    if confounds is not None:
        table = root / f"{stem}_desc-confounds_timeseries.tsv"
        confounds.to_csv(table, sep="\t", na_rep="n/a", index=False)
    return root


def nidatasets_mask(image: Path, folder: Path) -> np.ndarray:
    """Return nidataset's mask of an image, or of the mean over the volumes of a series."""
    folder.mkdir(exist_ok=True)
    values = image_of(image)
    mean = values.mean(axis=3) if values.ndim == 4 else values
    nibabel.save(nibabel.Nifti1Image(mean.astype(np.float64), np.eye(4)), folder / "mean.nii.gz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = nidataset.volume.generate_brain_mask(str(folder / "mean.nii.gz"), str(folder))
    return image_of(Path(made))


def correlations(one: npt.ArrayLike, other: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the correlation of each column with its partner."""
    a, b = (np.asarray(values, np.float64) for values in (one, other))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return np.asarray((a * b).sum(axis=0) / np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0)))


def detrended(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return each column less its least-squares line."""
    values = np.asarray(values, np.float64)
    line = np.column_stack([np.ones(len(values)), np.arange(len(values))])
    fit, *_ = np.linalg.lstsq(line, values, rcond=None)
    return np.asarray(values - line @ fit)


def zscored(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return each column with mean 0 and standard deviation 1 (ddof 1)."""
    values = np.asarray(values, np.float64)
    return np.asarray((values - values.mean(axis=0)) / values.std(axis=0, ddof=1))


def regressed(
    values: npt.NDArray[Any], confounds: npt.ArrayLike, times: npt.ArrayLike | None = None
) -> npt.NDArray[np.float64]:
    """Return z-scored signals less a line over time and confounds, by least squares."""
    times = np.arange(len(values)) if times is None else times
    design = np.column_stack([np.ones(len(values)), times, confounds])
    fit, *_ = np.linalg.lstsq(design, values, rcond=None)
    return zscored(values - design @ fit)


def validator_issues(dataset: Path) -> Sequence[Mapping[str, Any]]:
    """Return what the official validator says against a dataset."""
    call = [str(VALIDATOR), str(dataset), "--format", "json"]
    done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=120)
    issues: Sequence[Mapping[str, Any]] = json.loads(done.stdout)["issues"]["issues"]
    return [issue for issue in issues if issue["severity"] in ("error", "warning")]
