"""Results that are kept on the disk between calls, by joblib's Memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from joblib import Memory

from bidsmask._version import __version__
from bidsmask.images.identity import identity
from bidsmask.maskers.series import Series


def as_memory(memory: Any, verbose: int) -> Memory:
    """Return a Memory: the one given, or one in a folder; None keeps nothing.

    Parameters
    ----------
    memory : None, str, Path or joblib.Memory
        A `~` in a path is the user's home.
    verbose : int
        How much the Memory says.
    """
    if isinstance(memory, Memory):
        return memory
    location = None if memory is None else Path(memory).expanduser()
    return Memory(location=location, verbose=max(0, int(verbose) - 1))


def remember(memory: Memory, key: Callable[[], Any], work: Callable[[], Any]) -> Any:
    """Return what work gives, from the disk where it was done before.

    Parameters
    ----------
    memory : joblib.Memory
    key : callable
        Gives all that the result depends on; `content_of` gives that of images. It may have to
        read a file for that, and so is called only where something is kept.
    work : callable
    """
    if memory.location is None:
        return work()
    return memory.cache(_do, ignore=["work"])((__version__, key()), work)


def content_of(thing: Any) -> Any:
    """Return what tells two values of a parameter or argument apart: files by what is in them."""
    if isinstance(thing, Series):
        return [
            content_of(image) if file is None else (identity(file.path), file.grid.affine)
            for image, file in zip(thing.images, thing.files, strict=True)
        ]
    if isinstance(thing, nib.spatialimages.SpatialImage):
        return np.asanyarray(thing.dataobj), np.asarray(thing.affine)
    if isinstance(thing, list | tuple):
        return [content_of(one) for one in thing]
    if isinstance(thing, dict):
        return {name: content_of(one) for name, one in thing.items()}
    if isinstance(thing, str | Path) and Path(thing).expanduser().is_file():
        return identity(Path(thing).expanduser())
    return thing


def _do(key: Any, work: Callable[[], Any]) -> Any:
    return work()
