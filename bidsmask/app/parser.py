"""What the parsers of all our programs have in common."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from bidsmask.errors import UsageError


class Parser(argparse.ArgumentParser):
    """argparse with our errors and our exit codes.

    Parameters
    ----------
    prog : str
        Name of the program.
    description : str
        What it is for.
    exit_codes : mapping of int to str
        What each says; the help ends with them.
    """

    def __init__(self, prog: str, description: str, exit_codes: Mapping[int, str]) -> None:
        codes = ["exit codes:", *(f"  {n:<4} {meaning}" for n, meaning in exit_codes.items())]
        super().__init__(
            prog=prog,
            description=description,
            epilog="\n".join(codes),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
        )
        self.add_argument("--version", action="store_true", help="print the version and exit")

    def error(self, message: str) -> Any:
        """Raise UsageError, where argparse would print and exit with 2."""
        raise UsageError("the command line", f"is wrong: {message}", f"See {self.prog} --help.")

    def given(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Return what a command line says, by the names of the fields that it is for.

        Options may be spelt with dashes or underscores.
        """
        return vars(self.parse_args([dashed(text) for text in arguments]))


def dashed(argument: str) -> str:
    """Return `--one_word=x` as `--one-word=x`."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value
