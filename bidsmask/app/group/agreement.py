"""Whether runs can be joined: what some have and others lack, and what was made differently.

Nothing is ever averaged in silence: what differs is named here, from sidecars alone.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from bidsmask.app.group.run_outputs import ProductName, RunOutputs
from bidsmask.app.products import parts_of_mask_name
from bidsmask.bids.entities import Entities
from bidsmask.bids.outputs import Kind, WrittenProduct
from bidsmask.errors import Finding, UnequalChoices

# The keys of sidecars that tell choices. What the data decide is not among them: the columns
# that a strategy finds in the confounds, what is censored, repetition times.
CHOICES: Final[Mapping[Kind, tuple[str, ...]]] = {
    "mask": ("StrategyArguments", "MaskIdentity"),
    "mask quality": (),
    "column map": (),
    "atlas": ("AtlasIdentity",),
    "coverage": ("AtlasIdentity", "MaskIdentity", "MaskArguments", "MaskCombination"),
    "volumes": ("Thresholds", "TrialDelay"),
    "signals": (
        "Statistic",
        "Rows",
        "Units",
        "SmoothingFWHM",
        "Cleaning",
        "AtlasIdentity",
        "MinCoverage",
        "MaskIdentity",
        "MaskArguments",
        "MaskCombination",
    ),
}
# Of these each strategy of the mask has its own.
OF_STRATEGIES: Final = ("MaskIdentity", "MaskArguments")
DECIDED_BY_DATA: Final = ("Cleaning.Regressors", "Cleaning.DroppedRegressors")

# More runs than this, or values, are counted in a sentence, not named.
NAMED: Final = 3
# And so many letters of a value.
LONGEST: Final = 80


def in_short(labels: Sequence[str]) -> str:
    """Return the labels, or the first of many and how many more there are."""
    more = len(labels) - NAMED
    return ", ".join(labels[:NAMED]) + (f" and {more} more" if more > 0 else "")


# What was made differently


def conflict_of(group: str, name: ProductName, runs: Sequence[RunOutputs]) -> UnequalChoices | None:
    """Return why the products of one name cannot be joined; None where they can."""
    where = f"{name} of {group}"
    having = [(run, run.products[name]) for run in runs if name in run.products]
    by_mask: dict[str, list[tuple[RunOutputs, WrittenProduct]]] = defaultdict(list)
    for run, product in having:
        by_mask[mask_of(product)].append((run, product))
    ways = {parts_of_mask_name(one)[1] for one in by_mask}
    made = [(run, parts_of_mask_name(mask_of(product))[0]) for run, product in having]
    masks = [run.masks[one] for run, one in made if one in run.masks]
    if len(by_mask) > 1 and (len(ways) > 1 or not all(map(is_by_itself, masks))):
        labels = {mask: [run.label for run, _ in some] for mask, some in by_mask.items()}
        return _unequal(where, "the mask", labels, CHOOSE)
    for key in CHOICES[name.kind]:
        for some in by_mask.values() if key in OF_STRATEGIES else [having]:
            told = [(run.label, product.metadata.get(key)) for run, product in some]
            differing = _differing(key, told)
            if differing is not None:
                return _unequal(where, *differing, ONE_MASK if key == "MaskIdentity" else AGAIN)
    return None


def conflict_of_masks(group: str, runs: Sequence[RunOutputs]) -> UnequalChoices | None:
    """Return why the masks of a group cannot be joined; None where they can.

    Masks of several strategies can where each was chosen by `auto`.
    """
    torn = [run for run in runs if len(run.masks) > 1 and not run.chosen_mask]
    if torn:
        several = " and ".join(sorted({name for run in torn for name in run.masks}))
        return UnequalChoices(
            f"masks of {group}",
            f"are, in {len(torn)} runs, of several strategies, {several}, which cannot be joined: "
            + in_short([run.label for run in torn]),
            CHOOSE,
        )
    by_strategy = strategies(runs)
    having = [run.mask for run in runs if run.mask is not None]
    if len(by_strategy) > 1 and not all(map(is_by_itself, having)):
        return _unequal(f"masks of {group}", "the strategy", by_strategy, CHOOSE)
    conflicts = [
        conflict_of(group, ProductName("mask", desc=strategy), runs)
        for strategy in sorted(by_strategy)
    ]
    return next(filter(None, conflicts), None)


CHOOSE: Final = "Choose one with --mask-strategy."
ONE_MASK: Final = "Run the participant level with one --mask-file or --template for all of them."
AGAIN: Final = "Run the participant level again for these, or leave them out by their labels."


def strategies(runs: Iterable[RunOutputs]) -> dict[str, list[str]]:
    """Return the labels of the runs by the strategy of the mask that counts."""
    result: dict[str, list[str]] = defaultdict(list)
    for run in runs:
        if run.mask is not None:
            result[run.mask.entities["desc"]].append(run.label)
    return result


def is_by_itself(mask: WrittenProduct) -> bool:
    """Return whether the strategy of a mask was chosen run by run, not by the user."""
    return str(mask.metadata.get("StrategyReason")).startswith("auto")


def mask_of(product: WrittenProduct) -> str:
    """Return the strategy of the mask that signals or coverage were made with; empty if unsaid."""
    sources = product.metadata.get("Sources")
    files = [product.metadata.get("MaskFile"), *(sources if isinstance(sources, list) else [])]
    names = (one.rpartition("/")[2] for one in files if isinstance(one, str) and "_mask." in one)
    return next((Entities.parse(one).get("desc") or "" for one in names), "")


def _differing(
    key: str, told: Sequence[tuple[str, Any]]
) -> tuple[str, dict[str, list[str]]] | None:
    """Return the first key, as `Cleaning.Filter`, that runs tell different values of.

    And the labels of the runs by what they tell. None where all tell the same.
    """
    if key in DECIDED_BY_DATA:
        return None
    if all(isinstance(value, dict) for _, value in told):
        for inner in sorted({one for _, value in told for one in value}):
            found = _differing(f"{key}.{inner}", [(run, value.get(inner)) for run, value in told])
            if found is not None:
                return found
        return None
    by_value: dict[str, list[str]] = defaultdict(list)
    for run, value in told:
        by_value[json.dumps(value, sort_keys=True)].append(run)
    return (key, by_value) if len(by_value) > 1 else None


def _unequal(
    where: str, key: str, by_value: Mapping[str, Sequence[str]], advice: str
) -> UnequalChoices:
    """Return the error that names the runs with a value that fewer have."""
    ways = sorted(by_value.items(), key=lambda way: (-len(way[1]), way[0]))
    (usual, most), *odd = ways
    others = "; ".join(f"{value[:LONGEST]} for {in_short(labels)}" for value, labels in odd[:NAMED])
    more = len(odd) - NAMED
    return UnequalChoices(
        where,
        f"were made with different choices: {key} is {usual[:LONGEST]} for {len(most)} runs, "
        f"but {others}" + (f"; and {more} more values" if more > 0 else ""),
        advice,
    )


# What some have and others lack


def lacking(
    holders: Mapping[str, set[str]], everybody: Sequence[str]
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return what is missing where, and what is there only for a few.

    Parameters
    ----------
    holders : mapping of str to set of str
        Who has a thing.
    everybody : sequence of str
        Who could have it.

    Returns
    -------
    missing : dict
        By holder, the things that he lacks and at least half of the others have.
    rare : dict
        By thing that fewer have, those who have it.
    """
    missing: dict[str, list[str]] = defaultdict(list)
    rare: dict[str, list[str]] = {}
    places = {one: place for place, one in enumerate(everybody)}
    for thing, having in holders.items():
        if 2 * len(having) < len(everybody):
            rare[thing] = sorted(having, key=places.__getitem__)
            continue
        for one in everybody:
            if one not in having:
                missing[one].append(thing)
    return missing, rare


