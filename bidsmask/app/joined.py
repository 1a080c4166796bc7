"""Joined: the signals of several runs of one task, one below the other, each cleaned by itself.

The signals of the runs are published before, so that what is joined is what stands in the output.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from bidsmask.app.job import Job, Outcome
from bidsmask.app.options import Options
from bidsmask.app.participant import Done, outcome_of
from bidsmask.app.preparation import Preparation
from bidsmask.app.products import Product, fingerprint
from bidsmask.app.sidecars import software_versions
from bidsmask.bids.dataset import Dataset
from bidsmask.bids.entities import Entities
from bidsmask.bids.locks import held
from bidsmask.bids.outputs import JOINED
from bidsmask.bids.publish import Content, gzipped, publish_product
from bidsmask.bids.run import Run
from bidsmask.bids.tables import read_table, table_bytes
from bidsmask.errors import Finding, UnequalChoices
from bidsmask.images.source import open_bytes, read_regular

COPIED_BYTES = 1 << 22
# What the sidecars of signals say alike of all runs that are joined; files are the first run's.
SHARED = (
    "SamplingFrequency",
    "RepetitionTime",
    "SpatialReference",
    "MaskArguments",
    "MaskCombination",
    "MaskIdentity",
    "AtlasIdentity",
    "MinCoverage",
    "ColumnMap",
    "ColumnMapFingerprint",
    "MaskFile",
    "Rows",
    "Statistic",
    "Units",
    "SmoothingFWHM",
    "Columns",
)
OF_EACH = ("DegreesOfFreedom", "MeanFramewiseDisplacement", "ColumnsWithoutSignal")
# Said where a least coverage is asked for.
OF_COVERAGE = ("ColumnsUnderMinCoverage", "RegionsUnderMinCoverage")


@dataclass(frozen=True)
class JoinedProduct:
    """One table of all runs.

    Attributes
    ----------
    product : Product
    sources : tuple of Product
        Those of the runs, in their order.
    volumes : Product or None
        The joined table of volumes, whose rows these signals have; None for that table itself.
    """

    product: Product
    sources: tuple[Product, ...]
    volumes: Product | None


@dataclass(frozen=True)
class Joined:
    """The runs of a task that are joined. It can be sent to another process.

    Attributes
    ----------
    runs : tuple of Run
        At least one, all of one participant, session, task and space, in their order.
    left_out : tuple of (Run, str)
        Those whose signals could not be made, with the reason.
    tables : tuple of JoinedProduct
        What is made: the volumes of each cleaning, and its signals.
    dataset : Dataset
    options : Options
    """

    runs: tuple[Run, ...]
    left_out: tuple[tuple[Run, str], ...]
    tables: tuple[JoinedProduct, ...]
    dataset: Dataset
    options: Options

    @classmethod
    def of(
        cls, members: Sequence[tuple[Job, Preparation]], left_out: Sequence[tuple[Run, str]]
    ) -> Joined:
        """Return what runs that belong together become."""
        first = members[0][0]
        runs = tuple(job.run for job, _ in members)
        labels = [run.label for run in (*runs, *(run for run, _ in left_out))]
        tables = _tables(first, [preparation for _, preparation in members], labels)
        return cls(runs, tuple(left_out), tuple(tables), first.dataset, first.options)

    @property
    def label(self) -> str:
        """Short name for messages."""
        name = self.runs[0].product_entities.without("run").name(suffix="", extension="")
        return f"{name}_joined"

    @property
    def participant(self) -> str:
        """Label without `sub-`."""
        return self.runs[0].participant

    @property
    def products(self) -> tuple[Product, ...]:
        """All that is made, in the order of writing."""
        return tuple(one.product for one in self.tables)

    def findings(self) -> list[Finding]:
        """Return what to say of it before it is made."""
        if self.left_out:
            labels = ", ".join(run.label for run, _ in self.left_out)
            problem = f"is made without {labels}, of which there are no signals"
            advice = "When that is mended, the same command makes it anew."
            return [self._finding("warning", "joined-without", problem, advice)]
        if len(self.runs) == 1:
            return [self._finding("note", "joined-one", "is of a single run")]
        return []

    def _finding(self, severity: Any, code: str, problem: str, advice: str = "") -> Finding:
        return Finding(severity, code, self.label, problem, advice, self.participant)


def refuse_unlike(members: Sequence[tuple[Job, Preparation]]) -> None:
    """Raise UnequalChoices where runs have other repetition times, or voxels of other masks."""
    (job, first), *others = members
    for other, one in others:
        if one.t_r_s != first.t_r_s:
            raise UnequalChoices(
                other.run.path,
                f"has a repetition time of {one.t_r_s:g} s, and {job.run.label} one of "
                f"{first.t_r_s:g} s, below which its rows are to stand",
                "Select runs that are alike by --run-label.",
            )
        if first.column_map is not None and one.mask.fingerprint != first.mask.fingerprint:
            raise UnequalChoices(
                other.run.path,
                f"has another mask than {job.run.label}, so that its voxels are not the same "
                "columns",
                "Give --combine-masks or --mask-file, or join regions alone.",
            )


def _tables(
    job: Job, preparations: Sequence[Preparation], labels: Sequence[str]
) -> list[JoinedProduct]:
    """Return what is joined: for each cleaning the volumes, then voxels and regions."""

    def joined(sources: Sequence[Product], volumes: Product | None = None) -> JoinedProduct:
        own = Entities.parse(sources[0].path.name)
        grid = {key: label for key, label in job.run.product_entities.pairs if key not in own}
        named = own.without("run").with_(
            **{key: label for key, label in grid.items() if key != "run"}, desc=own["desc"] + JOINED
        )
        told = fingerprint("joined", [one.fingerprint for one in sources], list(labels))
        data = tuple(job.folder / named.name(extension=path_ending(one)) for one in sources[0].data)
        sidecar = job.folder / named.name(extension=".json")
        return JoinedProduct(Product(data, sidecar, told), tuple(sources), volumes)

    found = []
    for number, plan in enumerate(preparations[0].cleanings):
        cleanings = [preparation.cleanings[number] for preparation in preparations]
        volumes = joined([one.volumes for one in cleanings])
        found.append(volumes)
        voxels = [one.voxels for one in cleanings if one.voxels is not None]
        if plan.voxels is not None:
            found.append(joined(voxels, volumes.product))
        for place, atlas in enumerate(preparations[0].atlases):
            for statistic in atlas.signals:
                sources = [one.atlases[place].signals[statistic][number] for one in preparations]
                found.append(joined(sources, volumes.product))
    return found


def path_ending(path: Path) -> str:
    """Return `.tsv` or `.tsv.gz`."""
    return "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix


def run_joined(joined: Joined, n_threads: int = 1) -> Outcome:
    """Join runs, whatever happens in it, on one thread."""
    return outcome_of(joined.label, joined.participant, lambda: publish_joined(joined))


def publish_joined(joined: Joined) -> Done:
    """Write what several runs become.

    Raises
    ------
    UnequalChoices
        They have other columns.
    DataError
        One of their files was damaged since it was written.
    """
    written: list[Path] = []
    with held(joined.tables[0].product.path.parent, joined.label):
        for one in joined.tables:
            if one.volumes is None:
                volumes, n_rows = volumes_of(joined, one)
            if not joined.options.force and one.product.is_up_to_date():
                continue
            told = [json.loads(read_regular(source.sidecar)) for source in one.sources]
            if one.volumes is None:
                content: Content = table_bytes(volumes)
                sidecar = volumes_sidecar(joined, one, told)
            else:
                content = content_of(one)
                sidecar = signals_sidecar(joined, one, told, n_rows)
            publish_product({one.product.path: content}, one.product.sidecar, sidecar)
            written += [one.product.path, one.product.sidecar]
    return written, []


def volumes_of(joined: Joined, table: JoinedProduct) -> tuple[pd.DataFrame, list[int]]:
    """Return the tables of volumes one below the other, and how many rows each run has.

    `row` counts through the rows of all runs; `volume` and `onset` are of the run.
    """
    tables: list[pd.DataFrame] = []
    n_rows: list[int] = []
    for run, source in zip(joined.runs, table.sources, strict=True):
        one = read_table(source.path, text=("reason", "trial_type"))
        one["row"] = one["row"].astype("Int64") + sum(n_rows)
        one.insert(0, "run", run.entities.get("run"))
        keeps_all = joined.options.keep_censored
        n_rows.append(len(one) if keeps_all else int(one["row"].notna().sum()))
        tables.append(one)
    return pd.concat(tables, ignore_index=True), n_rows


def volumes_sidecar(
    joined: Joined, one: JoinedProduct, told: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return what is said of the volumes of several runs."""
    about = dict(told[0])
    for key in ("Bytes", "Sources", "Fingerprint"):
        about.pop(key, None)
    return {
        **about,
        "Description": "One row per volume of each run, the runs one below the other.",
        "run": {"Description": "Label of the run; n/a where it has none."},
        "row": {"Description": "Row in the joined signals, from 0; n/a when censored."},
        **origin(joined, one),
    }


