"""Combination: masks of several runs that become one, which the signals of all of them share.

The masks of the runs are published before, each with the voxels whose signal varies where that
is asked for, so that what is combined is what stands in the output.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bidsmask.app.examination import (
    bounds_of,
    examined_from,
    findings_of,
    is_of_brain,
    picture,
    quality_keys,
)
from bidsmask.app.group.agreement import in_short
from bidsmask.app.group.remedy import advising_removal
from bidsmask.app.group.task import quality_of, sidecar_of
from bidsmask.app.job import Job, Outcome
from bidsmask.app.options import Options
from bidsmask.app.participant import Done, outcome_of
from bidsmask.app.preparation import MaskPlan
from bidsmask.app.products import Product, fingerprint, mask_name
from bidsmask.app.sidecars import mask_choices, mask_type, spatial
from bidsmask.app.target import target_keys
from bidsmask.bids.dataset import Dataset
from bidsmask.bids.entities import Entities
from bidsmask.bids.locks import held
from bidsmask.bids.publish import publish_product
from bidsmask.bids.run import Run
from bidsmask.bids.selection import NATIVE
from bidsmask.errors import Finding, GridMismatch, UnusableMask
from bidsmask.images.grid import Grid
from bidsmask.images.image import open_image
from bidsmask.images.write import nifti_bytes, space_of
from bidsmask.masks.combine import IN_WORDS, THRESHOLDS, Votes, count_votes
from bidsmask.masks.doctor import Examination, examine
from bidsmask.masks.flags import Flag, find_flags
from bidsmask.masks.geometry import forms_apart_mm
from bidsmask.masks.given import load_mask
from bidsmask.masks.mask import Mask

SELECT = "Combine runs of one grid: select them by --space, --task-label or --run-label."


@dataclass(frozen=True)
class Member:
    """A run of a Combination.

    Attributes
    ----------
    job : Job
        That made its mask.
    grid : Grid
    mask : MaskPlan
    varying : Product or None
        The voxels whose signal varies, where that is asked for.
    """

    job: Job
    grid: Grid
    mask: MaskPlan
    varying: Product | None


@dataclass(frozen=True)
class Combination:
    """The masks of several runs, to become one. It can be sent to another process.

    Attributes
    ----------
    members : tuple of Member
        At least one, all of one participant, space and resolution.
    left_out : tuple of (Run, str)
        Runs whose mask could not be made, with the reason.
    options : Options
    dataset : Dataset
    mask : MaskPlan
        What it makes: a mask, or the share of masks at each voxel.
    """

    members: tuple[Member, ...]
    left_out: tuple[tuple[Run, str], ...]
    options: Options
    dataset: Dataset
    mask: MaskPlan

    @classmethod
    def of(
        cls, members: Sequence[Member], left_out: Sequence[tuple[Run, str]], options: Options
    ) -> Combination:
        """Return the Combination of runs that belong together."""
        dataset = members[0].job.dataset
        mask = plan_of(members, [run for run, _ in left_out], options)
        return cls(tuple(members), tuple(left_out), options, dataset, mask)

    @property
    def label(self) -> str:
        """Short name for messages."""
        name = Entities.parse(self.mask.product.path.name)
        return name.name(suffix="", extension="")

    @property
    def participant(self) -> str:
        """Label without `sub-`."""
        return self.members[0].job.participant

    @property
    def is_connected(self) -> bool:
        """Whether only the largest component is kept: not where one of the masks may have more."""
        plans = [one.mask for one in self.members]
        return all(
            mask_type(plan.strategy) == "Brain" and plan.arguments.get("connected", True)
            for plan in plans
        )

    def check(self) -> list[Finding]:
        """Return what to say of it before it is made.

        Raises
        ------
        GridMismatch
            Its runs do not lie on one grid, or in spaces that are none together.
        """
        first, *others = [(one.job.run, one.grid) for one in self.members]
        for run, grid in others:
            if not first[1].is_same(grid):
                problem = f"{first[1].difference(grid)} as {first[0].path.name} has, with which "
                raise GridMismatch(run.path, problem + "its mask is to be combined", SELECT)
        sessions = {one.job.run.session for one in self.members}
        is_native = not first[0].space or first[0].space in NATIVE
        if is_native and len(sessions) > 1:
            problem = f"joins {len(sessions)} sessions in spaces of their own"
            advice = "Select a space that sessions share by --space, or --combine-over run."
            raise GridMismatch(self.label, problem, advice)
        findings = [self._warning_of_left_out()] if self.left_out else []
        if self.options.combine_masks and not others:
            findings.append(self._finding("note", "combination-of-one", "is of a single run"))
        elif others and is_native:
            problem = f"joins {len(self.members)} runs, each in a space of its own: where the "
            problem += "head moved between them, their voxels are not the same"
            findings.append(self._finding("warning", "combined-own-spaces", problem))
        return findings

    def _warning_of_left_out(self) -> Finding:
        labels = in_short([run.label for run, _ in self.left_out])
        problem = f"is made without {labels}, of which there is no mask"
        advice = "When that is mended, the same command makes it and all its signals anew."
        return self._finding("warning", "combined-without", problem, advice)

    def _finding(self, severity: Any, code: str, problem: str, advice: str = "") -> Finding:
        return Finding(severity, code, self.label, problem, advice, self.participant)


def plan_of(members: Sequence[Member], left_out: Sequence[Run], options: Options) -> MaskPlan:
    """Return the mask that several become.

    Its name has the entities that all runs share, with those that are left out, and says the
    strategy that all have, or `auto`.
    """
    first, plans = members[0].mask, [one.mask for one in members]
    strategies, given = {one.strategy for one in plans}, {one.given for one in plans}
    strategy = first.strategy if len(strategies) == 1 else "auto"
    combination = {
        "Method": options.combine_masks,
        "Over": over(options),
        "SignalShare": options.signal_mask if members[0].varying is not None else None,
    }
    told = fingerprint(
        "combined mask",
        combination,
        [(one.mask.fingerprint, one.varying and one.varying.fingerprint) for one in members],
    )
    runs = [one.job.run for one in members]
    reasons = [one.reason for one in plans]
    labels = [[run.label for run in some] for some in (runs, left_out)]
    path = path_of(members[0], [*runs, *left_out], mask_name(strategy), options)
    seen = fingerprint(labels, [examined_from(run, told, options) for run in runs])
    # A share of masks is no mask.
    is_mask = options.combine_masks != "probability"
    quality = Product((), quality_of(path), seen) if is_mask else None
    return MaskPlan(
        strategy=strategy,
        reason=first.reason,
        arguments=first.arguments if len(strategies) == 1 else {},
        grid=first.grid,
        source=None,
        head=None,
        made_from=(),
        given=given.pop() if len(given) == 1 else "",
        fingerprint=told,
        product=Product((path,), sidecar_of(path), fingerprint(told, labels, reasons, seen)),
        quality=quality,
        combination=combination,
    )


def over(options: Options) -> str | None:
    """Return whose masks are combined; None where each run's mask is by itself."""
    return (options.combine_over or "run") if options.combine_masks else None


