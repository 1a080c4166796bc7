"""The Cohort: all runs that the options select of what the participant level wrote.

Nothing is ever joined in silence: what is unfinished, missing, or made with other choices than
the rest is found here, before any data are read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from bidsmask.app.group.agreement import (
    CHOOSE,
    conflict_of,
    conflict_of_masks,
    in_short,
    mask_of,
    strategies,
    uneven_products,
    uneven_runs,
    uneven_versions,
)
from bidsmask.app.group.run_outputs import ProductName, RunOutputs
from bidsmask.app.options import Options
from bidsmask.app.plan import asked_labels, select_participants, selection, unused_label
from bidsmask.app.products import GRID_ENTITIES, mask_name, parts_of_mask_name
from bidsmask.bids.dataset import Dataset
from bidsmask.bids.entities import Entities, natural_order
from bidsmask.bids.outputs import (
    Kind,
    ParticipantOutputs,
    UnfinishedProduct,
    WrittenProduct,
    scan_outputs,
)
from bidsmask.bids.selection import Selection
from bidsmask.errors import Finding, NothingSelected, UnequalChoices

# What a name has beside the entities of its run.
OF_PRODUCTS: Final = ("desc", "atlas", "seg", "stat")
# What the runs of a group share.
OF_GROUPS: Final = ("task", "mod", *GRID_ENTITIES)
# All masks of a group together, whatever their strategy.
MASKS: Final = ProductName("mask")

Either = WrittenProduct | UnfinishedProduct


@dataclass(frozen=True, eq=False)
class RunGroup:
    """The runs of one task in one space, with its cohort, resolution and density.

    Attributes
    ----------
    datatype : str
        `func` or `anat`.
    entities : Entities
        What they share: task or contrast (`mod`), space, cohort, res, den, as far as they have
        them.
    runs : tuple of RunOutputs
        In natural order.
    conflicts : mapping of ProductName to UnequalChoices
        The products that cannot be joined, since they were made with different choices.
    """

    datatype: str
    entities: Entities
    runs: tuple[RunOutputs, ...]
    conflicts: Mapping[ProductName, UnequalChoices] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """As in a file name: `task-rest_space-X_res-2`."""
        return self.entities.name(suffix="", extension="")

    @property
    def space(self) -> str:
        """The space's label; empty for the runs' own."""
        return self.entities.get("space") or ""

    def names(self, kind: Kind) -> list[ProductName]:
        """Return the names of all products of a kind, sorted."""
        return sorted({name for run in self.runs for name in run.products if name.kind == kind})

    def of(self, name: ProductName) -> list[tuple[RunOutputs, WrittenProduct]]:
        """Return the runs that have a product, each with it.

        `MASKS` stands for the mask that counts, whatever its strategy.

        Raises
        ------
        UnequalChoices
            If it was made with different choices.
        """
        if name in self.conflicts:
            raise self.conflicts[name]
        if name == MASKS:
            return [(run, run.mask) for run in self.runs if run.mask is not None]
        return [(run, run.products[name]) for run in self.runs if name in run.products]

    def without(self, name: ProductName) -> dict[str, str]:
        """Return why runs have no product of a name that counts, by the label of the run."""
        having = {run.label for run, _ in self.of(name)}
        return {run.label: why_not(run, name) for run in self.runs if run.label not in having}


def why_not(run: RunOutputs, name: ProductName) -> str:
    """Return why a run has no product of a name."""
    for other, finding in {**run.unfinished, **run.set_aside}.items():
        if other == name or (name == MASKS and other.kind == "mask"):
            return str(finding)
    return f"has no such {name.kind}"


@dataclass(frozen=True, eq=False)
class Cohort:
    """All runs that the options select.

    Attributes
    ----------
    output : Path
        Root of the outputs of the participant level.
    groups : tuple of RunGroup
        In natural order.
    unfinished : mapping of str to tuple of Finding
        By participant, of severity `error`.
    findings : tuple of Finding
        Warnings.
    """

    output: Path
    groups: tuple[RunGroup, ...]
    unfinished: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def runs(self) -> list[RunOutputs]:
        """All runs, group by group."""
        return [run for group in self.groups for run in group.runs]

    def uri(self, path: Path) -> str:
        """Return the BIDS URI of a file of the output."""
        return f"bids::{quote(path.relative_to(self.output).as_posix(), safe='/+')}"


def read_cohort(options: Options) -> Cohort:
    """Look through an output and hold its runs against each other.

    Raises
    ------
    NothingSelected
        There is no participant or run, or none that the labels select.
    """
    output = options.output_dir
    labels = select_participants(Dataset(None, (output,), output), options.participant_label)
    wanted = selection(options)
    chosen_mask = "" if options.mask_strategy == "auto" else mask_name(options.mask_strategy)
    runs: list[RunOutputs] = []
    seen: list[Entities] = []
    findings: list[Finding] = []
    twice: list[Finding] = []
    unfinished: dict[str, tuple[Finding, ...]] = {}
    for found in scan_outputs(output, set(labels)):
        theirs = runs_of(found, chosen_mask)
        seen += map(image_entities, theirs)
        theirs = [run for run in theirs if is_wanted(image_entities(run), wanted)]
        doubled = doubled_runs(theirs)
        runs += [run for run in theirs if not any(run in same for same in doubled)]
        findings += [one for one in found.findings if one.severity != "error"]
        broken = [one for one in found.findings if one.severity == "error"]
        broken += [
            one.finding for one in found.unfinished if is_wanted(image_entities(one), wanted)
        ]
        named_twice = [meant_twice(same) for same in doubled]
        twice += named_twice
        broken += named_twice
        if broken:
            unfinished[found.participant] = tuple(broken)
    if twice and not runs:
        raise NothingSelected(twice[0].where, twice[0].problem, twice[0].advice)
    refuse_nothing(options, seen, runs)
    asked = [one for one in asked_labels(options) if not any(map(one.selects, seen))]
    findings += [unused_label(one, seen) for one in asked]
    groups = grouped(runs)
    findings += uneven(groups, labels)
    return Cohort(output, groups, unfinished, tuple(findings))


def is_wanted(entities: Entities, wanted: Selection) -> bool:
    """Return whether the labels select a run in its space, or what belongs to all its spaces."""
    shared = not any(key in entities for key in GRID_ENTITIES) and entities.suffix == "volumes"
    return wanted.takes(entities) and (shared or wanted.takes_space(entities))


def image_entities(one: RunOutputs | UnfinishedProduct) -> Entities:
    """Return entities whose suffix tells whether the image is anatomical, as labels ask."""
    return as_anatomy(one.entities) if one.datatype == "anat" else one.entities


def as_anatomy(entities: Entities) -> Entities:
    """Return entities with the suffix of an anatomical image; which, no label asks."""
    return replace(entities, suffix="T1w")


def refuse_nothing(options: Options, seen: Sequence[Entities], runs: Sequence[RunOutputs]) -> None:
    """Raise NothingSelected where there is no run, with the label that selects none."""
    if runs:
        return
    for asked in asked_labels(options):
        if seen and not any(map(asked.selects, seen)):
            raise NothingSelected(asked.text, *asked.missed(seen))
    raise NothingSelected(
        str(options.output_dir),
        "holds no run that the labels select" if seen else "holds no run",
        "Leave some of them out." if seen else "Run the participant level first.",
    )


def runs_of(found: ParticipantOutputs, chosen_mask: str) -> list[RunOutputs]:
    """Return a participant's runs, each in each of its spaces, in natural order."""
    by_name: dict[tuple[str, Entities], list[Either]] = defaultdict(list)
    everything: list[Either] = [*found.products, *found.unfinished]
    for one in everything:
        by_name[one.datatype, Entities(one.entities.without(*OF_PRODUCTS).pairs)].append(one)
    runs = []
    for (datatype, entities), own in by_name.items():
        without_grid = entities.without(*GRID_ENTITIES)
        shared = by_name.get((datatype, without_grid), []) if without_grid != entities else []
        if any(one.kind not in ("volumes", "mask quality") for one in own):
            parts = [*own, *(one for one in shared if one.kind == "volumes")]
            runs.append(run_of(found.participant, datatype, entities, parts, chosen_mask))
    return sorted(runs, key=lambda run: natural_order(run.label))


