"""nidataset's masks of files and of folders, under its names and signatures, with its voxels."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path

from bidsmask.errors import (
    BidsmaskError,
    MissingInput,
    OutputRefused,
    UnusableImage,
    UsageError,
    WritingFailed,
)
from bidsmask.images.folder import look_into, stem_of
from bidsmask.images.image import open_image
from bidsmask.images.stream import read_volume
from bidsmask.images.write import nifti_bytes
from bidsmask.masks.otsu import otsu_mask

LOG = logging.getLogger("bidsmask")


def generate_brain_mask(
    nii_path: str | Path,
    output_path: str | Path,
    threshold: tuple[float, float] | None = None,
    closing_radius: int = 3,
    debug: bool = False,
) -> str:
    """Write the mask of what lies in a range of values, as `<PREFIX>_mask.nii.gz`.

    Parameters
    ----------
    nii_path : str or Path
        A 3D image, `.nii` or `.nii.gz`.
    output_path : str or Path
        Folder of the mask; made where it is not there.
    threshold : two numbers, optional
        Lowest and highest value inside; by default half and twice Otsu's threshold of the
        values above 0.
    closing_radius : int
        Of the ball that closes the mask, voxels.
    debug : bool
        Say to the log `bidsmask`, as information, what was made.

    Returns
    -------
    str
        Path of the mask, uint8.

    Raises
    ------
    MissingInput
        The image is not there.
    DataError
        It is damaged, no 3D image, constant, or has no value in the range.
    UsageError
        Not two numbers in order, a negative radius.
    OutputRefused, WritingFailed
        The mask cannot be written.
    """
    source, folder = Path(nii_path), Path(output_path)
    if not source.is_file():
        raise MissingInput(source, "is not there")
    image = open_image(source)
    if image.is_series:
        raise UnusableImage(source, f"is 4D with {image.n_volumes} volumes, but 3D is needed")
    voxels = otsu_mask(
        read_volume(image),
        image.grid,
        threshold=() if threshold is None else tuple(threshold),
        closing_radius=closing_radius,
        where=source,
    )
    path = folder / f"{stem_of(source)}_mask.nii.gz"
    _write(path, nifti_bytes(voxels, image.grid))
    if debug:
        LOG.info("%s: %d voxels inside, written to %s", source, voxels.sum(), path)
    return str(path)


def generate_brain_mask_dataset(
    nii_folder: str | Path,
    output_path: str | Path,
    threshold: tuple[float, float] | None = None,
    closing_radius: int = 3,
    debug: bool = False,
) -> list[str]:
    """Write the mask of every image of a folder; one that fails does not stop the others.

    Parameters
    ----------
    nii_folder : str or Path
        Its files `.nii` and `.nii.gz` are taken in the order of their names; hidden ones, and
        those of folders in it, are not.
    output_path, threshold, closing_radius, debug
        As for `generate_brain_mask`.

    Returns
    -------
    list of str
        Paths of the masks that were written. A warning names the images that gave none: `a.nii.gz`
        beside `a.nii` is one of them, since both would have one mask.

    Raises
    ------
    MissingInput
        The folder is not there, or holds no image.
    UsageError
        As `generate_brain_mask`.
    """
    found = look_into(Path(nii_folder))
    if not found:
        raise MissingInput(str(nii_folder), "holds no file named .nii or .nii.gz")
    failures = [str(error) for error in found.refused]
    written = []
    for source in found.images:
        try:
            written.append(
                generate_brain_mask(source, output_path, threshold, closing_radius, debug)
            )
        except (UsageError, OutputRefused, WritingFailed):
            raise
        except BidsmaskError as error:
            failures.append(str(error))
    if failures:
        warnings.warn(
            f"{len(failures)} of {len(found)} images gave no mask: {' '.join(failures)}",
            UserWarning,
            stacklevel=2,
        )
    return written


def _write(path: Path, content: bytes) -> None:
    """Write a file under another name beside its place, and rename it: never half of one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputRefused(str(path.parent), f"cannot be made: {error.strerror}") from error
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise WritingFailed(path, f"could not be written: {error.strerror}") from error