def path_of(first: Member, runs: Sequence[Run], strategy: str, options: Options) -> Path:
    """Return where a combination stands: under what the names of its runs share."""
    every = [run.product_entities for run in runs]
    shared = set.intersection(*[set(entities.pairs) for entities in every])
    entities = Entities(tuple(pair for pair in every[0].pairs if pair in shared))
    is_share = options.combine_masks == "probability"
    ending = "share" if is_share else options.combine_masks or "signal"
    named = entities.with_(desc=strategy + ending.capitalize())
    folders = [f"{key}-{label}" for key in ("sub", "ses") if (label := entities.get(key))]
    folder = first.job.dataset.output.joinpath(*folders, first.mask.product.path.parent.name)
    return folder / named.name(suffix="probseg" if is_share else "mask", extension=".nii.gz")


def run_combination(combination: Combination, n_threads: int = 1) -> Outcome:
    """Combine masks, whatever happens in it, on one thread."""
    return outcome_of(
        combination.label, combination.participant, lambda: publish_combined(combination)
    )


def publish_combined(combination: Combination) -> Done:
    """Write what several masks become.

    Raises
    ------
    DataError
        One of them was damaged since it was written, or no voxel would be left.
    """
    plan, product = combination.mask, combination.mask.product
    grid = combination.members[0].grid
    values = combined(combination)
    space = space_of(combination.members[0].job.run.space)
    content = nifti_bytes(values, grid, space=space)
    written = [product.path, product.sidecar]
    flags: tuple[Flag, ...] = ()
    with held(product.path.parent, combination.label):
        if plan.quality is not None:
            exam, flags = examine_combined(combination, Mask(values, grid, plan.strategy))
            if combination.options.force or not plan.quality.is_up_to_date():
                numbers = quality_sidecar(combination, exam, flags)
                publish_product({}, plan.quality.sidecar, numbers)
                written.append(plan.quality.sidecar)
        publish_product(
            {product.path: content}, product.sidecar, sidecar(combination, values, flags)
        )
    return written, [*findings_of(flags, product.path, plan.name, combination.participant)]


def examine_combined(combination: Combination, mask: Mask) -> tuple[Examination, tuple[Flag, ...]]:
    """Measure a combined mask, held against the mean of what its runs look like.

    Raises
    ------
    DataError
        A run, its reference image or its mask cannot be read.
    """
    members, total = combination.members, np.zeros(mask.grid.shape)
    for one in members:
        total += picture(one.job.run, open_image(one.job.run.path), mask.grid)
    apart_mm = [forms_apart_mm(one.job.run.path) for one in members]
    with advising_removal():
        others = {
            one.job.run.label: load_mask(one.mask.product.path, mask.grid, one.mask.strategy)
            for one in members
        }
    exam = examine(
        mask,
        total / len(members),
        others=others,
        forms_apart_mm=max((mm for mm in apart_mm if mm is not None), default=None),
    )
    bounds = bounds_of(combination.options)
    strategies = [one.mask.strategy for one in members]
    is_brain = is_of_brain(strategies, exam.volume_ml, bounds)
    return exam, find_flags(exam, bounds, is_brain=is_brain)


