"""A folder of images that is no BIDS dataset: when `bids_dir` is one, and the plan of its masks.

The mask of `a.nii.gz` is `a_mask.nii.gz`, whatever the strategy, with a JSON file beside it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bidsmask.app.job import Job, Outcome
from bidsmask.app.options import Options, flag
from bidsmask.app.plan import Step, preflight
from bidsmask.app.words import WORK
from bidsmask.bids.dataset import DESCRIPTION, Dataset, participant_folders
from bidsmask.bids.entities import Entities
from bidsmask.bids.place import check_output
from bidsmask.bids.run import Run
from bidsmask.errors import Finding, NotBids, OutputRefused, UsageError
from bidsmask.images.folder import FolderOfImages, look_into, stem_of

# What is made of several runs, or needs to know of their signals.
OF_RUNS: Final = ("combine_masks", "combine_over", "signal_mask")


def find_images(options: Options) -> FolderOfImages | None:
    """Return the images of `bids_dir` where it is to be masked as a folder, else None.

    That is where masks alone are wanted, and neither a description nor a participant says that
    it is a BIDS dataset.

    Raises
    ------
    NotBids
        Nor is there an image.
    """
    root = options.bids_dir
    if not options.mask_only or not root.is_dir() or os.path.lexists(root / DESCRIPTION):
        return None
    if any(True for _ in participant_folders(root)):
        return None
    found = look_into(root)
    if not found:
        problem = f"holds neither {DESCRIPTION} nor an image, .nii or .nii.gz"
        advice = "Check the path. Images are looked for in the folder itself, not in others in it."
        raise NotBids(str(root), problem, advice)
    return found


def check_folder(options: Options) -> Dataset:
    """Return the dataset that holds the output alone, once nothing speaks against it.

    Raises
    ------
    UsageError
        An option needs what only a BIDS dataset has.
    OutputRefused
        The output lies in the folder, cannot be written, or is a BIDS dataset.
    """
    for one in dataclasses.fields(Options):
        selects = one.metadata.get("group") == WORK and one.name != "skip_bids_validation"
        if (selects or one.name in OF_RUNS) and getattr(options, one.name) != one.default:
            raise UsageError(
                flag(one.name), "does nothing in a folder that is no BIDS dataset", "Leave it out."
            )
    output = options.output_dir
    check_output(output, None, [options.bids_dir])
    if os.path.lexists(output / DESCRIPTION):
        advice = "Choose an empty folder, or one with masks of a folder."
        raise OutputRefused(output, "is a BIDS dataset, and the images are of none", advice)
    return Dataset(None, (), output)


def plan_folder(found: FolderOfImages, dataset: Dataset, options: Options) -> Iterator[Step]:
    """Yield what there is to do: a Job for each image that can have a mask of its own."""
    yield Step("", findings=tuple(left_alone(found, options)))
    for error in found.refused:
        yield Step("", outcome=Outcome.failed(Path(error.where).name, "", error))
    for path in found.images:
        run = Run("", path, Entities(left_over=(stem_of(path),)))
        yield preflight(Job(run, options, dataset))


def left_alone(found: FolderOfImages, options: Options) -> Iterator[Finding]:
    """Yield notes on what is not looked at."""
    where = str(options.bids_dir)
    if found.n_folders:
        problem = f"holds {found.n_folders} folders, whose images are not masked"
        advice = "Name them one by one, each with an output folder of its own."
        yield Finding("note", "inner-folders", where, problem, advice)
    if found.n_hidden:
        problem = f"holds {found.n_hidden} hidden images, which are left out"
        yield Finding("note", "hidden-images", where, problem)
