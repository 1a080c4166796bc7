"""The door: argv in, exit code out."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from bidsmask import __version__


class Terminated(BaseException):
    """SIGTERM was received."""


def main(arguments: list[str] | None = None) -> int:
    """Run bidsmask.

    Parameters
    ----------
    arguments : list of str, optional
        The command line without the program's name; default `sys.argv[1:]`.

    Returns
    -------
    int
        The exit code; `bidsmask --help` lists them.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--version" in arguments:
        print(f"bidsmask {__version__}")  # noqa: T201
        return 0

    from bidsmask.app.arguments import parse
    from bidsmask.errors import BidsmaskError

    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        options = parse(arguments)
        from bidsmask.app.run import run
        from bidsmask.terminal import Terminal

        return run(options, Terminal(options))
    except BidsmaskError as error:
        print(f"bidsmask: error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:
        return stopped("interrupted", 130)
    except Terminated:
        return stopped("terminated", 143)
    except BrokenPipeError:
        # Whoever read our standard output has gone; what is left in its buffer has no reader.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        signal.signal(signal.SIGTERM, previous)


def terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Turn SIGTERM into an exception, so that what is half-written is cleared away."""
    raise Terminated


def stopped(how: str, exit_code: int) -> int:
    """Say that the run was stopped from outside."""
    print(  # noqa: T201
        f"bidsmask: {how}. Finished runs are kept; the same command resumes.", file=sys.stderr
    )
    return exit_code
