"""What is done in turns: the masks of runs, what is made of them together, the signals.

Each turn is planned when the one before is done. Where no mask is shared there is one.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from bidsmask.app.combine import Combination, Member, over, run_combination
from bidsmask.app.execute import Work
from bidsmask.app.job import Job, Outcome
from bidsmask.app.joined import Joined, refuse_unlike, run_joined
from bidsmask.app.options import Options
from bidsmask.app.participant import run_job
from bidsmask.app.plan import Step, plan, preflight
from bidsmask.app.preparation import Preparation
from bidsmask.app.prepare import prepare
from bidsmask.app.products import GRID_ENTITIES, Product
from bidsmask.bids.dataset import Dataset
from bidsmask.bids.run import Run
from bidsmask.bids.selection import NATIVE
from bidsmask.errors import BidsmaskError, Finding, UnusableMask

Kind = TypeVar("Kind", Job, Combination, Joined)


class Turn(NamedTuple):
    """Steps that need nothing of each other, and what does the Jobs in them."""

    steps: Iterator[Step]
    work: Work


def turns(dataset: Dataset, labels: Sequence[str], options: Options) -> Iterator[Turn]:
    """Yield what there is to do, turn by turn."""
    signals: list[tuple[Job, Step]] = []
    if options.combine_masks is None and options.signal_mask is None:
        yield Turn(remembered(plan(dataset, labels, options), Job, signals), run_job)
        if options.concatenate_runs:
            yield Turn(plan_joined(signals, options), run_joined)
        return
    alone = dataclasses.replace(options, mask_only=True, combine_masks=None, combine_over=None)
    masks: list[tuple[Job, Step]] = []
    yield Turn(remembered(plan(dataset, labels, alone), Job, masks), run_job)
    combined: list[tuple[Combination, Step]] = []
    steps = plan_combinations(masks, options)
    yield Turn(remembered(steps, Combination, combined), run_combination)
    if not options.mask_only:
        yield Turn(remembered(plan_signals(combined), Job, signals), run_job)
    if options.concatenate_runs:
        yield Turn(plan_joined(signals, options), run_joined)


def remembered(
    steps: Iterator[Step], kind: type[Kind], into: list[tuple[Kind, Step]]
) -> Iterator[Step]:
    """Yield steps, and keep those that have a Job, with it."""
    for step in steps:
        if isinstance(step.job, kind):
            into.append((step.job, step))
        yield step


def plan_combinations(masks: Sequence[tuple[Job, Step]], options: Options) -> Iterator[Step]:
    """Yield the combinations of the masks that were planned, as far as these were made."""
    together: dict[object, list[tuple[Job, Step]]] = defaultdict(list)
    alone = []
    for job, step in masks:
        if is_alone(job.run, options):
            alone.append(job.run)
        else:
            together[shared_by(job.run, options)].append((job, step))
    if alone and options.combine_masks:
        yield Step("", findings=tuple(map(not_combined, alone)))
    for some in together.values():
        found = [(job.run, member_of(job, step, options)) for job, step in some]
        members = [one for _, one in found if isinstance(one, Member)]
        left_out = [(run, why) for run, why in found if isinstance(why, str)]
        if members:
            yield preflight_of(Combination.of(members, left_out, options))


def is_alone(run: Run, options: Options) -> bool:
    """Return whether a run shares its mask with none: an anatomical image in a space of its own."""
    is_own = run.space in ("", *NATIVE) or options.combine_masks is None
    return run.datatype == "anat" and is_own


def not_combined(run: Run) -> Finding:
    """Return the note that an anatomical image keeps its own mask."""
    problem = "is in a space of its own, so that its mask is combined with none"
    return Finding("note", "not-combined", run.label, problem, participant=run.participant)


def shared_by(run: Run, options: Options) -> object:
    """Return what runs have in common whose masks become one: always the kind and the space."""
    if over(options) is None:
        return run.path
    session = run.session if over(options) == "run" else None
    grid = [run.entities.get(key) for key in GRID_ENTITIES]
    return run.participant, session, run.entities.suffix, *grid


def member_of(job: Job, step: Step, options: Options) -> Member | str:
    """Return a run with its mask, or why it has none; `auto` may have made another than planned."""
    preparation = prepared(job, step, options, "its mask could not be made")
    if isinstance(preparation, str):
        return preparation
    return Member(job, preparation.mask.grid, preparation.mask, preparation.varying)


def plan_joined(signals: Sequence[tuple[Job, Step]], options: Options) -> Iterator[Step]:
    """Yield the runs of each task that are joined, as far as their signals were made."""
    together: dict[object, list[tuple[Job, Step]]] = defaultdict(list)
    for job, step in signals:
        if job.run.datatype == "func":
            together[job.run.product_entities.without("run")].append((job, step))
    for some in together.values():
        why = "its signals could not be made"
        found = [(job, prepared(job, step, options, why)) for job, step in some]
        members = [(job, one) for job, one in found if isinstance(one, Preparation)]
        left_out = [(job.run, why) for job, why in found if isinstance(why, str)]
        if not members:
            continue
        joined = Joined.of(members, left_out)
        try:
            refuse_unlike(members)
        except BidsmaskError as error:
            failed = Outcome.failed(joined.label, joined.participant, error)
            yield Step(joined.participant, joined, outcome=failed)
            continue
        stale = tuple(one for one in joined.products if options.force or not one.is_up_to_date())
        done = None if stale else Outcome(joined.label, joined.participant, "up to date")
        findings = tuple(joined.findings())
        yield Step(joined.participant, joined, joined.products, stale, done, findings)


def prepared(job: Job, step: Step, options: Options, why: str) -> Preparation | str:
    """Return a run whose products were made, worked out, or why there are none."""
    if is_failed(step):
        return why
    made = dataclasses.replace(job, options=dataclasses.replace(job.options, force=False))
    try:
        preparation = prepare(made)
    except BidsmaskError as error:
        return str(error)
    return preparation if are_made(preparation.products, options) else why


def is_failed(step: Step) -> bool:
    """Return whether the preflight of a step of an earlier turn failed."""
    return step.outcome is not None and step.outcome.status == "failed"


def are_made(products: Sequence[Product], options: Options) -> bool:
    """Return whether all products of an earlier turn are there; a dry run makes none."""
    return options.dry_run or all(one.is_up_to_date() for one in products)


def preflight_of(combination: Combination) -> Step:
    """Check a Combination before it is made, and see whether it is up to date."""
    plan, participant = combination.mask, combination.participant
    products = tuple(one for one in (plan.quality, plan.product) if one is not None)
    try:
        findings = tuple(combination.check())
    except BidsmaskError as error:
        outcome = Outcome.failed(combination.label, participant, error)
        return Step(participant, combination, outcome=outcome)
    is_forced = combination.options.force
    stale = tuple(one for one in products if is_forced or not one.is_up_to_date())
    done = None if stale else Outcome(combination.label, participant, "up to date")
    return Step(participant, combination, products, stale, done, findings)


def plan_signals(combined: Sequence[tuple[Combination, Step]]) -> Iterator[Step]:
    """Yield the runs whose masks were combined, each with the mask for its signals."""
    for combination, step in combined:
        mask, options = combination.mask, combination.options
        for member in combination.members:
            if member.job.run.datatype == "anat":
                continue  # it has no signals
            job = Job(member.job.run, options, combination.dataset, mask)
            if not is_failed(step) and are_made(step.products, options):
                yield preflight(job)
                continue
            problem = f"has no signals, since {mask.product.path.name} could not be made"
            error = UnusableMask(job.run.path, problem, "Why that is, its own message says.")
            yield Step(
                job.participant, job, outcome=Outcome.failed(job.label, job.participant, error)
            )
