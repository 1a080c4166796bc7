"""The mask of a run: how it will be made, from names and headers alone, and the making."""

from __future__ import annotations

from pathlib import Path

from bidsmask.app.job import Job
from bidsmask.app.notes import Notes
from bidsmask.app.preparation import MaskPlan
from bidsmask.app.products import Names, fingerprint, mask_name
from bidsmask.app.sidecars import spatial
from bidsmask.app.templates import template_map, template_of
from bidsmask.errors import GridMismatch, MissingCompanion
from bidsmask.images.identity import identity
from bidsmask.images.image import Image, open_image
from bidsmask.images.stream import mean_volume
from bidsmask.masks.mask import Mask
from bidsmask.masks.strategies import STRATEGIES, compute_mask, parse_arguments, read_mask


def plan_mask(job: Job, image: Image, notes: Notes) -> MaskPlan:
    """Decide how the mask is made, and whether that can be.

    Raises
    ------
    UsageError
        Unusable arguments of the strategy.
    MissingCompanion, GridMismatch, DamagedFile, UnusableImage
        The strategy lacks its file, or that is not for this image.
    """
    strategy, reason = choose_strategy(job)
    arguments = parse_arguments(strategy, job.options.mask_args)
    source = find_source(job, strategy, image, notes)
    is_template = bool(STRATEGIES[strategy].tissue)
    made_from = identity(source if source is not None else job.run.path)
    # What else comes from a file is on its own grid.
    on_grid = [image.grid.shape, image.grid.affine.tolist()] if is_template else []
    told = fingerprint("mask", strategy, arguments, made_from, spatial(job), *on_grid)
    product = Names(job, mask_name(strategy)).mask(fingerprint(told, reason))
    given = ""
    if source is not None and is_template:
        given = str(template_of(source))
    elif strategy == "file":
        given = made_from
    return MaskPlan(strategy, reason, arguments, source, given, told, product)


def choose_strategy(job: Job) -> tuple[str, str]:
    """Return the strategy for a run, and why it is this one."""
    if job.options.mask_strategy != "auto":
        return job.options.mask_strategy, "asked for"
    if job.run.mask is not None:
        return "derivative", "auto: the preprocessing has a mask for this run and space"
    return "epi", "auto: the preprocessing has no mask for this run and space"


def find_source(job: Job, strategy: str, image: Image, notes: Notes) -> Path | None:
    """Return the file that the mask is read from; None where it is computed from the run."""
    run = job.run
    tissue = STRATEGIES[strategy].tissue
    if tissue:
        return template_map(job, image, tissue, notes)
    source = {"derivative": run.mask, "file": job.options.mask_file}.get(strategy)
    if source is None:
        if strategy == "derivative":
            raise MissingCompanion(
                run.path,
                "has no brain mask beside it",
                "Leave --mask-strategy out to compute one, or give --mask-file.",
            )
        return None
    grid = open_image(source).grid
    if not image.grid.is_same(grid):
        raise GridMismatch(
            source,
            image.grid.difference(grid) + f" for {run.path.name}",
            "Give a mask on the grid of the run, or --mask-strategy epi.",
        )
    return source


def make_mask(plan: MaskPlan, image: Image) -> Mask:
    """Make the mask that was planned for an image.

    Raises
    ------
    DataError
        As `compute_mask` and `read_mask`.
    """
    if plan.source is not None:
        return read_mask(plan.strategy, plan.source, image.grid, plan.arguments)
    mean = mean_volume(image, absolute=STRATEGIES[plan.strategy].takes_magnitude)
    return compute_mask(plan.strategy, mean, image.grid, plan.arguments, image.path)
