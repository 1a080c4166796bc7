"""Volumes from whatever a Python user has: a path, a nibabel image, or a list of either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import GridMismatch, UnusableImage, WrongType
from bidsmask.images.grid import Grid
from bidsmask.images.image import Image, open_image
from bidsmask.images.stream import mean_volume, stream

# A path, or an image as nibabel has them; it is not typed.
ImageLike = Any
NIFTI1: Any = nib.Nifti1Image
# Of an array whose volumes lie interleaved: as many float32 as a line of the cache holds.
VOLUMES_AT_A_TIME = 16
is_proxy: Any = nib.is_proxy


@dataclass(frozen=True, eq=False)
class Series:
    """Volumes of one Grid.

    Attributes
    ----------
    images : tuple of nibabel images
        At least one; of a list one after the other, read in the type of the first as nilearn
        reads them.
    files : tuple of Image or None
        For each, the NIfTI file that its volumes are streamed from; None for one in memory.
    grid : Grid
    is_series : bool
        False for a single 3D image.
    """

    images: tuple[Any, ...]
    files: tuple[Image | None, ...]
    grid: Grid
    is_series: bool

    @property
    def where(self) -> str | Path:
        """The file, for messages."""
        return _where(self.images[0])

    @property
    def n_volumes(self) -> int:
        """Number of volumes; 1 for a single 3D image."""
        return sum(_n_volumes(image) for image in self.images)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values: float64 where the file scales them."""
        file = self.files[0]
        if file is None:
            stored: np.dtype[Any] = np.asanyarray(self.images[0].dataobj).dtype
            return stored.newbyteorder("=")
        return np.dtype(np.float64) if file.is_scaled else file.dtype.newbyteorder("=")

    def volumes(self) -> Iterator[NDArray[Any]]:
        """Yield each volume's values, (i, j, k); valid until the next is asked for."""
        dtype = self.dtype
        for image, file in zip(self.images, self.files, strict=True):
            for volume in _volumes(image, file, self.grid.shape):
                yield volume.astype(dtype, copy=False)

    def mean(self, *, absolute: bool = False) -> NDArray[Any]:
        """Return the mean over volumes, or the one 3D image: nilearn's `compute_mean`.

        That of absolute values where they are asked for.
        """
        file, image = self.files[0], self.images[0]
        if len(self.images) == 1 and file is not None:
            return mean_volume(file, absolute=absolute)
        if len(self.images) == 1:
            values = np.asanyarray(image.dataobj)
            values = np.abs(values) if absolute else values
            with np.errstate(invalid="ignore", over="ignore"):
                mean = values.mean(axis=-1) if values.ndim == 4 else values.copy()
            return np.asarray(mean, mean.dtype.newbyteorder("="))
        kind = np.float32 if self.dtype == np.float32 else np.float64
        total = np.zeros(self.grid.shape, kind)
        for volume in self.volumes():
            with np.errstate(invalid="ignore", over="ignore"):
                total += np.abs(volume) if absolute else volume
        return total / kind(self.n_volumes)

    def image_of(self, values: NDArray[Any], grid: Grid) -> Any:
        """Return a nibabel image of values that lies in the same space.

        Parameters
        ----------
        values : (i, j, k) or (i, j, k, n_volumes) array
            bool becomes uint8; int64 int32 where that holds it.
        grid : Grid
            Of the values.
        """
        if values.dtype == bool:
            values = values.astype(np.uint8)
        if values.dtype == np.int64 and np.array_equal(values, values.astype(np.int32)):
            values = values.astype(np.int32)
        made = NIFTI1(values, grid.affine)
        header = self.images[0].header
        code = int(header["sform_code"] or header["qform_code"]) if "sform_code" in header else 0
        made.set_sform(grid.affine, code or 2)
        made.set_qform(grid.affine, code or 2, strip_shears=True)
        made.header.set_xyzt_units("mm")
        return made


