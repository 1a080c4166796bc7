"""The demo dataset, written once for all tests of a session, and readers of its truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from bidsmask.demo.dataset import write_demo
from bidsmask.demo.plan import PARTICIPANTS, SPACE, PlannedParticipant, PlannedRun, run_stem
from bidsmask.demo.texts import ATLAS
from tests.make_app import image_of


def demo_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the demo, to be read only; who changes something works on a copy.

    The first call of a session writes it, in about five seconds.
    """
    directory = tmp_path_factory.getbasetemp() / "bidsmask-demo"
    if not directory.exists():
        write_demo(directory)
    return directory


def atlas_of(demo: Path) -> Path:
    """Return the path of the label image of the true regions."""
    return demo / "derivatives" / "truth" / f"{ATLAS}.nii.gz"


@dataclass(frozen=True)
class DemoRun:
    """One run of the demo: where its files are, and the truth about it."""

    demo: Path
    participant: PlannedParticipant
    plan: PlannedRun

    @property
    def name(self) -> str:
        """Start of the names of its files: `sub-01_ses-1_task-faces`."""
        return Path(run_stem(self.participant, self.plan)).name

    def raw(self, ending: str) -> Path:
        """Return the path of a raw file: `bold.nii.gz`, `events.tsv`."""
        return self._path(self.demo, ending)

    def fmriprep(self, ending: str, space: str = "") -> Path:
        """Return the path of a preprocessed file: `desc-preproc_bold.nii.gz` in a space."""
        return self._path(
            self.demo / "derivatives" / "fmriprep", f"space-{space}_{ending}" if space else ending
        )

    @property
    def bold(self) -> Path:
        """The preprocessed series in the template's space."""
        return self.fmriprep("desc-preproc_bold.nii.gz", SPACE)

    @property
    def confounds(self) -> pd.DataFrame:
        """The confounds table."""
        table = self.fmriprep("desc-confounds_timeseries.tsv")
        return pd.read_csv(table, sep="\t", na_values="n/a")

    @property
    def signals(self) -> pd.DataFrame:
        """The true signals, volumes x regions, in percent of the baseline."""
        return pd.read_csv(self._truth("desc-truth_timeseries.tsv"), sep="\t")

    @property
    def spoiled(self) -> pd.DataFrame:
        """The spoiled volumes: `volume` (from 0) and `reason`."""
        return pd.read_csv(self._truth("desc-truth_volumes.tsv"), sep="\t")

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """The true mask in the template's space, (i, j, k)."""
        return image_of(self._truth(f"space-{SPACE}_desc-truth_mask.nii.gz")) > 0

    def _truth(self, ending: str) -> Path:
        return self._path(self.demo / "derivatives" / "truth", ending)

    def _path(self, root: Path, ending: str) -> Path:
        return root / f"{run_stem(self.participant, self.plan)}_{ending}"


def demo_runs(demo: Path) -> list[DemoRun]:
    """Return the runs of the demo, in the order of their names."""
    runs = [DemoRun(demo, person, run) for person in PARTICIPANTS for run in person.runs]
    return sorted(runs, key=lambda run: run.name)
