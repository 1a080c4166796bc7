"""The mask of a run: how it will be made, from names and headers alone, and the making."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from bidsmask.app.examination import examined_from, is_compared
from bidsmask.app.job import Job
from bidsmask.app.notes import Notes
from bidsmask.app.preparation import MaskPlan
from bidsmask.app.products import Names, Product, fingerprint, mask_name
from bidsmask.app.sidecars import spatial
from bidsmask.app.target import grid_of
from bidsmask.app.templates import head_files, template_map, template_of
from bidsmask.bids.entities import Entities
from bidsmask.bids.run import Run
from bidsmask.errors import DataError, GridMismatch, MissingCompanion, Severity, UnusableImage
from bidsmask.images.identity import identity
from bidsmask.images.image import Image, open_image
from bidsmask.images.resample import resample_mean
from bidsmask.images.stream import mean_volume
from bidsmask.masks.brain_prior import Contrast
from bidsmask.masks.given import moved
from bidsmask.masks.head_files import read_prior
from bidsmask.masks.mask import Mask
from bidsmask.masks.strategies import STRATEGIES, compute_mask, parse_arguments, read_mask

# The contrast of an image by the suffix of its name.
CONTRASTS: Final[Mapping[str, Contrast]] = {
    "bold": "EPI",
    "boldref": "EPI",
    "T1w": "T1w",
    "T2w": "T2w",
}
WITH_CONTRAST = "--mask-args contrast=EPI, contrast=T1w or contrast=T2w"


def plan_mask(job: Job, image: Image, notes: Notes) -> MaskPlan:
    """Decide how the mask is made, and whether that can be.

    Raises
    ------
    UsageError
        Unusable arguments of the strategy.
    MissingCompanion, GridMismatch, DamagedFile, UnusableImage
        The strategy lacks its file, or that is not for this image.
    """
    if job.options.mask_strategy != "auto":
        return plan_strategy(job, job.options.mask_strategy, "asked for", image, notes)
    return plan_auto(job, image, notes)


def plan_auto(job: Job, image: Image, notes: Notes) -> MaskPlan:
    """Plan the first mask of the chain that passes, as far as is known by now.

    Where none passes, it is the first that can be made. What an earlier run refused is known by
    the mask that came of it, whose Fingerprint holds those of the refused ones.

    Raises
    ------
    UnusableImage
        None of the chain could be made.
    """
    first, reason = choose_strategy(job, notes)
    tried = [plan_strategy(job, first, reason, image, notes)]
    for strategy in later_strategies(job, first):
        tried.append(plan_after(job, strategy, reason, image, tried))
    if len(tried) == 1:
        return tried[0]
    plans = [replace(one, has_other=True) for one in tried]
    plans += [plan_after(job, one.strategy, reason, image, tried) for one in tried]
    if job.refused or job.options.force:
        return plans[place_after(job, len(tried))]
    return next((one for one in reversed(plans) if is_made(one)), plans[0])


def place_after(job: Job, n_tried: int) -> int:
    """Return which mask comes after those refused: one untried, else the first that was made."""
    n_refused = len(job.refused)
    if n_refused < n_tried:
        return n_refused
    for place, one in enumerate(job.refused):
        if one.is_made:
            return n_tried + place
    told = "; ".join(f"{one.strategy} is refused, {one.why}" for one in job.refused)
    problem = f"has no mask that auto can make: {told}"
    raise UnusableImage(
        job.run.path, problem, "Look at the image; give --mask-file, or leave it out."
    )


def plan_after(
    job: Job, strategy: str, reason: str, image: Image, before: Sequence[MaskPlan]
) -> MaskPlan:
    """Plan the mask that `auto` makes after others were refused."""
    why = {one.strategy: f", {one.why}" for one in job.refused}
    refused = [one.strategy for one in before]
    told = [reason, *(f"{one} is refused{why.get(one, '')}" for one in refused)]
    if strategy in refused:
        told.append("none passes")
    return plan_strategy(job, strategy, "; ".join(told), image, Notes(job), before)


def later_strategies(job: Job, first: str) -> tuple[str, ...]:
    """Return what `auto` tries after the first choice."""
    contrast = contrast_of(job.run)
    chain = ["derivative", "brain", "epi", "automask"]
    if contrast != "EPI":
        chain.remove("epi")
    later = chain[chain.index(first) + 1 :]
    if "brain" in later:
        try:
            if contrast is None:
                raise UnusableImage(job.run.path, "does not tell its contrast by its name")
            head_files(job, contrast, Notes(job))
        except DataError:
            later.remove("brain")
    return tuple(later)


def is_made(plan: MaskPlan) -> bool:
    """Return whether a mask and its examination are up to date."""
    return all(one.is_up_to_date() for one in (plan.product, plan.quality) if one is not None)


def plan_strategy(
    job: Job,
    strategy: str,
    reason: str,
    image: Image,
    notes: Notes,
    before: Sequence[MaskPlan] = (),
) -> MaskPlan:
    """Plan the mask of one strategy.

    Parameters
    ----------
    job, strategy, reason, image, notes
        Why it is this one goes into its JSON file.
    before : sequence of MaskPlan
        The masks that were refused before.

    Raises
    ------
    UsageError, DataError
        As `plan_mask`.
    """
    kind = STRATEGIES[strategy]
    arguments = parse_arguments(strategy, argument_words(job, strategy))
    source = find_source(job, strategy, image, notes)
    head = head_files(job, str(arguments["contrast"]), notes) if kind.takes_prior else None
    made_from = (source or job.run.path, *(head.paths if head is not None else ()))
    identities = [identity(path) for path in made_from]
    grid = grid_of(image.grid, job.options)
    # What else comes from a file is on its own grid.
    is_moved = kind.tissue or grid is not image.grid
    on_grid = [grid.shape, grid.affine.tolist()] if is_moved else []
    told = fingerprint("mask", strategy, arguments, identities, spatial(job), *on_grid)
    names = Names(job, mask_name(strategy))
    refused = tuple(one.strategy for one in before)
    seen = examined_from(job.run, told, job.options, is_compared=is_compared(strategy, refused))
    known = [one.fingerprint for one in before]
    product = names.mask(fingerprint(told, known or reason, seen))
    template = head.mask if head is not None else source if kind.tissue else None
    given = str(template_of(template)) if template is not None else ""
    if strategy == "file":
        [given] = identities
    return MaskPlan(
        strategy=strategy,
        reason=reason,
        arguments=arguments,
        grid=grid,
        source=source,
        head=head,
        made_from=made_from,
        given=given,
        fingerprint=told,
        product=product,
        quality=names.quality(seen),
        refused=refused,
    )


def plan_varying(job: Job, image: Image, mask: MaskPlan) -> Product | None:
    """Return the product that says whose signal varies; None where nobody wants to know.

    Raises
    ------
    UnusableImage
        The image is no series.
    """
    run = job.run
    if job.options.signal_mask is None or run.datatype == "anat":
        return None
    if not image.is_series:
        problem = "is one 3D image, but --signal-mask needs a series"
        raise UnusableImage(run.path, problem, "Leave it out, or such images.")
    told = fingerprint("varying", identity(run.path), spatial(job))
    return Names(job, mask.name).varying(told)


def choose_strategy(job: Job, notes: Notes) -> tuple[str, str]:
    """Return the strategy that `auto` takes first for a run, and why it is this one."""
    if job.run.mask is not None:
        return "derivative", "auto: the preprocessing has a mask for this run and space"
    reason = "auto: the preprocessing has no mask for this run and space"
    if not job.run.participant:
        reason = "auto: the image is of no BIDS dataset, which could have a mask for it"
    contrast = contrast_of(job.run)
    other = "epi" if contrast == "EPI" else "automask"
    # Without a head, masks of T1w keep skull and scalp: something to look at.
    severity: Severity = "note" if contrast == "EPI" else "warning"
    made_by_other = f"the mask is made by {other}, not by brain"
    if contrast is None:
        notes.add(
            severity,
            "no-contrast",
            job.run.path,
            f"does not tell its contrast by its name: {made_by_other}",
            f"Or give --mask-strategy brain with {WITH_CONTRAST}.",
        )
        return other, f"{reason}, and the name of the image does not tell its contrast"
    try:
        head_files(job, contrast, notes)
    except (MissingCompanion, UnusableImage) as error:
        problem = f"{error.problem}: {made_by_other}"
        notes.add(severity, "no-head-template", error.where, problem, error.advice)
        return other, f"{reason}, and the template of the brain strategy is not at hand"
    return "brain", reason


def argument_words(job: Job, strategy: str) -> tuple[str, ...]:
    """Return the arguments in words: what the name of the image says, and what the user says."""
    words = job.options.mask_args
    if not STRATEGIES[strategy].takes_prior:
        return words
    contrast = contrast_of(job.run)
    if contrast is not None:
        return (f"contrast={contrast}", *words)
    if not any(word.startswith("contrast=") for word in words):
        problem = "does not tell its contrast by its name, which the brain strategy needs"
        raise UnusableImage(job.run.path, problem, f"Give {WITH_CONTRAST}.")
    return words


def contrast_of(run: Run) -> Contrast | None:
    """Return the contrast of an image by its name; None where that tells none."""
    return CONTRASTS.get(run.entities.suffix or Entities.parse(run.path.name).suffix)


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


def make_mask(plan: MaskPlan, image: Image) -> tuple[Mask, NDArray[Any] | None]:
    """Make the mask that was planned for an image; return the mean that it took, too.

    Raises
    ------
    DataError
        As `compute_mask`, `read_mask` and `read_prior`.
    """
    if plan.source is not None:
        # A template's map leads to any grid; masks lie on that of the image.
        first = plan.grid if STRATEGIES[plan.strategy].tissue else image.grid
        given = read_mask(plan.strategy, plan.source, first, plan.arguments)
        return moved(given, plan.grid), None
    mean = mean_volume(image, absolute=STRATEGIES[plan.strategy].takes_magnitude)
    mean = resample_mean(mean, image.grid, plan.grid)
    prior = read_prior(plan.head) if plan.head is not None else None
    mask = compute_mask(plan.strategy, mean, plan.grid, plan.arguments, image.path, prior)
    return mask, mean