def doubled_runs(runs: Sequence[RunOutputs]) -> list[list[RunOutputs]]:
    """Return the runs of a participant whose names mean the same, as `res-2` and `res-02`."""
    alike: dict[tuple[str, frozenset[tuple[str, str]]], list[RunOutputs]] = defaultdict(list)
    for run in runs:
        alike[run.datatype, run.entities.meaning].append(run)
    return [same for same in alike.values() if len(same) > 1]


def meant_twice(runs: Sequence[RunOutputs]) -> Finding:
    """Return the error that several names mean one run, so that none of them is joined."""
    first, *others = [run.label for run in runs]
    return Finding(
        "error",
        "doubled-run",
        first,
        f"means the same run as {' and '.join(others)}; none of them is joined",
        "Remove all but the one that is right.",
        runs[0].participant,
    )


def run_of(
    participant: str,
    datatype: str,
    entities: Entities,
    parts: Sequence[Either],
    chosen_mask: str,
) -> RunOutputs:
    """Return a run with its products, those of another mask than the chosen one set aside."""
    products = {ProductName.of(one): one for one in parts if isinstance(one, WrittenProduct)}
    others = {name: one for name, one in products.items() if is_of_other(one, chosen_mask)}
    return RunOutputs(
        participant=participant,
        datatype=datatype,
        entities=entities,
        products={name: one for name, one in products.items() if name not in others},
        unfinished={
            ProductName.of(one): one.finding for one in parts if isinstance(one, UnfinishedProduct)
        },
        set_aside={name: set_aside(one, chosen_mask, participant) for name, one in others.items()},
        chosen_mask=chosen_mask,
    )