def as_series(images: ImageLike | Sequence[ImageLike]) -> Series:
    """Return the volumes of a path, an image, or a list of them.

    Parameters
    ----------
    images : str, Path, nibabel image, or a list of those
        3D or 4D; in a list all on one grid.

    Raises
    ------
    WrongType
        An empty list, or something else.
    DamagedFile, UnusableImage
        As `open_image`: 2D, 5D, complex, RGB, damaged.
    GridMismatch
        Images of a list that differ in shape or affine.
    """
    parts = list(images) if isinstance(images, list | tuple) else [images]
    if not parts:
        raise WrongType("the list of images", "is empty")
    opened = [_open(part) for part in parts]
    grids = [_grid(image) for image in opened]
    for image, grid in zip(opened, grids, strict=True):
        if not grids[0].is_same(grid):
            raise GridMismatch(_where(image), grids[0].difference(grid))
    is_series = isinstance(images, list | tuple) or len(opened[0].shape) > 3
    return Series(tuple(opened), tuple(map(_file, opened)), grids[0], is_series)


def volume_of(image: ImageLike) -> tuple[Series, NDArray[Any]]:
    """Return a 3D image, or a 4D one of a single volume, and its values (i, j, k)."""
    series = as_series(image)
    if series.n_volumes != 1:
        problem = f"has {series.n_volumes} volumes, but a 3D image is needed"
        raise UnusableImage(series.where, problem)
    [values] = [volume.copy(order="K") for volume in series.volumes()]
    return series, values


def _open(image: ImageLike) -> Any:
    """Return a nibabel image whose header was found usable."""
    if isinstance(image, str | Path):
        path = Path(image).expanduser()
        open_image(path)
        return nib.load(path)
    if not (hasattr(image, "affine") and hasattr(image, "dataobj")):
        raise WrongType(
            "the image", f"is a {type(image).__name__}", "Give a path, a nibabel image, or a list."
        )
    where, shape = _where(image), tuple(image.shape)
    if len(shape) not in (3, 4) or 0 in shape:
        raise UnusableImage(where, f"has shape {shape}, but a 3D or 4D image is needed")
    dtype = image.get_data_dtype() if is_proxy(image.dataobj) else image.dataobj.dtype
    if dtype.kind not in "iufb":
        raise UnusableImage(where, f"holds {dtype}, but one real number per voxel is needed")
    if dtype.kind == "b":
        return type(image)(np.asarray(image.dataobj, np.uint8), image.affine)
    return image


def _file(image: Any) -> Image | None:
    """Return the NIfTI file that an image was loaded from and still stands for."""
    name = image.get_filename()
    if not name or not is_proxy(image.dataobj) or not name.endswith((".nii", ".nii.gz")):
        return None
    file = open_image(name)
    lengths = (*file.grid.shape, file.n_volumes) if file.is_series else file.grid.shape
    return replace(file, grid=_grid(image)) if lengths == tuple(image.shape) else None


def _grid(image: Any) -> Grid:
    i, j, k = image.shape[:3]
    affine = np.asarray(image.affine, np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or np.linalg.det(affine) == 0:
        raise UnusableImage(_where(image), "has an unusable affine")
    return Grid((i, j, k), affine)


def _n_volumes(image: Any) -> int:
    return int(image.shape[3]) if len(image.shape) > 3 else 1


def _where(image: Any) -> str | Path:
    name = image.get_filename() if hasattr(image, "get_filename") else None
    return Path(name) if name else "the image"


def _volumes(image: Any, file: Image | None, shape: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    if file is not None:
        for volume in stream(file):
            yield file.scale(volume).reshape(shape, order="F")
        return
    values = np.asanyarray(image.dataobj)
    if values.ndim == 3:
        yield values
        return
    for start in range(0, _n_volumes(image), VOLUMES_AT_A_TIME):
        for volume in np.moveaxis(
            np.asfortranarray(values[..., start : start + VOLUMES_AT_A_TIME]), -1, 0
        ):
            yield volume
