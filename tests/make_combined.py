"""A participant of two sessions, whose runs have masks that differ, for combining them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from tests.make_images import write_image
from tests.make_runs import SHAPE, SPACE, SmallRun, brain, write_run
from tests.make_trees import DERIVATIVE, write_tree

SESSIONS = ("1", "2")
TASKS = ("faces", "rest")
# How the options word it, and how names of files do.
NAMES = {
    "intersection": "desc-derivativeIntersection_mask",
    "union": "desc-derivativeUnion_mask",
    "majority": "desc-derivativeMajority_mask",
    "probability": "desc-derivativeShare_probseg",
}


def write_sessions(
    root: Path, *, tasks: Sequence[str] = TASKS, space: str = SPACE
) -> list[SmallRun]:
    """Write two sessions of these tasks, and return the runs."""
    write_tree(root, {"dataset_description.json": DERIVATIVE})
    return [
        with_mask(write_run(root, "01", task, session=session, space=space))
        for session in SESSIONS
        for task in tasks
    ]


def with_mask(run: SmallRun) -> SmallRun:
    """Give a run a mask of its own: some of the brain's voxels, in one large piece and others."""
    rng = np.random.default_rng(list(run.stem.encode()))
    write_image(run.mask, (brain(SHAPE) & (rng.random(SHAPE) < 0.7)).astype(np.uint8))
    return run


def mask_images(runs: list[SmallRun]) -> list[nibabel.Nifti1Image]:
    """Return the masks of runs as the preprocessing wrote them."""
    return [nibabel.load(run.mask) for run in runs]


def with_dead(run: SmallRun, dead: NDArray[np.bool_]) -> None:
    """Make the series of a run constant over time in some voxels."""
    stored = np.asarray(nibabel.load(run.bold).dataobj)
    stored[dead] = stored[dead][:, :1]
    run.replace(stored)
