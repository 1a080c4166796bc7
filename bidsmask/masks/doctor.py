"""Is this mask any good? Numbers of a mask and of its image, and plain words where one is odd.

Nothing is compared with a template: what a brain is like is told by its shape, and where it
ends by the dark layer around it, which `bidsmask.masks.edges` looks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bidsmask.masks import shape
from bidsmask.masks.distance import Agreement, agreement
from bidsmask.masks.edges import NEAR_MM, TYPICAL_MM, Edges
from bidsmask.masks.geometry import empty_slices
from bidsmask.masks.head import box_with_margin
from bidsmask.masks.lumps import eyes_ml, tunnels_ml
from bidsmask.masks.mask import Mask
from bidsmask.masks.placement import place
from bidsmask.masks.upright import Upright
from bidsmask.masks.usable import refuse_no_image

SHELL_MM = 6.0
_LOCAL_MM = 32.0
_VAULT_MM = 80.0  # below the top of a mask; there the skull is nowhere thin

_NAN = float("nan")

Numbers3 = tuple[float, float, float]


@dataclass(frozen=True)
class Examination:
    """What was measured of a mask. NaN stands where something cannot be told.

    Attributes
    ----------
    volume_ml : float
    part_volumes_ml, hole_volumes_ml : tuple of float
        Of the components (26 neighbours) and of the holes (6 neighbours), the largest first.
    euler_number : int
        Parts minus tunnels plus holes.
    side_shares : mapping of str to float
        Share of the mask's surface at each side of the field of view: L, R, A, P, I, S.
    asymmetry : float
        Share of the mask that its mirror image, left for right, does not cover.
    elongation : float
        The largest over the least spread along the mask's own axes: 1 of a ball.
    sphericity : float
        36 pi volume^2 / surface^3: 1 of a ball.
    eyes_ml : float
        Volume of what sticks out where eyes are.
    forms_apart_mm : float
        How far sform and qform place a voxel apart, at most.
    agreements : mapping of str to Agreement
        With each other mask at hand, by its name.
    has_image : bool
        Whether there was an image to hold the mask against; all that follows is of it.
    flat_share : float
        Share of the surface that lies in one plane within the image.
    flat_side : str
        The side that this plane faces.
    tunnels_ml : float
        Volume of the largest gap that leads into the mask and looks like its inside.
    mean_inside, mean_shell : float
        Of the image in the mask, and in the 6 mm around it.
    contrast : float
        How much darker the shell is, as a share of the mean inside.
    no_signal_share : float
        Share of the mask's voxels where the image is 0 or not finite.
    fit : float
        Share of the surface that lies on an edge of the image.
    edge_depth_mm : float
        Median place of the edges, outwards from the surface.
    deep_share, high_share : float
        Share of the surface whose edge lies more than 4.5 mm farther within, or farther out,
        than that of a trusted mask; of the first, of the upper 80 mm if that is more.
    scalp_share : float
        Largest share of such deep edges among those within 32 mm of a place in the upper 80 mm.
    even_fit : float
        Share of the surface whose edge is as deep as its median says.
    shift_mm : tuple of 3 floats
        To the right, to the front and up: the move after which the mask fits best.
    moved_fit, upside_down_fit, back_to_front_fit : float
        The share `fit` after that move, or mirrored so and then moved.
    tilted_fit, tilt_degrees : float
        The share `fit` after a turn by so much, and a move.
    empty_slices : tuple of 3 floats
        Share of the image's slices across i, j and k without signal.
    """

    volume_ml: float
    part_volumes_ml: tuple[float, ...]
    hole_volumes_ml: tuple[float, ...]
    euler_number: int
    side_shares: Mapping[str, float]
    asymmetry: float
    elongation: float
    sphericity: float
    eyes_ml: float
    forms_apart_mm: float = _NAN
    agreements: Mapping[str, Agreement] = field(default_factory=dict)
    has_image: bool = False
    flat_share: float = _NAN
    flat_side: str = ""
    tunnels_ml: float = _NAN
    mean_inside: float = _NAN
    mean_shell: float = _NAN
    contrast: float = _NAN
    no_signal_share: float = _NAN
    fit: float = _NAN
    edge_depth_mm: float = _NAN
    deep_share: float = _NAN
    high_share: float = _NAN
    scalp_share: float = _NAN
    even_fit: float = _NAN
    shift_mm: Numbers3 = (_NAN, _NAN, _NAN)
    moved_fit: float = _NAN
    upside_down_fit: float = _NAN
    back_to_front_fit: float = _NAN
    tilted_fit: float = _NAN
    tilt_degrees: float = _NAN
    empty_slices: Numbers3 = (_NAN, _NAN, _NAN)


def examine(
    mask: Mask,
    values: NDArray[Any] | None,
    *,
    others: Mapping[str, Mask] | None = None,
    forms_apart_mm: float | None = None,
) -> Examination:
    """Measure a mask and the image that it is of.

    Parameters
    ----------
    mask : Mask
    values : (i, j, k) array, real, or None
        The image, or the mean over volumes, on the mask's grid. Not changed. It may be empty
        or constant, and hold NaN and Inf. Without one, the mask's shape alone is measured.
    others : mapping of str to Mask, optional
        Other masks of the same image, by what they are called.
    forms_apart_mm : float, optional
        From `bidsmask.masks.geometry`, which reads the header.

    Raises
    ------
    UnusableImage
        Not 3D, not real, or of another shape than the mask.
    GridMismatch
        Another mask is on another grid.
    """
    if values is not None:
        refuse_no_image(values, mask.grid, mask.source or "the image")
    picture = np.zeros(mask.grid.shape, np.uint8) if values is None else values
    upright = Upright.of(mask, picture)
    exam = Examination(
        volume_ml=mask.volume_ml,
        part_volumes_ml=tuple(shape.part_volumes_ml(mask)),
        hole_volumes_ml=tuple(shape.hole_volumes_ml(mask)),
        euler_number=shape.euler_number(mask),
        side_shares=shape.side_shares(mask),
        asymmetry=shape.asymmetry(upright),
        elongation=shape.elongation(upright),
        sphericity=shape.sphericity(upright),
        eyes_ml=eyes_ml(upright),
        forms_apart_mm=_NAN if forms_apart_mm is None else forms_apart_mm,
        agreements={name: agreement(mask, other) for name, other in (others or {}).items()},
    )
    return exam if values is None else _with_image(exam, mask, values, upright)


def _with_image(
    exam: Examination, mask: Mask, values: NDArray[Any], upright: Upright
) -> Examination:
    """Return an examination with what the image tells, too."""
    surface = upright.surface()
    placed = place(surface, upright)
    flat_share, facing = shape.flat_share(surface, upright)
    inside, shell = _means(mask, values)
    right, front, up = (float(mm) for mm in placed.shift_mm)
    signal = values[mask.voxels]
    return replace(
        exam,
        has_image=True,
        flat_share=flat_share,
        flat_side=shape.side_of(facing),
        tunnels_ml=tunnels_ml(upright),
        mean_inside=inside,
        mean_shell=shell,
        contrast=(inside - shell) / inside if inside > 0 else _NAN,
        no_signal_share=float(np.mean(~np.isfinite(signal) | (signal == 0))),
        fit=placed.fit,
        edge_depth_mm=placed.edges.median_mm,
        deep_share=_deep_share(placed.edges),
        high_share=placed.edges.share(placed.edges.depth_mm > TYPICAL_MM + NEAR_MM),
        scalp_share=_scalp_share(placed.edges),
        even_fit=placed.edges.fit_about(placed.edges.median_mm),
        shift_mm=(right, front, up),
        moved_fit=placed.moved_fit,
        upside_down_fit=placed.upside_down_fit,
        back_to_front_fit=placed.back_to_front_fit,
        tilted_fit=placed.tilted_fit,
        tilt_degrees=placed.tilt_degrees,
        empty_slices=empty_slices(values),
    )


def _deep_share(edges: Edges) -> float:
    """Return the share of the surface whose edge lies deep within, of the vault if that is more."""
    if not len(edges.points):
        return float("nan")
    return max(part.share(_is_deep(part)) for part in (edges, _vault(edges)))


def _scalp_share(edges: Edges) -> float:
    """Return the largest share of deep edges anywhere on the vault."""
    if not len(edges.points):
        return float("nan")
    vault = _vault(edges)
    return vault.local_share(_is_deep(vault), _LOCAL_MM)


def _vault(edges: Edges) -> Edges:
    return edges.above(edges.points[:, 2].max() - _VAULT_MM)


def _is_deep(edges: Edges) -> NDArray[np.bool_]:
    return np.asarray(edges.depth_mm < TYPICAL_MM - NEAR_MM)


def _means(mask: Mask, values: NDArray[Any]) -> tuple[float, float]:
    """Return the means of finite values in the mask and in the shell around it."""
    margin = int(np.ceil(SHELL_MM / mask.grid.voxel_sizes_mm.min()))
    box = box_with_margin(mask.voxels, margin)
    inside, image = mask.voxels[box], np.asarray(values[box], np.float64)
    finite = np.isfinite(image)
    away_mm = ndimage.distance_transform_edt(~inside, sampling=mask.grid.voxel_sizes_mm)
    shell = ~inside & (away_mm <= SHELL_MM)
    inner, outer = (
        float(image[part & finite].mean()) if (part & finite).any() else float("nan")
        for part in (inside, shell)
    )
    return inner, outer
