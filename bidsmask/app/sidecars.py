"""What the JSON file beside each product says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bidsmask import __version__
from bidsmask.app.atlas_columns import AtlasColumns
from bidsmask.app.job import Job
from bidsmask.app.preparation import AtlasPlan, CleaningPlan, MaskPlan, Preparation
from bidsmask.app.products import Product
from bidsmask.app.target import target_keys
from bidsmask.app.timing import start_time
from bidsmask.cleaning.censoring import Thresholds
from bidsmask.cleaning.filter import ORDER, TemporalFilter
from bidsmask.cleaning.operator import Cleaned
from bidsmask.cleaning.strategies import ConfoundsStrategy
from bidsmask.masks.flags import Flag
from bidsmask.masks.mask import Mask
from bidsmask.signals.extract import RawSignals

UNITS = {"zscore_sample": "zscore", "zscore": "zscore", "psc": "percent", "none": "arbitrary"}
MASKS = {
    "derivative": "Brain mask that the preprocessing wrote for this image",
    "background": "What differs from the median of the border of the mean volume of the image "
    "(nilearn's compute_background_mask)",
    "epi": "Brain mask of the mean volume of the image: at or above the widest gap between its "
    "sorted values, opened, the largest component (nilearn's compute_epi_mask)",
    "otsu": "The largest component, filled and closed, of what is between half and twice Otsu's "
    "threshold of the mean volume of the image, or in the range given as its argument (nidataset's "
    "generate_brain_mask)",
    "automask": "Brain mask of the mean magnitude of the image: above clip levels that vary over "
    "space, peeled and filled, the largest component (the steps of AFNI's 3dAutomask)",
    "brain": "Brain mask of the mean volume of the image: a template's head is laid and bent onto "
    "it, and near the surface of the brain that it brings the intensities decide",
    "whole-brain-template": "Brain mask of the template, moved to the grid of the image by affines",
    "gm-template": "Grey matter of the template, moved to the grid of the image by affines",
    "wm-template": "White matter of the template, moved to the grid of the image by affines",
    "file": "Mask given by the user",
}
SOFTWARE = ("numpy", "scipy", "nibabel", "pandas", "pybids", "isal")


def software_versions() -> dict[str, str]:
    """Return the versions of what computes."""
    return {"bidsmask": __version__, **{name: version(name) for name in SOFTWARE}}


def spatial(job: Job) -> dict[str, Any]:
    """Return the keys that say where an image lies."""
    entities, keys = job.run.entities, {}
    reference = in_words(job, "SpatialReference")
    own = job.dataset.uri(job.run.boldref or job.run.path)
    keys["SpatialReference"] = reference or job.run.space or own
    if entities.get("res"):
        resolution = in_words(job, "Resolution")
        keys["Resolution"] = resolution or f"As the preprocessed series of res-{entities['res']}"
    if entities.get("den"):
        keys["Density"] = in_words(job, "Density") or f"den-{entities['den']}"
    return keys


def in_words(job: Job, key: str) -> object:
    """Return what the sidecar of a run says under a key: a text, or texts by name; else None."""
    said = job.run.metadata.get(key)
    texts = said.values() if isinstance(said, dict) else [said]
    return said if all(isinstance(one, str) for one in texts) else None


def mask_sidecar(
    job: Job, preparation: Preparation, mask: Mask, flags: Sequence[Flag]
) -> dict[str, Any]:
    """Return what is said of a mask."""
    plan = preparation.mask
    return {
        "Description": MASKS[plan.strategy] + ".",
        "Type": mask_type(plan.strategy),
        "Sources": [job.dataset.uri(path) for path in plan.made_from],
        **spatial(job),
        "Strategy": plan.strategy,
        "StrategyReason": plan.reason,
        "StrategyArguments": dict(plan.arguments),
        **target_keys(job.options),
        **mask_identity(preparation.mask),
        "Voxels": mask.n_voxels,
        "VolumeMillilitres": round(mask.volume_ml, 3),
        **certainty(mask),
        "Flags": [flag.sentence for flag in flags],
        "Fingerprint": plan.product.fingerprint,
    }


def certainty(mask: Mask) -> dict[str, Any]:
    """Return how sure a mask is, and why it may be wrong, where its strategy can tell."""
    if mask.confidence is None:
        return {}
    return {"Confidence": round(mask.confidence, 4), "Doubts": list(mask.doubts)}


def mask_type(strategy: str) -> str:
    """Return what BIDS calls a mask of a strategy."""
    return "ROI" if strategy in ("file", "gm-template", "wm-template") else "Brain"


def mask_identity(plan: MaskPlan) -> dict[str, str]:
    """Return what tells a mask that was given for all runs alike from others."""
    return {"MaskIdentity": plan.given} if plan.given else {}


def mask_choices(plan: MaskPlan) -> dict[str, Any]:
    """Return what tells signals within one mask from those within another of its strategy."""
    told: dict[str, Any] = {"MaskArguments": dict(plan.arguments)} if plan.arguments else {}
    if plan.combination is not None:
        told["MaskCombination"] = dict(plan.combination)
    return {**mask_identity(plan), **told}


def varying_sidecar(job: Job, product: Product, voxels: NDArray[np.bool_]) -> dict[str, Any]:
    """Return what is said of the voxels whose signal varies."""
    return {
        "Description": "Voxels whose value is not the same in all volumes of the run.",
        "Type": "ROI",
        "Sources": [job.dataset.uri(job.run.path)],
        **spatial(job),
        "Voxels": int(np.count_nonzero(voxels)),
        "Fingerprint": product.fingerprint,
    }


def column_map_sidecar(job: Job, preparation: Preparation, product: Product) -> dict[str, Any]:
    """Return what is said of the column map."""
    return {
        "Description": "Value v at a voxel: the voxel is column v, from 1, of the voxel signals.",
        "Sources": [job.dataset.uri(preparation.mask.product.path)],
        **spatial(job),
        **{axis: {"Description": f"Index along {axis}, from 0."} for axis in "ijk"},
        **{axis: {"Description": "Place in the image's space.", "Units": "mm"} for axis in "xyz"},
        "Fingerprint": product.fingerprint,
    }


def atlas_sidecar(job: Job, plan: AtlasPlan) -> dict[str, Any]:
    """Return what is said of an atlas on the grid of the run."""
    is_labels = plan.choice.kind == "labels"
    how = "by nearest neighbour." if is_labels else "as spheres; where they overlap, the nearest."
    return {
        "Description": f"Atlas {plan.choice.name} on the grid of the run, {how}",
        "Sources": atlas_sources(job, plan),
        **spatial(job),
        **sphere_keys(plan),
        "AtlasIdentity": plan.identity,
        "Fingerprint": plan.columns.fingerprint,
    }


def sphere_keys(plan: AtlasPlan) -> dict[str, Any]:
    """Return what is said of the columns that only tables of spheres have."""
    if plan.choice.kind != "spheres":
        return {}
    place = {"Description": "Place of the seed in the image's space.", "Units": "mm"}
    radius = {"Description": "Of the sphere; the voxel nearest to the seed always counts."}
    return {**dict.fromkeys("xyz", place), "radius": {**radius, "Units": "mm"}}


def atlas_sources(job: Job, plan: AtlasPlan) -> list[str]:
    """Return the files of an atlas as BIDS URIs."""
    files = [plan.choice.image, *([plan.choice.table] if plan.choice.table else [])]
    return [job.dataset.uri(path) for path in files]


def coverage_sidecar(job: Job, preparation: Preparation, plan: AtlasPlan) -> dict[str, Any]:
    """Return what is said of the coverage of regions."""
    where = atlas_sources(job, plan) if plan.labels is None else [job.dataset.uri(plan.labels.path)]
    return {
        "Description": "Share of each region that lies inside the mask and the field of view.",
        "Sources": [*where, job.dataset.uri(preparation.mask.product.path)],
        **mask_choices(preparation.mask),
        "AtlasIdentity": plan.identity,
        "index": {"Description": "Label of the region in the atlas."},
        "name": {"Description": "Name of the region, and of its column in the signals."},
        **sphere_keys(plan),
        "voxels": {"Description": "Voxels of the region inside the mask."},
        "coverage": {
            "Description": "Share of the region's voxels in the atlas, or of the map's sum, 0 to 1."
        },
        "Fingerprint": plan.coverage.fingerprint,
    }


def min_coverage(columns: AtlasColumns) -> dict[str, Any]:
    """Return what is said of columns that are n/a for their coverage, where a least is asked."""
    if not columns.least:
        return {}
    names = [name for name, out in zip(columns.names, columns.left_out, strict=True) if out]
    return {
        "MinCoverage": columns.least,
        "ColumnsUnderMinCoverage": len(names),
        "RegionsUnderMinCoverage": names,
    }


def volumes_sidecar(job: Job, preparation: Preparation, plan: CleaningPlan) -> dict[str, Any]:
    """Return what is said of the table of volumes."""
    run, thresholds = job.run, plan.choice.thresholds
    sources = [path for path in (run.confounds, run.events) if path]
    moved, filtered = "Framewise displacement", {}
    if thresholds.motion_filter is not None:
        moved = "Framewise displacement of filtered parameters"
        about = "As framewise_displacement, of the six parameters after MotionFilter."
        filtered = {"filtered_framewise_displacement": {"Description": about, "Units": "mm"}}
    return {
        "Description": "One row per volume of the run.",
        "Sources": [job.dataset.uri(path) for path in sources],
        "RepetitionTime": preparation.t_r_s,
        "TrialDelay": job.options.trial_delay or 0.0,
        **({} if preparation.trials is None else trial_keys(job)),
        "volume": {"Description": "Number of the volume, from 0."},
        "row": {"Description": "Row of the volume in the signals, from 0; n/a when censored."},
        "onset": {"Description": "Time of the volume from that of the first.", "Units": "s"},
        "kept": {"Description": "Whether the signals are cleaned with this volume."},
        "reason": {
            "Description": "Why a volume is censored; more than one are joined by +.",
            "Levels": {
                "non-steady-state": "The scanner had not reached its steady state.",
                "fd": f"{moved} above the threshold.",
                "dvars": "Standardised DVARS above the threshold.",
                "outlier": "Named by a column motion_outlier… of the preprocessing.",
                "segment": "In a stretch of too few volumes between censored ones.",
            },
        },
        "framewise_displacement": {"Description": "Power et al. 2012.", "Units": "mm"},
        **filtered,
        "std_dvars": {"Description": "Standardised DVARS."},
        "Thresholds": censoring_keys(thresholds),
        "Fingerprint": plan.volumes.fingerprint,
    }


def trial_keys(job: Job) -> dict[str, Any]:
    """Return the keys that say which trial a volume falls into."""
    of_trial = {"Description": "From the events, of that trial."}
    return {
        "StartTime": start_time(job),
        "trial_type": {
            "Description": "Of the trial that the volume falls into: the last to have begun by "
            "StartTime + onset of the volume, once delayed by TrialDelay, and not to have ended; "
            "a trial that ends before the next volume has that during which it began."
        },
        "trial_number": {"Description": "Of that trial, by onset, from 1."},
        **dict.fromkeys(job.options.events_columns, of_trial),
    }


def signals_sidecar(
    job: Job,
    preparation: Preparation,
    plan: CleaningPlan,
    product: Product,
    column_map: Product,
    raw: RawSignals,
    cleaned: Cleaned,
) -> dict[str, Any]:
    """Return what is said of signals, of voxels or of regions."""
    run, operator, choice = job.run, plan.operator, plan.choice
    series = plan.material.image.path
    sources = [path for path in (series, run.confounds, *plan.material.tables) if path]
    displacement = mean_displacement(preparation)
    atlas = next((one for one in preparation.atlases if one.columns is column_map), None)
    what = "each voxel of the mask"
    statistic = {}
    if atlas is not None:
        what = {"labels": "each region", "maps": "each map", "spheres": "each sphere"}[
            atlas.choice.kind
        ] + " of the atlas"
        statistic["Statistic"] = next(
            name for name, products in atlas.signals.items() if product in products
        )
    return {
        "Description": f"Cleaned signal of {what}: a column each, a row per volume.",
        "SamplingFrequency": 1 / preparation.t_r_s,
        "RepetitionTime": preparation.t_r_s,
        "StartTime": start_time(job),
        "Sources": [job.dataset.uri(path) for path in sources],
        "SpatialReference": spatial(job)["SpatialReference"],
        "MaskFile": job.dataset.uri(preparation.mask.product.path),
        **mask_choices(preparation.mask),
        **({} if atlas is None else {"AtlasIdentity": atlas.identity}),
        "ColumnMap": job.dataset.uri(column_map.path),
        "ColumnMapFingerprint": column_map.fingerprint,
        "VolumesFile": job.dataset.uri(plan.volumes.path),
        "Rows": "all volumes" if job.options.keep_censored else "kept volumes",
        **statistic,
        "Units": UNITS[choice.cleaning.standardize],
        "SmoothingFWHM": job.options.smoothing_fwhm,
        "Cleaning": {
            "Strategy": choice.confounds.name,
            **aroma_keys(choice.confounds),
            "Regressors": list(operator.regressors),
            "DroppedRegressors": list(operator.dropped),
            "Filter": filter_keys(choice.cleaning.filter),
            "Detrend": choice.cleaning.detrend,
            "Standardize": choice.cleaning.standardize,
            "Censoring": censoring_keys(choice.thresholds),
        },
        "DegreesOfFreedom": asdict(operator.freedom),
        "MeanFramewiseDisplacement": displacement,
        "Columns": len(cleaned.lost),
        "ColumnsWithoutSignal": cleaned.n_lost,
        "NonFiniteValues": raw.n_nonfinite,
        "SoftwareVersions": software_versions(),
        "Fingerprint": product.fingerprint,
    }


def censoring_keys(thresholds: Thresholds) -> dict[str, Any]:
    """Return what censors volumes."""
    chosen = thresholds.motion_filter
    return {
        "FramewiseDisplacement": thresholds.fd_mm,
        "MotionFilter": {"Kind": chosen.kind, "CutOffs": list(chosen.hz)} if chosen else None,
        "StandardisedDVARS": thresholds.std_dvars,
        "OutlierColumns": thresholds.use_outlier_columns,
        "MinSegment": thresholds.min_segment,
        "DummyScans": thresholds.dummy_scans,
        "Units": {
            "FramewiseDisplacement": "mm",
            "StandardisedDVARS": "1",
            "CutOffs": "Hz",
            "MinSegment": "volumes",
            "DummyScans": "volumes",
        },
    }


def aroma_keys(strategy: ConfoundsStrategy) -> dict[str, str]:
    """Return how ICA-AROMA's components go, where the strategy is made of them."""
    ways = {"full": "denoised series", "basic": "columns", "none": "columns"}
    return {"Aroma": ways[strategy.aroma]} if strategy.name == "aroma" else {}


def filter_keys(temporal_filter: TemporalFilter) -> dict[str, Any] | None:
    """Return a filter and its numbers; None where there is none."""
    if temporal_filter.kind == "none":
        return None
    keys: dict[str, Any] = {
        "Kind": temporal_filter.kind,
        "HighPass": temporal_filter.high_pass_hz,
        "LowPass": temporal_filter.low_pass_hz,
    }
    if temporal_filter.kind == "butterworth":
        keys |= {"Order": ORDER, "Passes": 2, "Padding": temporal_filter.padding}
    return keys


def mean_displacement(preparation: Preparation) -> float | None:
    """Return the mean framewise displacement of the run, mm; None where it is unknown."""
    confounds = preparation.confounds
    if confounds is None or "framewise_displacement" not in confounds:
        return None
    displacement = confounds["framewise_displacement"].to_numpy(float)
    known = displacement[np.isfinite(displacement)]
    return round(float(known.mean()), 6) if len(known) else None
