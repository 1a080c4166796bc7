"""The parameters of a masker, as its constructor is given them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.base import BaseEstimator

from bidsmask.errors import WrongType

LEGACY = "clean__"


def take_parameters(masker: BaseEstimator, values: Mapping[str, Any]) -> None:
    """Set the parameters of a masker's signature, from the local variables of its constructor.

    Other keywords, in `kwargs`, are those of the time before nilearn's `clean_args`, as
    `clean__filter`, and join these.

    Raises
    ------
    WrongType
        Any other keyword.
    """
    for name in masker._get_param_names():
        setattr(masker, name, values[name])
    older = values.get("kwargs", {})
    for name in older:
        if not name.startswith(LEGACY):
            raise WrongType(
                f"{type(masker).__name__}()", f"got an unexpected keyword argument {name!r}"
            )
    if older:
        renamed = {name.removeprefix(LEGACY): value for name, value in older.items()}
        masker.clean_args = {**(masker.clean_args or {}), **renamed}
