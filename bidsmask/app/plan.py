"""Participants to Jobs, one participant at a time, each Job with its preflight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from bidsmask.app.job import Job, Outcome
from bidsmask.app.memory import Need, need_of
from bidsmask.app.options import Options
from bidsmask.app.prepare import prepare
from bidsmask.app.products import Product
from bidsmask.bids.dataset import Dataset, participants
from bidsmask.bids.entities import Entities
from bidsmask.bids.layout import find_runs
from bidsmask.bids.selection import Selection, read_filter_file
from bidsmask.errors import DataError, Finding, NothingSelected

if TYPE_CHECKING:
    from bidsmask.app.combine import Combination
    from bidsmask.app.group.task import GroupTask
    from bidsmask.app.joined import Joined

# To say what labels there are, so many participants are enough.
LOOKED_AT = 20


@dataclass(frozen=True)
class Step:
    """What the plan says of a participant, of one of his runs, or of products of the group.

    Attributes
    ----------
    participant : str
    job : Job, Combination, Joined or None
        None for the participant as a whole, and for a run that cannot become a Job.
    products : tuple of Product
        All that the Job or task writes.
    stale : tuple of Product
        Those of them that have to be made.
    outcome : Outcome or None
        Where there is nothing to compute: the preflight failed, or all is up to date.
    findings : tuple of Finding
    need : Need or None
        Memory that the Job will take; only a dry run looks at it.
    task : GroupTask or None
        At the group level, in the place of a Job.
    """

    participant: str
    job: Job | Combination | Joined | None = None
    products: tuple[Product, ...] = ()
    stale: tuple[Product, ...] = ()
    outcome: Outcome | None = None
    findings: tuple[Finding, ...] = ()
    need: Need | None = None
    task: GroupTask | None = None

    @property
    def is_run(self) -> bool:
        """Whether there is work to count in it, not only something to say."""
        return self.label != ""

    @property
    def label(self) -> str:
        """Of what is to be done, or of that which cannot be."""
        work = self.job or self.task or self.outcome
        return work.label if work is not None else ""


def select_participants(dataset: Dataset, wanted: Sequence[str]) -> list[str]:
    """Return the labels to work on, in the order of the dataset.

    Raises
    ------
    NothingSelected
        There is no participant, or no one of a label that is wanted.
    """
    known = participants(dataset)
    if not known:
        raise NothingSelected(
            str(dataset.roots[0]), "holds no participant: no folder is named sub-…"
        )
    unknown = [label for label in wanted if label not in known]
    if unknown:
        raise NothingSelected(
            f"participant {unknown[0]}",
            f"is not in the dataset, which has {len(known)}",
            f"Near to it: {near_to(unknown[0], known)}.",
        )
    return [label for label in known if not wanted or label in wanted]


def near_to(label: str, known: Sequence[str]) -> str:
    """Return the labels that are spelt most like one, or the first where none is."""
    return ", ".join(get_close_matches(label, known, n=3, cutoff=0.4) or known[:3])


@dataclass(frozen=True)
class AskedLabel:
    """A label of session, task, run or space on the command line."""

    key: str
    label: str
    alone: Selection

    @property
    def text(self) -> str:
        """As in a file name: `task-rest`."""
        return f"{self.key}-{self.label}"

    def selects(self, entities: Entities) -> bool:
        """Return whether the label selects a run, whatever the others do."""
        is_asked = self.key == "space" or self.key in entities
        return is_asked and self.alone.takes(entities) and self.alone.takes_space(entities)

    def missed(self, seen: Sequence[Entities]) -> tuple[str, str]:
        """Return problem and advice for a label that selects none of the runs seen."""
        none = "func" if self.key == "space" else "none"
        near = near_to(self.label, sorted({one.get(self.key) or none for one in seen}))
        return "selects no run", f"There is {near}."


def asked_labels(options: Options) -> list[AskedLabel]:
    """Return the labels that the options name, but for participants."""
    return [
        *(AskedLabel("ses", one, Selection(sessions=(one,))) for one in options.session_label),
        *(AskedLabel("task", one, Selection(tasks=(one,))) for one in options.task_label),
        *(AskedLabel("run", one, Selection(runs=(one,))) for one in options.run_label),
        *(AskedLabel("space", one, Selection(spaces=(one,))) for one in options.space),
    ]


def nothing_selected(
    dataset: Dataset, participants: Sequence[str], options: Options
) -> NothingSelected:
    """Return the error that says why there is no run, from what the first participants have."""
    wanted = Selection(datatypes=options.datatypes)
    seen = [find_runs(dataset, one, wanted) for one in participants[:LOOKED_AT]]
    entities = [run.entities for runs, _ in seen for run in runs]
    for asked in asked_labels(options):
        if entities and not any(map(asked.selects, entities)):
            return NothingSelected(asked.text, *asked.missed(entities))
    reasons = list(dict.fromkeys(f.problem for _, findings in seen for f in findings))
    return NothingSelected(
        str(dataset.roots[0]),
        f"has no run of --datatype {options.datatype} that the labels and filters select",
        f"What was seen: {'; '.join(reasons[:5])}." if reasons else "Leave some of them out.",
    )


def selection(options: Options) -> Selection:
    """Return the runs that the options want."""
    path = options.bids_filter_file
    return Selection(
        sessions=options.session_label,
        tasks=options.task_label,
        runs=options.run_label,
        spaces=options.space,
        filters=read_filter_file(path) if path is not None else {},
        datatypes=options.datatypes,
    )


def plan(dataset: Dataset, labels: Sequence[str], options: Options) -> Iterator[Step]:
    """Yield what there is to do, indexing each participant when his turn comes."""
    wanted = selection(options)
    unused, seen = asked_labels(options), []
    for participant in labels:
        try:
            runs, findings = find_runs(dataset, participant, wanted)
        except Exception as error:
            yield Step(participant)
            failed = Outcome.failed(f"sub-{participant}", participant, error)
            yield Step(participant, outcome=failed)
            continue
        yield Step(participant, findings=tuple(f for f in findings if f.severity != "error"))
        for finding in findings:
            if finding.severity == "error":
                yield Step(participant, outcome=not_a_run(finding))
        seen += [run.entities for run in runs] if unused else []
        unused = [one for one in unused if not any(one.selects(run.entities) for run in runs)]
        # All of a participant is checked before anything of his is computed.
        yield from [preflight(Job(run, options, dataset)) for run in runs]
    if seen:
        yield Step("", findings=tuple(unused_label(one, seen) for one in unused))


def unused_label(asked: AskedLabel, seen: Sequence[Entities]) -> Finding:
    """Return the warning that a label selects nothing where others do."""
    return Finding("warning", "label-selects-nothing", asked.text, *asked.missed(seen))


def not_a_run(finding: Finding) -> Outcome:
    """Return the Outcome of a series that cannot become a run."""
    label = Path(finding.where).name
    return Outcome(label, finding.participant, "failed", DataError.exit_code, findings=(finding,))


def preflight(job: Job) -> Step:
    """Check a Job before anything is computed, and see what of it is up to date."""
    participant, options = job.run.participant, job.options
    need = None
    try:
        preparation = prepare(job)
        products = preparation.products
        stale = tuple(one for one in products if options.force or not one.is_up_to_date())
        if options.dry_run and stale:
            need = need_of(preparation, stale, keeps_censored=options.keep_censored)
    except Exception as error:
        return Step(participant, job, outcome=Outcome.failed(job.label, participant, error))
    done = None if stale else Outcome(job.label, participant, "up to date")
    return Step(participant, job, products, stale, done, preparation.findings, need)
