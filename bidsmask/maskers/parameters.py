"""The parameters of a masker, as its constructor is given them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
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


def asked_dtype(
    asked: Any, stored: np.dtype[Any], integers_as: type[np.generic] = np.float32
) -> np.dtype[Any] | None:
    """Return the type that a masker's `dtype` asks for; None where it asks for none.

    Parameters
    ----------
    asked : dtype, "auto" or None
    stored : dtype
        Of what there is.
    integers_as : type
        What "auto" makes of signed integers; float32 of all else.
    """
    if asked is None:
        return None
    if isinstance(asked, str) and asked == "auto":
        return np.dtype(integers_as if stored.kind == "i" else np.float32)
    kind: np.dtype[Any] = np.dtype(asked)
    return kind
