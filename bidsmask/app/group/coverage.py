"""Coverage of the regions of an atlas in all runs of one task and space, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from bidsmask.app.group.agreement import in_short
from bidsmask.app.group.cohort import Cohort, RunGroup
from bidsmask.app.group.columns import GroupColumns, read_columns, usual_columns
from bidsmask.app.group.remedy import REMOVE
from bidsmask.app.group.run_outputs import RunOutputs
from bidsmask.app.group.task import GroupTask, GroupWork
from bidsmask.bids.outputs import WrittenProduct
from bidsmask.bids.tables import table_bytes
from bidsmask.errors import DataError, UnequalChoices, UnusableTable

# A region of which less is covered in a run is listed.
HALF: Final = 0.5

# Who and which run a row is, in every table with a row a run.
ROW_NAMES: Final = ("participant_id", "run_label")


def coverage_tasks(cohort: Cohort, group: RunGroup) -> Iterator[GroupTask]:
    """Yield what makes the table of coverage of each atlas."""
    for name in group.names("coverage"):
        entities = group.entities.with_(atlas=name.atlas, stat="coverage", desc="group")
        files = ((cohort.output / entities.name(suffix="bold", extension=".tsv"),),)
        label = entities.name(suffix="", extension="")
        make = partial(make_coverage, atlas=name.atlas)
        try:
            sources = group.of(name)
        except UnequalChoices as conflict:
            yield GroupTask(label, files, (), make, conflict=conflict)
            continue
        yield GroupTask(label, files, sources, make, left_out=group.without(name))


def make_coverage(work: GroupWork, atlas: str) -> None:
    """Write the coverage, a row a run and a column a region, and list what lacks half.

    Raises
    ------
    UnusableTable
        No run can be read, or no set of regions is that of most runs.
    """
    columns: dict[str, GroupColumns] = {}
    once: dict[GroupColumns, GroupColumns] = {}
    shares: dict[str, npt.NDArray[np.float64]] = {}
    for run, product in work.sources:
        try:
            found, shares[run.label] = read_coverage(product)
        except DataError as error:
            work.leave_out(run, error)
        else:
            columns[run.label] = once.setdefault(found, found)
    regions = usual_columns(work, columns)
    runs = [run for run, _ in work.sources]
    values = np.array([shares[run.label] for run in runs])
    lacking = regions_under_half(regions, values)
    if lacking:
        problem = f"has {len(lacking)} of {values.shape[1]} regions less than half covered in "
        problem += f"some run: {in_short(list(lacking))}"
        advice = f"{work.task.products[0].sidecar.name} tells in how many."
        work.note("note", "regions-under-half", work.task.label, problem, advice)
    names = [f"{name}_" if name in ROW_NAMES else name for name in regions.names]
    table = pd.concat([rows_of(runs), pd.DataFrame(values, columns=names)], axis="columns")
    about = coverage_sidecar(atlas, lacking)
    work.publish(work.task.products[0], [table_bytes(table)], about)


def read_coverage(product: WrittenProduct) -> tuple[GroupColumns, npt.NDArray[np.float64]]:
    """Return the regions of a run and the share of each that is covered, NaN where unknown.

    Raises
    ------
    UnusableTable
        If it lacks a column, or tells what is no share.
    """
    columns, table = read_columns(product.path)
    coverage = table.get("coverage")
    if coverage is None or coverage.dtype.kind not in "if":
        raise UnusableTable(product.path, "has no column of numbers `coverage`", REMOVE)
    shares = coverage.to_numpy(np.float64)
    if not ((shares >= 0) & (shares <= 1) | np.isnan(shares)).all():
        raise UnusableTable(product.path, "has a coverage that is no share from 0 to 1", REMOVE)
    return columns, shares


def regions_under_half(
    regions: GroupColumns, values: npt.NDArray[np.float64]
) -> dict[str, dict[str, Any]]:
    """Return the regions of which some run covers less than half: in how many, and the least."""
    n_runs = (values < HALF).sum(axis=0)
    return {
        regions.names[column]: {
            "Runs": int(n_runs[column]),
            "Least": float(np.nanmin(values[:, column])),
        }
        for column in np.flatnonzero(n_runs)
    }


def rows_of(runs: Sequence[RunOutputs]) -> pd.DataFrame:
    """Return who and which run each row of a table is."""
    told = [(f"sub-{run.participant}", run.label) for run in runs]
    return pd.DataFrame(told, columns=list(ROW_NAMES), dtype=object)


def row_names_sidecar() -> dict[str, Any]:
    """Return what is said of the columns that name a row."""
    return {
        "participant_id": {"Description": "Participant, as in participants.tsv."},
        "run_label": {"Description": "Run and space: the start of the names of its files."},
    }


def coverage_sidecar(atlas: str, lacking: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what is said of the table of coverage."""
    return {
        "Description": f"Share of each region of atlas {atlas} that lies inside the mask and the "
        "field of view: a row a run, a column a region.",
        **row_names_sidecar(),
        "RegionsUnderHalf": lacking,
    }
