"""Who was scanned, and how: the participants and runs of the demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bidsmask.demo.head import CENTRE_MM, Head
from bidsmask.demo.nifti import Storage
from bidsmask.images.grid import Grid

FloatArray = npt.NDArray[np.float64]

SPACE = "MNI152NLin2009cAsym"


def centred_grid(shape: tuple[int, int, int], voxel_mm: tuple[float, float, float]) -> Grid:
    """Return a grid along the axes of space, its middle at the centre of the head."""
    affine = np.diag([*voxel_mm, 1.0])
    affine[:3, 3] = CENTRE_MM - (np.array(shape) - 1) / 2 * voxel_mm
    return Grid(shape, affine)


TEMPLATE_GRID = centred_grid((21, 26, 20), (8.0, 8.0, 8.0))
BOLD_GRID = centred_grid((19, 22, 16), (9.0, 9.0, 10.0))
T1W_GRID = centred_grid((40, 50, 39), (4.0, 4.0, 4.0))


@dataclass(frozen=True)
class PlannedRun:
    """One run of one participant.

    Attributes
    ----------
    task : {"faces", "rest"}
    session, run : str
        Labels; empty where there is none.
    n_volumes : int
    spikes : tuple of int
        Volumes spoiled by a jerk of the head.
    non_steady : int
        Volumes before the steady state.
    storage : str
        How the preprocessed images are stored.
    native : bool
        Whether they are also there in the participant's own space.
    """

    task: str
    session: str = ""
    run: str = ""
    n_volumes: int = 160
    spikes: tuple[int, ...] = ()
    non_steady: int = 0
    storage: Storage = "scaled int16"
    native: bool = False


@dataclass(frozen=True)
class PlannedParticipant:
    """One participant: what stands in participants.tsv, the head and the runs."""

    label: str
    age: int
    sex: str
    group: str
    size: float
    tilt: float
    shift_mm: tuple[float, float, float]
    runs: tuple[PlannedRun, ...] = ()

    @property
    def head(self) -> Head:
        """The head: of one size in both spaces; in the scanner tilted (radians) and shifted."""
        cosine, sine = np.cos(self.tilt), np.sin(self.tilt)
        turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
        affine = np.eye(4)
        affine[:3, :3] = turn
        affine[:3, 3] = CENTRE_MM - turn @ (CENTRE_MM + self.shift_mm)
        return Head(self.size, affine)


PARTICIPANTS = (
    PlannedParticipant(
        "01", 27, "F", "control", 1.0, 0.05, (1.0, 3.0, -2.0),
        (
            PlannedRun("faces", session="1", spikes=(52,)),
            PlannedRun("rest", session="2", n_volumes=150, spikes=(33, 80)),
        ),
    ),
    PlannedParticipant(
        "02", 34, "M", "control", 0.97, -0.08, (-2.0, 2.0, 1.0),
        (
            # Bad at both ends: volume 0 is not steady, 1 and the last are jerks.
            PlannedRun("faces", run="1", spikes=(1, 61, 159), non_steady=1),
            PlannedRun("faces", run="2", spikes=(17, 90), storage="float32"),
        ),
    ),
    PlannedParticipant(
        "03", 22, "F", "patient", 1.03, 0.03, (2.0, -1.0, 0.0),
        (
            PlannedRun("faces", spikes=(40, 41, 100), storage="int16"),
            PlannedRun("rest", n_volumes=150, spikes=(70,), native=True),
        ),
    ),
)  # fmt: skip


def run_stem(participant: PlannedParticipant, run: PlannedRun) -> str:
    """Return folder and start of the names of a run's files: `sub-01/ses-1/func/sub-01_…`."""
    entities = [f"sub-{participant.label}"]
    if run.session:
        entities.append(f"ses-{run.session}")
    folder = Path(*entities, "func")
    entities.append(f"task-{run.task}")
    if run.run:
        entities.append(f"run-{run.run}")
    return str(folder / "_".join(entities))


def t1w_stem(participant: PlannedParticipant) -> str:
    """Return the same for the anatomical image, taken in the first session."""
    session = participant.runs[0].session
    entities = [f"sub-{participant.label}"] + ([f"ses-{session}"] if session else [])
    return str(Path(*entities, "anat", "_".join(entities)))