def signals_sidecar(
    joined: Joined, one: JoinedProduct, told: Sequence[dict[str, Any]], n_rows: Sequence[int]
) -> dict[str, Any]:
    """Return what is said of the signals of several runs: of all, then of each."""
    assert one.volumes is not None, "signals have the rows of a table of volumes"
    of_one = ("Regressors", "DroppedRegressors")
    cleaning = {key: value for key, value in told[0]["Cleaning"].items() if key not in of_one}
    runs = []
    for number, (run, of_run) in enumerate(zip(joined.runs, told, strict=True)):
        runs.append(
            {
                "Run": run.entities.get("run"),
                "FirstRow": sum(n_rows[:number]),
                "Rows": n_rows[number],
                **{key: of_run["Cleaning"].get(key) for key in of_one},
                **{key: of_run.get(key) for key in OF_EACH},
                **{key: of_run[key] for key in OF_COVERAGE if key in of_run},
            }
        )
    return {
        "Description": "Cleaned signals of several runs, one below the other; each was cleaned "
        "and standardised by itself.",
        **{key: told[0][key] for key in SHARED if key in told[0]},
        "VolumesFile": joined.dataset.uri(one.volumes.path),
        "Cleaning": cleaning,
        "Runs": runs,
        **origin(joined, one),
    }


