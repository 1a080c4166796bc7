"""A folder of images that is no BIDS dataset: which files are images, and what each is called."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bidsmask.errors import MissingInput, UnusableImage

EXTENSIONS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class FolderOfImages:
    """What lies in a folder; in folders in it nothing is looked for.

    Attributes
    ----------
    images : tuple of Path
        Each of another stem than the others, in the order of their names.
    refused : tuple of UnusableImage
        For each image whose products would have the names of another's, or no usable ones.
    n_hidden, n_folders : int
        Hidden files named as images, and folders, which are left alone.
    """

    images: tuple[Path, ...]
    refused: tuple[UnusableImage, ...] = ()
    n_hidden: int = 0
    n_folders: int = 0

    def __len__(self) -> int:
        return len(self.images) + len(self.refused)


def look_into(folder: Path) -> FolderOfImages:
    """Look for images in a folder, by names alone.

    Whatever is named `.nii` or `.nii.gz` and is no folder counts, be it a link that leads
    nowhere: who opens it says what is wrong.

    Raises
    ------
    MissingInput
        The folder cannot be read.
    """
    images: dict[str, Path] = {}
    refused = []
    n_hidden = n_folders = 0
    for entry in _entries(folder):
        path = Path(entry.path)
        is_hidden = entry.name.startswith(".")
        if _is_folder(entry):
            n_folders += not is_hidden
        elif not entry.name.lower().endswith(EXTENSIONS):
            continue
        elif is_hidden:
            n_hidden += 1
        elif not entry.name.isprintable():
            problem = "has a name that is not printable text"
            refused.append(UnusableImage(ascii(entry.name), problem, "Rename it."))
        elif stem_of(path) in images:
            first = images[stem_of(path)].name
            problem = f"would have the mask {stem_of(path)}_mask.nii.gz, as {first} has"
            refused.append(UnusableImage(path, problem, "Rename one of them."))
        else:
            images[stem_of(path)] = path
    return FolderOfImages(tuple(images.values()), tuple(refused), n_hidden, n_folders)


def stem_of(image: Path) -> str:
    """Return the name of an image without `.nii` or `.nii.gz`."""
    extension = next(one for one in EXTENSIONS if image.name.lower().endswith(one))
    return image.name[: -len(extension)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder; what cannot be told is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what a folder holds, in the order of names."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingInput(str(folder), "is no folder") from error
    except OSError as error:
        raise MissingInput(str(folder), f"cannot be read ({error.strerror})") from error
