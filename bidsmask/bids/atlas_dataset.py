"""The images of a BIDS-Atlas dataset (BEP038), found by their names, each with its table."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from bidsmask.bids.atlases import SUFFIXES, AtlasKind, find_atlas_table
from bidsmask.bids.dataset import DESCRIPTION, IMAGE, read_description
from bidsmask.bids.entities import Entities
from bidsmask.bids.file import File
from bidsmask.bids.templates import Template
from bidsmask.errors import GridMismatch, UnusableImage

# What tells the images of one atlas apart.
_OF_PLACE = ("tpl", "space", "cohort", "res", "den")


def atlas_images(folder: Path, wanted: Entities, kind: AtlasKind) -> list[File]:
    """Return the images of one atlas of a BIDS-Atlas dataset, in whichever space and resolution.

    Parameters
    ----------
    folder : Path
        The root, with a dataset_description.json.
    wanted : Entities
        What the names of the images must have, `atlas-` for example.
    kind : {"labels", "maps"}

    Raises
    ------
    UnusableImage
        The folder is no such dataset, has no such image, or several atlases to choose from.
    """
    if read_description(folder) is None:
        problem = f"is a folder, but no BIDS-Atlas dataset: it has no {DESCRIPTION}"
        raise UnusableImage(folder, problem, "Name the image itself.")
    found = [one for one in _files(folder) if one.is_image and _is_of_atlas(one.entities)]
    fitting = [one for one in found if wanted.meaning <= one.entities.meaning]
    images = [one for one in fitting if one.entities.suffix == SUFFIXES[kind]]
    asked = wanted.without(*_OF_PLACE).meaning
    exact = [one for one in images if one.entities.without(*_OF_PLACE).meaning == asked]
    images = exact or images
    if not images:
        known = sorted({f"{_atlas(one)}_{one.entities.suffix}" for one in found})
        what = " and ".join(f"{key}-{label}" for key, label in wanted.pairs)
        problem = f"has no {SUFFIXES[kind]} image{f' of {what}' if what else ''}"
        raise UnusableImage(folder, problem, f"It has {', '.join(known)}." if known else "")
    atlases = sorted({_atlas(one) for one in images})
    if len(atlases) > 1:
        shown = atlases[0].replace("_", ":")
        raise UnusableImage(
            folder,
            f"holds several atlases: {', '.join(atlases)}",
            f"Name one: {folder.name}:{shown}.",
        )
    return images


def in_space(images: Sequence[File], space: Template, folder: Path, run: Path) -> list[Path]:
    """Return those of an atlas's images that lie in a space, or that say none.

    Raises
    ------
    GridMismatch
        There is none; it names both spaces.
    """
    places = {one.path: Template.of(one.entities) for one in images}
    fitting = [path for path, place in places.items() if place.fits(space)]
    fitting = fitting or [path for path, place in places.items() if not place.name]
    if fitting:
        return fitting
    raise GridMismatch(
        folder,
        f"has {_atlas(images[0])} in {', '.join(sorted({str(p) for p in places.values()}))}, "
        f"but {run.name} is in {str(space) or 'its own space'}",
        "Leave such runs out with --space, or give an atlas in their space.",
    )


def table_in(folder: Path, image: Path) -> Path | None:
    """Return the table of names of an image of a dataset: beside it, or anywhere in the dataset.

    In the dataset it is the one with none but the image's entities that shares most of them.
    """
    own = Entities.parse(image.name)
    tables = [
        one
        for one in _files(folder)
        if one.entities.extension == ".tsv"
        and one.entities.suffix == own.suffix
        and "atlas" in one.entities
        and one.entities.meaning <= own.meaning
    ]
    shared = max(tables, key=lambda one: len(one.entities.pairs), default=None)
    return find_atlas_table(image) or (shared.path if shared else None)


def _files(folder: Path) -> Iterator[File]:
    """Yield the files of a dataset in a fixed order; links to folders are not followed."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith((".", "sub-")))
        for name in sorted(names):
            if not name.startswith(".") and name.endswith((*IMAGE, ".tsv")):
                yield File(Path(parent, name), Entities.parse(name))


def _is_of_atlas(entities: Entities) -> bool:
    """Return whether a name is that of an atlas, and not of something of a template alone."""
    return "atlas" in entities and not entities.left_over


def _atlas(file: File) -> str:
    """Return the entities that say which atlas a file is of: `atlas-X_desc-Y`."""
    return file.entities.without(*_OF_PLACE).name(suffix="", extension="")
