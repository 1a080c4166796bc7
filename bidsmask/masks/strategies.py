"""The registry of mask strategies: what the command line offers, and how each is computed.

A strategy joins by one file that computes it and one entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bidsmask.errors import UsageError
from bidsmask.images.grid import Grid
from bidsmask.masks.automask import automask, check_automask_arguments
from bidsmask.masks.background import background_mask, check_background_arguments
from bidsmask.masks.brain import BrainMask, brain_mask
from bidsmask.masks.brain_prior import HEADS, Prior
from bidsmask.masks.epi import check_epi_arguments, epi_mask
from bidsmask.masks.given import load_mask
from bidsmask.masks.mask import Mask
from bidsmask.masks.otsu import check_otsu_arguments, otsu_mask
from bidsmask.masks.template import check_template_arguments, load_template_mask


@dataclass(frozen=True)
class Strategy:
    """A way to come by a mask.

    Attributes
    ----------
    name : str
        As on the command line.
    description : str
        One sentence for the help.
    arguments : mapping
        Names and defaults; a value's type is that of its default, numbers in a tuple.
    compute : callable or None
        `compute(mean, grid, *, where, **arguments)` gives an (i, j, k) bool array, or a BrainMask
        where it takes a prior, and changes nothing. None for a mask that comes from a file, by
        `read_mask`.
    check : callable
        Raises UsageError for a full set of arguments that makes no sense.
    takes_magnitude : bool
        Whether `mean` is that of absolute values.
    takes_prior : bool
        Whether `compute` takes a template's head, too, as `prior`.
    tissue : {"", "brain", "GM", "WM"}
        Which map of a template it is; empty where it is none.
    """

    name: str
    description: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    compute: Callable[..., NDArray[np.bool_]] | Callable[..., BrainMask] | None = None
    check: Callable[[Mapping[str, Any]], None] = lambda arguments: None
    takes_magnitude: bool = False
    takes_prior: bool = False
    tissue: Literal["", "brain", "GM", "WM"] = ""


def check_brain_arguments(arguments: Mapping[str, Any]) -> None:
    """Raise UsageError where arguments of `brain_mask` make no sense."""
    contrast = arguments["contrast"]
    if contrast not in HEADS:
        raise UsageError("brain mask", f"has contrast={contrast}", f"Give {', '.join(HEADS)}.")


def _by_name(*strategies: Strategy) -> dict[str, Strategy]:
    return {strategy.name: strategy for strategy in strategies}


def _from_template(name: str, what: str, tissue: Literal["brain", "GM", "WM"]) -> Strategy:
    # Openings would leave a third of the grey matter of MNI152.
    arguments = {"threshold": 0.5, "connected": True, "opening": 2 if tissue == "brain" else 0}
    description = f"the {what} of the template in whose space the run is"
    return Strategy(name, description, arguments, check=check_template_arguments, tissue=tissue)


STRATEGIES = _by_name(
    Strategy(
        "derivative",
        "the brain mask that the preprocessing wrote for this run and space",
    ),
    Strategy(
        "background",
        "what differs from the median of the image's border, for backgrounds of one value",
        {"border_size": 2, "connected": False, "opening": 0, "ensure_finite": True},
        background_mask,
        check_background_arguments,
    ),
    Strategy(
        "epi",
        "at or above the widest gap between sorted values of the mean volume, opened",
        {
            "lower_cutoff": 0.2,
            "upper_cutoff": 0.85,
            "connected": True,
            "opening": 2,
            "exclude_zeros": False,
            "ensure_finite": True,
            "keep_edges": False,
        },
        epi_mask,
        check_epi_arguments,
    ),
    Strategy(
        "otsu",
        "between half and twice Otsu's threshold, or in a range of values, filled and closed",
        {"threshold": (), "closing_radius": 3},
        otsu_mask,
        check_otsu_arguments,
    ),
    Strategy(
        "automask",
        "above clip levels that vary over space, peeled and filled as by AFNI's 3dAutomask",
        {
            "clfrac": 0.5,
            "peels": 1,
            "nbhrs": 17,
            "gradual": True,
            "dilate": 0,
            "erode": 0,
            "nn": 2,
        },
        automask,
        check_automask_arguments,
        takes_magnitude=True,
    ),
    Strategy(
        "brain",
        "the brain of a head with skull and face, onto which a template's head is laid and bent",
        {"contrast": "EPI"},
        brain_mask,
        check_brain_arguments,
        takes_prior=True,
    ),
    _from_template("whole-brain-template", "brain mask", "brain"),
    _from_template("gm-template", "grey matter", "GM"),
    _from_template("wm-template", "white matter", "WM"),
    Strategy("file", "the mask in a file of yours"),
)


def parse_arguments(strategy: str, assignments: Iterable[str]) -> dict[str, object]:
    """Return all arguments of a strategy: its defaults, and what `NAME=VALUE` words change.

    Raises
    ------
    UsageError
        An unknown strategy or name (the known ones are listed), a value of the wrong type,
        values that make no sense together.
    """
    chosen = _strategy(strategy)
    arguments = dict(chosen.arguments)
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError("--mask-args", f"has {assignment!r}, which is not NAME=VALUE")
        if name not in arguments:
            known = ", ".join(arguments) or "none"
            raise UsageError(
                "--mask-args",
                f"has {name!r}, which is no argument of the {strategy} mask",
                f"Its arguments: {known}.",
            )
        arguments[name] = _parse_value(name, text, chosen.arguments[name])
    chosen.check(arguments)
    return arguments


def compute_mask(
    strategy: str,
    mean: NDArray[Any],
    grid: Grid,
    arguments: Mapping[str, object],
    where: str | Path,
    prior: Prior | None = None,
) -> Mask:
    """Compute a mask from an image.

    Parameters
    ----------
    strategy : str
        A name of STRATEGIES that is computed.
    mean : (i, j, k) array, real
        Mean over volumes, or a 3D image. Not changed.
    grid : Grid
        Of the image.
    arguments : mapping
        Those that differ from the strategy's defaults, or all of them.
    where : str or Path
        The image, for messages; the mask's source when it is a path.
    prior : Prior, optional
        A template's head, for the strategy that takes one.

    Returns
    -------
    Mask
        With all arguments that made it, defaults included; and with doubts where the strategy
        has some.

    Raises
    ------
    UsageError
        A strategy that is not known or is not computed, unusable arguments, a prior that is
        missing or that nothing takes.
    UnusableImage
        An image that the strategy can make nothing of.
    UnusableMask
        When no voxel is left.
    """
    chosen = _strategy(strategy)
    if chosen.compute is None:
        raise UsageError(f"mask strategy {strategy}", "is read from a file, not computed")
    unknown = set(arguments) - set(chosen.arguments)
    if unknown:
        raise UsageError(f"mask strategy {strategy}", f"has no argument {min(unknown)!r}")
    if chosen.takes_prior != (prior is not None):
        needs = "needs a prior" if chosen.takes_prior else "takes no prior"
        raise UsageError(f"mask strategy {strategy}", needs)
    complete = {**chosen.arguments, **arguments}
    source = where if isinstance(where, Path) else None
    more = {} if prior is None else {"prior": prior}
    found = chosen.compute(mean, grid, where=where, **more, **complete)
    if isinstance(found, BrainMask):
        return Mask(found.voxels, grid, strategy, complete, source, found.confidence, found.doubts)
    return Mask(found, grid, strategy, complete, source)


def read_mask(strategy: str, path: Path, grid: Grid, arguments: Mapping[str, object]) -> Mask:
    """Return a mask that comes from a file: given as it is, or made from a template.

    Parameters
    ----------
    strategy : str
        A name of STRATEGIES that is not computed.
    path : Path
        The mask, or the template's map.
    grid : Grid
        That the mask has to be on; only a template is resampled.
    arguments : mapping
        All of the strategy's.

    Raises
    ------
    DataError
        As `load_mask` and `load_template_mask`.
    """
    if _strategy(strategy).tissue:
        return load_template_mask(path, grid, strategy, arguments)
    return load_mask(path, grid, strategy)


def _strategy(name: str) -> Strategy:
    if name not in STRATEGIES:
        raise UsageError(
            "--mask-strategy", f"has {name!r}, which is unknown", f"Known: {', '.join(STRATEGIES)}."
        )
    return STRATEGIES[name]


def _parse_value(name: str, text: str, default: object) -> object:
    """Return the text as a value of the default's type."""
    wanted = type(default)
    own_way = {bool: _parse_bool, tuple: _parse_numbers}
    try:
        return own_way.get(wanted, wanted)(text)
    except ValueError as error:
        kinds = {bool: "true or false", int: "a whole number", float: "a number"}
        kinds[tuple] = "a list of numbers with commas between them"
        raise UsageError(
            "--mask-args", f"has {name}={text}, but {kinds[wanted]} is needed"
        ) from error


def _parse_bool(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError(text)
    return text.lower() == "true"


def _parse_numbers(text: str) -> tuple[float, ...]:
    """Return `100,900` or `(100, 900)` as numbers; none of an empty text."""
    inside = text.strip().removeprefix("(").removesuffix(")")
    return tuple(map(float, inside.split(","))) if inside.strip() else ()
