"""TOML files that hold options: how they are read, and what a value may be."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from bidsmask.errors import MissingInput, UsageError


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds.

    Raises
    ------
    MissingInput
        It is not there.
    UsageError
        It is no TOML.
    """
    try:
        with path.open("rb") as handle:
            return tomllib.load(handle)
    except OSError as error:
        raise MissingInput(path, f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(path, f"is not TOML: {error}") from error


def config_value(path: Path, one: dataclasses.Field[Any], value: Any) -> Any:
    """Return a value of a TOML file as the option of a field wants it.

    Raises
    ------
    UsageError
        It is of another kind, or none of the choices.
    """
    kind, choices = one.metadata["kind"], one.metadata["choices"]
    many = isinstance(one.default, tuple)
    items = value if many and isinstance(value, list) else [value]
    wanted = (int, float) if kind is float else (str,) if kind is Path else (kind,)
    for item in items:
        is_flag_for_number = isinstance(item, bool) and kind is not bool
        if not isinstance(item, wanted) or is_flag_for_number:
            raise UsageError(
                path, f"sets {one.name} to {item!r}, but it takes {kind.__name__.lower()}"
            )
        if choices and item not in choices:
            raise UsageError(
                path, f"sets {one.name} to {item!r}", f"It is one of {', '.join(choices)}."
            )
    made = tuple(kind(item) for item in items)
    return made if many else made[0]
