import pytest

from bidsmask.cleaning.cleaning import Cleaning
from bidsmask.cleaning.filter import TemporalFilter
from bidsmask.errors import UsageError


def test_equal_choices_are_equal_and_hash_alike() -> None:
    one = Cleaning(filter=TemporalFilter("cosine", 0.01))
    other = Cleaning(filter=TemporalFilter("cosine", 0.01))
    assert one == other
    assert len({one, other, Cleaning()}) == 2


def test_unknown_scale_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'percent'.*zscore_sample, zscore, psc, none"):
        Cleaning(standardize="percent")  # type: ignore[arg-type]
