"""An analytic head: ellipsoids of scalp, skull, brain, white matter and ventricles.

All positions are millimetres of a template-like space (x to the right, y to the front, z up).
A Head answers what is at any position; a Scene is a Head sampled on a Grid, with partial
volume, ready to be given signals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bidsmask.images.grid import Grid

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
LabelArray = npt.NDArray[np.int32]

AIR, SCALP, SKULL, GREY, WHITE, CSF = range(6)

CENTRE_MM = np.array([0.0, -18.0, 8.0])
BRAIN_MM = np.array([66.0, 84.0, 64.0])
"""Semi-axes of the brain: 1,486 ml, an adult's."""

ELLIPSOIDS: tuple[tuple[int, tuple[float, float, float], tuple[float, float, float]], ...] = (
    # tissue, centre from CENTRE_MM, semi-axes; what comes later lies on top
    (SCALP, (0, 0, 0), (78, 96, 76)),
    (SKULL, (0, 0, 0), (73, 91, 71)),
    (GREY, (0, 0, 0), (66, 84, 64)),
    (WHITE, (0, 0, 0), (44, 58, 42)),
    (CSF, (-13, 4, 2), (11, 32, 14)),
    (CSF, (13, 4, 2), (11, 32, 14)),
)

EPI_LEVELS = np.array([0.0, 350.0, 60.0, 1000.0, 850.0, 1300.0])
"""Signal of each tissue under a T2*-weighted EPI with fat suppression; arbitrary units."""
T1W_LEVELS = np.array([0.0, 700.0, 50.0, 500.0, 800.0, 150.0])


@dataclass(frozen=True)
class Region:
    """A region of the grey matter: what is nearest to its centre, within 24 mm.

    Attributes
    ----------
    name : str
    towards : (x, y, z)
        Direction of its centre as seen from the centre of the brain.
    network : str
        Regions of one network share part of their spontaneous signal.
    faces, houses : float
        Response to a long block of each kind of picture, in percent of the baseline.
    """

    name: str
    towards: tuple[float, float, float]
    network: str
    faces: float = 0.0
    houses: float = 0.0

    @property
    def centre_mm(self) -> FloatArray:
        """Where it lies: 84 % of the way from the centre to the surface of the brain."""
        towards = np.array(self.towards)
        return np.asarray(CENTRE_MM + 0.84 * BRAIN_MM * towards / np.linalg.norm(towards))


def _both_sides(
    name: str, towards: tuple[float, float, float], network: str, faces: float, houses: float
) -> tuple[Region, Region]:
    x, y, z = towards
    return (
        Region(f"Left{name}", (-x, y, z), network, faces, houses),
        Region(f"Right{name}", (x, y, z), network, faces, houses),
    )


REGIONS: tuple[Region, ...] = (
    *_both_sides("Occipital", (0.40, -0.90, -0.05), "visual", 2.0, 2.0),
    *_both_sides("Fusiform", (0.60, -0.45, -0.65), "visual", 2.4, 0.8),
    *_both_sides("Parietal", (0.50, -0.60, 0.62), "attention", 0.6, 1.4),
    *_both_sides("Motor", (0.55, 0.05, 0.83), "motor", 1.0, 1.0),
    *_both_sides("Temporal", (0.97, 0.10, -0.20), "auditory", 0.0, 0.0),
    *_both_sides("Frontal", (0.55, 0.70, 0.45), "default", 0.0, 0.0),
    *_both_sides("Orbital", (0.42, 0.80, -0.42), "default", 0.0, 0.0),
)
"""In the order of the atlas: the first has index 1."""

REGION_RADIUS_MM = 24.0


@dataclass(frozen=True, eq=False)
class Head:
    """One participant's head.

    Attributes
    ----------
    scale : float
        Size of the head in the template's space; 1 is the template's own.
    native_to_template : (4, 4) float64 array
        From the scanner's millimetres to the template's.
    """

    scale: float
    native_to_template: FloatArray

    def tissue(self, points_mm: FloatArray) -> npt.NDArray[np.int8]:
        """Return what lies at each position of the template's space.

        Parameters
        ----------
        points_mm : (..., 3) array

        Returns
        -------
        (...) int8 array
            AIR, SCALP, SKULL, GREY, WHITE or CSF.
        """
        seen = (points_mm - CENTRE_MM) / self.scale
        found = np.full(seen.shape[:-1], AIR, dtype=np.int8)
        for tissue, centre, axes in ELLIPSOIDS:
            scaled = (seen - centre) / axes
            found[np.einsum("...x,...x", scaled, scaled) <= 1] = tissue
        return found


TEMPLATE_HEAD = Head(1.0, np.eye(4))


