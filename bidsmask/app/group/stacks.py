"""Region signals of all runs of one task and space in one HDF5 file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial, reduce
from pathlib import Path
from typing import Any, BinaryIO, Final

import pandas as pd

from bidsmask.app.group.cohort import Cohort, RunGroup
from bidsmask.app.group.columns import GroupColumns, read_columns, usual_columns
from bidsmask.app.group.participants import PARTICIPANTS, read_participants
from bidsmask.app.group.remedy import AGAIN, EACH, REMOVE_BOTH, advising_removal
from bidsmask.app.group.run_outputs import ProductName, RunOutputs
from bidsmask.app.group.task import GroupTask, GroupWork, Source, said_by_all
from bidsmask.bids.outputs import WrittenProduct
from bidsmask.bids.signals_table import read_names, read_signals
from bidsmask.bids.stack import Attribute, StackedRun, write_stack
from bidsmask.bids.tables import read_content, read_table
from bidsmask.errors import DataError, UnequalChoices, UnusableTable

# What the sidecars of signals say of all runs alike, and what they say of each.
_SHARED: Final = (
    "SamplingFrequency",
    "RepetitionTime",
    "SpatialReference",
    "Rows",
    "Statistic",
    "Units",
    "SmoothingFWHM",
)
_OF_A_RUN: Final = ("RepetitionTime", "StartTime", "MeanFramewiseDisplacement")
_FREEDOM: Final = {
    "volumes": "Volumes",
    "censored": "Censored",
    "remaining": "DegreesOfFreedom",
}
# Columns that are text even where they hold numbers alone, or nothing.
_TEXT: Final = ("reason", "trial_type")


def stack_tasks(cohort: Cohort, group: RunGroup) -> Iterator[GroupTask]:
    """Yield what stacks the signals of each atlas after each cleaning."""
    for name in group.names("signals"):
        if not name.atlas:
            continue
        entities = group.entities.with_(atlas=name.atlas, stat=name.statistic, desc=name.desc)
        files = ((cohort.output / entities.name(suffix="signals", extension=".h5"),),)
        label = entities.name(suffix="", extension="")
        make = partial(make_stack, group=group, name=name)
        try:
            sources = [one for run, _ in group.of(name) for one in parts_of(run, name)]
        except UnequalChoices as conflict:
            yield GroupTask(label, files, (), make, conflict=conflict)
            continue
        choices = {"participants": digest(cohort.output / PARTICIPANTS)}
        yield GroupTask(label, files, sources, make, choices, left_out=group.without(name))


def parts_of(run: RunOutputs, name: ProductName) -> Iterator[Source]:
    """Yield the products of a run that its part of a stack is made of, signals first."""
    names = (name, ProductName("volumes", desc=name.desc), ProductName("atlas", name.atlas))
    yield from ((run, run.products[one]) for one in names if one in run.products)


def digest(path: Path) -> str:
    """Return what tells whether a small file is still the same; empty where there is none."""
    with suppress(DataError):
        return hashlib.sha256(read_content(path)).hexdigest()
    return ""


def make_stack(work: GroupWork, group: RunGroup, name: ProductName) -> None:
    """Write the signals of all runs that have the columns of most.

    A run that cannot be read is found when the runs before it are written already. Then all are
    read, to find each such run, and the others are written anew.

    Raises
    ------
    UnusableTable
        No run can be read, or no set of columns is that of most runs.
    """
    columns = usual_columns(work, columns_of_runs(work, name))
    participants = participants_of(work)
    for run, _ in sources_of(work, name):
        if name.desc not in run.volumes:
            problem = "has no table of volumes, and is stacked without it"
            work.note("warning", "no-volumes", run.label, problem, AGAIN)
    attributes = dict(group.entities.pairs) | {
        "atlas": name.atlas,
        "stat": name.statistic,
        "desc": name.desc,
    }

    def write(handle: BinaryIO) -> None:
        runs = stacked_runs(work, group, name, columns)
        write_stack(handle, columns.table, participants, runs, attributes)

    while signals := sources_of(work, name):
        n_left_out = len(work.left_out)
        try:
            work.publish(work.task.products[0], [write], stack_sidecar(name, signals))
        except DataError:
            if len(work.left_out) == n_left_out:
                raise
        else:
            return
    raise UnusableTable(work.task.label, "has no run that can be read", EACH)


def sources_of(work: GroupWork, name: ProductName) -> list[Source]:
    """Return the signals that are still to be stacked."""
    return [(run, one) for run, one in work.sources if ProductName.of(one) == name]


def columns_of_runs(work: GroupWork, name: ProductName) -> dict[str, GroupColumns]:
    """Return the columns of each run, and leave the runs out whose columns cannot be read."""
    columns: dict[str, GroupColumns] = {}
    once: dict[GroupColumns, GroupColumns] = {}
    for run, signals in sources_of(work, name):
        try:
            found = columns_of(signals, run.products.get(ProductName("atlas", name.atlas)))
        except DataError as error:
            work.leave_out(run, error)
        else:
            columns[run.label] = once.setdefault(found, found)
    # Where a run lacks the atlas, its labels are those of runs with the same names.
    known = Counter(one for one in columns.values() if one.index is not None)
    by_names = {one.names: one for one, _ in reversed(known.most_common())}
    return {
        label: by_names.get(one.names, one) if one.index is None else one
        for label, one in columns.items()
    }


def columns_of(signals: WrittenProduct, atlas: WrittenProduct | None) -> GroupColumns:
    """Return the columns of signals, with their labels from the table of the atlas."""
    with advising_removal():
        names = tuple(read_names(signals.path))
    if atlas is None:
        return GroupColumns(names)
    columns, _ = read_columns(atlas.data[1])
    if columns.names != names:
        difference = GroupColumns(columns.names).difference(GroupColumns(names))
        problem = f"is not of the atlas in {atlas.data[1].name}: {difference}"
        raise UnusableTable(signals.path, problem, REMOVE_BOTH)
    return columns


def participants_of(work: GroupWork) -> pd.DataFrame:
    """Return the table of participants, with a row for everybody who has a run."""
    labels = pd.Index(sorted({f"sub-{run.participant}" for run, _ in work.sources}), dtype=object)
    # What is wrong with it is said once, for all stacks.
    table, _ = read_participants(work.cohort.output, ())
    return table.reindex(labels).rename_axis("participant_id").reset_index()


def stacked_runs(
    work: GroupWork, group: RunGroup, name: ProductName, columns: GroupColumns
) -> Iterator[StackedRun]:
    """Yield the runs one by one.

    Raises
    ------
    DataError
        At the end, what was wrong with a run; each such run is left out by then.
    """
    wrong: DataError | None = None
    for run, signals in sources_of(work, name):
        try:
            stacked = read_run(run, signals, group, columns)
        except DataError as error:
            work.leave_out(run, error)
            wrong = wrong or error
            continue
        if wrong is None:
            yield stacked
    if wrong is not None:
        raise wrong


def read_run(
    run: RunOutputs, signals: WrittenProduct, group: RunGroup, columns: GroupColumns
) -> StackedRun:
    """Read the signals and volumes of a run.

    Raises
    ------
    DataError
        They cannot be read, or are not of each other or of these columns.
    """
    with advising_removal():
        names, values = read_signals(signals.path)
    if tuple(names) != columns.names:
        raise UnusableTable(signals.path, "was changed meanwhile", AGAIN)
    product, volumes = run.volumes.get(signals.entities["desc"]), None
    if product is not None:
        with advising_removal():
            volumes = read_table(product.path, text=_TEXT)
        n_rows = n_rows_of(volumes, signals)
        if n_rows is not None and n_rows != len(values):
            problem = f"has {len(values)} rows, but {product.path.name} tells of {n_rows}"
            raise UnusableTable(signals.path, problem, REMOVE_BOTH)
    return StackedRun(
        name=run.entities.without(*dict(group.entities.pairs)).name(suffix="", extension=""),
        participant_id=f"sub-{run.participant}",
        values=values,
        volumes=volumes,
        attributes=dict(attributes_of(signals)),
    )


def n_rows_of(volumes: pd.DataFrame, signals: WrittenProduct) -> int | None:
    """Return how many rows the signals must have; None where the volumes do not tell."""
    if signals.metadata.get("Rows") == "all volumes":
        return len(volumes)
    kept = volumes.get("kept")
    return int(kept.sum()) if kept is not None and kept.dtype == bool else None


def attributes_of(signals: WrittenProduct) -> Iterator[tuple[str, Attribute]]:
    """Yield the numbers that belong to the signals of a run."""
    freedom = signals.metadata.get("DegreesOfFreedom")
    told = {key: signals.metadata.get(key) for key in _OF_A_RUN}
    if isinstance(freedom, dict):
        told |= {name: freedom.get(key) for key, name in _FREEDOM.items()}
    for key, value in told.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63:
            yield key, float(value)


def stack_sidecar(name: ProductName, signals: Sequence[Source]) -> dict[str, Any]:
    """Return what is said of a stack: what the sidecars of all its runs say alike."""
    told = {key: said_by_all(signals, key) for key in _SHARED}
    cleanings = [one.metadata.get("Cleaning") for _, one in signals]
    cleaning = reduce(alike, cleanings)
    return {
        "Description": f"Cleaned signals of the regions of atlas {name.atlas} of many runs. "
        "/signals/RUN: float32, a row a volume and a column a region, NaN where there is no "
        "value. /volumes/RUN: the table of volumes. /columns: the regions. /participants: "
        "participants.tsv.",
        **{key: value for key, value in told.items() if value is not None},
        **({"Cleaning": cleaning} if cleaning is not None else {}),
    }


def alike(one: Any, other: Any) -> Any:
    """Return the entries that two objects have in common; None for what is not alike."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return one if one == other else None
    return {key: one[key] for key in one if key in other and one[key] == other[key]}
