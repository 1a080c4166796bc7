"""Atlases taken apart: for each an image of its regions, a table of them, and a sidecar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bidsmask.app.atlas_notes import shown
from bidsmask.app.atlases import AtlasChoice, choice_of_path, refuse_doubles, refuse_missing
from bidsmask.app.region_options import RegionOptions
from bidsmask.app.sidecars import software_versions
from bidsmask.bids.atlases import read_names_of, region_columns
from bidsmask.bids.entities import Entities
from bidsmask.bids.publish import publish_product
from bidsmask.bids.region_names import Label
from bidsmask.bids.tables import table_bytes
from bidsmask.errors import OutputRefused, UnusableImage, UsageError
from bidsmask.images.identity import identity
from bidsmask.images.image import Image, open_image
from bidsmask.images.stream import stream
from bidsmask.images.write import Space, nifti_bytes
from bidsmask.masks.given import load_mask
from bidsmask.regions.labels import connected_label_regions
from bidsmask.regions.maps import as_array, connected_regions
from bidsmask.regions.threshold import threshold_maps
from bidsmask.signals.atlas import read_atlas

KEPT = ("tpl", "space", "cohort", "res", "den")
FOR_MAPS = ("kind", "threshold", "thresholding_strategy", "two_sided", "smoothing_fwhm")
FOR_LABELS = ("connect_diag",)
OF_MAPS = {"kind": "local_regions", "min_region_size": 1350.0}
OF_LABELS = {"connect_diag": True, "min_region_size": 0.0}


@dataclass(frozen=True, eq=False)
class Regions:
    """What an atlas fell into.

    Attributes
    ----------
    array : (i, j, k) int32 or (i, j, k, n_regions) float32 array
        Labels from 1, or a region a volume.
    sources : list of int
        The label, or the number of the map from 1, that each region is a part of.
    without : list of int
        Labels or maps of which no region is left.
    centres : (n_regions, 3) float64 array
        Means of the voxels' indices.
    peaks : (n_regions, 3) float64 array, or None
        Indices of the voxel of the highest absolute value; None for labels.
    n_voxels : (n_regions,) int64 array
    """

    array: NDArray[Any]
    sources: list[int]
    without: list[int]
    centres: NDArray[np.float64]
    peaks: NDArray[np.float64] | None
    n_voxels: NDArray[np.int64]


@dataclass(frozen=True)
class _Plan:
    """One atlas and what is made of it."""

    choice: AtlasChoice
    image: Image
    settings: Mapping[str, Any]
    find: Callable[[_Plan, NDArray[np.bool_] | None], Regions]
    data: Path
    table: Path
    sidecar: Path


def write_regions(options: RegionOptions) -> Iterator[str]:
    """Write the regions of each atlas, and yield a sentence when they are there.

    Nothing is computed before all names are known to be free.

    Raises
    ------
    MissingInput, UsageError, OutputRefused, DataError, WritingFailed
        What is wrong with the first atlas that cannot be taken apart; those before it are written.
    """
    choices = [choice_of_path(text, "labels") for text in options.atlas]
    refuse_doubles(options.atlas, choices)
    plans = [_plan(choice, options) for choice in choices]
    for plan in plans:
        _refuse_output(plan, options)
    for plan in plans:
        mask = None
        if options.mask_file is not None:
            mask = load_mask(options.mask_file, plan.image.grid, "file").voxels
        found = plan.find(plan, mask)
        if not found.sources:
            raise UnusableImage(
                plan.choice.image,
                "has no region",
                "Lower --min-region-size or --threshold; does --mask-file overlap it?",
            )
        table, warnings = _table(found, plan.choice, plan.image)
        space: Space = "mni" if plan.choice.space.name.startswith("MNI") else "aligned"
        data = {
            plan.data: nifti_bytes(found.array, plan.image.grid, space=space),
            plan.table: table_bytes(table),
        }
        publish_product(data, plan.sidecar, _sidecar(plan, options, found))
        yield f"{len(table)} regions of {plan.choice.name}: {plan.data}"
        yield from warnings


def _plan(choice: AtlasChoice, options: RegionOptions) -> _Plan:
    """Return what is made of an atlas; refuse choices that would have no effect on it."""
    image = open_image(choice.image)
    is_maps = options.maps or image.n_volumes > 1
    for name in FOR_LABELS if is_maps else FOR_MAPS:
        if getattr(options, name) is not None:
            what, other = ("maps", "labels") if is_maps else ("labels", "maps")
            problem = f"is for {other}, and {choice.image.name} holds {what}"
            advice = "" if is_maps else "Is it one map? Then say --maps."
            raise UsageError(f"--{name.replace('_', '-')}", problem, advice)
    settings: dict[str, Any] = dict(OF_MAPS if is_maps else OF_LABELS)
    if is_maps and options.kind != "connected_components":
        settings["smoothing_fwhm"] = 6.0
    if options.threshold is not None:
        settings |= {"thresholding_strategy": "ratio_n_voxels"}
    names = (*(FOR_MAPS if is_maps else FOR_LABELS), "min_region_size")
    chosen = {name: getattr(options, name) for name in names}
    settings |= {name: value for name, value in chosen.items() if value is not None}
    desc = str(settings["kind"]).replace("_", "") if is_maps else "connectedlabels"
    kept = [pair for pair in Entities.parse(choice.image.name).pairs if pair[0] in KEPT]
    entities = Entities((*kept, ("atlas", choice.name), ("desc", desc)))
    suffix = "probseg" if is_maps else "dseg"

    def path(extension: str) -> Path:
        return options.output_dir / entities.name(suffix=suffix, extension=extension)

    find = _of_maps if is_maps else _of_labels
    return _Plan(choice, image, settings, find, path(".nii.gz"), path(".tsv"), path(".json"))


def _refuse_output(plan: _Plan, options: RegionOptions) -> None:
    """Raise OutputRefused where a file stands that must not, or may not, be replaced."""
    if options.mask_file is not None:
        refuse_missing(options.mask_file)
    inputs = [plan.choice.image, plan.choice.table, options.mask_file]
    for path in (plan.data, plan.table, plan.sidecar):
        if any(one is not None and path.exists() and path.samefile(one) for one in inputs):
            raise OutputRefused(path, "is an input", "Choose another output folder.")
        if path.exists() and not options.force:
            advice = "Choose another output folder, or replace it by --force."
            raise OutputRefused(path, "is there already", advice)


def _of_labels(plan: _Plan, mask: NDArray[np.bool_] | None) -> Regions:
    """Return the connected parts of labels."""
    atlas = read_atlas(plan.choice.image)
    labels = atlas.labels if mask is None else np.where(mask, atlas.labels, 0)
    array, sources = connected_label_regions(
        labels,
        plan.image.grid,
        min_size_mm3=plan.settings["min_region_size"],
        connect_diag=plan.settings["connect_diag"],
        where=plan.choice.image,
    )
    ijk = np.argwhere(array)
    number = array[tuple(ijk.T)] - 1
    n_voxels = np.bincount(number, minlength=len(sources))
    sums = [np.bincount(number, along, minlength=len(sources)) for along in ijk.T]
    without = sorted(set(atlas.values.tolist()) - set(sources.tolist()))
    return Regions(array, sources.tolist(), without, np.transpose(sums / n_voxels), None, n_voxels)


def _of_maps(plan: _Plan, mask: NDArray[np.bool_] | None) -> Regions:
    """Return the regions of maps, thresholded where that is asked for."""
    image, settings = plan.image, plan.settings
    shape = image.grid.shape
    volumes = [image.scale(one).reshape(shape, order="F").copy() for one in stream(image)]
    maps = np.stack(volumes, axis=-1)
    if "threshold" in settings:
        maps = threshold_maps(
            maps,
            settings["threshold"],
            settings["thresholding_strategy"],
            two_sided=settings.get("two_sided", False),
            mask=mask,
        )
    regions = connected_regions(
        maps,
        image.grid,
        min_region_size_mm3=settings["min_region_size"],
        extract_type=settings["kind"],
        fwhm_mm=settings.get("smoothing_fwhm", 0.0),
        mask=mask,
    )
    places = [np.transpose(np.unravel_index(one.indices, shape)) for one in regions]
    highest = [np.abs(one.values.astype(np.float64)).argmax() for one in regions]
    return Regions(
        as_array(regions, shape),
        [one.source + 1 for one in regions],
        sorted(set(range(1, image.n_volumes + 1)) - {one.source + 1 for one in regions}),
        np.array([ijk.mean(axis=0) for ijk in places]).reshape(-1, 3),
        np.array([ijk[n] for ijk, n in zip(places, highest, strict=True)], float).reshape(-1, 3),
        np.array([one.n_voxels for one in regions], np.int64),
    )


def _table(found: Regions, choice: AtlasChoice, image: Image) -> tuple[pd.DataFrame, list[str]]:
    """Return one row a region, and sentences on what has no region, and what no name."""
    is_maps = found.peaks is not None
    names: dict[Label, str] = {}
    if choice.table is not None:
        names, _ = read_names_of(choice.image, choice.table, image.n_volumes if is_maps else 0)
    known = sorted(set(found.sources))
    missing = [source for source in known if source not in names]
    of_map: dict[Label, str] = {source: f"map-{source}" for source in missing} if is_maps else {}
    columns = region_columns(known, {**of_map, **names})
    of_source = dict(zip(known, columns.names, strict=True))
    times, before = Counter(found.sources), Counter[int]()
    parts: dict[Label, str] = {}
    for number, source in enumerate(found.sources, start=1):
        before[source] += 1
        parts[number] = of_source[source] + (f"_{before[source]}" if times[source] > 1 else "")
    table: dict[str, Any] = {
        "index": range(1, len(parts) + 1),
        "name": region_columns(parts, parts).names,
        "source": found.sources,
        "source_name": [of_source[source] for source in found.sources],
        "n_voxels": found.n_voxels,
        "volume_mm3": np.round(found.n_voxels * image.grid.voxel_volume_mm3, 3),
        **dict(zip("xyz", np.round(image.grid.to_mm(found.centres), 3).T, strict=True)),
    }
    if found.peaks is not None:
        peaks = np.round(image.grid.to_mm(found.peaks), 3).T
        table |= dict(zip(("peak_x", "peak_y", "peak_z"), peaks, strict=True))
    warnings = []
    if found.without:
        told = [f"{one} ({names[one]})" if one in names else str(one) for one in found.without]
        what = f"{len(told)} {'maps' if is_maps else 'labels'} of {choice.image}"
        warnings.append(f"warning: no region is left of {what}: {shown(told)}")
    if choice.table is not None and missing:
        told = [str(source) for source in missing]
        warnings.append(f"warning: {choice.table} has no name for {len(told)}: {shown(told)}")
    return pd.DataFrame(table), warnings


def _sidecar(plan: _Plan, options: RegionOptions, found: Regions) -> dict[str, Any]:
    """Return what is said of the regions of one atlas."""
    is_maps = plan.find is _of_maps
    files = {"AtlasFile": plan.choice.image, "NamesFile": plan.choice.table}
    files["MaskFile"] = options.mask_file
    mm = {"Description": "Mean of the region's voxels, in the image's space.", "Units": "mm"}
    peak = {"Description": "Voxel of the highest absolute value.", "Units": "mm"}
    whole = "Regions of maps, one a volume." if is_maps else "Connected parts of labels."
    source = "Number of the map, from 1." if is_maps else "Label in the atlas."
    return {
        "Description": f"{whole} The table says which came of what.",
        **{key: path.name for key, path in files.items() if path is not None},
        "AtlasIdentity": identity(plan.choice.image),
        **({"SpatialReference": str(plan.choice.space)} if plan.choice.space.name else {}),
        "NumberOfRegions": len(found.sources),
        "SourcesWithoutRegion": found.without,
        **{_camel(name): value for name, value in plan.settings.items()},
        "source": {"Description": source},
        "volume_mm3": {"Description": "Volume of the region.", "Units": "mm^3"},
        **dict.fromkeys("xyz", mm),
        **(dict.fromkeys(("peak_x", "peak_y", "peak_z"), peak) if is_maps else {}),
        "SoftwareVersions": software_versions(),
    }


def _camel(name: str) -> str:
    """Return `min_region_size` as `MinRegionSize`."""
    return "".join(word.capitalize() for word in name.split("_"))
