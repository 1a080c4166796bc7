"""Is the mask of a run any good: what is looked at, what is told of it, and where."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from bidsmask.app.job import Job
from bidsmask.app.options import Options
from bidsmask.app.preparation import MaskPlan
from bidsmask.app.products import fingerprint
from bidsmask.bids.run import Run
from bidsmask.errors import Finding
from bidsmask.images.grid import Grid
from bidsmask.images.identity import identity
from bidsmask.images.image import Image, open_image
from bidsmask.images.resample import resample_mean
from bidsmask.images.stream import mean_volume
from bidsmask.masks.doctor import Examination, examine
from bidsmask.masks.flags import ADULT, THRESHOLDS, Bounds, Flag, find_flags
from bidsmask.masks.geometry import forms_apart_mm
from bidsmask.masks.given import load_mask, moved
from bidsmask.masks.mask import Mask

# Of tissues, never of whole brains.
TISSUES: Final = ("gm-template", "wm-template")
# Few enough to take no time beside the reading of a run, enough for its noise to fade.
PICTURE_VOLUMES: Final = 10
_DIGITS: Final = 6


def bounds_of(options: Options) -> Bounds:
    """Return the volume that a brain may have."""
    given = options.brain_volume
    return Bounds(*given) if given else ADULT


def is_compared(strategy: str, refused: Sequence[str]) -> bool:
    """Return whether the derivative mask is a measure of a mask: not once it was refused."""
    return strategy == "derivative" or "derivative" not in refused


def examined_from(run: Run, mask: str, options: Options, *, is_compared: bool = True) -> str:
    """Return the Fingerprint of an examination, from that of the mask's voxels."""
    paths = [path for path in (run.path, run.boldref, run.mask) if path is not None]
    identities = [identity(path) for path in paths]
    return fingerprint("quality", mask, identities, asdict(bounds_of(options)), is_compared)


def examine_mask(
    job: Job, plan: MaskPlan, image: Image, mask: Mask, mean: NDArray[Any] | None
) -> tuple[Examination, tuple[Flag, ...]]:
    """Measure a mask that was made for an image, and find what is odd about it.

    Parameters
    ----------
    job : Job
    plan : MaskPlan
        By which it was made.
    image : Image
        Of the run.
    mask : Mask
    mean : (i, j, k) array or None
        On the mask's grid: what the mask was computed from; where it comes from a file, the
        run's reference image on the same grid stands in for the mean, which would take another
        reading of the run, or else the mean of the first volumes.

    Raises
    ------
    DataError
        The run, its reference image or its derivative mask cannot be read.
    """
    others = {}
    if mask.strategy != "derivative" and job.run.mask is not None and _is_on(job.run.mask, image):
        others["derivative"] = moved(load_mask(job.run.mask, image.grid, "derivative"), mask.grid)
    values = mean if mean is not None else picture(job.run, image, mask.grid)
    exam = examine(mask, values, others=others, forms_apart_mm=forms_apart_mm(image.path))
    bounds = bounds_of(job.options)
    is_brain = is_of_brain([mask.strategy], exam.volume_ml, bounds)
    flags = find_flags(exam, bounds, is_brain=is_brain)
    if not is_compared(plan.strategy, plan.refused):
        flags = tuple(flag for flag in flags if flag.code != "unlike-derivative")
    return exam, flags


def is_of_brain(strategies: Iterable[str], volume_ml: float, bounds: Bounds) -> bool:
    """Return whether masks of these strategies, or what was made of them, should be a brain's."""
    known = set(strategies)
    # What is too small for half a brain, the user gave as a region.
    is_region = "file" in known and volume_ml < bounds.low_ml / 2
    return not is_region and known.isdisjoint(TISSUES)


def findings_of(
    flags: Sequence[Flag], where: Path, mask: str, participant: str
) -> Iterator[Finding]:
    """Yield what is odd about a mask: a warning where it is bad, else a note."""
    for flag in flags:
        yield Finding(
            "warning" if flag.is_bad else "note",
            f"mask-{flag.code}",
            str(where),
            f"has a mask ({mask}) to look at: {flag.sentence}",
            "Give --mask-file, or another --mask-strategy, where the mask is wrong."
            if flag.is_bad
            else "",
            participant,
        )


