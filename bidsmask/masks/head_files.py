"""The files of a template's head, from which a Prior is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import GridMismatch, UnusableImage, UnusableMask
from bidsmask.images.grid import Grid
from bidsmask.images.image import open_image
from bidsmask.images.stream import read_volume
from bidsmask.masks.brain_prior import Contrast, Prior, build_prior
from bidsmask.masks.given import two_values
from bidsmask.masks.usable import refuse_unusable

# Newborns have 300 ml and more; TemplateFlow has macaques, too, and rodents.
LEAST_BRAIN_ML = 150.0


@dataclass(frozen=True)
class HeadFiles:
    """A template's head with its brain.

    Attributes
    ----------
    head : Path
        With skull and face.
    t1w : Path
        The same as T1w; the same file where `head` is T1w.
    mask : Path
        Its brain.
    contrast : {"T1w", "T2w", "EPI"}
        Of `head`.
    """

    head: Path
    t1w: Path
    mask: Path
    contrast: Contrast

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files, each once."""
        return tuple(dict.fromkeys((self.head, self.t1w, self.mask)))


def common_grid(files: HeadFiles) -> Grid:
    """Return the grid that all files are on, by their headers.

    Raises
    ------
    GridMismatch
        They are on several.
    DamagedFile, UnusableImage
        As `open_image`.
    """
    grid = open_image(files.head).grid
    for path in files.paths:
        other = open_image(path).grid
        if not grid.is_same(other):
            raise GridMismatch(path, grid.difference(other) + f" for {files.head.name}")
    return grid


def read_prior(files: HeadFiles) -> Prior:
    """Return what is known of heads from a template's.

    Raises
    ------
    GridMismatch
        The files are on several grids.
    DamagedFile, UnusableImage, UnusableMask
        One of them is cut, is no image of a human head, or no mask.
    """
    grid = common_grid(files)
    head, t1w = (_read_head(path, grid) for path in (files.head, files.t1w))
    mask = two_values(files.mask, read_volume(open_image(files.mask)))
    refuse_no_brain(mask, grid, files.mask)
    return build_prior(head, t1w, mask, grid, files.contrast)


def refuse_no_brain(mask: NDArray[np.bool_], grid: Grid, where: str | Path) -> None:
    """Raise UnusableMask for a template's mask that is too small for a human brain."""
    brain_ml = np.count_nonzero(mask) * grid.voxel_volume_mm3 / 1000
    if brain_ml < LEAST_BRAIN_ML:
        raise UnusableMask(
            where,
            f"is a brain of {brain_ml:.3g} ml, but one of a human head is needed",
            "Choose another template.",
        )


def refuse_no_head(values: NDArray[Any], grid: Grid, where: str | Path) -> None:
    """Raise UnusableImage for a template that is no usable image, or has no value above 0."""
    refuse_unusable(values, grid, where)
    if np.nanmax(values) <= 0:
        raise UnusableImage(where, "is no head: it has no value above 0")


def _read_head(path: Path, grid: Grid) -> NDArray[Any]:
    values = read_volume(open_image(path))
    refuse_no_head(values, grid, path)
    return values
