"""Matrices between the regions of an atlas, made of their signals as they were written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from bidsmask.app.job import Job
from bidsmask.app.notes import Notes
from bidsmask.app.outdated import OF_SIGNALS
from bidsmask.app.preparation import AtlasPlan, CleaningPlan, MatrixPlan, Preparation
from bidsmask.app.products import Names, fingerprint
from bidsmask.app.sidecars import atlas_sources, mean_displacement, software_versions
from bidsmask.bids.description import CODE_URL
from bidsmask.bids.signals_table import read_signals
from bidsmask.connectivity.measures import MEASURES, Connectivity, connect

# What each measure is called in `stat-`, and in words.
LABELS = {
    "pearson": "pearsoncorrelation",
    "correlation-ledoit-wolf": "ledoitwolfcorrelation",
    "covariance": "covariance",
    "ledoit-wolf": "ledoitwolfcovariance",
    "partial": "partialcorrelation",
    "precision": "precision",
    "partial-sample": "samplepartialcorrelation",
    "precision-sample": "sampleprecision",
}
WORDS = {
    "covariance": ("Covariance", "Covariance, over the number of volumes"),
    "correlation": ("Correlation", "Covariance of z-scores, with a diagonal of 1"),
    "precision": ("Precision", "Inverse of the covariance"),
    "partial": (
        "Partial correlation",
        "Correlation of two regions when all others are regressed out: of the inverse P of the "
        "covariance -Pij / sqrt(Pii Pjj)",
    ),
}
SHRUNK = "of the covariance that is shrunk towards equal variances (Ledoit & Wolf 2004)"
SAMPLE = "of the sample as it is"
# The statistics of regions whose matrices carry no other name, as everybody means them.
PLAIN_STATISTICS = ("mean", "leastsquares")


def plan_matrices(
    job: Job, atlases: Sequence[AtlasPlan], cleanings: Sequence[CleaningPlan], names: Names
) -> tuple[MatrixPlan, ...]:
    """Return the matrices of every atlas, statistic, cleaning and measure."""
    options = job.options
    plans = []
    for atlas in atlases:
        for statistic, products in atlas.signals.items():
            of_statistic = "" if statistic in PLAIN_STATISTICS else statistic.replace("_", "")
            for cleaning, signals in zip(cleanings, products, strict=True):
                for measure in dict.fromkeys(options.connectivity):
                    known = fingerprint("matrix", measure, options.fisher_z, signals.fingerprint)
                    stat = of_statistic + LABELS[measure] + "fisherz" * options.fisher_z
                    product = names.matrix(known, cleaning.choice.name, atlas.choice.name, stat)
                    plans.append(MatrixPlan(measure, statistic, atlas, cleaning, signals, product))
    return tuple(plans)


def make_matrix(
    job: Job, preparation: Preparation, plan: MatrixPlan, notes: Notes
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the table of a matrix, of the signals that are there by now, and its sidecar."""
    names, signals = read_signals(plan.signals.path)
    freedom = plan.cleaning.operator.freedom
    # On one processor, since sums in another order end in other digits.
    with threadpool_limits(1, user_api="blas"):
        found = connect(
            signals, plan.measure, fisher_z=job.options.fisher_z, freedom=freedom.remaining
        )
    flags = flags_of(plan, found, len(names))
    if found.problem:
        notes.add(
            "warning",
            "undefined-matrix",
            plan.product.path,
            f"is n/a throughout: {found.problem}",
            "Use fewer regions or confounds, or a shrunk measure: partial, precision.",
        )
    elif flags:
        notes.add(
            "note",
            "fewer-volumes-than-regions",
            plan.signals.path,
            f"is connected with more regions than degrees of freedom: {flags[0]}",
        )
    node = "Node"
    while node in names:
        node += "_"
    table = pd.DataFrame(found.values.astype("float32"), columns=pd.Index(names, dtype=object))
    table.insert(0, node, pd.Series(names, dtype=object))
    return table, matrix_sidecar(job, preparation, plan, found, names, flags, node)


def flags_of(plan: MatrixPlan, found: Connectivity, n_regions: int) -> list[str]:
    """Return in sentences what the degrees of freedom make of a matrix."""
    freedom, measure = plan.cleaning.operator.freedom, MEASURES[plan.measure]
    if found.problem:
        return [f"Not defined: {found.problem}."]
    n_defined = int(found.defined.sum())
    if min(found.n_rows, freedom.remaining) >= n_defined:
        return []
    counts = (
        f"{found.n_rows} volumes with {freedom.remaining:g} degrees of freedom for {n_defined} "
        "regions"
    )
    if measure.is_shrunk and measure.is_inverse:
        meaning = f"the inverse exists by the shrinkage of {found.shrinkage:.3f} alone"
    elif measure.is_shrunk:
        meaning = f"a shrinkage of {found.shrinkage:.3f} makes up for the rest"
    else:
        meaning = "each value stands for itself, but the matrix is singular"
    return [f"{counts}: {meaning}."]


def matrix_sidecar(
    job: Job,
    preparation: Preparation,
    plan: MatrixPlan,
    found: Connectivity,
    names: Sequence[str],
    flags: Sequence[str],
    node: str,
) -> dict[str, Any]:
    """Return what is said of a matrix, by the keys of BEP017 and our own."""
    dataset, atlas, measure = job.dataset, plan.atlas, MEASURES[plan.measure]
    word, meaning = WORDS[measure.form]
    is_plain = plan.measure == "pearson"
    name = f"Ledoit-Wolf {word.lower()}" if measure.is_shrunk else word
    scale = ", as Fisher's z (atanh)" if job.options.fisher_z else ""
    sources = [] if atlas.labels else atlas_sources(job, atlas)
    kept, least = found.defined.tolist(), job.options.min_coverage
    return {
        "Description": "A row and a column for each region of the atlas, by name.",
        "RelationshipMeasure": ("Pearson correlation" if is_plain else name) + scale,
        "MeasureDescription": f"{meaning}, {SHRUNK if measure.is_shrunk else SAMPLE}{scale}.",
        "Weighted": True,
        "Directed": False,
        "ValidDiagonal": not measure.is_correlation,
        "NonNegative": False,
        "StorageFormat": "Full",
        "NodeFiles": [*(dataset.uri(path) for path in atlas.columns.data), *sources],
        "Code": CODE_URL,
        "Sources": [dataset.uri(plan.signals.path)],
        "MaskFile": dataset.uri(preparation.mask.product.path),
        "AtlasIdentity": atlas.identity,
        "ColumnMap": dataset.uri(atlas.columns.path),
        "ColumnMapFingerprint": atlas.columns.fingerprint,
        **({"MinCoverage": least} if least else {}),
        "Statistic": plan.statistic,
        "Measure": plan.measure,
        "Shrinkage": found.shrinkage,
        "FisherZ": job.options.fisher_z,
        "Volumes": found.n_rows,
        "Nodes": len(names),
        "UndefinedNodes": [one for one, is_kept in zip(names, kept, strict=True) if not is_kept],
        "DegreesOfFreedom": asdict(plan.cleaning.operator.freedom),
        "MeanFramewiseDisplacement": mean_displacement(preparation),
        "Flags": list(flags),
        node: {"Description": "Name of the region of the row."},
        "SoftwareVersions": software_versions(),
        OF_SIGNALS: plan.signals.fingerprint,
        "Fingerprint": plan.product.fingerprint,
    }
