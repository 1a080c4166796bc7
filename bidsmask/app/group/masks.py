"""Group masks of the runs of one task in one space, and the share of runs at each voxel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bidsmask.app.examination import bounds_of, findings_of, is_of_brain, quality_keys
from bidsmask.app.group.cohort import MASKS, Cohort, RunGroup
from bidsmask.app.group.remedy import EACH, REMOVE
from bidsmask.app.group.task import GroupTask, GroupWork, Source, quality_of, said_by_all
from bidsmask.app.options import Options
from bidsmask.bids.publish import json_bytes
from bidsmask.bids.selection import NATIVE
from bidsmask.errors import DataError, Finding, GridMismatch, UnequalChoices, UnusableMask
from bidsmask.images.grid import Grid
from bidsmask.images.image import open_image
from bidsmask.images.write import nifti_bytes, space_of
from bidsmask.masks.combine import IN_WORDS, THRESHOLDS, count_votes
from bidsmask.masks.doctor import examine
from bidsmask.masks.flags import Flag, find_flags
from bidsmask.masks.given import load_mask
from bidsmask.masks.mask import Mask

# Spaces of one participant, in which no two share a voxel.
OWN_SPACES: Final = NATIVE | {"", "anat", "T1w", "T2w", "individual", "orig", "scanner"}

# What is made of the masks where nothing is chosen, in the order of writing.
USUAL: Final = ("majority", "intersection", "probability")


def mask_tasks(cohort: Cohort, group: RunGroup, options: Options) -> Iterator[GroupTask]:
    """Yield what makes the masks of a group; nothing where its space is not shared.

    Parameters
    ----------
    cohort : Cohort
    group : RunGroup
    options : Options
        Whose `combine_masks` is the only way in which they are joined, where it is given.
    """
    if group.space in OWN_SPACES:
        return
    kinds = (options.combine_masks,) if options.combine_masks else USUAL
    files = tuple(files_of(cohort, group, kind) for kind in kinds)
    label = f"{group.label}_mask"
    make = partial(make_masks, group=group, kinds=kinds)
    bounds = asdict(bounds_of(options))
    try:
        sources = group.of(MASKS)
    except UnequalChoices as conflict:
        yield GroupTask(label, files, (), make, conflict=conflict)
        return
    if sources:
        yield GroupTask(label, files, sources, make, bounds, left_out=group.without(MASKS))


def files_of(cohort: Cohort, group: RunGroup, kind: str) -> tuple[Path, ...]:
    """Return what is written of masks joined in one way: of a mask what was measured, too."""
    mask = mask_file(cohort, group, kind)
    return (mask,) if kind == "probability" else (mask, quality_of(mask))


def mask_file(cohort: Cohort, group: RunGroup, kind: str) -> Path:
    """Return where a group's masks stand that are joined in one way."""
    desc, suffix = ("share", "probseg") if kind == "probability" else (kind, "mask")
    name = group.entities.with_(desc=desc).name(suffix=suffix, extension=".nii.gz")
    return cohort.output / name


def mask_files(cohort: Cohort, group: RunGroup) -> list[Path]:
    """Return where a group's masks stand, in whichever way they are joined."""
    if group.space in OWN_SPACES:
        return []
    return [mask_file(cohort, group, kind) for kind in (*THRESHOLDS, "probability")]


def notes_on_space(group: RunGroup) -> Iterator[Finding]:
    """Yield the note that runs lie in spaces of their own."""
    if group.space in OWN_SPACES:
        space = group.space or "the runs' own space"
        problem = f"has no group mask, since {space} is not one that participants share"
        yield Finding("note", "no-group-mask", group.label, problem)


def make_masks(work: GroupWork, group: RunGroup, kinds: Sequence[str]) -> None:
    """Count at each voxel how many runs have it in their mask, and write what follows.

    Raises
    ------
    DataError
        No mask can be read, or they lie on several grids of which none is the usual one.
    """
    grid = usual_grid(work, group)
    votes = count_votes(masks_on(work, grid), group.label)
    space = space_of(group.space)
    for product, kind in zip(work.task.products, kinds, strict=True):
        if not work.is_wanted(product):
            continue
        if kind == "probability":
            content = nifti_bytes(votes.share, grid, space=space)
            work.publish(product, [content], share_sidecar(work, group))
            continue
        voxels = votes.intersect(THRESHOLDS[kind])
        if not voxels.any():
            problem = f"is empty: no voxel is in the masks of enough of the {votes.n_masks} runs"
            work.note("warning", "empty-mask", product.path, problem)
        quality, flags = quality_and_flags(work, product.path, voxels, grid)
        work.findings += findings_of(flags, product.path, kind, "")
        contents = [nifti_bytes(voxels, grid, space=space), json_bytes(quality)]
        work.publish(product, contents, mask_sidecar(work, group, grid, voxels, kind, flags))


