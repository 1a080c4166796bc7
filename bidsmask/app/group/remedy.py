"""What mends a product of the participant level that cannot be used: to remove it first.

The participant level looks at sidecars and sizes alone, and takes a damaged product for done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bidsmask.errors import DataError

AGAIN: Final = "Run the participant level again."
REMOVE: Final = f"Remove it. {AGAIN}"
REMOVE_BOTH: Final = f"Remove both. {AGAIN}"
EACH: Final = "What mends each of them is said with its name."


@contextmanager
def advising_removal() -> Iterator[None]:
    """Give each error of a product's content the advice that mends it."""
    try:
        yield
    except DataError as error:
        raise type(error)(error.where, error.problem, REMOVE) from error
