"""From the command line of bidsmask-unmask to UnmaskOptions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bidsmask.app.parser import Parser
from bidsmask.errors import UsageError

DESCRIPTION = (
    "Put the rows of a table of signals back into the brain: each column to its voxel, region, "
    "sphere or map."
)
EXIT_CODES = {
    0: "the image is written",
    64: "the command line is wrong",
    65: "the table is damaged, or the map is not that of its columns",
    66: "a file named on the command line, or by the table's JSON file, is missing",
    70: "a fault of bidsmask; -vv shows where",
    73: "the output is there already, or is an input",
    74: "writing failed midway, as on a full disk",
    130: "interrupted",
    143: "terminated",
}


@dataclass(frozen=True)
class UnmaskOptions:
    """Every choice of the user.

    Attributes
    ----------
    signals : Path
        The table.
    output : Path
        The image.
    map : str or None
        `IMAGE[=TABLE]`: where the columns lie; None where that is to be found.
    row : tuple of str
        Numbers from 0, or names in a table whose rows have names; empty for all.
    force : bool
        Replace an output that is there.
    verbose : int
    """

    signals: Path
    output: Path
    map: str | None = None
    row: tuple[str, ...] = ()
    force: bool = False
    verbose: int = 0


def parser() -> Parser:
    """Return the parser of the command line."""
    result = Parser("bidsmask-unmask", DESCRIPTION, EXIT_CODES)
    add = result.add_argument
    add(
        "signals",
        type=Path,
        metavar="SIGNALS",
        help="table of bidsmask (.tsv, .tsv.gz) with a column for each voxel or region",
    )
    add("output", type=Path, metavar="OUT", help=".nii or .nii.gz: 3D for one row, else 4D")
    add(
        "--map",
        metavar="IMAGE[=TABLE]",
        help="column map, atlas or 4D maps that the columns are of, with the table of their names "
        "(default: what the JSON file beside SIGNALS names, or its name tells)",
    )
    add(
        "--row",
        nargs="+",
        metavar="ROW",
        help="rows, counted from 0; in a matrix the names of regions (default: all)",
    )
    add("--force", action="store_true", help="replace an output that is there")
    add("-v", "--verbose", action="count", help="twice: show where a fault arose")
    return result


def parse(arguments: list[str]) -> UnmaskOptions:
    """Return the UnmaskOptions of a command line.

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
    options = UnmaskOptions(**{**given, "row": tuple(given.get("row", ()))})
    if not options.output.name.endswith((".nii", ".nii.gz")):
        advice = "Give a name that ends with .nii.gz or .nii."
        raise UsageError(str(options.output), "is no name of an image", advice)
    return options
