"""What the parser needs to know of a choice, kept in the field that holds it."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def option(
    default: Any,
    help: str,
    *,
    group: str,
    flags: tuple[str, ...] = (),
    kind: type | None = None,
    choices: tuple[str, ...] = (),
    metavar: str = "",
    minimum: int | None = None,
    is_counted: bool = False,
) -> Any:
    """Return a field of Options with what the parser needs to know of it.

    Parameters
    ----------
    default : object
        A tuple makes an option that takes one or more values.
    help : str
        One line, with the unit; the default is added to it.
    group : str
        Heading in the help.
    flags : tuple of str
        Spellings beside `--the-field-name`.
    kind : type, optional
        What the text becomes; the type of the default where that tells.
    choices : tuple of str
        The only values allowed.
    metavar : str
        How the value is shown in the help.
    minimum : int, optional
        The least number that is allowed; what the cleaning asks of its numbers, it checks itself.
    is_counted : bool
        Whether the option takes no value, and says more each time it is given.
    """
    kind = kind or (str if isinstance(default, tuple) or default is None else type(default))
    metadata = {"help": help, "group": group, "flags": flags, "kind": kind}
    metadata |= {"choices": choices, "metavar": metavar}
    metadata |= {"minimum": minimum, "is_counted": is_counted}
    return field(default=default, metadata=metadata)
