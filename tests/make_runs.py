"""Datasets of a few small runs, fMRIPrep's derivatives alone, to be spoilt by tests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tests.make_cleaning import COMPCOR_SIDECAR, confounds_table
from tests.make_images import AFFINE, write_image
from tests.make_trees import DERIVATIVE

SHAPE = (8, 9, 7)
SPACE = "MNI152NLin2009cAsym"
ATLAS = f"space-{SPACE}_atlas-blocks_dseg"


@dataclass(frozen=True)
class SmallRun:
    """The files of one run; to spoil one, write over it."""

    root: Path
    participant: str
    stem: str
    space: str
    session: str = ""

    @property
    def bold(self) -> Path:
        return self.file("desc-preproc_bold.nii.gz", self.space)

    @property
    def bold_sidecar(self) -> Path:
        return self.file("desc-preproc_bold.json", self.space)

    @property
    def mask(self) -> Path:
        return self.file("desc-brain_mask.nii.gz", self.space)

    @property
    def confounds(self) -> Path:
        return self.file("desc-confounds_timeseries.tsv")

    @property
    def confounds_sidecar(self) -> Path:
        return self.file("desc-confounds_timeseries.json")

    @property
    def events(self) -> Path:
        return self.file("events.tsv")

    def file(self, ending: str, space: str = "") -> Path:
        """Return the path of a file of the run."""
        entities = [self.stem, f"space-{space}"] if space else [self.stem]
        session = f"ses-{self.session}" if self.session else ""
        folder = self.root / f"sub-{self.participant}" / session / "func"
        return folder / "_".join([*entities, ending])

    def replace(self, stored: NDArray[Any], **options: Any) -> None:
        """Write another series; options as `nifti_content`."""
        write_image(self.bold, stored, **options)

    def table(self) -> pd.DataFrame:
        """Return the confounds as they stand in the file."""
        return pd.read_csv(self.confounds, sep="\t", na_values="n/a")

    def write_table(self, table: pd.DataFrame) -> None:
        """Write other confounds."""
        table.to_csv(self.confounds, sep="\t", index=False, na_rep="n/a")

    def metadata(self, **changes: Any) -> None:
        """Change the sidecar of the series; None takes a key out."""
        said = {**json.loads(self.bold_sidecar.read_text()), **changes}
        said = {key: value for key, value in said.items() if value is not None}
        self.bold_sidecar.write_text(json.dumps(said))


def write_dataset(
    root: Path,
    participants: Iterable[str] = ("01",),
    *,
    tasks: Sequence[str] = ("rest",),
    **run: Any,
) -> list[SmallRun]:
    """Write a derivative dataset and return its runs; `run` as `write_run`."""
    root.mkdir(parents=True)
    (root / "dataset_description.json").write_text(json.dumps(DERIVATIVE))
    return [write_run(root, label, task, **run) for label in participants for task in tasks]


def write_run(
    root: Path,
    participant: str = "01",
    task: str = "rest",
    *,
    shape: tuple[int, int, int] = SHAPE,
    n_volumes: int = 40,
    t_r_s: float = 2.0,
    space: str = SPACE,
    session: str = "",
    with_mask: bool = True,
    with_events: bool = False,
    seed: int = 0,
) -> SmallRun:
    """Write one run: series, sidecar, mask, confounds and what else is asked for."""
    parts = [f"sub-{participant}", f"ses-{session}" if session else "", f"task-{task}"]
    run = SmallRun(root, participant, "_".join(filter(None, parts)), space, session)
    run.bold.parent.mkdir(parents=True, exist_ok=True)
    seeds = [seed, *run.stem.encode()]
    rng = np.random.default_rng(seeds)
    inside = brain(shape)
    table = confounds_table(n_volumes, seeds).round(6)
    values = rng.normal(0, 8, (*shape, n_volumes)) + 20
    values[inside] += 900 + 30 * table["trans_x"].to_numpy()
    run.replace(values.astype(np.int16), t_r=t_r_s)
    run.bold_sidecar.write_text(json.dumps({"RepetitionTime": t_r_s, "TaskName": task}))
    if with_mask:
        write_image(run.mask, inside.astype(np.uint8))
    if with_events:
        events = pd.DataFrame({"onset": [4.0, 20.0], "duration": 6.0, "trial_type": ["a", "b"]})
        events.to_csv(run.events, sep="\t", index=False)
    run.write_table(table)
    run.confounds_sidecar.write_text(json.dumps(COMPCOR_SIDECAR))
    return run


def brain(shape: tuple[int, int, int] = SHAPE) -> NDArray[np.bool_]:
    """Return an ellipsoid that leaves the outermost voxels free."""
    axes = np.meshgrid(*[np.linspace(-1.25, 1.25, length) for length in shape], indexing="ij")
    return np.asarray(sum(axis**2 for axis in axes) <= 1)


def in_brain(stored: NDArray[Any]) -> NDArray[np.float64]:
    """Return the series of the voxels of the brain, volumes x voxels."""
    return np.asarray(stored[brain(stored.shape[:3])].T, np.float64)


def write_atlas(
    folder: Path, *, name: str = ATLAS, shape: tuple[int, int, int] = SHAPE, rows: str = ""
) -> Path:
    """Write an atlas of four blocks with its table beside it; `rows` in place of its rows."""
    folder.mkdir(parents=True, exist_ok=True)
    i, j = np.indices(shape)[:2]
    labels = 1 + (i >= shape[0] // 2) + 2 * (j >= shape[1] // 2)
    image = write_image(folder / f"{name}.nii.gz", labels.astype(np.uint8), affine=AFFINE)
    rows = rows or "".join(f"{label}\tblock{label}\n" for label in (1, 2, 3, 4))
    (folder / f"{name}.tsv").write_text("index\tname\n" + rows)
    return image


def contents(folder: Path) -> dict[str, str]:
    """Return a digest of each file below a folder by its name, the logs apart."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] != "logs"
    }


def leftovers(folder: Path) -> list[Path]:
    """Return the files in the making below a folder, those in the log of a killed run apart."""
    found = [path for path in folder.rglob(".*") if path.name.endswith(".part")]
    return [path for path in found if path.parent.parent.name != "logs"]