def quality_and_flags(
    work: GroupWork, path: Path, voxels: NDArray[np.bool_], grid: Grid
) -> tuple[dict[str, Any], tuple[Flag, ...]]:
    """Return what the shape of a group mask tells, and what is odd about it."""
    about = {
        "Description": "What was measured of the group mask.",
        "Sources": [work.cohort.uri(path)],
    }
    if not voxels.any():
        return {**about, "NotMeasured": "Nothing, since the mask is empty.", "Flags": []}, ()
    exam = examine(Mask(voxels, grid, "file"), None)
    bounds = bounds_of(work.options)
    strategies = [str(mask.metadata.get("Strategy")) for _, mask in work.sources]
    flags = find_flags(exam, bounds, is_brain=is_of_brain(strategies, exam.volume_ml, bounds))
    return {**about, "NotMeasured": NO_IMAGE, **quality_keys(exam, flags, bounds)}, flags


NO_IMAGE: Final = (
    "What is null here needs an image to hold the mask against, or another mask of the same head: "
    "the group level reads what the participant level wrote, which are masks and signals."
)


def usual_grid(work: GroupWork, group: RunGroup) -> Grid:
    """Return the grid of most masks, and leave the runs out whose mask lies on another."""
    grids: list[tuple[Grid, list[Source]]] = []
    for run, mask in work.sources:
        try:
            grid = open_image(mask.path).grid
        except DataError as error:
            work.leave_out(run, damaged(error))
            continue
        for known, there in grids:
            if known.is_same(grid):
                there.append((run, mask))
                break
        else:
            grids.append((grid, [(run, mask)]))
    if not grids:
        raise UnusableMask(group.label, "has no mask that can be read", EACH)
    usual, most = max(grids, key=lambda one: len(one[1]))
    if len(grids) > 1 and 2 * len(most) <= len(work.sources):
        shapes = ", ".join(f"{grid.shape} in {len(there)} runs" for grid, there in grids)
        problem = f"has masks on {len(grids)} grids, none of which most runs have: {shapes}"
        raise GridMismatch(group.label, problem, SELECT)
    for grid, there in grids:
        for run, mask in there if grid is not usual else ():
            problem = f"{usual.difference(grid)} as in {len(most)} other runs"
            work.leave_out(run, GridMismatch(mask.path, problem, SELECT))
    return usual


SELECT: Final = "Select runs of one grid by their labels."


def masks_on(work: GroupWork, grid: Grid) -> Iterator[NDArray[np.bool_]]:
    """Yield the masks one by one, and leave the runs out whose mask cannot be read."""
    for run, mask in work.sources:
        try:
            voxels = load_mask(mask.path, grid, mask.entities["desc"]).voxels
        except DataError as error:
            work.leave_out(run, damaged(error))
            continue
        yield voxels


def damaged(error: DataError) -> DataError:
    """Return the error with the advice that mends a file of the participant level."""
    return type(error)(error.where, error.problem, REMOVE)


def mask_sidecar(
    work: GroupWork,
    group: RunGroup,
    grid: Grid,
    voxels: NDArray[np.bool_],
    kind: str,
    flags: Sequence[Flag],
) -> dict[str, Any]:
    """Return what is said of a group mask."""
    n_voxels = int(np.count_nonzero(voxels))
    return {
        "Description": f"Group mask, {kind}: the largest component of the voxels that "
        f"{IN_WORDS[kind]}.",
        "Type": said_by_all(work.sources, "Type") or "ROI",
        **spatial(work, group),
        **strategies_of(work),
        "Threshold": THRESHOLDS[kind],
        "Connected": True,
        "Voxels": n_voxels,
        "VolumeMillilitres": round(n_voxels * grid.voxel_volume_mm3 / 1000, 3),
        "Flags": [flag.sentence for flag in flags],
    }


def share_sidecar(work: GroupWork, group: RunGroup) -> dict[str, Any]:
    """Return what is said of the shares."""
    return {
        "Description": "Share of the runs that have a voxel in their mask, 0 to 1.",
        **spatial(work, group),
        **strategies_of(work),
    }


def spatial(work: GroupWork, group: RunGroup) -> dict[str, Any]:
    """Return the keys that say where a group image lies."""
    keys = {"SpatialReference": said_by_all(work.sources, "SpatialReference") or group.space}
    for entity, key in (("res", "Resolution"), ("den", "Density")):
        label = group.entities.get(entity)
        if label:
            keys[key] = said_by_all(work.sources, key) or f"{entity}-{label}"
    return keys


def strategies_of(work: GroupWork) -> dict[str, Any]:
    """Return how many of the masks were made by which strategy."""
    return {"Strategies": dict(Counter(mask.entities["desc"] for _, mask in work.sources))}
