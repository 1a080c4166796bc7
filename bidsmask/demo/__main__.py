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
    parser.add_argument("--seed", type=_seed, default=0, help="whole number; default: 0")
    options = parser.parse_args(arguments)
    from bidsmask.demo.dataset import write_demo

    try:
        write_demo(options.directory, options.seed)
    except BidsmaskError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    root = options.directory
    sys.stdout.write(
        f"{root} is written; its README says what it holds. Next:\n"
        f"bidsmask {root} {root / 'derivatives' / 'bidsmask'} participant\n"
    )
    return 0


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