def region_labels(points_mm: FloatArray) -> LabelArray:
    """Return the atlas at positions of the template's space: 0, or 1 + the place in REGIONS.

    Parameters
    ----------
    points_mm : (n_points, 3) array

    Returns
    -------
    (n_points,) int32 array
        The nearest region in the template's grey matter, 0 elsewhere and on the midline.
    """
    centres = np.array([region.centre_mm for region in REGIONS])
    distances = np.linalg.norm(points_mm[:, None] - centres, axis=2)
    labels = distances.argmin(axis=1) + 1
    labels[distances.min(axis=1) > REGION_RADIUS_MM] = 0
    labels[np.isclose(points_mm[:, 0], 0)] = 0
    labels[TEMPLATE_HEAD.tissue(points_mm) != GREY] = 0
    return np.asarray(labels, dtype=np.int32)


def smooth_patterns(points_mm: FloatArray) -> FloatArray:
    """Return ten smooth patterns over the head: all products of x, y, z up to the square.

    Parameters
    ----------
    points_mm : (n_points, 3) array

    Returns
    -------
    (n_points, 10) array
        1, x, y, z, xy, xz, yz, x², y², z² in half-widths of the brain, from -1 to 1 within it.
    """
    x, y, z = ((points_mm - CENTRE_MM) / BRAIN_MM).T
    return np.stack([np.ones_like(x), x, y, z, x * y, x * z, y * z, x * x, y * y, z * z], axis=1)


def bias_field(points_mm: FloatArray) -> FloatArray:
    """Return the receive coil's sensitivity, within about 20 % of 1, brighter at the back."""
    x, y, z = ((points_mm - CENTRE_MM) / BRAIN_MM).T
    return np.asarray(np.exp(-0.12 * y + 0.06 * z + 0.05 * x + 0.08 * (x * x + y * y - z * z)))


@dataclass(frozen=True, eq=False)
class Scene:
    """A Head sampled on a Grid; voxels in file order (i fastest).

    Attributes
    ----------
    grid : Grid
    native : bool
        Whether the grid is one of the participant's own space, not of the template's.
    points_mm : (n_voxels, 3) float64 array
        Centres of the voxels in the template's space.
    shares : (n_voxels, 6) float64 array
        Share of each tissue in each voxel, from 27 positions in it.
    """

    grid: Grid
    native: bool
    points_mm: FloatArray
    shares: FloatArray

    @classmethod
    def of(cls, head: Head, grid: Grid, *, native: bool) -> Scene:
        """Sample a head on a grid of the template's space, or of its own (`native`)."""
        ijk = np.indices(grid.shape).reshape(3, -1, order="F").T.astype(np.float64)
        to_template = head.native_to_template if native else np.eye(4)
        grid_in_template = Grid(grid.shape, to_template @ grid.affine)
        steps = np.array([-1 / 3, 0, 1 / 3])
        inside = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
        counts = np.zeros((len(ijk), 6))
        for step in inside:
            tissue = head.tissue(grid_in_template.to_mm(ijk + step))
            counts[np.arange(len(ijk)), tissue] += 1
        return cls(grid, native, grid_in_template.to_mm(ijk), counts / len(inside))

    @cached_property
    def brain(self) -> BoolArray:
        """The true mask, (n_voxels,): at least half of the voxel is brain or ventricle."""
        return np.asarray(self.shares[:, [GREY, WHITE, CSF]].sum(axis=1) >= 0.5)

    def mostly(self, tissue: int) -> BoolArray:
        """Return where at least 90 % of a voxel is of one tissue, (n_voxels,)."""
        return np.asarray(self.shares[:, tissue] >= 0.9)

    @cached_property
    def labels(self) -> LabelArray:
        """The regions present in this brain, (n_voxels,): the atlas inside the true mask."""
        return np.where(self.brain, region_labels(self.points_mm), 0).astype(np.int32)

    def image(self, levels: FloatArray) -> FloatArray:
        """Return the noise-free image for one contrast, (n_voxels,), bias field included."""
        return np.asarray((self.shares @ levels) * bias_field(self.points_mm))

    @cached_property
    def patterns(self) -> FloatArray:
        """Where things change over time: (n_voxels, 10 + 3 + n_regions).

        The smooth patterns, the shares of white matter, of CSF and of the whole brain, and one
        indicator for each region; in the order of `timecourse.Timecourse.rows`.
        """
        brain = self.shares[:, [GREY, WHITE, CSF]].sum(axis=1)
        tissues = np.stack([self.shares[:, WHITE], self.shares[:, CSF], brain], axis=1)
        regions = self.labels[:, None] == np.arange(1, len(REGIONS) + 1)
        return np.hstack([smooth_patterns(self.points_mm), tissues, regions])
