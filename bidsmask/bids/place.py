"""Where an output may stand, and the making of its folder.

It stands apart from its input, in a writable place, beside no other's data.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bidsmask.bids.dataset import APP, DESCRIPTION, maker, read_description
from bidsmask.bids.locks import remove_leftovers
from bidsmask.errors import OutputRefused, WritingFailed


def check_output(output: Path, raw: Path | None, derivatives: Sequence[Path] = ()) -> None:
    """Refuse an output folder that would harm a dataset or cannot be written. Changes nothing.

    Allowed inside a raw dataset is `derivatives/<name>` alone; inside a derivative dataset that
    is read, nothing. A folder that is there already must be empty of other datasets.

    Raises
    ------
    OutputRefused
        With the reason.
    """
    place = output.resolve()
    for root in [*([raw] if raw else []), *derivatives]:
        _check_apart(output, place, root.resolve(), allow_derivatives=root == raw)
    _check_writable(output, place)
    _check_ours(output)


def _check_apart(output: Path, place: Path, root: Path, *, allow_derivatives: bool) -> None:
    """Refuse an output that is an input dataset, or inside one where it must not be."""
    if not place.is_relative_to(root):
        return
    inside = place.relative_to(root).parts
    if allow_derivatives and len(inside) > 1 and inside[0] == "derivatives":
        return
    where = "lies inside" if inside else "is"
    advice = f"Choose a folder outside of it, or {Path(root.name, 'derivatives', APP)}."
    if not allow_derivatives:
        advice = "Choose a folder outside of it."
    raise OutputRefused(output, f"{where} the input dataset {root}", advice)


def _check_writable(output: Path, place: Path) -> None:
    """Refuse a place where no folder can be made, or no file in it."""
    existing = next(parent for parent in (place, *place.parents) if os.path.lexists(parent))
    if not existing.is_dir():
        problem = f"cannot be made: {existing} is not a folder"
        raise OutputRefused(output, problem, "Choose another output folder.")
    if not os.access(existing, os.W_OK | os.X_OK):
        advice = "Choose an output folder that you may write into."
        raise OutputRefused(output, f"cannot be written: no permission in {existing}", advice)


def _check_ours(output: Path) -> None:
    """Refuse a folder that holds a dataset which is not of this program."""
    if not (output / DESCRIPTION).exists():
        return
    advice = "Choose an empty folder, or one that bidsmask wrote."
    description = read_description(output) or {}
    if description.get("DatasetType") == "raw":
        raise OutputRefused(output, "holds a raw dataset", advice)
    by = maker(description)
    if by != APP:
        by = f" by {by}" if by else ""
        raise OutputRefused(output, f"holds another dataset{by}", advice)


def make_root(output: Path) -> None:
    """Make an output folder, and remove what killed runs left at its root.

    Raises
    ------
    OutputRefused
        If the folder cannot be made or written into.
    """
    with refusing(output):
        output.mkdir(parents=True, exist_ok=True)
        remove_leftovers(output, recursive=False)


@contextmanager
def refusing(output: Path) -> Iterator[None]:
    """Turn what stops the first writing into an output into OutputRefused."""
    try:
        yield
    except (OSError, WritingFailed) as error:
        reason = error.strerror if isinstance(error, OSError) else error.problem
        advice = "Choose an output folder that you may write into."
        raise OutputRefused(output, f"cannot be written: {reason}", advice) from error
