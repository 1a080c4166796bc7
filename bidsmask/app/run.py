"""One run of the program: Options in, exit code out."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Generator, Iterator, Sequence
from typing import Protocol

from bidsmask.app.atlas_columns import spheres_of
from bidsmask.app.atlases import AtlasRequest, atlas_requests
from bidsmask.app.choices import cleaning_choices
from bidsmask.app.container import container_of
from bidsmask.app.execute import Labelled, Resources, execute
from bidsmask.app.folder import check_folder, find_images, plan_folder
from bidsmask.app.group.cohort import Cohort, read_cohort
from bidsmask.app.group.plan import do_task, plan_group
from bidsmask.app.job import Outcome
from bidsmask.app.ledger import Ledger, exit_code_of
from bidsmask.app.options import Options
from bidsmask.app.participant import run_job
from bidsmask.app.plan import Step, nothing_selected, select_participants
from bidsmask.app.target import target_of
from bidsmask.app.turns import Turn, turns
from bidsmask.bids.atlas_dataset import atlas_images
from bidsmask.bids.dataset import Dataset, find_dataset
from bidsmask.bids.description import (
    Origin,
    prepare_output,
    prepare_root,
    publish_participants,
)
from bidsmask.bids.locks import remove_leftovers
from bidsmask.bids.outputs import check_written
from bidsmask.bids.place import check_output, make_root
from bidsmask.bids.region_names import read_region_names
from bidsmask.bids.templates import Template
from bidsmask.errors import (
    BidsmaskError,
    DataError,
    Finding,
    MissingInput,
)
from bidsmask.images.folder import FolderOfImages
from bidsmask.images.image import open_image
from bidsmask.masks.strategies import parse_arguments


class Screen(Protocol):
    """Where the user sees what happens."""

    def start(self, n_participants: int, n_runs: int | None = None) -> None:
        """Say that the work begins, and how many runs there will be where that is known."""

    def step(self, step: Step) -> None:
        """Show what was planned."""

    def outcome(self, outcome: Outcome) -> None:
        """Show what became of a Job."""

    def end(self, ledger: Ledger) -> None:
        """Show what became of all."""

    def planned(self, steps: Iterator[Step], findings: Sequence[Finding]) -> list[int]:
        """Print the plan; return the exit code of each run of it, as far as it is known."""


def run(options: Options, screen: Screen) -> int:
    """Do what the options say.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    BidsmaskError
        What stops everything: the command line, the dataset, the output.
    """
    if options.analysis_level == "group":
        return run_group(options, screen)
    check_choices(options)
    images = find_images(options)
    if images is not None:
        return run_folder(options, images, screen)
    dataset = find_dataset(
        options.bids_dir, options.derivatives or None, options.output_dir, options.datatypes
    )
    check_output(dataset.output, dataset.raw, dataset.derivatives)
    labels = select_participants(dataset, options.participant_label)
    in_turns = turns(dataset, labels, options)
    if options.dry_run:
        steps = itertools.chain.from_iterable(turn.steps for turn in in_turns)
        exit_codes = screen.planned(steps, dataset.findings)
        if not exit_codes:
            raise nothing_selected(dataset, labels, options)
        return exit_code_of(exit_codes)
    return work_through(options, dataset, labels, in_turns, screen)


def check_choices(options: Options) -> None:
    """Refuse, before anything is looked at, what no run could make sense of."""
    cleaning_choices(options)
    if options.mask_strategy != "auto":
        parse_arguments(options.mask_strategy, options.mask_args)
    target_of(options)
    if options.template is not None:
        Template.parse(options.template)
    for path in (options.mask_file, options.bids_filter_file):
        if path is not None and not path.is_file():
            raise MissingInput(str(path), "is not there")
    try:
        if options.mask_file is not None:
            open_image(options.mask_file)
        for request in atlas_requests(options.atlas, options.maps, options.seeds):
            check_atlas(request, options)
    except DataError as error:
        raise MissingInput(error.where, error.problem, error.advice) from error


def check_atlas(request: AtlasRequest, options: Options) -> None:
    """Raise DataError where an atlas would be of no use to any run."""
    choice = request.choice
    if request.folder is not None:
        atlas_images(request.folder, request.wanted, request.kind)
    elif choice is not None and choice.kind == "spheres":
        spheres_of(choice, options.radius)
    elif choice is not None:
        open_image(choice.image)
        if choice.table is not None:
            read_region_names(choice.table)


def work_through(
    options: Options, dataset: Dataset, labels: list[str], in_turns: Iterator[Turn], screen: Screen
) -> int:
    """Do the Jobs of a plan and return the exit code."""
    seen = []
    first = next(in_turns)
    for step in first.steps:
        seen.append(step)
        if step.is_run:
            break
    else:
        raise nothing_selected(dataset, labels, options)

    roots = {name: dataset.output / link for name, link in dataset.links().items()}
    origin = Origin(roots, container_of(os.environ))
    findings = prepare_output(dataset.output, origin)
    ledger = Ledger(dataset.output, options)
    ledger.note([*dataset.findings, *findings])
    screen.start(len(labels))
    first = first._replace(steps=itertools.chain(seen, first.steps))
    with recording(ledger, screen):
        try:
            for turn in itertools.chain([first], in_turns):
                do_turn(turn, options, dataset, ledger, screen)
        finally:
            publish_participants(dataset.output, origin)
    return ledger.exit_code


def run_folder(options: Options, images: FolderOfImages, screen: Screen) -> int:
    """Mask every image of a folder that is no BIDS dataset, and return the exit code."""
    dataset = check_folder(options)
    steps = plan_folder(images, dataset, options)
    if options.dry_run:
        return exit_code_of(screen.planned(steps, ()))
    make_root(dataset.output)
    ledger = Ledger(dataset.output, options)
    screen.start(n_participants=1, n_runs=len(images))
    with recording(ledger, screen):
        do_turn(Turn(steps, run_job), options, dataset, ledger, screen)
    return ledger.exit_code


def do_turn(turn: Turn, options: Options, dataset: Dataset, ledger: Ledger, screen: Screen) -> None:
    """Do the Jobs of a turn, and keep and show what becomes of each."""
    resources = Resources.of(options.n_procs, options.omp_nthreads)
    jobs = ready(shown(turn.steps, options, ledger, screen), dataset, ledger, screen)
    outcomes = execute(jobs, turn.work, resources, stop_on_failure=options.stop_on_first_crash)
    record(outcomes, ledger, screen)


@contextlib.contextmanager
def recording(ledger: Ledger, screen: Screen) -> Iterator[None]:
    """End a run of the program well, whatever happens in it."""
    try:
        yield
    except BidsmaskError:
        raise
    except Exception as error:
        raise ledger.crash(error) from error
    finally:
        screen.end(ledger)
        ledger.close()


def record(outcomes: Generator[Outcome], ledger: Ledger, screen: Screen) -> None:
    """Keep and show each Outcome as it comes."""
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            ledger.record(outcome)
            screen.outcome(outcome)


def shown(
    steps: Iterator[Step], options: Options, ledger: Ledger, screen: Screen
) -> Iterator[Step]:
    """Yield each step of a plan once it is shown and noted, up to the failure that stops all."""
    for step in steps:
        if options.stop_on_first_crash and ledger.counts["failed"]:
            return
        screen.step(step)
        ledger.note(step.findings)
        yield step


def ready(
    steps: Iterator[Step], dataset: Dataset, ledger: Ledger, screen: Screen
) -> Iterator[Labelled]:
    """Yield the Jobs that have to be done, and record what the plan says of the others."""
    for step in steps:
        if step.outcome is not None:
            ledger.record(step.outcome)
            screen.outcome(step.outcome)
        elif step.job is not None:
            yield step.job
        elif step.participant:
            remove_leftovers(dataset.output / f"sub-{step.participant}")


def run_group(options: Options, screen: Screen) -> int:
    """Join what the participant level wrote, and return the exit code."""
    findings = check_written(options.output_dir)
    cohort = read_cohort(options)
    steps = plan_group(cohort, options)
    if options.dry_run:
        return exit_code_of(screen.planned(steps, findings))
    prepare_root(options.output_dir)
    ledger = Ledger(options.output_dir, options)
    ledger.note(findings)
    screen.start(n_participants=1)
    with recording(ledger, screen):
        outcomes = group_outcomes(shown(steps, options, ledger, screen), cohort, options, screen)
        record(outcomes, ledger, screen)
    return ledger.exit_code


def group_outcomes(
    steps: Iterator[Step], cohort: Cohort, options: Options, screen: Screen
) -> Generator[Outcome]:
    """Yield what becomes of each step, one after the other."""
    for step in steps:
        is_at_odds = step.task is not None and step.task.conflict is not None
        if step.outcome is not None and not is_at_odds:
            yield step.outcome
        elif step.task is not None:
            for outcome in do_task(step.task, cohort, options):
                if outcome.label != step.label:
                    screen.step(Step(outcome.participant, outcome=outcome))  # one more than planned
                yield outcome
