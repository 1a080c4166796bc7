"""Columns of a table by name, pattern or expression: `rot_?`, `/a_comp_cor_0[0-4]/`, `square(csf)`.

An expression is `derivative(…)` or `square(…)` of any of these, or of another expression.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from bidsmask.cleaning.table import FloatArray, numbers
from bidsmask.errors import MissingColumn, UsageError

# What a column of a table becomes before anything is made of it: (values, name) -> values.
Completion = Callable[[FloatArray, str], FloatArray]

_CALL = re.compile(r"(\w+)\((.*)\)")
# With the endings that fMRIPrep gives the same columns.
_ENDINGS: Mapping[str, str] = {"derivative": "_derivative1", "square": "_power2"}


@dataclass(frozen=True)
class Expression:
    """Columns of a table, and what is made of them.

    Attributes
    ----------
    pattern : str
        A name; a pattern with `*`, `?` or `[…]`; or a regular expression between slashes, which
        the whole name must match.
    functions : tuple of {"derivative", "square"}
        The innermost first.
    """

    pattern: str
    functions: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, asked_by: str) -> Expression:
        """Return what `text` says.

        Parameters
        ----------
        text : str
        asked_by : str
            The option or key that it stands in, for messages.

        Raises
        ------
        UsageError
            A function that is not known, or a regular expression that is none.
        """
        pattern, functions = text.strip(), []
        while not _is_regular(pattern) and (call := _CALL.fullmatch(pattern)):
            name, pattern = call[1], call[2].strip()
            if name not in _ENDINGS:
                near = difflib.get_close_matches(name, _ENDINGS, n=1, cutoff=0.3)
                advice = f"Did you mean {near[0]}(…)?" if near else ""
                known = " and ".join(f"{one}(…)" for one in _ENDINGS)
                problem = f"has {text}, but of functions there are {known}"
                raise UsageError(asked_by, problem, advice)
            functions.append(name)
        if not pattern:
            raise UsageError(asked_by, f"has {text!r}, which names no column")
        if _is_regular(pattern):
            try:
                re.compile(pattern[1:-1])
            except re.error as error:
                problem = f"has {pattern}, which is no regular expression: {error}"
                raise UsageError(asked_by, problem) from error
        return cls(pattern, tuple(reversed(functions)))

    def names_in(self, table: pd.DataFrame) -> list[str]:
        """Return the columns of a table that the pattern matches, in their order."""
        names = [str(name) for name in table.columns]
        if _is_regular(self.pattern):
            return [name for name in names if re.fullmatch(self.pattern[1:-1], name)]
        return [name for name in names if name == self.pattern or fnmatchcase(name, self.pattern)]

    @property
    def is_pattern(self) -> bool:
        """Whether it may match several columns."""
        return _is_regular(self.pattern) or any(sign in self.pattern for sign in "*?[")


@dataclass(frozen=True)
class ColumnChoice:
    """Columns that a user asks for.

    Attributes
    ----------
    columns : tuple of str
        Expressions.
    asked_by : str
        The option, or key and file, that asks for them; for messages.
    table : str
        How the name of the table ends, as `desc-aroma_timeseries`; empty for the confounds
        of the run.
    dataset : str
        The derivative dataset that the table is in; empty for any.
    """

    columns: tuple[str, ...]
    asked_by: str
    table: str = ""
    dataset: str = ""

    def __post_init__(self) -> None:
        for text in self.columns:
            Expression.parse(text, self.asked_by)

    @property
    def place(self) -> str:
        """The table with its dataset, as a key."""
        return f"{self.dataset}:{self.table}"

    def values_in(
        self, table: pd.DataFrame, where: str | Path, complete: Completion
    ) -> dict[str, FloatArray]:
        """Return the columns of a table, by their names.

        Parameters
        ----------
        table : DataFrame
            One row per volume.
        where : str or Path
            The table, for messages.
        complete : callable
            What stands for `n/a`.

        Raises
        ------
        MissingColumn
            A name is not there, or a pattern matches nothing.
        UnusableTable
            A value is no number.
        """
        found: dict[str, FloatArray] = {}
        for text in self.columns:
            expression = Expression.parse(text, self.asked_by)
            names = expression.names_in(table)
            if not names:
                self._refuse(expression, table, where)
            for name in names:
                values = complete(numbers(table, name, where), name)
                for function in expression.functions:
                    values = differences(values) if function == "derivative" else values**2
                    name += _ENDINGS[function]
                found[name] = values
        return found

    def _refuse(self, expression: Expression, table: pd.DataFrame, where: str | Path) -> None:
        """Say that a table has no such column."""
        pattern, names = expression.pattern, [str(name) for name in table.columns]
        word, problem = pattern, f"lacks the column {pattern}"
        if expression.is_pattern:
            word = re.sub(r"\W|_?\d+", "", pattern)
            problem = f"has no column that matches {pattern}"
        near = difflib.get_close_matches(word, names, n=3, cutoff=0.4)
        advice = f"Near to it: {', '.join(near)}."
        if not near:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            advice = f"None is near to it; there are {', '.join(names[:5])}{more}."
        raise MissingColumn(where, f"{problem}, which {self.asked_by} needs", advice)


def differences(values: FloatArray) -> FloatArray:
    """Return each value less the one before it; 0 first, where nothing has changed yet."""
    return np.diff(values, prepend=values[:1])


def _is_regular(pattern: str) -> bool:
    """Say whether a pattern is a regular expression, between slashes."""
    return len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/")