def uneven_runs(runs: Sequence[RunOutputs], participants: Sequence[str]) -> Iterator[Finding]:
    """Yield what to say of runs that some participants have and others lack."""
    holders: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        holders[run.entities.without("sub").name(suffix="", extension="")].add(run.participant)
    missing, rare = lacking(holders, participants)
    for participant, things in missing.items():
        problem = f"lacks {len(things)} runs that others have: {in_short(things)}"
        where, advice = f"sub-{participant}", "It counts only where it has runs."
        yield Finding("warning", "run-missing", where, problem, advice, participant)
    for thing, having in rare.items():
        problem = f"is there for {len(having)} of {len(participants)} participants: " + in_short(
            [f"sub-{one}" for one in having]
        )
        yield Finding("note", "run-of-few", thing, problem)


def uneven_products(group: str, runs: Sequence[RunOutputs]) -> Iterator[Finding]:
    """Yield what to say of products that some runs of a group have and others lack."""
    holders: dict[str, set[str]] = defaultdict(set)
    told = {run.label: set(map(in_words, (*run.unfinished, *run.set_aside))) for run in runs}
    participants = {run.label: run.participant for run in runs}
    for run in runs:
        for name in run.products:
            holders[in_words(name)].add(run.label)
    missing, rare = lacking(holders, list(participants))
    for label, things in missing.items():
        # What is there and cannot be used has been said.
        lost = [one for one in things if one not in told[label]]
        if lost:
            problem = f"has no {in_short(lost)}, which other runs of the task and space have"
            advice = "What is made of these is made without it."
            yield Finding("warning", "product-missing", label, problem, advice, participants[label])
    for thing, having in rare.items():
        problem = f"has {thing} for {len(having)} of {len(runs)} runs: {in_short(having)}"
        yield Finding("note", "product-of-few", group, problem)


def in_words(name: ProductName) -> str:
    """Return the name of a product, that of a mask without its strategy."""
    return name.kind if name.kind in ("mask", "mask quality") else str(name)


def uneven_versions(runs: Sequence[RunOutputs]) -> Iterator[Finding]:
    """Yield a warning where versions of bidsmask differ."""
    by_version: dict[str, list[str]] = defaultdict(list)
    for run in runs:
        versions = set()
        for product in run.products.values():
            software = product.metadata.get("SoftwareVersions")
            if isinstance(software, dict) and isinstance(software.get("bidsmask"), str):
                versions.add(software["bidsmask"])
        for version in versions:
            by_version[version].append(run.label)
    if len(by_version) > 1:
        told = "; ".join(f"{one} {in_short(by_version[one])}" for one in sorted(by_version))
        yield Finding(
            "warning",
            "several-versions",
            "outputs",
            f"were made by several versions of bidsmask: {told}",
            "Run the participant level again with one version where that matters.",
        )
