"""`python -m bidsmask.demo DIR` writes the demo dataset."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bidsmask.errors import BidsmaskError


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, write the demo and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bidsmask.demo",
        description="Write a small BIDS dataset of simulated heads, with fMRIPrep derivatives "
        "and the truth about them.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="new, empty, or a demo")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    options = parser.parse_args(arguments)
    from bidsmask.demo.dataset import write_demo

    try:
        write_demo(options.directory, options.seed)
    except BidsmaskError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