def is_of_other(product: WrittenProduct, chosen_mask: str) -> bool:
    """Return whether a product was made with another mask than the one that was asked for."""
    made_with = mask_of(product) if product.kind in ("coverage", "signals") else ""
    return bool(chosen_mask) and parts_of_mask_name(made_with)[0] not in ("", chosen_mask)


def set_aside(product: WrittenProduct, chosen_mask: str, participant: str) -> Finding:
    """Return the warning that a product was made with another mask than the one asked for."""
    return Finding(
        "warning",
        "another-mask",
        str(product.path),
        f"was made with the mask {mask_of(product)}, not with {chosen_mask}, and is left out",
        f"Run the participant level with --mask-strategy {chosen_mask}.",
        participant,
    )


def grouped(runs: Sequence[RunOutputs]) -> tuple[RunGroup, ...]:
    """Return the runs by task and grid, with what cannot be joined in each group."""
    together: dict[tuple[str, frozenset[tuple[str, str]]], list[RunOutputs]] = defaultdict(list)
    for run in runs:
        together[run.datatype, shared_entities(run).meaning].append(run)
    groups = [
        RunGroup(some[0].datatype, shared_entities(some[0]), tuple(some), conflicts_of(some))
        for some in together.values()
    ]
    return tuple(sorted(groups, key=lambda group: (group.datatype, natural_order(group.label))))


def shared_entities(run: RunOutputs) -> Entities:
    """Return what a run shares with the others of its group, with a word that says what it is.

    Without task and contrast the group mask of T1w images would lend its JSON file to all others.
    """
    shared = Entities(tuple(pair for pair in run.entities.pairs if pair[0] in OF_GROUPS))
    is_t1w = run.datatype == "anat" and "mod" not in shared
    return shared.with_(mod="T1w") if is_t1w else shared


def conflicts_of(runs: Sequence[RunOutputs]) -> dict[ProductName, UnequalChoices]:
    """Return the products of a group that cannot be joined, with the reason."""
    names = sorted({name for run in runs for name in run.products if name.kind != "mask"})
    group = shared_entities(runs[0]).name(suffix="", extension="")
    found = {name: conflict_of(group, name, runs) for name in names}
    found[MASKS] = conflict_of_masks(group, runs)
    return {name: error for name, error in found.items() if error is not None}


def uneven(groups: Sequence[RunGroup], participants: Sequence[str]) -> list[Finding]:
    """Return the warnings of what runs do not have in common."""
    runs = [run for group in groups for run in group.runs]
    findings = [
        *uneven_runs(runs, participants),
        *(one for group in groups for one in uneven_products(group.label, group.runs)),
        *(one for run in runs for one in run.set_aside.values()),
        *uneven_versions(runs),
    ]
    for group in groups:
        by_strategy = strategies(group.runs)
        if len(by_strategy) > 1 and MASKS not in group.conflicts:
            told = "; ".join(f"{one} of {in_short(some)}" for one, some in by_strategy.items())
            findings.append(
                Finding(
                    "warning",
                    "mixed-masks",
                    group.label,
                    f"has masks of several strategies, as auto chose them: {told}",
                    CHOOSE,
                )
            )
    if len({run.participant for run in runs}) == 1:
        where = f"sub-{runs[0].participant}"
        problem = "is the only participant: what is made here says nothing of a group"
        findings.append(Finding("warning", "one-participant", where, problem))
    return findings
