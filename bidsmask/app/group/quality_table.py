"""desc-group_qc.tsv: one row a run in each space, and who stands far from the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
import pandas as pd

from bidsmask.app.group.cohort import MASKS, Cohort, RunGroup
from bidsmask.app.group.coverage import HALF, read_coverage, row_names_sidecar, rows_of
from bidsmask.app.group.masks import mask_tasks, masks_on, usual_grid
from bidsmask.app.group.quality import (
    CUT_OFF,
    DICE,
    FEWEST,
    LEAST_COVERAGE,
    MEAN_COVERAGE,
    UNCOVERED,
    Measure,
    Number,
    flags_of_mask,
    measured_of_mask,
    measured_of_signals,
    reasons,
)
from bidsmask.app.group.run_outputs import RunOutputs
from bidsmask.app.group.task import GroupTask, GroupWork
from bidsmask.bids.entities import Entities
from bidsmask.bids.tables import table_bytes
from bidsmask.errors import DataError
from bidsmask.masks.combine import MAJORITY, count_votes
from bidsmask.masks.given import load_mask
from bidsmask.masks.mask import Mask

_NAME: Final = "desc-group_qc.tsv"


def quality_tasks(cohort: Cohort) -> Iterator[GroupTask]:
    """Yield what makes the table of quality."""
    sources = [
        (run, one)
        for run in cohort.runs
        for name, one in run.products.items()
        if name.kind in ("mask", "mask quality", "coverage", "signals")
    ]
    files = ((cohort.output / _NAME,),)
    yield GroupTask("desc-group_qc", files, sources, make_quality, rows_and_masks(cohort))


def rows_and_masks(cohort: Cohort) -> list[tuple[str, list[tuple[str, str | None]], bool]]:
    """Return what decides the table beside its sources.

    For each group its runs, also those of which nothing can be used, with the strategy of the
    mask that counts, and whether masks that are at odds leave no majority mask.
    """
    return [
        (
            group.label,
            [(run.label, strategy_of(run)) for run in group.runs],
            MASKS in group.conflicts,
        )
        for group in cohort.groups
    ]


def strategy_of(run: RunOutputs) -> str | None:
    """Return the strategy of the mask that counts; None where there is none."""
    return None if run.mask is None else run.mask.entities["desc"]


def make_quality(work: GroupWork) -> None:
    """Write a row a run, group by group, with the reasons why it stands out."""
    rows: list[dict[Measure, Number]] = []
    why: list[str | None] = []
    for group in work.cohort.groups:
        found = rows_of_group(work, group)
        rows += found
        why += reasons(found)
    runs = work.cohort.runs
    measures = list(dict.fromkeys(measure for row in rows for measure in row))
    keys = entity_keys(runs)
    labels = {key: [run.entities.get(key) for run in runs] for key in keys}
    strategies = [strategy_of(run) for run in runs]
    of_masks = {"mask_strategy": strategies, "mask_flags": [flags_of_mask(run) for run in runs]}
    texts = pd.DataFrame({**labels, **of_masks}, dtype=object)
    numbers = {one.column: column_of([row.get(one) for row in rows]) for one in measures}
    verdict = {"outlier": [None if one is None else bool(one) for one in why], "reasons": why}
    parts = [rows_of(runs), texts, pd.DataFrame(numbers), pd.DataFrame(verdict, dtype=object)]
    table = pd.concat(parts, axis="columns")
    about = quality_sidecar(keys, measures)
    work.publish(work.task.products[0], [table_bytes(table)], about)


def rows_of_group(work: GroupWork, group: RunGroup) -> list[dict[Measure, Number]]:
    """Return the numbers of each run of a group."""
    majority = majority_mask(work, group)
    return [
        dict(
            [
                *measured_of_mask(run),
                *agreement(work, run, majority),
                *coverage_of(work, run),
                *measured_of_signals(run),
            ]
        )
        for run in group.runs
    ]


def majority_mask(work: GroupWork, group: RunGroup) -> Mask | None:
    """Return the majority mask of a group, if there is one.

    It is counted again: the one on the disk may be of an earlier run, if writing it failed.
    """
    for task in mask_tasks(work.cohort, group, work.options):
        if task.conflict is None:
            # What is wrong with a mask is said where the masks are joined.
            counting = GroupWork(task, work.cohort, work.options)
            with suppress(DataError):
                grid = usual_grid(counting, group)
                voxels = count_votes(masks_on(counting, grid)).intersect(MAJORITY)
                return Mask(voxels, grid, "majority")
    return None


def agreement(
    work: GroupWork, run: RunOutputs, majority: Mask | None
) -> Iterator[tuple[Measure, Number]]:
    """Yield the Dice coefficient of a run's mask with the majority mask."""
    if majority is None or run.mask is None:
        return
    try:
        mask = load_mask(run.mask.path, majority.grid, run.mask.entities["desc"])
    except DataError:
        work.do_without(run.mask)
        return
    both = int(np.count_nonzero(mask.voxels & majority.voxels))
    yield DICE, round(2 * both / (mask.n_voxels + majority.n_voxels), 6)


def coverage_of(work: GroupWork, run: RunOutputs) -> Iterator[tuple[Measure, Number]]:
    """Yield how much of each atlas the run covers."""
    for atlas, product in sorted(run.coverage.items()):
        try:
            _, shares = read_coverage(product)
        except DataError:
            work.do_without(product)
            continue
        known = shares[np.isfinite(shares)]
        if len(known):
            yield MEAN_COVERAGE.of(atlas), round(float(known.mean()), 6)
            yield LEAST_COVERAGE.of(atlas), float(known.min())
            yield UNCOVERED.of(atlas), int((known < HALF).sum())


def entity_keys(runs: Sequence[RunOutputs]) -> list[str]:
    """Return the keys of all entities but the participant's, in the order of names."""
    everything = Entities().with_(**{key: "1" for run in runs for key, _ in run.entities.pairs})
    parts = everything.without("sub").name(suffix="", extension="").split("_")
    return [part.partition("-")[0] for part in parts if part]


def column_of(values: Sequence[Number | None]) -> pd.Series:
    """Return a column of whole numbers, or of floats, with gaps."""
    is_whole = all(value is None or isinstance(value, int) for value in values)
    return pd.Series(values, dtype="Int64" if is_whole else "float64")


def quality_sidecar(keys: Sequence[str], measures: Sequence[Measure]) -> dict[str, Any]:
    """Return what is said of the table of quality."""
    described = {
        one.column: {
            "Description": f"{one.words[0].upper()}{one.words[1:]}.",
            **({"Units": one.unit} if one.unit else {}),
        }
        for one in measures
    }
    return {
        "Description": "One row a run in each space, with every number that the JSON files beside "
        "its products hold. n/a where there is none.",
        **row_names_sidecar(),
        **{key: {"Description": f"The label of `{key}-` in the names of the run."} for key in keys},
        "mask_strategy": {"Description": "How the mask was made."},
        "mask_flags": {
            "Description": "The codes of what is odd about the mask, the bad ones first; the file "
            "`_qc.json` beside the mask has them in words. `none` where nothing is.",
        },
        **described,
        "outlier": {
            "Description": "Whether the run stands out among those of its task and space: one of "
            f"its numbers x has .6745 |x - median| / MAD above {CUT_OFF} (Iglewicz and Hoaglin "
            "1993; where MAD is 0, .7979 |x - median| / mean absolute deviation). n/a where there "
            f"are fewer than {FEWEST} runs.",
        },
        "reasons": {"Description": "Each such number, and the median of the runs."},
    }
