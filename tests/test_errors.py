"""Errors go through processes whole, and say what they have to say as their first argument."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from bidsmask.errors import BidsmaskError


def kinds(kind: type[BidsmaskError]) -> Iterator[type[BidsmaskError]]:
    """Yield a kind of error and all below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from kinds(below)


@pytest.mark.parametrize("kind", list(kinds(BidsmaskError)))
def test_an_error_is_the_same_after_a_journey(kind: type[BidsmaskError]) -> None:
    error = kind(Path("folder/bold.nii.gz"), "is empty", "Copy it again.")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), vars(again)) == (kind, vars(error))
    assert str(again) == again.args[0] == "bold.nii.gz is empty. Copy it again."
