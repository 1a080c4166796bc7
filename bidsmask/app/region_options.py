"""From the command line of bidsmask-regions to RegionOptions."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from bidsmask.app.parser import Parser
from bidsmask.errors import UsageError

DESCRIPTION = (
    "Take atlases apart into regions: labels into their connected parts, probability maps into "
    "what has a peak or is connected."
)
KINDS = ("local_regions", "connected_components")
THRESHOLDING_STRATEGIES = ("ratio_n_voxels", "img_value", "percentile")
EXIT_CODES = {
    0: "all regions are written",
    64: "the command line is wrong, or asks for contradicting things",
    65: "an image or table cannot be used, or has no region",
    66: "an input named on the command line is missing",
    70: "a fault of bidsmask; -vv shows where",
    73: "an output is there already, or is an input",
    74: "writing failed midway, as on a full disk",
    130: "interrupted",
    143: "terminated",
}


@dataclass(frozen=True)
class RegionOptions:
    """Every choice of the user; None where he made none.

    Attributes
    ----------
    atlas : tuple of str
        `IMAGE[=TABLE]` each.
    output_dir : Path
    maps : bool
        A 3D image is one map, not labels.
    kind, threshold, thresholding_strategy, two_sided, smoothing_fwhm
        For maps alone.
    connect_diag
        For labels alone.
    min_region_size : float or None
        mm³.
    mask_file : Path or None
    force : bool
        Replace outputs that are there.
    verbose : int
    """

    atlas: tuple[str, ...]
    output_dir: Path
    maps: bool = False
    kind: str | None = None
    threshold: float | None = None
    thresholding_strategy: str | None = None
    two_sided: bool | None = None
    smoothing_fwhm: float | None = None
    connect_diag: bool | None = None
    min_region_size: float | None = None
    mask_file: Path | None = None
    force: bool = False
    verbose: int = 0


def parser() -> Parser:
    """Return the parser of the command line."""
    result = Parser("bidsmask-regions", DESCRIPTION, EXIT_CODES)
    add = result.add_argument
    add(
        "atlas",
        nargs="+",
        metavar="IMAGE[=TABLE]",
        help="3D labels or 4D maps, NIfTI; the table of names is found beside the image",
    )
    add("output_dir", type=Path, help="where image, table and sidecar are written")
    add("--maps", action="store_true", help="a 3D image is one map, not labels")
    add(
        "--kind", choices=KINDS, help="of maps: around peaks, or what is connected (default: peaks)"
    )
    add("--threshold", type=float, metavar="X", help="of maps: what is fainter becomes 0")
    add(
        "--thresholding-strategy",
        choices=THRESHOLDING_STRATEGIES,
        help="X is how many values stay per voxel, a value, or a percentile (default: the first)",
    )
    add("--two-sided", action="store_true", help="threshold values by their absolute value")
    add(
        "--smoothing-fwhm",
        type=float,
        metavar="MM",
        help="of maps, before peaks are looked for (default: 6)",
    )
    add(
        "--connect-diag",
        action=argparse.BooleanOptionalAction,
        help="of labels: voxels that share an edge or corner are connected (default: yes)",
    )
    add(
        "--min-region-size",
        type=float,
        metavar="MM3",
        help="smaller regions are left out (default: maps 1350, labels none)",
    )
    add("--mask-file", type=Path, metavar="MASK", help="what lies outside counts as 0")
    add("--force", action="store_true", help="replace outputs that are there")
    add("-v", "--verbose", action="count", help="twice: show where a fault arose")
    return result


def parse(arguments: list[str]) -> RegionOptions:
    """Return the RegionOptions of a command line.

    Parameters
    ----------
    arguments : list of str
        As in `sys.argv[1:]`; options may be spelt with dashes or underscores.

    Raises
    ------
    UsageError
        What is wrong with it.
    """
    given = parser().given(arguments)
    options = RegionOptions(**{**given, "atlas": tuple(given["atlas"])})
    has_strategy = options.thresholding_strategy is not None or options.two_sided is not None
    if options.threshold is None and has_strategy:
        raise UsageError("how to threshold", "is said, but not at what", "Give --threshold.")
    if options.two_sided and options.thresholding_strategy in (None, "ratio_n_voxels"):
        raise UsageError(
            "--two-sided", "says nothing beside ratio_n_voxels, which goes by absolute values"
        )
    if options.smoothing_fwhm is not None and options.kind == "connected_components":
        raise UsageError("--smoothing-fwhm", "is for peaks, and connected_components has none")
    return options