def origin(joined: Joined, one: JoinedProduct) -> dict[str, Any]:
    """Return of what a joined table is made."""
    return {
        "Sources": [joined.dataset.uri(source.path) for source in one.sources],
        "LeftOut": {run.label: reason for run, reason in joined.left_out},
        "SoftwareVersions": software_versions(),
        "Fingerprint": one.product.fingerprint,
    }


def content_of(one: JoinedProduct) -> Content:
    """Return what writes the signals of several runs."""
    paths = [source.path for source in one.sources]

    def write(handle: BinaryIO) -> None:
        copy_rows(paths, handle)

    return gzipped(write) if paths[0].suffix == ".gz" else write


def copy_rows(paths: Sequence[Path], handle: BinaryIO) -> None:
    """Copy tables of the same columns one below the other, the header once.

    Raises
    ------
    UnequalChoices
        One of them has other columns.
    """
    first = b""
    for path in paths:
        with open_bytes(path) as file:
            header = file.readline()
            first = first or header
            if header != first:
                problem = f"has other columns than {paths[0].name}, below which it is to stand"
                raise UnequalChoices(path, problem, "Select runs that are alike by --run-label.")
            if path == paths[0]:
                handle.write(header)
            while block := file.read(COPIED_BYTES):
                handle.write(block)