def combined(combination: Combination) -> NDArray[Any]:
    """Return the combined mask, bool, or the share of masks at each voxel, float32."""
    members, options = combination.members, combination.options
    votes = votes_of(combination, [one.mask.product for one in members])
    if options.combine_masks == "probability":
        return votes.share
    voxels = votes.counts > 0
    if options.combine_masks:
        threshold = THRESHOLDS[options.combine_masks]
        voxels = votes.intersect(threshold, connected=combination.is_connected)
    varying = [one.varying for one in members if one.varying is not None]
    if varying and options.signal_mask is not None:
        voxels &= votes_of(combination, varying).at_least(options.signal_mask)
    if not voxels.any():
        problem = f"is empty: no voxel is in enough of the {len(members)} masks it is made of"
        advice = "Combine fewer runs, or --combine-masks union; look at the masks of the runs."
        raise UnusableMask(combination.label, problem, advice)
    return voxels


def votes_of(combination: Combination, products: Sequence[Product]) -> Votes:
    """Count how many of the masks that were written hold each voxel."""
    grid, strategy = combination.members[0].grid, combination.mask.strategy
    with advising_removal():
        masks = (load_mask(one.path, grid, strategy).voxels for one in products)
        return count_votes(masks, combination.label)


def quality_sidecar(
    combination: Combination, exam: Examination, flags: Sequence[Flag]
) -> dict[str, Any]:
    """Return what was measured of a combined mask."""
    plan, uri = combination.mask, combination.dataset.uri
    if plan.quality is None:
        raise AssertionError("a share of masks is not examined")
    runs = [one.job.run for one in combination.members]
    return {
        "Description": "What was measured of the combined mask, held against the mean of the "
        "reference images of its runs, or of their first volumes; null where it cannot be told.",
        "Sources": [uri(plan.product.path), *(uri(run.boldref or run.path) for run in runs)],
        "Strategies": strategies_of(combination),
        **quality_keys(exam, flags, bounds_of(combination.options)),
        "Fingerprint": plan.quality.fingerprint,
    }


def sidecar(
    combination: Combination, values: NDArray[Any], flags: Sequence[Flag]
) -> dict[str, Any]:
    """Return what is said of a combined mask, or of the share of masks."""
    members, plan = combination.members, combination.mask
    method = combination.options.combine_masks
    products = [one.mask.product for one in members]
    products += [one.varying for one in members if one.varying is not None]
    types = {mask_type(one.mask.strategy) for one in members}
    about: dict[str, Any] = {"Description": in_words(combination)}
    if method != "probability":
        about["Type"] = types.pop() if len(types) == 1 else "ROI"
    about |= {
        "Sources": [combination.dataset.uri(one.path) for one in products],
        **spatial(members[0].job),
        "Strategies": strategies_of(combination),
        **mask_choices(plan),
        **target_keys(combination.options),
    }
    if method in THRESHOLDS:
        about |= {"Threshold": THRESHOLDS[method], "Connected": combination.is_connected}
    left_out = {run.label: reason for run, reason in combination.left_out}
    about |= {"Runs": len(members), "LeftOut": left_out}
    if method != "probability":
        n_voxels = int(np.count_nonzero(values))
        volume_ml = n_voxels * members[0].grid.voxel_volume_mm3 / 1000
        about |= {"Voxels": n_voxels, "VolumeMillilitres": round(volume_ml, 3)}
        about["Flags"] = [flag.sentence for flag in flags]
    return {**about, "Fingerprint": plan.product.fingerprint}


def strategies_of(combination: Combination) -> dict[str, int]:
    """Return how many of the masks were made by which strategy."""
    return dict(sorted(Counter(one.mask.strategy for one in combination.members).items()))


def in_words(combination: Combination) -> str:
    """Return a sentence on what a combination is."""
    options = combination.options
    if options.combine_masks == "probability":
        return "Share of the runs that have a voxel in their mask, 0 to 1."
    what = "The mask of the run"
    if options.combine_masks:
        largest = "the largest component of " if combination.is_connected else ""
        what = f"Combined mask, {options.combine_masks}: {largest}the voxels that "
        what += IN_WORDS[options.combine_masks]
    share = options.signal_mask
    if share is not None and combination.members[0].varying is not None:
        runs = f"in at least {100 * share:g} % of the runs"
        what += ", as far as their signal varies " + (runs if options.combine_masks else "in it")
    return f"{what}."
