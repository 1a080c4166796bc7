"""The group level: what the participant level wrote, joined; no raw data are read.

Each kind of group product joins by one function that yields its GroupTasks, and one line in
`group_tasks`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from bidsmask.app.group.absent import absent
from bidsmask.app.group.cohort import Cohort
from bidsmask.app.group.coverage import coverage_tasks
from bidsmask.app.group.masks import mask_files, mask_tasks, notes_on_space
from bidsmask.app.group.motion import motion_tasks, notes_on_motion
from bidsmask.app.group.outdated import orphans, withdrawn
from bidsmask.app.group.participants import read_participants
from bidsmask.app.group.quality_table import quality_tasks
from bidsmask.app.group.stacks import stack_tasks
from bidsmask.app.group.task import GroupTask, GroupWork, sidecar_of
from bidsmask.app.job import Outcome
from bidsmask.app.options import Options
from bidsmask.app.participant import peak_mb
from bidsmask.app.plan import Step
from bidsmask.bids.locks import held
from bidsmask.errors import DataError, Finding


def group_tasks(cohort: Cohort, options: Options) -> Iterator[GroupTask]:
    """Yield all that is made of a cohort."""
    for group in cohort.groups:
        yield from mask_tasks(cohort, group, options)
        yield from coverage_tasks(cohort, group)
        yield from stack_tasks(cohort, group)
        yield from motion_tasks(cohort, group, tuple(dict.fromkeys(options.connectivity)))
    yield from quality_tasks(cohort)


def plan_group(cohort: Cohort, options: Options) -> Iterator[Step]:
    """Yield what there is to do, and who is left out before it begins."""
    table, unsure = read_participants(cohort.output, {run.participant for run in cohort.runs})
    missed = absent(cohort, {label.removeprefix("sub-") for label in table.index}, options)
    notes = [note for group in cohort.groups for note in notes_on_space(group)]
    notes += [
        one for group in cohort.groups for one in notes_on_motion(group, options.connectivity)
    ]
    yield Step("", findings=(*cohort.findings, *unsure, *missed, *notes))
    for participant, findings in cohort.unfinished.items():
        yield Step(participant, outcome=left_out(f"sub-{participant}", participant, findings))
    # Masks joined in another way than today's have their runs, too.
    made = {sidecar_of(path) for group in cohort.groups for path in mask_files(cohort, group)}
    for task in group_tasks(cohort, options):
        made.update(product.sidecar for product in task.products)
        yield preflight_of(task, options)
    yield Step("", findings=tuple(orphans(cohort.output, made, options)))


def left_out(label: str, participant: str, findings: tuple[Finding, ...]) -> Outcome:
    """Return the Outcome of what cannot be joined."""
    return Outcome(label, participant, "failed", DataError.exit_code, findings=findings)


def preflight_of(task: GroupTask, options: Options) -> Step:
    """See whether a task can be done, and what of it is up to date."""
    if task.conflict is not None:
        failed = Outcome.failed(task.label, "", task.conflict)
        return Step("", task=task, outcome=failed)
    stale = tuple(one for one in task.products if options.force or not one.is_up_to_date())
    done = None if stale else Outcome(task.label, "", "up to date")
    return Step("", task=task, products=task.products, stale=stale, outcome=done)


def do_task(task: GroupTask, cohort: Cohort, options: Options) -> Iterator[Outcome]:
    """Do a task, whatever happens in it; one that is at odds only takes back what was made of it.

    Yields
    ------
    Outcome
        A failed one for each run that was left out on the way, then that of the task.
    """
    start = time.perf_counter()
    if task.conflict is not None:
        yield withdrawn(Outcome.failed(task.label, "", task.conflict), task, options)
        return
    work = GroupWork(task, cohort, options)
    try:
        with held(cohort.output, task.label):
            task.make(work)
    except Exception as error:
        outcome = Outcome.failed(task.label, "", error)
        if isinstance(error, DataError):
            outcome = withdrawn(replace(outcome, outputs=tuple(work.written)), task, options)
    else:
        outcome = Outcome(
            task.label,
            "",
            "done",
            outputs=tuple(work.written),
            findings=tuple(work.findings),
            seconds=time.perf_counter() - start,
            peak_mb=peak_mb(),
        )
    for run, reason in work.left_out.values():
        findings = (Finding.of(reason, run.participant),)
        yield left_out(f"{run.label} in {task.label}", run.participant, findings)
    yield outcome