def quality_sidecar(
    job: Job, plan: MaskPlan, exam: Examination, flags: Sequence[Flag]
) -> dict[str, Any]:
    """Return what was measured of the mask of a run."""
    if plan.quality is None:
        raise AssertionError("a combined mask has a sidecar of its own")
    return {
        "Description": "What was measured of the mask; null where it cannot be told.",
        "Sources": [job.dataset.uri(plan.product.path), job.dataset.uri(job.run.path)],
        "Strategy": plan.strategy,
        **quality_keys(exam, flags, bounds_of(job.options)),
        "Fingerprint": plan.quality.fingerprint,
    }


def quality_keys(exam: Examination, flags: Sequence[Flag], bounds: Bounds) -> dict[str, Any]:
    """Return flags, all thresholds and all numbers of an examination, as sidecars tell them."""
    return {
        "Flags": flag_keys(flags),
        "Thresholds": dict(THRESHOLDS),
        "VolumeBoundsMillilitres": [bounds.low_ml, bounds.high_ml],
        "VolumeMillilitres": _number(exam.volume_ml),
        "Components": len(exam.part_volumes_ml),
        "ComponentsMillilitres": [_number(one) for one in exam.part_volumes_ml[:10]],
        "Holes": len(exam.hole_volumes_ml),
        "HolesMillilitres": _number(sum(exam.hole_volumes_ml)),
        "EulerNumber": exam.euler_number,
        "SurfaceAtSidesOfFieldOfView": {
            side: _number(share) for side, share in exam.side_shares.items()
        },
        "Asymmetry": _number(exam.asymmetry),
        "Elongation": _number(exam.elongation),
        "Sphericity": _number(exam.sphericity),
        "EyesMillilitres": _number(exam.eyes_ml),
        "SformQformMillimetres": _number(exam.forms_apart_mm),
        "Agreement": {
            name: {
                "Dice": _number(one.dice),
                "Jaccard": _number(one.jaccard),
                "Hausdorff95Millimetres": _number(one.hausdorff95_mm),
            }
            for name, one in exam.agreements.items()
        },
        "FlatSurface": _number(exam.flat_share),
        "TunnelsMillilitres": _number(exam.tunnels_ml),
        "MeanInside": _number(exam.mean_inside),
        "MeanShell": _number(exam.mean_shell),
        "Contrast": _number(exam.contrast),
        "VoxelsWithoutSignal": _number(exam.no_signal_share),
        "SurfaceOnEdges": _number(exam.fit),
        "EdgeDepthMillimetres": _number(exam.edge_depth_mm),
        "SurfaceAboveEdges": _number(exam.deep_share),
        "SurfaceAboveEdgesNearby": _number(exam.scalp_share),
        "SurfaceBelowEdges": _number(exam.high_share),
        "BestShiftMillimetres": [_number(mm) for mm in exam.shift_mm],
        "SurfaceOnEdgesShifted": _number(exam.moved_fit),
        "SurfaceOnEdgesUpsideDown": _number(exam.upside_down_fit),
        "SurfaceOnEdgesBackToFront": _number(exam.back_to_front_fit),
        "SurfaceOnEdgesTilted": _number(exam.tilted_fit),
        "BestTiltDegrees": _number(exam.tilt_degrees),
        "EmptySlices": [_number(share) for share in exam.empty_slices],
    }


def flag_keys(flags: Sequence[Flag]) -> list[dict[str, Any]]:
    """Return flags as sidecars tell them."""
    return [
        {
            "Code": flag.code,
            "Problem": flag.sentence,
            "Value": _number(flag.value),
            "Threshold": flag.threshold,
            "IsBad": flag.is_bad,
        }
        for flag in flags
    ]


def _number(value: float) -> float | None:
    """Return a number as JSON can hold it."""
    return round(float(value), _DIGITS) if math.isfinite(value) else None


def _is_on(path: Path, image: Image) -> bool:
    """Return whether another image of the run lies on its grid."""
    return open_image(path).grid.is_same(image.grid)


def picture(run: Run, image: Image, grid: Grid) -> NDArray[Any]:
    """Return what a run looks like on a grid, by its reference image or its first volumes."""
    if run.boldref is not None:
        reference = open_image(run.boldref)
        if reference.n_volumes == 1 and reference.grid.is_same(image.grid):
            return resample_mean(mean_volume(reference), image.grid, grid)
    return resample_mean(mean_volume(image, most=PICTURE_VOLUMES), image.grid, grid)
