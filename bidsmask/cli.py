"""The door: argv in, exit code out."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from bidsmask import __version__

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal asks the program to end."""

    def __init__(self, number: int) -> None:
        self.how = "terminated" if number == signal.SIGTERM else "interrupted"
        self.exit_code = 128 + number


def program() -> int:
    """Run bidsmask as a whole process, and return its exit code."""
    exit_code = main()
    # The system takes back all memory at once: sweeping a million objects first took 0.35 s.
    gc.freeze()
    return exit_code


def regions_program() -> int:
    """Run bidsmask-regions as a whole process, and return its exit code."""
    return regions()


def unmask_program() -> int:
    """Run bidsmask-unmask as a whole process, and return its exit code."""
    return unmask()


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
    return guarded(run_app, sys.argv[1:] if arguments is None else arguments)


def regions(arguments: list[str] | None = None) -> int:
    """Run bidsmask-regions; arguments and exit code as of `main`."""
    return guarded(run_regions, sys.argv[1:] if arguments is None else arguments)


def unmask(arguments: list[str] | None = None) -> int:
    """Run bidsmask-unmask; arguments and exit code as of `main`."""
    return guarded(run_unmask, sys.argv[1:] if arguments is None else arguments)


def run_app(arguments: list[str]) -> int:
    """Parse the command line of bidsmask, and do what it asks."""
    from bidsmask.app.arguments import parse

    options = parse(arguments)
    from bidsmask.app.run import run
    from bidsmask.terminal import Terminal

    return run(options, Terminal(options))


def run_regions(arguments: list[str]) -> int:
    """Parse the command line of bidsmask-regions, and do what it asks."""
    from bidsmask.app.region_options import parse

    options = parse(arguments)
    from bidsmask.app.regions import write_regions

    for sentence in write_regions(options):
        say(sentence)
    return 0


def run_unmask(arguments: list[str]) -> int:
    """Parse the command line of bidsmask-unmask, and do what it asks."""
    from bidsmask.app.unmask_options import parse

    options = parse(arguments)
    from bidsmask.app.unmask import write_unmasked

    for sentence in write_unmasked(options):
        say(sentence)
    return 0


def guarded(work: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Return the exit code of a program, whatever becomes of it."""
    if "--version" in arguments:
        print(f"bidsmask {__version__}")
        return 0

    from bidsmask.errors import BidsmaskError

    previous = [signal.signal(number, stop) for number in SIGNALS]
    try:
        return work(arguments)
    except BidsmaskError as error:
        say(f"error: {error}")
        return error.exit_code
    except Stopped as stopped:
        say(f"{stopped.how}. What is finished is kept; the same command resumes.")
        return stopped.exit_code
    except BrokenPipeError:
        # Whoever read our standard output has gone; what is left in its buffer has no reader.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if shows_tracebacks(arguments):
            traceback.print_exc()
        say(f"error: a fault of its own: {type(error).__name__}: {error}. -vv shows where.")
        return 70
    finally:
        for number, handler in zip(SIGNALS, previous, strict=True):
            signal.signal(number, handler)


def shows_tracebacks(arguments: list[str]) -> bool:
    """Return whether -v is given twice, without the parser, whose fault it may be."""
    counts = [word.count("v") for word in arguments if re.fullmatch("-v+", word)]
    return sum(counts) + arguments.count("--verbose") > 1


def stop(number: int, frame: FrameType | None) -> NoReturn:
    """Turn the first signal into an exception, so that what is half-written is cleared away."""
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    raise Stopped(number)


def say(text: str) -> None:
    """Print to standard error, if anybody can hear it."""
    with contextlib.suppress(OSError):
        print(f"bidsmask: {text}", file=sys.stderr, flush=True)
